package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// doctorOptions is what the flags say.
type doctorOptions struct {
	gateway string
	routes  []string
	headers []string
	ca      string
	ops     string
}

func newDoctorCmd(g *globals) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [--gateway URL]",
		Short: "Find out what is not well: the service, or a gateway that does not ask it",
		Long: `Without --gateway: what the service says of itself.

With --gateway: makes a canary, an app with a key whose budget is zero, and sends it
through every path and model by way of that gateway. A call that is not refused by
Signalbox has found a way around it, and is red; what to fix is said below. Calls
without a key, with keys that nobody made, with forged headers and to paths that
nobody judges are sent too. The canary is removed afterwards, and its key expires in
any case. A gateway that is wired sends nothing to a provider; one that is not sends
calls of a few words there, at most three a path.

Exit 1 if anything is red.`,
		Example: `  signalbox doctor
  signalbox doctor --gateway https://llm.example.com
  signalbox doctor --gateway http://127.0.0.1:10000 --route /v1/chat/completions -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.gateway == "" {
				return doctorService(cmd.Context(), g, o)
			}
			return doctorGateway(cmd.Context(), g, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.gateway, "gateway", "", "where callers reach the gateway")
	flags.StringArrayVar(&o.routes, "route", nil, "only this path, such as /v1/messages; may be repeated (default: all that are judged)")
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "'name: value' that the gateway wants on every call, host included")
	flags.StringVar(&o.ca, "ca", "", "a file with the certificates that the gateway's is signed by")
	flags.StringVar(&o.ops, "ops", defaultOps, "the service's ops listener, asked without --gateway")
	return cmd
}

// errUnwell is exit 1 with nothing more to say than what was printed.
var errUnwell = errors.New("not everything is well; what to fix stands above")

// doctorGateway makes the canary, sends it through the gateway, and removes it,
// also when somebody interrupts.
func doctorGateway(ctx context.Context, g *globals, o doctorOptions) (err error) {
	caller, err := newDoctorCaller(o)
	if err != nil {
		return err
	}
	models, err := g.doctorModels(ctx)
	if err != nil {
		return err
	}
	probes := doctorProbes(models, o.routes)
	c, err := g.newCanary(ctx)
	// What was made so far is removed whatever else went wrong.
	defer func() { err = errors.Join(err, g.removeCanary(ctx, c)) }()
	if err != nil {
		return err
	}
	seen, err := probe(ctx, caller, c, probes)
	if err != nil {
		return err
	}
	notes := g.lookThrough(ctx, c, seen, time.Now)
	return g.printDoctor(o.gateway, seen, notes)
}

// readCallerHeaders reads what -H says.
func readCallerHeaders(given []string) (map[string]string, error) {
	headers := map[string]string{}
	for _, h := range given {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usagef("-H %s: want 'name: value'", strings.TrimSpace(name))
		}
		headers[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return headers, nil
}

// readGateway is the address as it is called: without a path, because paths are what
// is tried.
func readGateway(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", usagef("--gateway: want an address without a path, such as https://llm.example.com")
	}
	return fmt.Sprintf("%s://%s", u.Scheme, u.Host), nil
}
