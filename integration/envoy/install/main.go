// Command install puts the pinned Envoys into the user's cache, for the tests.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, version := range []string{envoyrig.Newest, envoyrig.Oldest} {
		path, err := envoyrig.Binary(ctx, version, os.Stderr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintf(os.Stderr, "envoy: %s\n", path)
	}
}
