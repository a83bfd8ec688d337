package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/signalbox-dev/signalbox/journal"
)

const (
	followBatch = 512     // entries handed to one call of a handler
	followBytes = 4 << 20 // fetched ahead of the handler, per Follow
	followWait  = 5 * time.Second
)

// Follow hands over the entries of one partition in order, beginning at from,
// until ctx ends, the journal is closed or handle returns an error; it returns
// why. A log that begins after from, ends before it, or misses an entry is a
// *journal.GapError. Brokers that do not answer are waited for.
//
// Each Follow is a client of its own, which costs two or three connections: the
// partitions of one shared client would wait for the slowest handler.
func (j *Journal) Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error {
	ctx, done, err := j.follow(ctx)
	if err != nil {
		return err
	}
	defer done()
	from, err = j.within(ctx, topic, partition, from)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{string(topic): {partition: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMinBytes(1), // a broker answers the moment there is anything
		kgo.FetchMaxWait(followWait),
		kgo.FetchMaxBytes(followBytes),
		kgo.FetchMaxPartitionBytes(followBytes),
	}, j.dial...)...)
	if err != nil {
		return fmt.Errorf("follow %s: %w", topic, err)
	}
	defer client.Close()

	r := reader{topic: topic, partition: partition, next: from, id: j.ids[topic]}
	for {
		fetches := client.PollRecords(ctx, followBatch)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		entries, err := r.read(fetches)
		if len(entries) > 0 {
			if err := handle(entries); err != nil {
				return err
			}
		}
		if err != nil {
			return j.explain(ctx, err)
		}
	}
}

// follow ties ctx to the journal's life and counts the follower.
func (j *Journal) follow(ctx context.Context) (context.Context, func(), error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.live.Err() != nil {
		return nil, nil, journal.ErrClosed
	}
	j.follows.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(j.live, func() { cancel(context.Cause(j.live)) })
	return ctx, func() { unhook(); cancel(nil); j.follows.Done() }, nil
}

// within asks where the log stands before anything is read, because a client that
// starts outside it is answered in words that differ between brokers. It gives
// where to begin: on a compacted topic what is gone from the front was replaced.
func (j *Journal) within(ctx context.Context, topic journal.Topic, partition int32, from int64) (int64, error) {
	if n := j.Partitions(topic); partition < 0 || partition >= n {
		return 0, fmt.Errorf("follow %s: partition %d of %d", topic, partition, n)
	}
	type bounds struct{ start, end int64 }
	b, err := backoff.Retry(ctx, func() (b bounds, err error) {
		b.start, b.end, err = j.bounds(ctx, topic, partition)
		return b, err
	}, backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, in time.Duration) {
		j.log.Warn("the journal does not say where it stands", "error", err, "again_in", in)
	}))
	if err != nil {
		return 0, err
	}
	if topic.Compacted() {
		from = max(from, b.start)
	}
	if from < b.start || from > b.end {
		return 0, &journal.GapError{Topic: topic, Partition: partition, Want: from, Have: -1, Start: b.start, End: b.end}
	}
	return from, nil
}

func (j *Journal) bounds(ctx context.Context, topic journal.Topic, partition int32) (start, end int64, err error) {
	starts, err := j.Starts(ctx, topic)
	if err != nil {
		return -1, -1, err
	}
	ends, err := j.Ends(ctx, topic)
	if err != nil {
		return -1, -1, err
	}
	return starts[partition], ends[partition], nil
}

// explain adds to a gap where the log stands now, if the brokers will say.
func (j *Journal) explain(ctx context.Context, err error) error {
	var gap *journal.GapError
	if !errors.As(err, &gap) || gap.Have >= 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, followWait)
	defer cancel()
	if start, end, err := j.bounds(ctx, gap.Topic, gap.Partition); err == nil {
		gap.Start, gap.End = start, end
	}
	return gap
}

// reader checks that what is fetched is what comes next.
type reader struct {
	topic     journal.Topic
	partition int32
	next      int64
	id        kadm.TopicID
}

// read gives the entries before the first thing that is wrong, and what it is.
func (r *reader) read(fetches kgo.Fetches) (entries []journal.Entry, err error) {
	fetches.EachTopic(func(t kgo.FetchTopic) {
		if id := kadm.TopicID(t.TopicID); err == nil && id != (kadm.TopicID{}) && id != r.id {
			err = fmt.Errorf("follow %s: the topic was deleted and made again while this program ran; its log is another one", r.topic)
		}
	})
	for it := fetches.RecordIter(); err == nil && !it.Done(); {
		k := it.Next()
		if k.Offset < r.next || (k.Offset > r.next && !r.topic.Compacted()) {
			return entries, r.gap(k.Offset)
		}
		r.next = k.Offset + 1
		entries = append(entries, entry(k))
	}
	if err != nil {
		return entries, err
	}
	fetches.EachError(func(_ string, _ int32, e error) {
		if err == nil {
			err = r.judge(e)
		}
	})
	return entries, err
}

func (r *reader) judge(err error) error {
	var loss *kgo.ErrDataLoss
	if errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss) {
		return r.gap(-1)
	}
	return fmt.Errorf("follow %s partition %d at %d: %w", r.topic, r.partition, r.next, err)
}

func (r *reader) gap(have int64) error {
	return &journal.GapError{Topic: r.topic, Partition: r.partition, Want: r.next, Have: have, Start: -1, End: -1}
}
