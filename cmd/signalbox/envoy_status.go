package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

func newEnvoyStatusCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which Envoys follow, what they have taken and what they refused",
		Long: `status asks a running service what it hands out by xds, and what each Envoy that
is connected to it has taken. A refusal is shown in Envoy's own words.`,
		Example: `  signalbox envoy status
  signalbox envoy status -o json | jq '.envoys[] | select(.nack)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s adminapi.EnvoyResponse
			if err := g.call(cmd.Context(), "GET", "/admin/v1/envoy", nil, &s); err != nil {
				return err
			}
			if g.json() {
				return g.document(s)
			}
			return g.printEnvoys(s)
		},
	}
}

func (g *globals) printEnvoys(s adminapi.EnvoyResponse) error {
	fmt.Fprintf(g.Stdout, "version %s since %s, of registry %d\n", orDefault(s.Version, "none"), when(s.Since, "never"), s.RegistryVersion)
	if len(s.Fallback) > 0 {
		fmt.Fprintf(g.Stdout, "calls that nobody decided go to %s, where a route is open\n", oneLine(strings.Join(s.Fallback, ", ")))
	}
	if s.Problem != "" {
		fmt.Fprintf(g.Stdout, "the newest is not handed out: %s\n", oneLine(s.Problem))
	}
	fmt.Fprintln(g.Stdout)
	var envoys, deployments [][]string
	for _, e := range s.Envoys {
		envoys = append(envoys, []string{e.Node, e.Cluster, e.Gateway, e.Envoy, e.State, when(e.Since, "-"), acked(e.Acked)})
	}
	if err := g.table([]string{"envoy", "cluster", "gateway", "version", "state", "connected", "taken"}, envoys); err != nil {
		return err
	}
	for _, d := range s.Deployments {
		deployments = append(deployments, []string{d.Name, d.State, strings.Join(d.RefusedBy, ", ")})
	}
	for _, d := range s.LeftOut {
		deployments = append(deployments, []string{d.Deployment, "left out", d.Why})
	}
	fmt.Fprintln(g.Stdout)
	if err := g.table([]string{"deployment", "state", "why"}, deployments); err != nil {
		return err
	}
	for _, e := range s.Envoys {
		if e.Nack != nil {
			fmt.Fprintf(g.Stdout, "\n%s refused %s of version %s at %s:\n  %s\n", oneLine(e.Node), oneLine(e.Nack.Type), oneLine(e.Nack.Version), when(e.Nack.At, "-"), oneLine(e.Nack.Message))
		}
	}
	return nil
}

// acked is what an Envoy has taken, as one cell.
func acked(versions map[string]string) string {
	var out []string
	for kind, version := range versions {
		out = append(out, kind+" "+version)
	}
	slices.Sort(out)
	return orDefault(strings.Join(out, ", "), "nothing")
}
