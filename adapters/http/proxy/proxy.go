package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/vault"
)

// Gateway is the name under which the proxy's calls stand in reports. It cannot
// be a declared gateway's name, so that nobody who holds a gateway's token, or is
// trusted as one on this machine, can settle the proxy's calls in its place.
const Gateway = "(proxy)"

// Decider answers one question; *decision.Service in production.
type Decider interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
}

// Settler takes one report.
type Settler interface {
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// Credentials are the providers', as they are now; *vault.Credentials in
// production.
type Credentials interface {
	Credential(name string) (vault.Secret, bool)
}

// Health learns from every try; *health.Board in production.
type Health interface {
	Learn(deployment string, sign health.Sign)
}

// Keys knows whose key is good; *decision.Service in production.
type Keys interface {
	Knows(headers decision.Headers) bool
}

// Memory is what callers' bodies may take up, in bytes: a *semaphore.Weighted,
// shared with whoever else reads bodies.
type Memory interface {
	Acquire(ctx context.Context, n int64) error
	Release(n int64)
}

// Parts are what a Proxy is made of.
type Parts struct {
	Decider     Decider
	Settler     Settler
	Credentials Credentials
	Health      Health // nil: nobody learns
	Memory      Memory
	Keys        Keys // nil: whoever has a key is given memory for their body
	// Unspoken answers what is no call at all: no path that we know, and no key.
	Unspoken http.Handler
	Observe  Observer // nil: nobody watches
	Now      func() time.Time
	Log      *slog.Logger
}

// Proxy is an http.Handler. It is safe for concurrent use.
type Proxy struct {
	Parts
	limits     Limits
	flights    *door.Flights
	drains     chan struct{} // one element a drain
	transports *transports
	seldom     *door.Seldom
	buffers    buffers
}

// New puts a Proxy together. Shutdown is the caller's to call.
func New(limits Limits, parts Parts) *Proxy {
	if parts.Observe == nil {
		parts.Observe = nobody{}
	}
	if parts.Health == nil {
		parts.Health = unlearning{}
	}
	return &Proxy{
		Parts: parts, limits: limits, flights: door.NewFlights(limits.Streams), drains: make(chan struct{}, limits.Drains),
		transports: newTransports(limits, parts.Now), seldom: &door.Seldom{Now: parts.Now}, buffers: newBuffers(),
	}
}

// ServeHTTP takes one call, whatever its path: one that we do not know is refused by
// the decision, which writes it down.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, known := llm.Recognise(r.Method, target(r))
	if !known && !hasKey(r.Header) {
		// A browser, a scanner, a gateway that misspells one of our own paths: nobody
		// who makes a call. The journal is for calls.
		p.Unspoken.ServeHTTP(w, r)
		return
	}
	c := &call{p: p, w: w, rc: http.NewResponseController(w), r: r, route: route}
	if isUpgrade(r) {
		c.plainly()
		return
	}
	if why := p.flights.Begin(); why != "" {
		p.Observe.TurnedAway(why)
		c.overloaded()
		return
	}
	defer p.flights.End()
	defer c.close()
	c.serve()
}

// call is one call on its way through. Only its handler's goroutine touches it,
// but for what leaving guards.
type call struct {
	p     *Proxy
	w     http.ResponseWriter
	rc    *http.ResponseController
	r     *http.Request
	route llm.Route
	leaving

	memory   int64 // held for the caller's body, in bytes
	request  decision.Request
	answer   decision.Answer
	told     door.Answer    // the answer as every gateway reads it, without its body
	plan     *decision.Plan // without its body, which is
	body     []byte         // what goes out; nil once somebody has answered
	tries    []tried
	spare    *rejection // the latest answer of a provider that the caller may be given
	settled  bool
	answered bool  // the head of an answer has gone to the caller
	relayed  int64 // bytes of a provider's answer
}

// serve is the whole of a call; read it top to bottom.
func (c *call) serve() {
	defer c.onPanic()
	// The server's own deadline is for answers that are written at once; from here
	// on every write has one of its own.
	_ = c.rc.SetWriteDeadline(time.Time{})
	if !c.read() { // what does the caller want?
		return
	}
	if !c.decide() { // may they?
		return
	}
	c.watch()
	answer := c.send() // who answers?
	if answer == nil {
		c.fail()
		return
	}
	c.relay(answer)
}

// decide asks the decision, and answers the caller unless the call may go out.
func (c *call) decide() (goes bool) {
	var err error
	c.answer, err = c.p.Decider.Decide(c.r.Context(), c.request)
	if err != nil {
		c.undecided(err)
		return false
	}
	c.plan, c.body = c.answer.Plan, c.request.Body
	if c.plan != nil {
		c.takePlan()
	}
	c.told = door.Render(&c.request, &c.answer)
	switch {
	case c.r.Context().Err() != nil:
		// Nobody waits for the answer any more, and nothing has been sent.
		c.settle(c.report(journal.OutcomeNotSent))
		c.abort()
	case c.told.Response != nil:
		c.respond(c.told.Response)
	case !c.request.BodyComplete:
		// A free call is let out by its path alone; we have nothing to send.
		c.settle(c.report(journal.OutcomeNotSent))
		c.refuse(http.StatusRequestEntityTooLarge, string(decision.TooLarge), "the body is longer than any that is sent on")
	case c.plan == nil || len(c.plan.Deployments) == 0:
		c.nowhere()
	default:
		return true
	}
	return false
}

// takePlan takes the body out of the plan: it is let go of as soon as somebody has
// answered, and the plan is needed to the end.
func (c *call) takePlan() {
	plan := *c.plan
	if plan.Body != nil {
		c.body = plan.Body
	}
	plan.Body, plan.Edits = nil, nil
	c.plan, c.answer.Plan = &plan, &plan
}

// close gives back what a call holds.
func (c *call) close() {
	c.stay()
	c.forget()
}

// onPanic charges a call whose code broke, because unknown is not zero, and cuts
// the connection, because half an answer must not be taken for a whole one.
func (c *call) onPanic() {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler { // which is how a handler cuts a connection
		c.p.Log.ErrorContext(c.r.Context(), "the proxy panicked; the call is charged by rule", "decision", c.answer.DecisionID, "at", door.PanicSite())
		c.settle(c.report(journal.OutcomeAborted))
	}
	panic(http.ErrAbortHandler)
}
