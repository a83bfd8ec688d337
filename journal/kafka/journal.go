package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/journal"
)

// Journal writes and reads the topics. Its methods may be called from many
// goroutines at once.
type Journal struct {
	log      *slog.Logger
	layout   layout
	ids      map[journal.Topic]kadm.TopicID
	dial     []kgo.Opt // what every client needs to reach the brokers
	stamp    func() time.Time
	health   *health
	producer *producer
	adm      *kadm.Client
	after    func() error // what Close does last

	live    context.Context // ends with Close, and with it every Follow
	end     context.CancelCauseFunc
	mu      sync.Mutex // guards closing against followers that begin
	follows sync.WaitGroup
}

// Open reaches the brokers, makes the topics if that is allowed, and checks them.
// It waits for brokers that do not answer yet, up to cfg.OpenWait; topics that
// stand wrong are a *TopicsError at once.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Journal, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	cfg = cfg.withDefaults()
	lay, err := newLayout(cfg.Partitions, cfg.Retention)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	dial, err := cfg.dialOptions()
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if cfg.secretsInClear() {
		log.Warn("the journal's credentials cross the network in clear: set tls", "sasl", cfg.SASL)
	}
	compression, _ := codec(cfg.Compression) // validated above
	return open(ctx, opening{
		layout: lay, dial: dial, create: cfg.CreateTopics, compression: compression, wait: cfg.OpenWait, log: log,
	})
}

// opening is what the broker's and the embedded journal differ in.
type opening struct {
	layout      layout
	dial        []kgo.Opt
	create      bool
	compression kgo.CompressionCodec
	wait        time.Duration
	stamp       func() time.Time // nil: the broker stamps
	after       func() error
	log         *slog.Logger
}

func open(ctx context.Context, o opening) (*Journal, error) {
	h := newHealth(time.Now)
	live, end := context.WithCancelCause(context.Background())
	j := &Journal{log: o.log, layout: o.layout, stamp: o.stamp, health: h, after: o.after, live: live, end: end}
	j.dial = append([]kgo.Opt{kgo.ClientID("signalbox"), kgo.WithHooks(h), kgo.WithLogger(clientLog{o.log})}, o.dial...)

	p, err := newProducer(func() (*kgo.Client, error) { return kgo.NewClient(j.producing(o.compression)...) }, h)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j.producer = p
	client, err := kgo.NewClient(j.dial...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), p.close(ctx))
	}
	j.adm = kadm.NewClient(client)
	if j.ids, err = j.ready(ctx, o); err != nil {
		j.after = nil // the opener still owns it
		return nil, errors.Join(fmt.Errorf("journal: %w", err), j.Close(ctx))
	}
	return j, nil
}

// producing are the writer's settings. Nothing is left to franz-go's defaults
// that order, durability or latency rest on.
func (j *Journal) producing(compression kgo.CompressionCodec) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), // idempotent writing is on unless disabled
		kgo.StopProducerOnDataLossDetected(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), // batches form behind the one in flight; waiting for more would only add latency
		kgo.ProducerBatchCompression(compression),
		kgo.ProducerBatchMaxBytes(messageMaxBytes),
		kgo.MaxBufferedRecords(1 << 30), // bufferMaxBytes is the bound
	}, j.dial...)
}

// ready makes and checks the topics, retrying what may get better.
func (j *Journal) ready(ctx context.Context, o opening) (map[journal.Topic]kadm.TopicID, error) {
	attempt := func() (map[journal.Topic]kadm.TopicID, error) {
		tryCtx, cancel := context.WithTimeout(ctx, o.wait)
		defer cancel()
		if o.create {
			if err := o.layout.make(tryCtx, j.adm); err != nil {
				return nil, err
			}
		}
		ids, err := o.layout.check(tryCtx, j.adm)
		if wrong := (*TopicsError)(nil); errors.As(err, &wrong) && !(wrong.missing && o.create) {
			return nil, backoff.Permanent(err)
		}
		return ids, err
	}
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = 50 * time.Millisecond
	return backoff.Retry(ctx, attempt, backoff.WithBackOff(policy), backoff.WithMaxElapsedTime(o.wait), backoff.WithNotify(func(err error, in time.Duration) {
		o.log.Info("the journal is not ready yet", "error", err, "again_in", in)
	}))
}

// Append writes the records in their order within each partition, and returns
// when every one is acknowledged by all replicas in sync. After an error some may
// be written and others not; the same records may be sent again.
func (j *Journal) Append(ctx context.Context, recs ...journal.Record) error {
	for len(recs) > 0 {
		out, size, err := j.encode(recs)
		if err != nil {
			return err
		}
		if err := j.producer.send(ctx, out, size); err != nil {
			return fmt.Errorf("append %d records: %w", len(recs), err)
		}
		recs = recs[len(out):]
	}
	return nil
}

// appendMaxBytes bounds what one Append has in flight, so that a large one does
// not take all the room there is.
const appendMaxBytes = bufferMaxBytes / 4

func (j *Journal) encode(recs []journal.Record) (out []*kgo.Record, size int64, err error) {
	for _, r := range recs {
		if size > appendMaxBytes {
			break
		}
		k, err := record(r)
		if err != nil {
			return nil, 0, err
		}
		k.Partition = j.PartitionFor(r.Topic, r.Key)
		if j.stamp != nil {
			k.Timestamp = j.stamp()
		}
		size += int64(len(k.Key) + len(k.Value))
		out = append(out, k)
	}
	return out, size, nil
}

// Ends gives the next offset of each partition of a topic.
func (j *Journal) Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error) {
	listed, err := j.adm.ListEndOffsets(ctx, string(topic))
	return offsets(topic, listed, err)
}

// Starts gives the first offset kept of each partition of a topic.
func (j *Journal) Starts(ctx context.Context, topic journal.Topic) (map[int32]int64, error) {
	listed, err := j.adm.ListStartOffsets(ctx, string(topic))
	return offsets(topic, listed, err)
}

func offsets(topic journal.Topic, listed kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err := errors.Join(err, listed.Error()); err != nil {
		return nil, fmt.Errorf("ask where %s stands: %w", topic, err)
	}
	of := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { of[o.Partition] = o.Offset })
	return of, nil
}

// Partitions is how many partitions a topic has.
func (j *Journal) Partitions(topic journal.Topic) int32 { return j.layout.partitionsOf(topic) }

// PartitionFor is the partition that holds a key.
func (j *Journal) PartitionFor(topic journal.Topic, key string) int32 {
	return journal.PartitionFor(key, j.Partitions(topic))
}

// Healthy is nil, or what was last known to be wrong. It asks nobody.
func (j *Journal) Healthy() error {
	if j.live.Err() != nil {
		return journal.ErrClosed
	}
	return j.health.last()
}

// Close ends every Follow, waits for the acknowledgements of what is being
// appended until ctx ends, and leaves no goroutine.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	first := j.live.Err() == nil
	j.end(journal.ErrClosed)
	j.mu.Unlock()
	if !first {
		return nil
	}
	j.follows.Wait()
	err := j.producer.close(ctx)
	j.adm.Close()
	if j.after != nil {
		err = errors.Join(err, j.after())
	}
	if err != nil {
		return fmt.Errorf("close the journal: %w", err)
	}
	return nil
}
