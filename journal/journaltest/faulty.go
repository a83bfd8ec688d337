package journaltest

import (
	"context"
	"errors"
	"sync"

	"github.com/signalbox-dev/signalbox/journal"
)

// ErrPlanted is what a planted fault returns.
var ErrPlanted = errors.New("planted fault")

// Fault is what happens to one Append.
type Fault int

const (
	// None appends.
	None Fault = iota
	// Lose fails without effect: the record never arrived.
	Lose
	// Lie appends and fails: the acknowledgement never arrived.
	Lie
	// Repeat appends twice: the record was sent again and both arrived.
	Repeat
)

// Faulty is a journal whose appends fail as its plan says. It holds appends back
// while Stall is in force. It starts no goroutine, so it runs in a bubble.
type Faulty struct {
	Journal
	plan func(recs []journal.Record) Fault

	mu      sync.Mutex
	stalled chan struct{} // nil, or closed when the stall ends
}

// NewFaulty asks plan what becomes of each Append. A nil plan fails none.
func NewFaulty(j Journal, plan func(recs []journal.Record) Fault) *Faulty {
	if plan == nil {
		plan = func([]journal.Record) Fault { return None }
	}
	return &Faulty{Journal: j, plan: plan}
}

// Stall makes appends wait, as for brokers that do not answer, until resume is
// called or their context ends.
func (f *Faulty) Stall() (resume func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.stalled = gate
	return sync.OnceFunc(func() { close(gate) })
}

// Append does what the plan says.
func (f *Faulty) Append(ctx context.Context, recs ...journal.Record) error {
	f.mu.Lock()
	gate := f.stalled
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	fault := f.plan(recs)
	if fault == Lose {
		return ErrPlanted
	}
	if err := f.Journal.Append(ctx, recs...); err != nil {
		return err
	}
	switch fault {
	case Lie:
		return ErrPlanted
	case Repeat:
		return f.Journal.Append(ctx, recs...)
	}
	return nil
}
