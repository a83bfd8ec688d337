package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options is what the flags say.
type options struct {
	bin     string
	rounds  int
	length  time.Duration // of one measurement
	callers int
	streams int
	only    string // rows, by a part of their names
	profile string // where profiles of the service go; "": none
	noop    bool   // this process is the no-op filters
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("envoy", flag.ContinueOnError)
	flags.StringVar(&o.bin, "bin", "bin/signalbox", "the binary to measure")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds; figures are medians over them")
	flags.DurationVar(&o.length, "length", 2*time.Second, "of each measurement")
	flags.IntVar(&o.callers, "callers", 32, "callers at once, beside one alone")
	flags.IntVar(&o.streams, "streams", 16, "streams at once")
	flags.StringVar(&o.only, "only", "", "only rows with this in their names, and Envoy alone")
	flags.StringVar(&o.profile, "profile", "", "a folder for profiles of the service, of CPU and allocations, under each of our rows")
	flags.BoolVar(&o.noop, "noop", false, "be the filters that decide nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.noop {
		return serveNoop(ctx, out)
	}
	return bench(ctx, o, out)
}

// bench builds the stage, measures, and prints.
func bench(ctx context.Context, o options, out io.Writer) (err error) {
	s, err := newStage(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var rounds []round
	for n := range o.rounds + 1 {
		r, err := s.round(ctx, o)
		if err != nil {
			return err
		}
		if n > 0 { // the first warms up
			rounds = append(rounds, r)
		}
		fmt.Fprintf(os.Stderr, "bench: round %d of %d\n", n, o.rounds)
	}
	for _, line := range report(s.rows, rounds) {
		fmt.Fprintln(out, line)
	}
	return nil
}

// round is what each row did once.
type round map[string]figures

func (s *stage) round(ctx context.Context, o options) (round, error) {
	r := round{}
	for _, row := range s.rows {
		f, err := s.measure(ctx, o, row)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", row.name, err)
		}
		r[row.name] = f
	}
	return r, nil
}

// measure takes one row through one caller, many callers, and streams.
func (s *stage) measure(ctx context.Context, o options, row row) (figures, error) {
	call := request(row.addr, s.key, chatBody)
	alone, err := calls(ctx, row.addr, call, 1, o.length)
	if err != nil {
		return figures{}, err
	}
	done, err := s.profiled(ctx, o, row)
	if err != nil {
		return figures{}, err
	}
	before, err := usedBy(row)
	if err != nil {
		return figures{}, err
	}
	many, err := calls(ctx, row.addr, call, o.callers, o.length)
	if err != nil {
		return figures{}, err
	}
	after, err := usedBy(row)
	if err != nil {
		return figures{}, err
	}
	if err := done(); err != nil {
		return figures{}, err
	}
	streams, err := follow(ctx, row.addr, request(row.addr, s.key, streamBody), o.streams, o.length)
	if err != nil {
		return figures{}, err
	}
	n := float64(len(many.times))
	return figures{
		oneP50: alone.quantile(0.5), oneP99: alone.quantile(0.99),
		manyP50: many.quantile(0.5), manyP99: many.quantile(0.99), rate: n / many.took.Seconds(),
		envoyCPU: (after.envoy - before.envoy) / n, serviceCPU: (after.service - before.service) / n,
		firstP50: streams.first.quantile(0.5), firstP99: streams.first.quantile(0.99),
		lagP50: streams.lag.quantile(0.5), lagP99: streams.lag.quantile(0.99),
	}, nil
}
