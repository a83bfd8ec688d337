package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Why a call is turned away before anything is decided. A closed set.
const (
	full     = "full"
	stopping = "stopping"
)

// errStopping ends the calls that are still in flight when a stop's time is over.
var errStopping = errors.New("this process is about to end")

// flights counts the calls in flight, drains included, and ends them.
type flights struct {
	most int
	ctx  context.Context // ends when calls in flight must
	stop context.CancelFunc

	mu      sync.Mutex
	n       int
	closing bool
	landed  chan struct{} // closed when closing, and the last call has ended
}

func newFlights(most int) *flights {
	ctx, stop := context.WithCancel(context.Background())
	return &flights{most: most, ctx: ctx, stop: stop, landed: make(chan struct{})}
}

// begin counts a call, or says why it may not begin.
func (f *flights) begin() (why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closing:
		return stopping
	case f.n >= f.most:
		return full
	}
	f.n++
	return ""
}

func (f *flights) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.closing && f.n == 0 {
		close(f.landed)
	}
}

func (f *flights) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return
	}
	f.closing = true
	if f.n == 0 {
		close(f.landed)
	}
}

func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Stats is how many calls are in flight, those that are only read on for their
// usage included, and how many of them are.
func (p *Proxy) Stats() (calls, drains int) { return p.flights.count(), len(p.drains) }

// Shutdown takes no new calls and waits for those in flight. Shortly before ctx
// ends it cuts them, so that they settle while there is still a ledger to settle
// in. It must be called before whatever the Settler needs is stopped.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.flights.close()
	defer p.transports.close()
	defer p.flights.stop()
	patient, cancel := context.WithCancel(ctx)
	if end, ok := ctx.Deadline(); ok {
		// Not the injected clock: a context's deadline is the machine's.
		left := time.Until(end)
		patient, cancel = context.WithTimeout(ctx, left-min(settleMargin, left/2))
	}
	defer cancel()
	select {
	case <-p.flights.landed:
		return nil
	case <-patient.Done():
	}
	cut := p.flights.count()
	p.flights.stop()
	select {
	case <-p.flights.landed:
		p.Log.Warn("calls in flight were cut, and charged by their provider's rule", "calls", cut)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls have not ended: %w", p.flights.count(), ctx.Err())
	}
}
