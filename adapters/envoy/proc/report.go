package proc

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// last is the deployment that the answer is of.
func (c *call) last() string {
	if n := len(c.tries); n > 0 {
		return c.tries[n-1].deployment
	}
	return c.order[0]
}

// report is what the decision is told of a call, by what is known of its tries.
// Nothing was seen unless somebody says so: unknown is not zero.
func (s *stream) report(outcome journal.Outcome) decision.Report {
	c := s.call
	r := decision.Report{Token: c.Token, Gateway: s.gateway, Outcome: outcome, Deployment: c.last(), SeenOutputTokens: -1, Learnt: true,
		LatencyMS: milliseconds(s.p.Now().Sub(c.sent))}
	if len(c.tries) == 0 {
		return r
	}
	last := len(c.tries) - 1
	for _, t := range c.tries[:last] {
		r.Attempts = append(r.Attempts, decision.ReportedAttempt{Deployment: t.deployment, Status: t.status, Outcome: t.outcome})
	}
	r.Status = c.tries[last].status
	return r
}

// unanswered is the report of a call that no deployment answered, by how the last
// try ended. A call of which nothing was sent anywhere is not sent; one that broke off
// after it was sent may have been billed, and nothing of it was seen.
func (s *stream) unanswered() decision.Report {
	c, outcome := s.call, journal.OutcomeNotSent
	for _, t := range c.tries {
		if t.outcome != journal.OutcomeNotSent {
			outcome = journal.OutcomeFailed
		}
	}
	if n := len(c.tries); n > 0 && c.tries[n-1].outcome == journal.OutcomeAborted {
		outcome = journal.OutcomeAborted
	}
	return s.report(outcome)
}

// unheard is the report of a call of whose answer not even the head came. Whether a
// provider had it is not known, nor how many did: as many as the hold pays for, where
// Envoy may try again after one that was sent. The access log may know of fewer, and if
// it speaks first its word stands.
func (s *stream) unheard() decision.Report {
	c, r := s.call, s.report(journal.OutcomeAborted)
	last := max(0, min(c.attempts, len(c.order))-1)
	for _, name := range c.order[:last] {
		r.Attempts = append(r.Attempts, decision.ReportedAttempt{Deployment: name, Outcome: journal.OutcomeAborted})
	}
	r.Deployment = c.order[last]
	return r
}

// timed is the report of an answer that came, whole or in part: how long it took,
// and what it used, as far as that is known by now.
func (s *stream) timed(outcome journal.Outcome) decision.Report {
	p, r := s.call.answer, s.report(outcome)
	if !p.firstToken.IsZero() {
		r.TTFTMS = milliseconds(p.firstToken.Sub(s.call.sent))
	}
	s.used(&r)
	if outcome != journal.OutcomeCompleted && (p.seen || outcome != journal.OutcomeAborted) {
		s.seen(&r)
	}
	return r
}

// used adds the provider's own figures, where it has said its last ones. They are
// what is charged, however the answer ended.
func (s *stream) used(r *decision.Report) {
	p := s.call.answer
	tokens, tier, ok := p.follow.Usage()
	if !ok {
		return
	}
	r.Usage, r.ServiceTier, r.Source, p.figure = &tokens, tier, p.source(), true
	if s.call.retried {
		// The figures are of the last try alone, and an earlier one may have been billed:
		// the usual reasons to try again bill nothing, but nobody says which it was.
		r.Rank = journal.RankEstimate
	}
}

// seen adds what had come of an answer that broke off, where the provider's rule is
// to charge that. By the other rules it is unknown, and charged as held: nobody can
// read an answer on that Envoy has let go of.
func (s *stream) seen(r *decision.Report) {
	if s.rule() != registry.AbortSeen {
		return
	}
	p := s.call.answer
	r.SeenOutputTokens, r.SeenInput = p.follow.Seen()
	r.Source = p.source()
}

func (p *passage) source() journal.Source {
	if p.events {
		return journal.SourceStream
	}
	return journal.SourceBody
}

// rule is what is charged for an answer that breaks off.
func (s *stream) rule() string { return s.call.places[s.call.last()].onAbort }

// end settles an answer, whichever way it ended, while its caller waits.
func (s *stream) end(how string, outcome journal.Outcome) {
	s.endWithin(how, outcome, s.p.Limits.Settle)
}

func (s *stream) endWithin(how string, outcome journal.Outcome, within time.Duration) {
	c := s.call
	c.answer.ended = true
	s.settle(s.timed(outcome), within)
	s.p.Observe.Ended(Ending{Provider: c.places[c.last()].provider, How: how, Rule: s.rule(), Bytes: c.answer.bytes})
}

// again settles once more where figures came behind the end: better ones replace what
// was charged by rule.
func (s *stream) again() {
	p := s.call.answer
	if p.figure || s.call.Token == "" {
		return
	}
	r := s.report(journal.OutcomeCompleted)
	if s.used(&r); r.Usage != nil && p.follow.Complete() {
		s.settleAs(r, s.call.DecisionID, s.p.Limits.Settle)
	}
}

// leave is the end of the messages. Whatever was not settled is settled now: the
// caller hung up, the provider broke off, or the process ends, and nobody says which.
func (s *stream) leave(err error) {
	c := s.call
	how := endGone
	if errors.Is(err, door.ErrStopping) {
		how = endStopped
	}
	switch {
	case c == nil || s.stage == over:
	case s.stage == out && !c.out:
		s.stage = over
		s.settle(s.report(journal.OutcomeNotSent), late)
	case s.stage == out:
		s.stage = over
		s.settle(s.unheard(), late)
	case s.stage == answering && !c.answer.ended:
		s.stage = over
		if !c.answer.seen && how == endGone && s.ctx.Err() != nil {
			// A caller who hangs up is told by a clean end; this stream was ended as one
			// whose work is done, and it was shown none.
			s.misconfigured(wrongUnseen, "an Envoy did not show us the body of an answer; if this comes again, set allow_mode_override: true in its ext_proc filter")
		}
		s.endWithin(how, journal.OutcomeAborted, late)
	}
}

// settle reports the call; its stage goes on with it, so that it is done once.
func (s *stream) settle(r decision.Report, within time.Duration) {
	s.settleAs(r, s.call.DecisionID, within)
}

// settleAs reports. Whatever comes of it, the caller's answer is not held up for
// long: a hold that nobody settles is charged by rule when its time is over.
func (s *stream) settleAs(r decision.Report, id string, within time.Duration) {
	if r.Token == "" {
		return // free
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), within)
	defer cancel()
	if _, err := s.p.Settler.Settle(ctx, r); err != nil {
		s.p.Observe.Unsettled()
		s.p.Log.ErrorContext(ctx, "a call was not settled; it is charged by rule when its hold is over", "decision", id, "outcome", r.Outcome, "err", err)
	}
}

// milliseconds rounds up: a time that was measured is never reported as none.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
