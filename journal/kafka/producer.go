package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/signalbox-dev/signalbox/journal"
)

// bufferMaxBytes bounds what waits for acknowledgements; who comes later waits
// for room until his context ends.
const bufferMaxBytes = 64 << 20

// producer writes records. A client whose write failed for good is thrown away:
// readers drop an origin's sequence at or below the last they saw, so a record
// that overtakes one that failed would make the repeated one look like a
// duplicate. franz-go stops such a client (StopProducerOnDataLossDetected) and
// nothing behind the failure gets in; a new client starts a new order.
type producer struct {
	open   func() (*kgo.Client, error)
	health *health
	room   *semaphore.Weighted

	mu     sync.Mutex
	client *kgo.Client
	closed bool
}

func newProducer(open func() (*kgo.Client, error), h *health) (*producer, error) {
	client, err := open()
	if err != nil {
		return nil, err
	}
	return &producer{open: open, health: h, room: semaphore.NewWeighted(bufferMaxBytes), client: client}, nil
}

// write is one call of send, waiting for all its acknowledgements.
type write struct {
	left atomic.Int64
	done chan struct{}
	once sync.Once
	err  error // written once before done is closed
}

// send returns when all records are acknowledged. When ctx ends first, the
// records may still be written: franz-go could take them back only by failing
// other callers' records of the same partition with them, so it is not asked to.
func (p *producer) send(ctx context.Context, recs []*kgo.Record, size int64) error {
	size = min(size, bufferMaxBytes)
	if err := p.room.Acquire(ctx, size); err != nil {
		return fmt.Errorf("wait for room among the unacknowledged: %w", err)
	}
	client, err := p.current()
	if err != nil {
		p.room.Release(size)
		return err
	}
	w := &write{done: make(chan struct{})}
	w.left.Store(int64(len(recs)))
	p.health.began(w)
	for _, r := range recs {
		client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				w.once.Do(func() { w.err = err })
			}
			if w.left.Add(-1) == 0 {
				p.health.ended(w)
				p.room.Release(size)
				close(w.done)
			}
		})
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.done:
	}
	if w.err == nil {
		return nil
	}
	if err := p.renew(client); err != nil {
		return errors.Join(w.err, err)
	}
	return w.err
}

func (p *producer) current() (*kgo.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, journal.ErrClosed
	}
	return p.client, nil
}

// renew replaces the client that failed, once for all who saw it fail.
func (p *producer) renew(failed *kgo.Client) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.client != failed {
		return nil
	}
	client, err := p.open()
	if err != nil {
		return fmt.Errorf("replace the writer that failed: %w", err)
	}
	p.client = client
	failed.Close()
	return nil
}

// close waits for what was given to send, until ctx ends.
func (p *producer) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	client := p.client
	p.mu.Unlock()
	err := client.Flush(ctx)
	client.Close()
	return err
}
