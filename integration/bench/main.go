// Command bench is `make bench`: one line a figure, each beside a floor that is
// measured in the same run, because a time alone says more about the machine than
// about the code.
//
//	BENCH <name> ours=<x> floor=<y> ratio=<z> unit=<u>
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	h, err := newHouse(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	for _, figure := range []func(context.Context, *house) ([]line, error){inProcess, overGRPC, logBytes} {
		lines, err := figure(ctx, h)
		if err != nil {
			return err
		}
		for _, l := range lines {
			fmt.Fprintln(out, l)
		}
	}
	return nil
}

// line is one figure. A ratio above 1 means slower, or more, than the floor; for
// calls/s it means faster.
type line struct {
	name        string
	ours, floor float64
	unit        string
}

func (l line) String() string {
	return fmt.Sprintf("BENCH %s ours=%.3g floor=%.3g ratio=%.3g unit=%s", l.name, l.ours, l.floor, l.ours/l.floor, l.unit)
}

// sample runs f from many goroutines for a while and keeps each time.
type sample struct {
	times []time.Duration
	took  time.Duration
}

func measure(workers int, length time.Duration, f func(worker, n int) error) (sample, error) {
	var (
		mu    sync.Mutex
		all   sample
		first error
		wg    sync.WaitGroup
	)
	began := time.Now()
	for w := range workers {
		wg.Go(func() {
			var times []time.Duration
			var err error
			for n := 0; err == nil && time.Since(began) < length; n++ {
				t := time.Now()
				err = f(w, n)
				times = append(times, time.Since(t))
			}
			mu.Lock()
			defer mu.Unlock()
			all.times = append(all.times, times...)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	all.took = time.Since(began)
	slices.Sort(all.times)
	return all, first
}

func (s sample) quantile(q float64) float64 {
	return float64(s.times[int(q*float64(len(s.times)-1))]) / float64(time.Microsecond)
}

func (s sample) rate() float64 { return float64(len(s.times)) / s.took.Seconds() }
