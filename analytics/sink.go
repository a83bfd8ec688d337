package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/signalbox-dev/signalbox/journal"
)

// Journal is what the sink reads; journal/kafka and journal.Memory have it.
type Journal interface {
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Starts(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Partitions(topic journal.Topic) int32
}

// SinkConfig bounds the sink.
type SinkConfig struct {
	BatchRows  int           // of one insert; default 10,000
	BatchBytes int           // about, of one insert; default 32 MiB
	BatchWait  time.Duration // how long a row may wait for others; default 1 s
	// Encode gives a record's canonical bytes, for the chain of hashes over the
	// decisions: journal/kafka's Codec.
	Encode func(journal.Record) ([]byte, error)
}

// Sink copies the journal into the store, each entry in effect once.
//
// The place from which each table goes on is read from the table's own rows, and
// one insert is one block, there whole or not at all. So a stop between any two
// steps leaves either the rows with their place or neither; and because an insert
// that failed may still have gone through, what is inserted twice must count once
// too: the tables merge rows of one entry, and the views read them merged.
type Sink struct {
	store   sinkStore
	journal Journal
	catalog Catalog
	cfg     SinkConfig
	log     *slog.Logger
	groups  []*group

	mu      sync.Mutex
	lags    map[logID]*Lag
	err     map[string]error // by what is delayed: "schema", "prices", a topic
	hurried int              // how many wait in CaughtUp
	priced  int              // versions of prices that are in the table
	changed chan struct{}    // closed and replaced at each change of the above
}

// sinkStore is what the sink needs of the Store; tests make it fail.
type sinkStore interface {
	Migrate(ctx context.Context) error
	insert(ctx context.Context, table string, rows []any) error
	resume(ctx context.Context, table string) (map[int32]int64, error)
	origins(ctx context.Context, table string) (origins, error)
	chains(ctx context.Context) (map[int32]chain, error)
	forget(ctx context.Context) error
}

type logID struct {
	topic     journal.Topic
	partition int32
}

// Lag is how far the rows of one partition are behind the journal.
type Lag struct {
	Topic     journal.Topic
	Partition int32
	Next      int64 // the first offset not yet in rows
	End       int64 // the journal's next offset when last asked
	Err       error // what stops this partition for good; nil while it goes on
}

// NewSink prepares a sink.
func NewSink(store *Store, j Journal, catalog Catalog, cfg SinkConfig, log *slog.Logger) *Sink {
	return newSink(store, j, catalog, cfg, log)
}

func newSink(store sinkStore, j Journal, catalog Catalog, cfg SinkConfig, log *slog.Logger) *Sink {
	cfg.BatchRows = cmp.Or(cfg.BatchRows, 10_000)
	cfg.BatchBytes = cmp.Or(cfg.BatchBytes, 32<<20)
	cfg.BatchWait = cmp.Or(cfg.BatchWait, time.Second)
	k := &Sink{store: store, journal: j, catalog: catalog, cfg: cfg, log: log,
		lags: map[logID]*Lag{}, err: map[string]error{}, changed: make(chan struct{})}
	for _, topic := range []journal.Topic{journal.TopicDecisions, journal.TopicLedger, journal.TopicNames, journal.TopicTraces} {
		k.groups = append(k.groups, &group{sink: k, topic: topic, poke: make(chan struct{}, 1)})
		for p := range j.Partitions(topic) {
			k.lags[logID{topic, p}] = &Lag{Topic: topic, Partition: p}
		}
	}
	return k
}

// errNoEncode is a mistake of who wires the sink.
var errNoEncode = errors.New("analytics: the sink has no encoder for the chain of decisions")

// Run copies until ctx ends. What fails is tried again, with growing pauses and
// one line in the log each time the reason changes.
func (k *Sink) Run(ctx context.Context) error {
	if k.cfg.Encode == nil {
		return errNoEncode
	}
	k.retry(ctx, "schema", func(ctx context.Context) error { return k.store.Migrate(ctx) })
	var all sync.WaitGroup
	for _, g := range k.groups {
		all.Go(func() { k.retry(ctx, string(g.topic), g.copy) })
	}
	all.Go(func() { k.retry(ctx, "prices", k.copyPrices) })
	all.Go(func() { k.watchEnds(ctx) })
	all.Wait()
	return nil
}

// retry runs what until it succeeds or ctx ends.
func (k *Sink) retry(ctx context.Context, name string, what func(context.Context) error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, 5*time.Second
	for ctx.Err() == nil {
		began := time.Now()
		err := what(ctx)
		if err == nil || ctx.Err() != nil {
			k.say(name, nil)
			return
		}
		if time.Since(began) > wait.MaxInterval {
			wait.Reset() // it went well for a while
		}
		if before := k.say(name, err); before == nil || before.Error() != err.Error() {
			k.log.Warn("analytics waits; decisions go on", "what", name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// say remembers what delays a part of the sink, and tells what did before.
func (k *Sink) say(name string, err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.err[name]
	if err == nil {
		delete(k.err, name)
	} else {
		k.err[name] = err
	}
	k.wake()
	return before
}

// wake tells those who wait that something changed; k.mu is held.
func (k *Sink) wake() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// Err is what stops or delays the sink; nil while all of it goes on.
func (k *Sink) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.troubles()
}

func (k *Sink) troubles() error {
	var errs []error
	for _, err := range k.err {
		errs = append(errs, err)
	}
	for _, lag := range k.lags {
		if lag.Err != nil {
			errs = append(errs, lag.Err)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	errs = slices.CompactFunc(errs, func(a, b error) bool { return a.Error() == b.Error() })
	return errors.Join(errs...)
}

// Lag lists every partition's lag, by topic and partition.
func (k *Sink) Lag() []Lag {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]Lag, 0, len(k.lags))
	for _, lag := range k.lags {
		all = append(all, *lag)
	}
	slices.SortFunc(all, func(a, b Lag) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

// advance publishes how far a partition's rows are.
func (k *Sink) advance(topic journal.Topic, next map[int32]int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for p, n := range next {
		lag := k.lags[logID{topic, p}]
		lag.Next, lag.End = n, max(lag.End, n)
	}
	k.wake()
}

// stop publishes what stopped a partition for good; nil: nothing does now.
func (k *Sink) stop(topic journal.Topic, partition int32, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lags[logID{topic, partition}].Err = err
	k.wake()
}

// endsEvery is how often the journal is asked for its ends, for Lag.
const endsEvery = 2 * time.Second

func (k *Sink) watchEnds(ctx context.Context) {
	tick := time.NewTicker(endsEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		// A journal that does not answer says so itself, in its own health.
		_ = k.readEnds(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (k *Sink) readEnds(ctx context.Context) error {
	for _, g := range k.groups {
		ends, err := k.journal.Ends(ctx, g.topic)
		if err != nil {
			return fmt.Errorf("find the end of %s: %w", g.topic, err)
		}
		k.mu.Lock()
		for p, end := range ends {
			if lag := k.lags[logID{g.topic, p}]; lag != nil {
				lag.End = max(lag.End, end)
			}
		}
		k.mu.Unlock()
	}
	return nil
}

// CaughtUp waits until everything that is in the journal now is visible to
// queries. It fails when a partition is stopped, and with ctx.
func (k *Sink) CaughtUp(ctx context.Context) error {
	want := map[logID]int64{}
	for _, g := range k.groups {
		ends, err := k.journal.Ends(ctx, g.topic)
		if err != nil {
			return fmt.Errorf("find the end of %s: %w", g.topic, err)
		}
		for p, end := range ends {
			want[logID{g.topic, p}] = end
		}
	}
	prices := len(k.catalog.Prices())
	k.hurry(+1)
	defer k.hurry(-1)
	for {
		k.mu.Lock()
		behind, changed := k.behind(want, prices), k.changed
		k.mu.Unlock()
		var stopped *StoppedError
		if behind == nil || errors.As(behind, &stopped) {
			return behind
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), behind)
		}
	}
}

// behind is why not everything wanted is in rows; k.mu is held.
func (k *Sink) behind(want map[logID]int64, prices int) error {
	for id, end := range want {
		lag := k.lags[id]
		switch {
		case lag == nil:
			return fmt.Errorf("%s has a partition %d that is not copied", id.topic, id.partition)
		case lag.Next >= end:
		case lag.Err != nil:
			return lag.Err
		default:
			if err := k.troubles(); err != nil {
				return err
			}
			return fmt.Errorf("%s partition %d is copied to %d of %d", id.topic, id.partition, lag.Next, end)
		}
	}
	if k.priced < prices {
		return fmt.Errorf("%d of %d prices are copied", k.priced, prices)
	}
	return nil
}

// hurry makes the groups insert what they have without waiting for more.
func (k *Sink) hurry(by int) {
	k.mu.Lock()
	k.hurried += by
	k.wake()
	k.mu.Unlock()
	if by > 0 {
		for _, g := range k.groups {
			select {
			case g.poke <- struct{}{}:
			default:
			}
		}
	}
}

func (k *Sink) hurrying() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hurried > 0
}
