package decision

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
)

// Undecided is a call of which a gateway tells afterwards that it got no answer from
// us in time, or none at all: it let the call through, or refused it by itself, as its
// failure mode says. Nobody knows whose call it was.
type Undecided struct {
	Gateway      string    // authenticated by the door
	CallID       string    // the gateway's own, optional
	At           time.Time // when the call began, by the gateway's clock
	Method, Path string
	Passed       bool   // it went to a provider, unmetered
	Status       int    // that its caller saw; 0: none
	Why          string // in the gateway's words
	TraceParent  string
}

// Undecided writes down that a call passed, or was refused, without a decision, so
// that the audit shows it among the decisions. More than a bound in a moment are
// counted and written as one: docs/decisions/099-calls-that-nobody-decided.md
func (s *Service) Undecided(ctx context.Context, u Undecided) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.observe.Undecided(u.Passed)
	if !s.undecided.admit(u, s.now()) {
		return nil
	}
	return s.recordUndecided(u, 1)
}

// recordUndecided writes one fact of n calls that were alike.
func (s *Service) recordUndecided(u Undecided, n int64) error {
	now := s.now()
	if early, late := now.Add(-farOff), now.Add(time.Minute); u.At.Before(early) || u.At.After(late) {
		u.At = now // A clock that is wrong would put the row where nobody looks.
	}
	route, _ := llm.Recognise(u.Method, withoutQuery(u.Path))
	d := journal.Decided{
		DecisionID: s.newID(), CallID: clip(u.CallID, assertedBytes), At: u.At.UTC(), Action: "deny", Gateway: u.Gateway,
		Method: clip(u.Method, 16), Path: clip(withoutQuery(u.Path), 256), Dialect: string(route.Dialect),
		RegistryVersion: s.registry.Snapshot().Version, ZoneRules: ledger.ZoneRules(), TraceParent: clip(u.TraceParent, 64),
		Reasons: []journal.Reason{{Code: string(NotDecided), Message: u.message(n), Warning: u.Passed}},
	}
	if u.Passed {
		d.Action = "allow"
		d.Reasons = append(d.Reasons, journal.Reason{Code: string(Unmetered), Message: "no budget counts this call", Warning: true})
	}
	if err := s.recorder.Put(journal.Record{Topic: journal.TopicDecisions, Event: d}); err != nil {
		return fmt.Errorf("record a call without a decision: %w", err)
	}
	return nil
}

// farOff is how old a call may be that a gateway tells of.
const farOff = 24 * time.Hour

func (u *Undecided) message(n int64) string {
	text := "the gateway got no decision, and refused the call itself"
	if u.Passed {
		text = "the gateway got no decision, and let the call through"
	}
	if u.Status > 0 {
		text += fmt.Sprintf(" (status %d)", u.Status)
	}
	if u.Why != "" {
		text += ": " + clip(u.Why, 128)
	}
	if n > 1 {
		text += fmt.Sprintf("; and %d more like it, which are not written one by one", n-1)
	}
	return text
}

// While a gateway gets no decisions, all its calls are undecided, and the moment that
// we are back they all come at once: as many facts as an ordinary moment's decisions
// must not take the place of those.
const (
	undecidedBurst = 1000
	undecidedEach  = 10 * time.Millisecond // one more, at most
	undecidedKinds = 64                    // that are counted apart
)

// undecided bounds what is written of such calls one by one, and counts the rest.
type undecided struct {
	mu   sync.Mutex
	free time.Time // when all of the burst is free again; before it, less of it
	rest map[undecidedKind]*undecidedRest
}

// undecidedKind is what is alike of calls that are counted together.
type undecidedKind struct {
	gateway string
	passed  bool
	status  int
}

type undecidedRest struct {
	last Undecided
	n    int64
}

// admit reports whether this one is written by itself. Else it is counted.
func (r *undecided) admit(u Undecided, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free.Before(now) {
		r.free = now
	}
	if r.free.Sub(now) < undecidedBurst*undecidedEach {
		r.free = r.free.Add(undecidedEach)
		return true
	}
	kind := undecidedKind{u.Gateway, u.Passed, u.Status}
	counted, known := r.rest[kind]
	if !known && len(r.rest) >= undecidedKinds {
		kind = undecidedKind{passed: u.Passed} // Some gateway's; that they passed is what matters.
		u = Undecided{At: u.At, Passed: u.Passed, Why: "more kinds of it than are counted apart"}
		counted, known = r.rest[kind]
	}
	if !known {
		if r.rest == nil {
			r.rest = map[undecidedKind]*undecidedRest{}
		}
		counted = &undecidedRest{}
		r.rest[kind] = counted
	}
	counted.last = u
	counted.n++
	return false
}

// take is what was counted since it was last taken.
func (r *undecided) take() map[undecidedKind]*undecidedRest {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.rest
	r.rest = nil
	return rest
}

// countUndecided writes down what was not written one by one.
func (s *Service) countUndecided() {
	for _, rest := range s.undecided.take() {
		if err := s.recordUndecided(rest.last, rest.n); err != nil {
			s.log.Error("calls that passed or were refused without a decision are not in the audit", "gateway", rest.last.Gateway, "passed", rest.last.Passed, "calls", rest.n, "err", err)
		}
	}
}
