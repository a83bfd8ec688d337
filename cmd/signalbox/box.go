package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/signalbox-dev/signalbox/analytics"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/opa"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/folder"
	"github.com/signalbox-dev/signalbox/journal/kafka"
	"github.com/signalbox-dev/signalbox/journal/spool"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// box is one running signalbox: the parts, and how to take them down again.
type box struct {
	config  Config
	log     *slog.Logger
	metrics *prometheus.Registry
	ready   *readiness
	epoch   journal.Epoch

	secret      vault.ClusterSecret
	journal     *kafka.Journal
	spool       *spool.Spool
	registry    *registry.Registry
	hasher      registry.KeyHasher
	names       *registry.Names
	pseudonyms  *registry.Pseudonymiser
	policy      *opa.Policy
	keeper      *ledger.Keeper
	credentials *vault.Credentials
	health      *health.Board
	decisions   *decision.Service
	envoys      *envoys
	store       *latestStore
	sink        *analytics.Sink

	stops []stop // in the order of starting
}

// stop takes one part down.
type stop struct {
	name string
	call func(ctx context.Context) error
}

// drainTime bounds a graceful stop; what is not written then is on disk, and goes
// first at the next start.
const drainTime = 30 * time.Second

func newBox(config Config, log *slog.Logger) *box {
	b := &box{config: config, log: log, metrics: prometheus.NewRegistry(), ready: newReadiness()}
	b.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return b
}

// onStop remembers how to take a part down; the last started goes first.
func (b *box) onStop(name string, call func(ctx context.Context) error) {
	b.stops = append(b.stops, stop{name, call})
}

// stop takes everything down, newest first, whatever fails on the way. Each part
// may take half of the time that is left: one that waits for brokers that are
// away leaves the others enough to end in order.
func (b *box) stop() error {
	b.ready.draining()
	end := time.Now().Add(drainTime)
	var errs []error
	for i := len(b.stops) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), time.Until(end)/2)
		if err := b.stops[i].call(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the %s: %w", b.stops[i].name, err))
		}
		cancel()
	}
	return errors.Join(errs...)
}

// unlessAway makes it no failure of a stop that the journal did not answer: what
// could not be said is on disk, and the next start in this folder says it.
func (b *box) unlessAway(call func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		err := call(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			b.log.Warn("the journal does not answer; the next start says what is left", "err", err)
			return nil
		}
		return err
	}
}

// run keeps a part's loop going in its own goroutine until the box stops. A loop
// that ends by itself makes the box unready with its reason; the process stays,
// because other tenants' calls may still be decided.
func (b *box) run(name string, loop func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := loop(ctx)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = nil
		}
		if ctx.Err() == nil {
			b.log.Error("a part ended by itself", "part", name, "err", err)
			b.ready.broken(name, err)
		}
		done <- err
	}()
	b.onStop(name, func(stopping context.Context) error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-stopping.Done():
			return fmt.Errorf("did not end in time: %w", stopping.Err())
		}
	})
}

// openFolder takes the data folder for this process alone and starts its epoch.
func (b *box) openFolder(context.Context) error {
	lock, err := folder.Hold(b.config.DataDir)
	if err != nil {
		return err
	}
	b.onStop("data folder", func(context.Context) error { return lock.Release() })
	if _, err := rand.Read(b.epoch[:]); err != nil {
		return fmt.Errorf("make an epoch: %w", err)
	}
	return b.openSecret()
}

func (b *box) openSecret() (err error) {
	if given := b.config.ClusterSecret.Value; given != "" {
		b.secret, err = vault.ParseClusterSecret(given)
		return err
	}
	file := b.config.ClusterSecret.File
	if file == "" {
		file = b.config.path("cluster_secret")
	}
	b.secret, err = vault.LoadClusterSecret(file, b.config.Embedded())
	return err
}

func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; is another signalbox running? set another port, such as http.listen: 127.0.0.1:0", err)
	}
	return l, nil
}
