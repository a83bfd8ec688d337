// Command demo is `make demo`: it starts the real binary on its embedded
// defaults, plays two tenants' traffic through it, and shows what was decided,
// what it cost, and what ClickHouse says. With -stay it remains up.
//
// Start at acts.go, which is the play; world.go is the stage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	config := rig.Config{Bin: bin, Dir: dir}
	if stay {
		config.HTTP, config.GRPC, config.Ops = "127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:9091"
	}
	box, err := rig.New(config)
	if err != nil {
		return nil, nil, err
	}
	p := &play{box: box, provider: &upstream.Provider{}, out: out, callers: callers, keys: map[string]string{}, began: time.Now()}
	p.say("Starting signalbox on its embedded defaults (journal, books, ClickHouse's engine) in a temporary folder.")
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := box.Start(starting); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, func() error { return errors.Join(box.Stop(), os.RemoveAll(dir)) }, nil
}
