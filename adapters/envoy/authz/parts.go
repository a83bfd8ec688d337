package authz

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
)

// Decider answers one question; *decision.Service in production.
type Decider interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
}

// Settler takes back what was held for an answer that nobody waited for.
type Settler interface {
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// Keys knows whose bodies are worth reading. Over gRPC the body comes with the
// question; only Handler chooses.
type Keys interface {
	Knows(headers decision.Headers) bool
}

// Memory bounds what the bodies of all calls take, as the proxy's does.
type Memory interface {
	Acquire(ctx context.Context, n int64) error
	Release(n int64)
}

// Observer hears how questions ended.
type Observer interface {
	// Checked is one question answered: how is one of the words below.
	Checked(how string, took time.Duration)
}

// How a question ended. A closed set.
const (
	Allowed   = "allowed"
	Refused   = "refused"
	Served    = "served"
	Failed    = "failed"    // there was no decision, and the caller was told so
	Withdrawn = "withdrawn" // Envoy no longer waited
	Unknown   = "unknown"   // the gateway was not let in
)

type nobody struct{}

func (nobody) Checked(string, time.Duration) {}

// Limits bound one question.
type Limits struct {
	Body int64 // the largest body judged, in bytes
	// Decide is how long a decision may take. It lies below the filter's own time, so
	// that the caller is told in their dialect, and not by Envoy.
	Decide time.Duration
	// FirstByte is how long a provider may take to begin its answer where the hold pays
	// for another try after that.
	FirstByte time.Duration
}

// DefaultLimits are for a filter with the timeout that `signalbox envoy` writes.
func DefaultLimits() Limits {
	return Limits{Body: door.DefaultBody, Decide: 3 * time.Second, FirstByte: time.Minute}
}

// Parts is what an Authorizer is made of.
type Parts struct {
	Decider Decider
	Settler Settler
	// Admit says which gateway asks, by what its connection and its gRPC metadata prove.
	Admit func(ctx context.Context) (gateway string, problem *door.Problem)
	// AdmitHTTP is Admit for Handler; nil: nobody is let in there.
	AdmitHTTP func(r *http.Request) (gateway string, problem *door.Problem)
	Keys      Keys   // nil: every body is read
	Memory    Memory // nil: only the number of connections bounds it
	// Usable reports whether the Envoys have a deployment's cluster; nil: all.
	Usable  func(deployment string) bool
	Observe Observer // nil: nobody watches
	Limits  Limits   // zero: DefaultLimits
	Now     func() time.Time
	Log     *slog.Logger
}

func (p Parts) orDefaults() Parts {
	if p.Limits == (Limits{}) {
		p.Limits = DefaultLimits()
	}
	if p.Observe == nil {
		p.Observe = nobody{}
	}
	if p.Usable == nil {
		p.Usable = func(string) bool { return true }
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	return p
}
