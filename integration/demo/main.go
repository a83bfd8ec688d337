// Command demo is `make demo`: it starts the real binary on its embedded
// defaults and a simulated provider beside it, plays two tenants' traffic through
// it by the official SDKs, and shows what was decided, what it cost, and what
// ClickHouse says. With -stay it remains up.
//
// Start at acts.go, which is the play; world.go is the stage, callers.go the
// applications, and tally.go what they and the provider saw.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	bin := flags.String("bin", "bin/signalbox", "the binary to show")
	stay := flags.Bool("stay", false, "stay up on the default ports, with a key to try")
	callers := flags.Int("callers", 200, "concurrent callers on the one dollar")
	if err := flags.Parse(args); err != nil {
		return err
	}
	play, closeStage, err := stage(ctx, *bin, *stay, *callers, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStage()) }()
	if err := play.all(ctx); err != nil {
		return err
	}
	if *stay {
		play.invite()
		<-ctx.Done()
	}
	return nil
}

// stage builds what the play needs, in a folder that goes with it.
func stage(ctx context.Context, bin string, stay bool, callers int, out io.Writer) (*play, func() error, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "signalbox-demo-")
	if err != nil {
		return nil, nil, err
	}
	p := &play{bill: &bill{}, out: out, callers: callers, keys: map[string]string{}, began: time.Now(),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers + 8}}}
	closeProvider, err := p.openProvider()
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	if p.box, err = newBox(bin, dir, stay); err != nil {
		return nil, nil, errors.Join(err, closeProvider(), os.RemoveAll(dir))
	}
	p.say("Starting signalbox on its embedded defaults (journal, books, ClickHouse's engine) in a temporary folder,")
	p.say("and a simulated provider that speaks OpenAI's dialect, Azure's and Anthropic's at %s.", p.address)
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.box.Start(starting); err != nil {
		return nil, nil, errors.Join(err, closeProvider(), os.RemoveAll(dir))
	}
	return p, func() error {
		p.http.CloseIdleConnections()
		return errors.Join(p.box.Stop(), closeProvider(), os.RemoveAll(dir))
	}, nil
}

func newBox(bin, dir string, stay bool) (*rig.Box, error) {
	policies := filepath.Join(dir, "policies")
	if err := os.MkdirAll(policies, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(policies, "redact.rego"), []byte(policy), 0o644); err != nil {
		return nil, err
	}
	config := rig.Config{Bin: bin, Dir: dir, Env: secrets, Extra: "policy: {dir: " + policies + "}\n"}
	if stay {
		config.HTTP, config.GRPC, config.Ops = "127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:9091"
	}
	return rig.New(config)
}

// openProvider serves the simulated provider on a port of its own.
func (p *play) openProvider() (closeProvider func() error, err error) {
	p.provider = &upstream.Provider{Credentials: accepted, Billed: p.bill.note}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.address = "http://" + listener.Addr().String()
	server := &http.Server{Handler: p.provider, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return server.Close, nil
}
