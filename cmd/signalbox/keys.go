package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

func newKeysCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list, revoke and rotate the keys of apps, gateways and operators",
		Example: `  signalbox keys create --app acme/helpdesk --expires 90d
  signalbox keys rotate k-01J… --overlap 24h`,
	}
	cmd.AddCommand(newKeysCreateCmd(g), newKeysListCmd(g), newKeysRevokeCmd(g), newKeysRotateCmd(g))
	return cmd
}

func newKeysCreateCmd(g *globals) *cobra.Command {
	var req adminapi.CreateKeyRequest
	var why string
	cmd := &cobra.Command{
		Use:   "create --app TENANT/APP | --gateway NAME | --admin",
		Short: "Make a key and print it, this once",
		Example: `  signalbox keys create --app acme/helpdesk --expires 90d
  signalbox keys create --gateway edge-1
  signalbox keys create --admin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.By = by(why)
			if countTrue(req.App != "", req.Gateway != "", req.Admin) != 1 {
				return usagef("want exactly one of --app, --gateway and --admin; see %s --help", cmd.CommandPath())
			}
			var made adminapi.KeyResponse
			if err := g.call(cmd.Context(), "POST", "/admin/v1/keys", req, &made); err != nil {
				return err
			}
			return g.printSecret(made)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&req.App, "app", "", "TENANT/APP that calls with it (sbx_…)")
	flags.StringVar(&req.Gateway, "gateway", "", "gateway that asks with it (sbg_…)")
	flags.BoolVar(&req.Admin, "admin", false, "an operator's (sba_…)")
	flags.Var(&req.Expires, "expires", "after this time, such as 90d (default: never)")
	flags.Lookup("expires").DefValue = ""
	flags.StringVar(&why, "why", "", "kept with the key")
	return cmd
}

func countTrue(these ...bool) (n int) {
	for _, is := range these {
		if is {
			n++
		}
	}
	return n
}

// printSecret prints a new key: the secret alone on standard output, so that it
// can be piped into where it belongs, and the rest for whoever watches.
func (g *globals) printSecret(made adminapi.KeyResponse) error {
	if g.json() {
		return g.document(made)
	}
	fmt.Fprintf(g.Stderr, "key %s, %s; it is shown this once, keep it now:\n", made.Key.ID, expiry(made.Key))
	_, err := fmt.Fprintln(g.Stdout, made.Secret)
	return err
}

func expiry(k adminapi.Key) string {
	if k.ExpiresAt.IsZero() {
		return "never expires"
	}
	return "expires " + when(k.ExpiresAt, "")
}

func newKeysListCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List all keys; never their secrets",
		Example: `  signalbox keys list -o json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list adminapi.KeysResponse
			if err := g.call(cmd.Context(), "GET", "/admin/v1/keys", nil, &list); err != nil {
				return err
			}
			if g.json() {
				return g.document(list.Keys)
			}
			var rows [][]string
			for _, k := range list.Keys {
				rows = append(rows, []string{k.ID, owner(k), k.Prefix, k.State, when(k.ExpiresAt, "never")})
			}
			return g.table([]string{"id", "app", "prefix", "state", "expires_at"}, rows)
		},
	}
}

// owner is whose key it is, in one column.
func owner(k adminapi.Key) string {
	switch {
	case k.App != "":
		return k.App
	case k.Gateway != "":
		return "gateway " + k.Gateway
	}
	return "(" + k.Kind + ")"
}

func newKeysRevokeCmd(g *globals) *cobra.Command {
	var yes bool
	var why string
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a key now, on every replica within a second",
		Example: `  signalbox keys revoke k-01J… --yes --why "leaked in a log"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.confirm(yes, "Calls with key "+args[0]+" will be refused from now on. Revoke it?"); err != nil {
				return err
			}
			var done adminapi.KeyResponse
			if err := g.changeKey(cmd.Context(), args[0], "revoke", adminapi.RevokeKeyRequest{By: by(why)}, &done); err != nil {
				return err
			}
			if g.json() {
				return g.document(done.Key)
			}
			_, err := fmt.Fprintf(g.Stdout, "key %s is revoked\n", done.Key.ID)
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&why, "why", "", "kept with the key")
	return cmd
}

// confirm wants --yes, or a yes at the terminal.
func (g *globals) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !g.Terminal {
		return usagef("nobody is at a terminal to say yes; give --yes")
	}
	agreed, err := g.ask(question)
	if err != nil {
		return err
	}
	if !agreed {
		return errors.New("nothing was changed")
	}
	return nil
}

func newKeysRotateCmd(g *globals) *cobra.Command {
	var req adminapi.RotateKeyRequest
	var why string
	cmd := &cobra.Command{
		Use:     "rotate ID --overlap 24h",
		Short:   "Make a key's successor; the old one works for the overlap",
		Example: `  signalbox keys rotate k-01J… --overlap 24h`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("overlap") {
				return usagef("--overlap is needed: how long the old key still works, such as 24h, or 0s; see %s --help", cmd.CommandPath())
			}
			req.By = by(why)
			var made adminapi.KeyResponse
			if err := g.changeKey(cmd.Context(), args[0], "rotate", req, &made); err != nil {
				return err
			}
			return g.printSecret(made)
		},
	}
	cmd.Flags().Var(&req.Overlap, "overlap", "how long the old key still works; 0s ends it now")
	cmd.Flags().StringVar(&why, "why", "", "kept with the key")
	return cmd
}

func (g *globals) changeKey(ctx context.Context, id, what string, in any, out *adminapi.KeyResponse) error {
	return g.call(ctx, "POST", "/admin/v1/keys/"+url.PathEscape(id)+"/"+what, in, out)
}
