package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is returned by a journal that was closed.
var ErrClosed = errors.New("the journal is closed")

// ErrTooLarge is wrapped when one record is larger than MaxRecordBytes.
var ErrTooLarge = errors.New("the record is too large for the journal")

// MaxRecordBytes bounds one encoded record. It leaves room under the 1,000,000
// bytes that brokers take by default in one message.
const MaxRecordBytes = 950_000

// memoryBatch bounds the entries that Memory hands to one call of a handler.
const memoryBatch = 512

// Memory is a journal without a disk: the same order, offsets and errors, for the
// tests of those who read and write journals. It starts no goroutine and waits on
// channels only, so it runs inside a testing/synctest bubble.
type Memory struct {
	now        func() time.Time
	partitions int32

	mu     sync.Mutex
	logs   map[memoryLog][]Entry
	starts map[memoryLog]int64
	more   chan struct{} // closed and replaced at each append
	closed bool
}

type memoryLog struct {
	topic     Topic
	partition int32
}

// NewMemory makes an empty journal whose keyed topics have this many partitions.
func NewMemory(partitions int32, now func() time.Time) *Memory {
	return &Memory{
		now: now, partitions: max(partitions, 1),
		logs: map[memoryLog][]Entry{}, starts: map[memoryLog]int64{}, more: make(chan struct{}),
	}
}

// Append writes the records in order; when it returns they are readable.
func (m *Memory) Append(ctx context.Context, recs ...Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("append %d records: %w", len(recs), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for _, r := range recs {
		if r.Event == nil && !r.Topic.Compacted() {
			return fmt.Errorf("append to %s: a record without an event", r.Topic)
		}
	}
	for _, r := range recs {
		log := memoryLog{r.Topic, m.PartitionFor(r.Topic, r.Key)}
		m.logs[log] = append(m.logs[log], Entry{
			Record: r, Partition: log.partition,
			Offset: m.starts[log] + int64(len(m.logs[log])), At: m.now(),
		})
	}
	close(m.more)
	m.more = make(chan struct{})
	return nil
}

// Follow hands over the entries of one partition in order, beginning at from,
// until ctx ends or handle returns an error; it returns that error.
func (m *Memory) Follow(ctx context.Context, topic Topic, partition int32, from int64, handle func([]Entry) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, more, err := m.read(memoryLog{topic, partition}, from)
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := handle(batch); err != nil {
				return err
			}
			from = batch[len(batch)-1].Offset + 1
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// read copies what stands at from, and gives the channel that tells of more.
func (m *Memory) read(log memoryLog, from int64) ([]Entry, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, ErrClosed
	}
	if n := m.Partitions(log.topic); log.partition < 0 || log.partition >= n {
		return nil, nil, fmt.Errorf("follow %s: partition %d of %d", log.topic, log.partition, n)
	}
	start := m.starts[log]
	end := start + int64(len(m.logs[log]))
	if log.topic.Compacted() {
		from = max(from, start) // what is gone from the front was replaced
	}
	if from < start || from > end {
		return nil, nil, &GapError{Topic: log.topic, Partition: log.partition, Want: from, Have: -1, Start: start, End: end}
	}
	rest := m.logs[log][from-start:]
	return append([]Entry(nil), rest[:min(len(rest), memoryBatch)]...), m.more, nil
}

// Ends gives the next offset of each partition of a topic.
func (m *Memory) Ends(_ context.Context, topic Topic) (map[int32]int64, error) {
	return m.bounds(topic, func(log memoryLog) int64 { return m.starts[log] + int64(len(m.logs[log])) })
}

// Starts gives the first offset kept of each partition of a topic.
func (m *Memory) Starts(_ context.Context, topic Topic) (map[int32]int64, error) {
	return m.bounds(topic, func(log memoryLog) int64 { return m.starts[log] })
}

func (m *Memory) bounds(topic Topic, bound func(memoryLog) int64) (map[int32]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	offsets := map[int32]int64{}
	for p := range m.Partitions(topic) {
		offsets[p] = bound(memoryLog{topic, p})
	}
	return offsets, nil
}

// Partitions is how many partitions a topic has.
func (m *Memory) Partitions(topic Topic) int32 {
	if topic.Single() {
		return 1
	}
	return m.partitions
}

// PartitionFor is the partition that holds a key.
func (m *Memory) PartitionFor(topic Topic, key string) int32 {
	return PartitionFor(key, m.Partitions(topic))
}

// Healthy is nil until the journal is closed.
func (m *Memory) Healthy() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	return nil
}

// Trim forgets what stands before an offset, as a topic's retention would.
func (m *Memory) Trim(topic Topic, partition int32, before int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	log := memoryLog{topic, partition}
	n := min(max(before-m.starts[log], 0), int64(len(m.logs[log])))
	m.logs[log] = m.logs[log][n:]
	m.starts[log] += n
}

// Close ends all Follows with ErrClosed.
func (m *Memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.more)
		m.more = make(chan struct{})
	}
	return nil
}

// Reopen undoes Close: the memory of a restarted process's disk.
func (m *Memory) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}
