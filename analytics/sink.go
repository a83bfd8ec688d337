package analytics

import (
	"context"
	"log/slog"
	"time"

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
	BatchRows int           // default 10,000
	BatchWait time.Duration // default 1 s
	// Encode gives a record's canonical bytes, for the chain of hashes over decisions.
	Encode func(journal.Record) ([]byte, error)
}

// Sink copies the journal into the store.
type Sink struct{}

// Lag is how far the rows of one partition are behind the journal.
type Lag struct {
	Topic     journal.Topic
	Partition int32
	Next      int64 // the first offset not yet in rows
	End       int64 // the journal's next offset when last asked
	Err       error // what stops it; nil while it goes on
}

// NewSink prepares a sink.
func NewSink(store *Store, j Journal, catalog Catalog, cfg SinkConfig, log *slog.Logger) *Sink {
	return &Sink{}
}

// Run copies until ctx ends.
func (k *Sink) Run(ctx context.Context) error { return errTODO }

// Lag lists every partition's lag.
func (k *Sink) Lag() []Lag { return nil }

// Err is what stops or delays the sink; nil while all of it goes on.
func (k *Sink) Err() error { return nil }

// CaughtUp waits until everything that is in the journal now is visible to queries.
func (k *Sink) CaughtUp(ctx context.Context) error { return errTODO }
