package proxy

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// report is what the decision is told of a call, by what is known of its tries. The
// last try is the call's own; those before it stand in front. Nothing was seen
// unless somebody says so: unknown is not zero.
func (c *call) report(outcome journal.Outcome) decision.Report {
	r := decision.Report{Gateway: Gateway, Outcome: outcome, SeenOutputTokens: -1, Learnt: true}
	if c.plan != nil {
		r.Token = c.plan.ReportToken
	}
	if len(c.tries) == 0 {
		return r
	}
	last := len(c.tries) - 1
	for _, t := range c.tries[:last] {
		r.Attempts = append(r.Attempts, decision.ReportedAttempt{
			Deployment: t.deployment, Status: t.status, Outcome: t.outcome, LatencyMS: milliseconds(t.took),
		})
	}
	t := &c.tries[last]
	r.Deployment, r.Status = t.deployment, t.status
	r.LatencyMS, r.TTFTMS = milliseconds(t.took), milliseconds(t.ttft)
	return r
}

// timed is the report of an answer that came, whole or in part: how long it took,
// and what it used, as far as that is known by now.
func (p *passage) timed(outcome journal.Outcome) decision.Report {
	t := &p.tries[len(p.tries)-1]
	t.took = p.p.Now().Sub(t.at)
	if !p.firstToken.IsZero() {
		t.ttft = p.firstToken.Sub(t.at)
	}
	r := p.report(outcome)
	p.used(&r)
	if outcome != journal.OutcomeCompleted {
		p.seen(&r)
	}
	return r
}

// unanswered is the report of a call that no deployment answered, by how the last
// try ended. A call of which nothing was sent anywhere is not sent; one that broke
// off after it was sent may have been billed, and nothing of it was seen.
func (c *call) unanswered() decision.Report {
	outcome := journal.OutcomeNotSent
	for _, t := range c.tries {
		if t.outcome != journal.OutcomeNotSent {
			outcome = journal.OutcomeFailed
		}
	}
	if n := len(c.tries); n > 0 && c.tries[n-1].outcome == journal.OutcomeAborted {
		outcome = journal.OutcomeAborted
	}
	return c.report(outcome)
}

// lastError is why there is no answer: the last try's reason, or that nobody was to
// try any more. It is nil where the last try had an answer that cannot be shown.
func (c *call) lastError() error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if len(c.tries) == 0 {
		return nil
	}
	return c.tries[len(c.tries)-1].err
}

// used adds the provider's own figures, where it has said its last ones. They are
// what is charged, however the answer ended.
func (p *passage) used(r *decision.Report) {
	tokens, tier, ok := p.follow.Usage()
	if !ok {
		return
	}
	r.Usage, r.ServiceTier, r.Source = &tokens, tier, p.source()
}

// seen adds what had come of an answer that broke off, where the provider's rule
// is to charge that. By the other rules it is unknown, and charged as held: a drain
// that came to no end, too.
func (p *passage) seen(r *decision.Report) {
	if p.rule(p.from) != registry.AbortSeen {
		return
	}
	r.SeenOutputTokens, r.SeenInput = p.follow.Seen()
	r.Source = p.source()
}

func (p *passage) source() journal.Source {
	if p.events {
		return journal.SourceStream
	}
	return journal.SourceBody
}

// settle reports, once. Whatever comes of it, the caller's answer is not held up
// for long: a hold that nobody settles is charged by rule when its time is over.
func (c *call) settle(r decision.Report) {
	if c.settled || r.Token == "" {
		return // free, or settled
	}
	c.settled = true
	ctx, cancel := c.detached()
	defer cancel()
	if _, err := c.p.Settler.Settle(ctx, r); err != nil {
		c.p.Observe.Unsettled()
		c.p.Log.ErrorContext(ctx, "a call was not settled; it is charged by rule when its hold is over",
			"decision", c.answer.DecisionID, "outcome", r.Outcome, "err", err)
	}
}

// milliseconds rounds up: a time that was measured is never reported as none.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
