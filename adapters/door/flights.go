package door

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Why a call is turned away before anything is decided. A closed set.
const (
	AwayFull     = "full"
	AwayStopping = "stopping"
)

// ErrStopping ends the calls that are still in flight when a stop's time is over.
var ErrStopping = errors.New("this process is about to end")

// settleMargin is what a stop leaves to calls that it cut, so that they settle.
const settleMargin = 5 * time.Second

// Flights counts the calls that pass through this process, and ends them.
type Flights struct {
	most int
	ctx  context.Context // ends when calls in flight must
	stop context.CancelFunc

	mu      sync.Mutex
	n       int
	closing bool
	landed  chan struct{} // closed when closing, and the last call has ended
}

// NewFlights lets so many in at once.
func NewFlights(most int) *Flights {
	ctx, stop := context.WithCancel(context.Background())
	return &Flights{most: most, ctx: ctx, stop: stop, landed: make(chan struct{})}
}

// Begin counts a call, or says why it may not begin.
func (f *Flights) Begin() (why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closing:
		return AwayStopping
	case f.n >= f.most:
		return AwayFull
	}
	f.n++
	return ""
}

// End is the end of one that began.
func (f *Flights) End() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.closing && f.n == 0 {
		close(f.landed)
	}
}

// Count is how many there are.
func (f *Flights) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Context ends when those in flight must.
func (f *Flights) Context() context.Context { return f.ctx }

// Land lets no more in and waits for those in flight. Shortly before ctx ends it cuts
// them, so that they settle while there is still a ledger to settle in, and says how
// many it has cut.
func (f *Flights) Land(ctx context.Context) (cut int, err error) {
	f.close()
	defer f.stop()
	patient, cancel := context.WithCancel(ctx)
	if end, ok := ctx.Deadline(); ok {
		// Not an injected clock: a context's deadline is the machine's.
		left := time.Until(end)
		patient, cancel = context.WithTimeout(ctx, left-min(settleMargin, left/2))
	}
	defer cancel()
	select {
	case <-f.landed:
		return 0, nil
	case <-patient.Done():
	}
	cut = f.Count()
	f.stop()
	select {
	case <-f.landed:
		return cut, nil
	case <-ctx.Done():
		return cut, fmt.Errorf("%d calls have not ended: %w", f.Count(), ctx.Err())
	}
}

func (f *Flights) close() {
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
