package health

import (
	"cmp"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// joined is what two who were at it know of one deployment together. Whoever joins
// the same states, in whatever order and however often, knows the same: the pause that
// ends last counts, of two that end at once the one that began later, and of counts
// and moments the greatest. Only bad news joins: that a deployment is well again each
// replica finds out by a few calls of its own, so no word of somebody's lets all go
// back at once.
func (s State) joined(o State) State {
	j := s
	if s.compare(o) < 0 {
		j.Cause, j.Since, j.Until = o.Cause, o.Since, o.Until
		j.Failures, j.Breaks, j.Successes = 0, 0, 0
	}
	j.Pauses = max(s.Pauses, o.Pauses)
	if o.LastBad.After(s.LastBad) {
		j.LastBad = o.LastBad
	}
	return j
}

// compare orders pauses by what of them counts.
func (s State) compare(o State) int {
	return cmp.Or(s.Until.Compare(o.Until), s.Since.Compare(o.Since), cmp.Compare(s.Cause, o.Cause))
}

// within is a state from elsewhere as it can be true here: no clock is so far ahead
// that a deployment went out in the future, or is out for longer than any is.
func (s State) within(at time.Time) State {
	s.Since, s.LastBad, s.Until = earlier(s.Since, at), earlier(s.LastBad, at), earlier(s.Until, at.Add(maxPause))
	s.Failures, s.Breaks, s.Successes = 0, 0, 0
	s.Pauses = min(max(s.Pauses, 0), maxPauses)
	return s
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// paused is a state as the journal has it, and stateOf the way back.
func (s State) paused() journal.Paused {
	return journal.Paused{Deployment: s.Deployment, Cause: string(s.Cause), Since: s.Since, Until: s.Until, Pauses: int64(s.Pauses), LastBad: s.LastBad}
}

func stateOf(p *journal.Paused) State {
	return State{Deployment: p.Deployment, Cause: Cause(p.Cause), Since: p.Since, Until: p.Until,
		Pauses: int(min(max(p.Pauses, 0), maxPauses)), LastBad: p.LastBad}
}
