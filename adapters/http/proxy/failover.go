package proxy

import (
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/journal"
)

// fate is what becomes of the call after a try.
//
//	2xx                                        the caller's: relayed
//	other 4xx                                  the caller's: their request is what is wrong
//	429, 5xx                                   next; the last such answer is the caller's
//	401, 402, 403, 407                         next; about our account there, so never the caller's
//	3xx                                        next; never followed, never the caller's
//	not connected, or cut before the whole
//	request had left                           next
//	no answer, or cut, after it had            next only while the hold pays for one more try
//	the caller has gone, or this process ends  the end
type fate int

const (
	relayed  fate = iota // the answer goes to the caller as it comes
	rejected             // the provider's no goes to the caller
	next                 // nothing can have been billed
	unsure               // it may have been billed
	ended                // nobody wants an answer any more
)

// tried is what is remembered of a try.
type tried struct {
	deployment string
	status     int
	outcome    journal.Outcome
	at         time.Time
	took       time.Duration
	ttft       time.Duration
	err        error
}

// send tries the answer's deployments in order, until one answers. nil: none did,
// and fail says so.
func (c *call) send() *attempt {
	paid := max(1, c.plan.Hold.Attempts) // tries that may be billed
	for i, d := range c.plan.Deployments[:min(len(c.plan.Deployments), maxTries)] {
		if !c.begins(nil) {
			return nil
		}
		secret, ok := c.credential(d)
		if !ok {
			continue
		}
		a := c.try(d, c.told.Deployments[i], secret)
		f := c.judge(a)
		c.note(a, f)
		switch f {
		case relayed, rejected:
			return a
		case unsure:
			paid--
		}
		a.done()
		if f == ended || f == unsure && paid <= 0 && !c.plan.Free {
			return nil
		}
	}
	return nil
}

// judge says what a try means for the call.
func (c *call) judge(a *attempt) fate {
	switch {
	case a.resp == nil && ours(a.err):
		return ended
	case a.resp == nil && a.sent.Load():
		return unsure
	case a.resp == nil:
		return next
	}
	switch status := a.resp.StatusCode; {
	case status >= 200 && status <= 299:
		return relayed
	case status == http.StatusTooManyRequests || status >= 500:
		return next
	case status < 400 || door.AboutUs(status):
		return next
	}
	return rejected
}

// note remembers a try, and tells those who watch.
func (c *call) note(a *attempt, f fate) {
	t := tried{deployment: a.deployment.Name, at: a.at, took: c.p.Now().Sub(a.at), err: a.err, outcome: journal.OutcomeFailed}
	if a.resp != nil {
		t.status = a.resp.StatusCode
	}
	switch {
	case f == relayed:
		t.outcome = journal.OutcomeCompleted // until it ends otherwise
	case f == unsure, f == ended && a.sent.Load():
		t.outcome = journal.OutcomeAborted
	case a.resp == nil:
		t.outcome = journal.OutcomeNotSent
	case t.status < 400:
		// A redirect is nobody's answer, and bills nothing; to who reads the report a
		// status below 400 would say that it went well.
		t.outcome, t.status = journal.OutcomeNotSent, 0
	}
	if f == next && a.rejected != nil && a.rejected.status >= 400 && !door.AboutUs(a.rejected.status) {
		c.spare = a.rejected
	}
	c.tries = append(c.tries, t)
	word := outcomeOf(a, f)
	c.p.Observe.Tried(c.ctx, Try{Provider: a.provider.Name, Deployment: t.deployment, Status: statusOf(a), Outcome: word, Took: t.took})
	if f == next || f == unsure {
		c.complain(a, word)
	}
}

func statusOf(a *attempt) int {
	if a.resp == nil {
		return 0
	}
	return a.resp.StatusCode
}
