// Command install puts the pinned coding agents into the user's cache, for the tests.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/signalbox-dev/signalbox/integration/agents"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	kit, err := agents.Install(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "agents: %s and %s\n", kit.Claude, kit.Codex)
}
