package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// healthGrace is how long failures alone make nobody nervous: one broker of
	// three restarting shows as failures between successes.
	healthGrace = 3 * time.Second
	// healthWait is how long a write may wait for its acknowledgement. franz-go
	// retries for ever, so a silent broker shows only as waiting.
	healthWait = 5 * time.Second
)

// health is what was last known of the brokers. It is told by franz-go's hooks
// and by appends; it asks nobody itself.
type health struct {
	now func() time.Time

	mu           sync.Mutex
	err          error
	failingSince time.Time
	waiting      map[*write]time.Time
}

var _ interface {
	kgo.HookBrokerConnect
	kgo.HookBrokerE2E
} = (*health)(nil)

func newHealth(now func() time.Time) *health {
	return &health{now: now, waiting: map[*write]time.Time{}}
}

// OnBrokerConnect is franz-go's hook.
func (h *health) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h.failed(err)
	}
}

// OnBrokerE2E is franz-go's hook.
func (h *health) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if err := e2e.Err(); err != nil {
		h.failed(err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err, h.failingSince = nil, time.Time{}
}

func (h *health) failed(err error) {
	// Our own closing of a connection says nothing about the broker.
	if errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.failingSince = h.now()
	}
	h.err = err
}

func (h *health) began(w *write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting[w] = h.now()
}

func (h *health) ended(w *write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, w)
}

// last is nil, or why the journal should not be relied on now.
func (h *health) last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if h.err != nil && now.Sub(h.failingSince) > healthGrace {
		return fmt.Errorf("the journal's brokers have not answered for %s: %w", now.Sub(h.failingSince).Round(time.Second), h.err)
	}
	for _, since := range h.waiting {
		if now.Sub(since) > healthWait {
			return fmt.Errorf("the journal has not acknowledged a write for more than %s", healthWait)
		}
	}
	return nil
}
