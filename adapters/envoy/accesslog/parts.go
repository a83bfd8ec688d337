package accesslog

import (
	"context"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
)

// Settler takes one report; *decision.Service in production.
type Settler interface {
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// Undecider writes down what passed, or was refused, without a decision;
// *decision.Service in production.
type Undecider interface {
	Undecided(ctx context.Context, u decision.Undecided) error
}

// Health hears how deployments answered; health.Board in production.
type Health interface {
	Learn(deployment string, s health.Sign)
}

// Observer hears what became of entries.
type Observer interface {
	// Logged is one entry read: what is one of the words below.
	Logged(what string)
}

// What became of an entry. A closed set.
const (
	Settled   = "settled"   // by this report
	Repeated  = "repeated"  // somebody's report of its rank, or a better one, stood already
	Unsettled = "unsettled" // the report was not taken
	Free      = "free"      // there was nothing to settle
	Answered  = "answered"  // by us, and no provider
	Undecided = "undecided"
	Passed    = "passed" // no call: another path, or a part of a call
	TooMany   = "too_many"
)

type nobody struct{}

func (nobody) Logged(string)             {}
func (nobody) Learn(string, health.Sign) {}

// Limits bound what one stream may cost.
type Limits struct {
	// Entries of one message; an Envoy flushes at a megabyte, which is some hundreds.
	Entries int
	// Settling is how many entries are settled at once, of all streams.
	Settling int
	// Settle is how long one settlement may take.
	Settle time.Duration
}

// DefaultLimits are for the access log that `signalbox envoy` writes.
func DefaultLimits() Limits {
	return Limits{Entries: 16 << 10, Settling: 64, Settle: 10 * time.Second}
}

// Parts is what a Server is made of.
type Parts struct {
	Settler   Settler
	Undecider Undecider // nil: such calls are only counted
	Health    Health    // nil: nobody learns
	// Admit says which gateway sends, by what its connection and its gRPC metadata prove.
	Admit   func(ctx context.Context) (gateway string, problem *door.Problem)
	Observe Observer // nil: nobody watches
	Limits  Limits   // zero: DefaultLimits
	Now     func() time.Time
	Log     *slog.Logger
}

func (p Parts) orDefaults() Parts {
	if p.Limits == (Limits{}) {
		p.Limits = DefaultLimits()
	}
	if p.Health == nil {
		p.Health = nobody{}
	}
	if p.Observe == nil {
		p.Observe = nobody{}
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	return p
}
