package proc

import (
	"net/http"
	"slices"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
)

// tried is what is known of one try.
type tried struct {
	deployment string
	status     int
	outcome    journal.Outcome
}

// madeBy is how many tries there were, of which we are told. Envoy counts them; where
// the filter does not say, the cluster of the answer tells how far the order was gone
// through, or else what the tries noted themselves. Of those that routes of somebody's
// own make we know the number and nothing else; the order has one, and so has the call.
func (c *call) madeBy(h *head, said []envoy.Tried) int {
	if h.attempts >= 0 {
		return min(h.attempts, len(c.order))
	}
	if deployment, ok := envoy.Deployment(h.cluster); ok {
		if i := slices.Index(c.order, deployment); i >= 0 {
			return i + 1
		}
	}
	n := 0
	if !h.own() {
		n = 1
	}
	for _, t := range said { // in the order of the call
		n = slices.Index(c.order, t.Deployment) + 1
	}
	return n
}

// note remembers the tries that an answer's head tells of, the last of which gave
// it, and tells health and those who watch of those before it.
func (s *stream) note(h *head) {
	c := s.call
	said := envoy.ReadTries(&envoy.Call{Order: c.order}, h.noted)
	n := c.madeBy(h, said)
	c.retried = s.profile == envoy.ProfileHeader && h.attempts > 1
	c.tries = make([]tried, n)
	for i := range c.tries {
		t := &c.tries[i]
		t.deployment = c.order[i]
		if i < n-1 {
			at := slices.IndexFunc(said, func(of envoy.Tried) bool { return of.Deployment == t.deployment })
			if at < 0 {
				s.noteEarlier(t, envoy.Tried{})
			} else {
				s.noteEarlier(t, said[at])
			}
		}
	}
}

// noteEarlier reads what is known of a try that another one followed.
func (s *stream) noteEarlier(t *tried, said envoy.Tried) {
	switch {
	case said.Status >= 400:
		t.outcome, t.status = journal.OutcomeFailed, said.Status
		s.p.Health.Learn(t.deployment, door.Shown(said.Status, said.Header, s.call.sent))
		s.saw(t, word(said.Status))
	case said.Status != 0:
		// A redirect is nobody's answer, and bills nothing; to who reads the report a
		// status below 400 would say that it went well.
		t.outcome = journal.OutcomeNotSent
		s.p.Health.Learn(t.deployment, door.Shown(said.Status, said.Header, s.call.sent))
		s.saw(t, outcomeRedirected)
	case s.call.attempts > 1:
		// Then a try may also have followed one that was cut, or took too long.
		t.outcome = journal.OutcomeAborted
		s.p.Health.Learn(t.deployment, health.Sign{Failed: true, Began: s.call.sent})
		s.saw(t, outcomeBroken)
	default:
		t.outcome = journal.OutcomeNotSent
		s.p.Health.Learn(t.deployment, health.Sign{Failed: true, Began: s.call.sent})
		s.saw(t, outcomeUnreached)
	}
}

// saw tells those who watch of a try.
func (s *stream) saw(t *tried, outcome string) {
	s.p.Observe.Tried(Try{Provider: s.call.places[t.deployment].provider, Deployment: t.deployment, Status: t.status, Outcome: outcome})
}

// word is the outcome of a try that was answered.
func word(status int) string {
	switch {
	case status >= 200 && status <= 299:
		return outcomeOK
	case status == http.StatusTooManyRequests:
		return outcomeLimited
	case status >= 500:
		return outcomeUnavailable
	case door.AboutUs(status):
		return outcomeAccount
	case status >= 400:
		return outcomeRefused
	}
	return outcomeRedirected
}
