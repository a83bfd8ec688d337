package proxy

import (
	"errors"
	"net/http"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
)

// How an answer ended. A closed set.
const (
	endComplete = "complete" // whole
	endFailed   = "failed"   // the provider said in the answer that it failed
	endBroken   = "broken"   // the provider broke off, or was silent for too long
	endGone     = "gone"     // the caller hung up
	endStopped  = "stopped"  // we did
)

// end is the end of an answer as the provider meant it: settled first, and then
// the caller sees it. Whoever has the end may be gone, or ask for what is left of
// a budget, in the same moment.
func (p *passage) end(buf []byte, eof bool) {
	how, outcome := endComplete, journal.OutcomeCompleted
	switch left, _ := p.hasLeft(); {
	case left: // and was read to its end all the same
		how, outcome = endGone, journal.OutcomeAborted
	case p.follow.Failed():
		how, outcome = endFailed, journal.OutcomeFailed
	}
	if p.follow.Complete() {
		p.p.Health.Learn(p.from.deployment.Name, health.Sign{Whole: true, Began: p.from.at})
	}
	p.settle(p.timed(outcome))
	p.pass(p.follow.Release())
	p.finish(buf, eof)
	p.ended(how)
	if left, _ := p.hasLeft(); left {
		p.abort()
	}
}

// gone is the end of an answer whose caller has gone, where nobody reads it on.
func (p *passage) gone() {
	p.settle(p.timed(journal.OutcomeAborted))
	p.ended(endGone)
	p.abort()
}

// broke is the end of an answer that the provider did not finish, or that we may
// not wait for any longer. The caller must not take it for whole. The official SDKs
// raise an error for an error event, so a stream gets one; then the connection is
// cut, so that whoever reads the bytes alone cannot miss it either.
func (p *passage) broke(err error) {
	if errors.Is(err, errGone) {
		p.gone()
		return
	}
	how := endBroken
	switch {
	case errors.Is(err, door.ErrStopping):
		how = endStopped
	case !ours(err):
		// With its status, because each such answer began well, and a good beginning
		// would otherwise end the row of failures that this one belongs to.
		p.p.Health.Learn(p.from.deployment.Name, health.Sign{Status: p.from.resp.StatusCode, Failed: true, Began: p.from.at})
		p.from.err = err
		p.complain(p.from, outcomeBroken)
	}
	p.settle(p.timed(journal.OutcomeAborted))
	p.ended(how)
	switch left, _ := p.hasLeft(); {
	case left:
	case !p.answered:
		p.refuseAs(p.failure(err))
		return
	case p.events:
		_ = p.put(door.ErrorEvent(p.route.Endpoint, p.failure(err)))
	}
	p.abort()
}

// ended tells those who watch.
func (p *passage) ended(how string) {
	rule := p.rule(p.from)
	_, draining := p.hasLeft()
	p.p.Observe.Ended(p.ctx, Ending{Provider: p.from.provider.Name, How: how, Rule: rule, Drained: draining, Bytes: p.relayed})
}

// fail answers a call that no deployment answered.
func (c *call) fail() {
	report := c.unanswered()
	c.settle(report)
	c.forget()
	if left, _ := c.hasLeft(); left {
		c.abort()
	}
	err := c.lastError()
	if c.spare != nil && !errors.Is(err, door.ErrStopping) && report.Outcome != journal.OutcomeAborted {
		c.show(c.spare)
		return
	}
	c.refuseAs(c.failure(err))
}

// failure says in the caller's dialect what went wrong, and nothing of where: the
// names of providers and of what they want to see are the operators'.
func (c *call) failure(err error) door.Failed {
	f := door.Failed{Dialect: c.answer.Dialect, DecisionID: c.answer.DecisionID, Status: http.StatusBadGateway,
		Code: door.UpstreamUnavailable, Message: "no deployment of this model could be reached; try again"}
	switch {
	case errors.Is(err, door.ErrStopping):
		f.Status, f.Code, f.RetryAfter = http.StatusServiceUnavailable, door.Overloaded, soon
		f.Message = "this process is about to end; try again"
	case errors.Is(err, errSlow):
		f.Status, f.Code = http.StatusGatewayTimeout, door.UpstreamTimeout
		f.Message = "the provider did not answer in time"
	case c.answered, len(c.tries) > 0 && c.tries[len(c.tries)-1].outcome == journal.OutcomeAborted:
		f.Message = "the provider broke off its answer"
	}
	return f
}

// reject passes on the provider's no. It cost nothing, and is settled before
// anybody reads it.
func (c *call) reject(r *rejection) {
	c.settle(c.report(journal.OutcomeFailed))
	c.show(r)
}

// show gives the caller a provider's error as it was written, unless it cannot be
// shown; then ours, with the same status.
func (c *call) show(r *rejection) {
	toCaller(c.w.Header(), r.header, r.secret)
	c.introduce(c.w.Header(), r.deployment)
	if r.body == nil {
		c.w.Header().Del("Content-Encoding") // of the body that is not shown
		f := c.failure(nil)
		f.Status, f.Message = r.status, "the provider refused the call, and its error cannot be shown"
		c.refuseAs(f)
		return
	}
	c.reply(r.status, r.body)
}
