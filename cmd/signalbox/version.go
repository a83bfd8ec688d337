package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildInfo is what this binary is.
type buildInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

// thisBuild reads what the linker was told and what Go wrote into the binary.
func thisBuild() buildInfo {
	build := buildInfo{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			build.Commit = s.Value
		}
	}
	return build
}

func newVersionCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print what this binary is",
		Example: `  signalbox version -o json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			build := thisBuild()
			if g.json() {
				return g.document(build)
			}
			line := "signalbox " + build.Version
			if build.Commit != "" {
				line += " (" + build.Commit + ")"
			}
			_, err := fmt.Fprintln(g.Stdout, line, build.Go)
			return err
		},
	}
}
