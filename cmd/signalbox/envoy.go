package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
)

func newEnvoyCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "envoy",
		Short: "Put Signalbox in front of an Envoy: its configuration, checked and watched",
		Long: `envoy prints what an Envoy needs to ask Signalbox about each call. bootstrap is a
whole new Envoy, whose routes, providers and credentials come from Signalbox;
filter is what an Envoy that you run already is given beside what it has.`,
		Example: `  signalbox envoy bootstrap > envoy.yaml
  signalbox envoy filter --mode ext_authz --signalbox signalbox.infra:9090 --tls
  signalbox envoy validate envoy.yaml
  signalbox envoy status`,
	}
	status := newEnvoyStatusCmd(g)
	g.asks(status) // the others talk to nobody
	cmd.AddCommand(newEnvoyBootstrapCmd(), newEnvoyFilterCmd(), newEnvoyValidateCmd(g.Stdin, g.Stdout, g.Stderr), status)
	return cmd
}

func newEnvoyBootstrapCmd() *cobra.Command {
	o := config.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "bootstrap [--mode ext_proc|ext_authz]",
		Short: "Print the bootstrap of a whole new Envoy",
		Long: `bootstrap prints what Envoy 1.40 or newer is started with. Only the listener and
the way to Signalbox stand in it: routes, providers and their credentials come
from the registry, over xds, and change with it.

Envoy proves which gateway it is by a token, which it reads from its environment
or from a file, or by a client certificate. No secret is printed.`,
		Example: `  signalbox envoy bootstrap > envoy.yaml
  SIGNALBOX_GATEWAY_TOKEN=$(signalbox keys create --gateway edge-1) envoy -c envoy.yaml
  signalbox envoy bootstrap --listen 0.0.0.0:443 --listen-cert tls.crt --listen-key tls.key \
    --signalbox signalbox.infra:9090 --tls --tls-ca ca.crt --tls-cert edge-1.crt --tls-key edge-1.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printConfig(cmd, config.Bootstrap, o) },
	}
	flags := cmd.Flags()
	envoyFlags(flags, &o, "ext_proc or ext_authz")
	flags.StringVar(&o.Listen, "listen", o.Listen, "where callers come in")
	flags.StringVar(&o.ListenCert, "listen-cert", "", "certificate that callers see; a file on Envoy's machine")
	flags.StringVar(&o.ListenKey, "listen-key", "", "its key")
	flags.StringVar(&o.Admin, "admin", o.Admin, "Envoy's own admin; keep it on loopback")
	flags.StringVar(&o.Node, "node", o.Node, "this Envoy's name; another for each")
	flags.StringVar(&o.NodeCluster, "node-cluster", o.NodeCluster, "what kind of Envoy it is")
	return cmd
}

func newEnvoyFilterCmd() *cobra.Command {
	o := config.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "filter --mode ext_authz|ext_authz-http|ext_proc",
		Short: "Print what to add to an Envoy that you run already",
		Long: `filter prints the parts that an Envoy needs to ask Signalbox, each under the key
that it goes to. Its routes and clusters stay its own: a call that is let through
names its deployment in x-signalbox-deployment.

ext_authz judges requests and cannot change bodies; ext_proc changes them and
reads answers; ext_authz-http is ext_authz where only HTTP can be had.`,
		Example: `  signalbox envoy filter --mode ext_authz --envoy-version 1.36
  signalbox envoy filter --mode ext_proc --failure-mode open --signalbox signalbox.infra:9090 --tls`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Mode == config.ExtAuthzHTTP && !cmd.Flags().Changed("signalbox") {
				o.Signalbox = "127.0.0.1:8080" // the http listener
			}
			return printConfig(cmd, config.Filter, o)
		},
	}
	flags := cmd.Flags()
	envoyFlags(flags, &o, "ext_authz, ext_authz-http or ext_proc")
	flags.StringVar(&o.Log, "log", o.Log, "with ext_authz-http: the grpc listener, for the access log")
	flags.StringVar(&o.Version, "envoy-version", o.Version, "the Envoy that reads it; an older one gets less")
	return cmd
}

// printConfig prints what a template made. What is wrong with the options was typed.
func printConfig(cmd *cobra.Command, write func(config.Options) ([]byte, error), o config.Options) error {
	text, err := write(o)
	if err != nil {
		return usagef("%s", err)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), string(text))
	return err
}

// envoyFlags are those that both pages take.
func envoyFlags(flags *pflag.FlagSet, o *config.Options, modes string) {
	flags.StringVar((*string)(&o.Mode), "mode", string(o.Mode), modes)
	flags.StringVar((*string)(&o.FailureMode), "failure-mode", string(o.FailureMode), "closed: a call that nobody decided gets 503; open: it passes, unmetered")
	flags.StringVar(&o.Signalbox, "signalbox", o.Signalbox, "where Envoy finds Signalbox: the grpc listener, or http for ext_authz-http")
	flags.BoolVar(&o.TLS.Enabled, "tls", false, "reach it by TLS")
	flags.StringVar(&o.TLS.CA, "tls-ca", "", "authorities that its certificate may come from (default: the system's)")
	flags.StringVar(&o.TLS.ServerName, "tls-server-name", "", "name in its certificate (default: the host of --signalbox)")
	flags.StringVar(&o.TLS.Cert, "tls-cert", "", "Envoy's own certificate, which names the gateway; no token is needed then")
	flags.StringVar(&o.TLS.Key, "tls-key", "", "its key")
	flags.BoolVar(&o.Plaintext, "plaintext", false, "reach another machine without TLS: a mesh encrypts the way")
	flags.StringVar(&o.TokenEnv, "token-env", o.TokenEnv, "variable of Envoy's environment that holds the gateway's token")
	flags.StringVar(&o.TokenFile, "token-file", "", "file on Envoy's machine that holds it instead")
	flags.Var((*bytesFlag)(&o.Body), "body", "the largest body that is judged, as limits.body")
	flags.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long Envoy waits for one answer")
	flags.DurationVar(&o.Idle, "idle-timeout", o.Idle, "how long an answer may stand still")
}

// bytesFlag is a size as people write it: 8MiB.
type bytesFlag int64

func (b *bytesFlag) String() string {
	if *b%(1<<20) == 0 {
		return fmt.Sprintf("%dMiB", *b>>20)
	}
	return fmt.Sprintf("%dKiB", *b>>10)
}

func (b *bytesFlag) Type() string { return "size" }

func (b *bytesFlag) Set(s string) error {
	n, err := parseBytes(s)
	*b = bytesFlag(n)
	return err
}
