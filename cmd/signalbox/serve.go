package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"

	"github.com/spf13/cobra"
)

func newServeCmd(stderr io.Writer) *cobra.Command {
	var file string
	var check bool
	cmd := &cobra.Command{
		Use:   "serve [-c signalbox.yaml]",
		Short: "Answer gateways: decide before each call, settle after it",
		Long: `serve answers gateways on http and grpc, and probes on ops. With no file it runs
on its embedded defaults: a journal, the books and ClickHouse's engine in
./signalbox-data, listeners on loopback.

Callers who have no gateway send their calls to http itself, as if it were the
provider: the proxy decides, sends, relays and settles them. Providers'
credentials are files in credentials.dir, one each and watched, or
SIGNALBOX_CREDENTIAL_<NAME>; what is missing, /readyz on ops names.

Every setting is also an environment variable, SIGNALBOX_ and its path in
capitals: SIGNALBOX_HTTP_LISTEN, SIGNALBOX_PROXY_IDLE_TIMEOUT.`,
		Example: `  signalbox serve
  signalbox serve -c signalbox.yaml
  signalbox serve -c signalbox.yaml --check   # validate, print what holds, and end
  SIGNALBOX_CREDENTIAL_OPENAI=sk-… signalbox serve   # then: OPENAI_BASE_URL=http://127.0.0.1:8080/v1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := LoadConfig(file, os.Environ())
			if err != nil {
				return fmt.Errorf("the configuration cannot be used:\n%w", err)
			}
			if check {
				_, err := fmt.Fprint(cmd.OutOrStdout(), effective(reflect.ValueOf(config), ""))
				return err
			}
			log, err := newLog(config.Log, stderr)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), config, log)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "signalbox.yaml; none: the embedded defaults")
	cmd.Flags().BoolVar(&check, "check", false, "validate, print the effective configuration with secrets hidden, and end")
	return cmd
}

// serve builds the house from the ground up, runs it until ctx ends, and takes it
// down from the top: each floor stands on what was started before it.
func serve(ctx context.Context, config Config, log *slog.Logger) error {
	b := newBox(config, log)
	err := b.start(ctx)
	if err == nil {
		log.Info("signalbox is ready", "http", config.HTTP.Listen, "grpc", config.GRPC.Listen, "ops", config.Ops.Listen, "epoch", b.epoch.String())
		<-ctx.Done()
		log.Info("draining: no new calls; what is in flight is answered and everything is written down")
	}
	return errors.Join(err, b.stop())
}

// start brings up each floor in order.
func (b *box) start(ctx context.Context) error {
	floors := []struct {
		name  string
		start func(context.Context) error
	}{
		{"ops", b.startOps}, // first: probes must see the rest coming up
		{"data folder", b.openFolder},
		{"journal", b.openJournal},
		{"spool", b.openSpool},
		{"registry", b.openRegistry},
		{"policy", b.openPolicy},
		{"ledger", b.openLedger},
		{"credentials", b.openCredentials},
		{"decisions", b.openDecisions},
		{"analytics", b.openAnalytics},
		{"doors", b.openDoors},
	}
	for _, floor := range floors {
		if err := floor.start(ctx); err != nil {
			return fmt.Errorf("start the %s: %w", floor.name, err)
		}
		if ctx.Err() != nil {
			return nil // asked to stop while starting: not a failure
		}
	}
	b.ready.started()
	return nil
}

func newLog(c LogConfig, w io.Writer) (*slog.Logger, error) {
	level, err := logLevel(c.Level)
	if err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

func logLevel(s string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s)); err != nil {
		return level, fmt.Errorf("log.level: %q; want debug, info, warn or error", s)
	}
	return level, nil
}
