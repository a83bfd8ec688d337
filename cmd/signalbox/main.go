// Command signalbox is the control plane and its tools in one binary. Each
// command is a file; serve.go is the service's wiring.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker; see the Makefile.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process around it: tests call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(stdin, stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "signalbox:", err)
		return 2
	}
	fmt.Fprintln(stderr, "signalbox:", err)
	return 1
}

func newRoot(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "signalbox",
		Short: "The control plane for LLM traffic, beside the gateway you already run",
		Long: `Signalbox is asked by a gateway before each LLM call and answers allow, route,
deny or redact, from policy and from a ledger that never lets a budget be
overspent. After the call it settles what was used, and ClickHouse shows it.`,
		Example: `  signalbox serve                       # embedded defaults, on loopback
  signalbox apply -f registry.yaml      # tenants, models, prices, budgets
  signalbox keys create --app acme/helpdesk
  signalbox sql "SELECT team, sum(cost_nano_usd)/1e9 FROM costs GROUP BY team"`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newServeCmd(stderr), newEngineCmd(stdout, stderr))
	addClientCommands(root, stdin, stdout, stderr)
	return root
}
