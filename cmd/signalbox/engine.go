package main

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/analytics/embedded"
)

func newEngineCmd(stdout, stderr io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "engine",
		Short:   "ClickHouse's engine, for the embedded analytics",
		Example: "  signalbox engine install\n  signalbox engine where",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newEngineInstallCmd(stdout, stderr), newEngineWhereCmd(stdout), newEngineServeCmd())
	return cmd
}

func newEngineInstallCmd(stdout, stderr io.Writer) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "install",
		Short:   "Fetch the engine with npm into the user's cache, once",
		Example: "  signalbox engine install",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := embedded.Install(cmd.Context(), dir, installProgress(stderr))
			if err != nil {
				return fmt.Errorf("install the engine: %w", err)
			}
			fmt.Fprintln(stdout, path)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "where to; empty: the user's cache")
	return cmd
}

// installProgress draws a bar on a terminal and stays silent elsewhere: the path
// is printed at the end.
func installProgress(stderr io.Writer) func(done, total int64) {
	file, ok := stderr.(*os.File)
	if info, err := os.Stderr.Stat(); !ok || file != os.Stderr || err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(int64, int64) {}
	}
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		if bar == nil {
			bar = progressbar.DefaultBytes(total, "engine")
		}
		_ = bar.Set64(done)
	}
}

func newEngineWhereCmd(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:     "where",
		Short:   "Print the engine that serve would use",
		Example: "  signalbox engine where",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := embedded.Find("")
			if err != nil {
				return err
			}
			fmt.Fprintln(stdout, path)
			return nil
		},
	}
}

// newEngineServeCmd is the child that serve starts; people do not.
func newEngineServeCmd() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error { return embedded.Serve(cmd.Context(), args) },
	}
}
