package proc

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// flights counts the streams, and ends them.
type flights struct {
	most int
	ctx  context.Context // ends when the streams must
	stop context.CancelFunc

	mu      sync.Mutex
	n       int
	closing bool
	landed  chan struct{} // closed when closing, and the last stream has ended
}

func newFlights(most int) *flights {
	ctx, stop := context.WithCancel(context.Background())
	return &flights{most: most, ctx: ctx, stop: stop, landed: make(chan struct{})}
}

// begin counts a stream, or says why it may not begin.
func (f *flights) begin() (why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closing:
		return awayStopping
	case f.n >= f.most:
		return awayFull
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

// Streams is how many calls are in flight.
func (p *Processor) Streams() int { return p.flights.count() }

// Shutdown takes no new calls and waits for those in flight. Shortly before ctx
// ends it cuts them, so that they settle while there is still a ledger to settle in.
// It must be called before whatever the Settler needs is stopped, and before the
// server: streams that the server cuts settle too, but nobody waits for them.
func (p *Processor) Shutdown(ctx context.Context) error {
	p.flights.close()
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
		p.Log.Warn("calls of an Envoy's were cut in flight, and charged by their provider's rule", "calls", cut)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls have not ended: %w", p.flights.count(), ctx.Err())
	}
}
