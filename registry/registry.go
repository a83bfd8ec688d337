package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Journal is what the registry needs of the journal.
type Journal interface {
	// Append returns when all records are acknowledged, in their order.
	Append(ctx context.Context, recs ...journal.Record) error
	// Follow hands over entries in order until ctx ends or handle fails.
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	// Ends gives the next offset of each partition.
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
}

// Registry folds its topic into snapshots, and writes what operators change.
// All its methods may be called at once.
type Registry struct {
	journal Journal
	hasher  KeyHasher
	now     func() time.Time
	log     *slog.Logger

	snapshot atomic.Pointer[Snapshot]

	writing sync.Mutex // one transaction of this process at a time

	mu      sync.Mutex // guards what follows
	fold    *fold
	broken  error         // what stopped the fold
	changed chan struct{} // closed and replaced with each snapshot
}

// Open reads the registry's topic to its end.
func Open(ctx context.Context, j Journal, hasher KeyHasher, now func() time.Time, log *slog.Logger) (*Registry, error) {
	r := &Registry{journal: j, hasher: hasher, now: now, log: log, fold: newFold(), changed: make(chan struct{})}
	r.publish()
	ends, err := j.Ends(ctx, journal.TopicRegistry)
	if err != nil {
		return nil, fmt.Errorf("find the registry's end: %w", err)
	}
	if err := r.readTo(ctx, ends[0]); err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	s := r.Snapshot()
	log.Info("registry read", "version", s.Version, "tenants", len(s.tenants), "models", len(s.models), "budgets", len(s.budgets.all), "keys", len(s.keys.byID))
	return r, nil
}

// errEnough ends a Follow that has read what it wanted.
var errEnough = errors.New("enough was read")

// readTo folds entries until the next is end.
func (r *Registry) readTo(ctx context.Context, end int64) error {
	from := r.next()
	if from >= end {
		return nil
	}
	err := r.journal.Follow(ctx, journal.TopicRegistry, 0, from, func(batch []journal.Entry) error {
		last := len(batch) > 0 && batch[len(batch)-1].Offset >= end-1
		// Snapshots between here and the end would be built for nobody.
		if err := r.take(batch, last); err != nil {
			return err
		}
		if last {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Run follows the topic until ctx ends, which is no error, or an entry cannot be
// folded, which is: the snapshot then stays what it was, and Healthy says why.
func (r *Registry) Run(ctx context.Context) error {
	err := r.journal.Follow(ctx, journal.TopicRegistry, 0, r.next(), func(batch []journal.Entry) error {
		return r.take(batch, true)
	})
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow the registry: %w", err)
}

// take folds a batch and publishes what it changed.
func (r *Registry) take(batch []journal.Entry, publish bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	for _, e := range batch {
		if r.broken = r.fold.apply(e); r.broken != nil {
			break
		}
	}
	if publish && r.fold.version != r.snapshot.Load().Version {
		r.publish()
	}
	return r.broken
}

// publish makes the fold's state the snapshot that everyone reads.
func (r *Registry) publish() {
	r.snapshot.Store(build(r.fold.version, r.fold.objects, r.fold.history, maps.Clone(r.fold.incarnations)))
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Registry) next() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fold.next
}

// Snapshot is the newest one. It costs one atomic load.
func (r *Registry) Snapshot() *Snapshot { return r.snapshot.Load() }

// Changed is closed when there is a snapshot newer than this version.
func (r *Registry) Changed(after int64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.snapshot.Load().Version > after {
		now := make(chan struct{})
		close(now)
		return now
	}
	return r.changed
}

// Healthy is what stopped the fold, nil while it goes on.
func (r *Registry) Healthy() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}
