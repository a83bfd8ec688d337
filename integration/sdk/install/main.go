// Command install puts the pinned SDKs into the user's cache, for the tests.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/signalbox-dev/signalbox/integration/sdk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	kit, err := sdk.Install(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "sdk: %s and %s, with %s\n", kit.Python, kit.Node, kit.Modules)
}
