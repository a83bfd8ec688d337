package http

import (
	"context"
	"log/slog"
	"net/http"

	"golang.org/x/sync/semaphore"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
)

// Decider answers one question; *decision.Service in production.
type Decider interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
}

// Settler takes one report.
type Settler interface {
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// DefaultInFlight is how many bytes of questions are held in memory at once
// where nothing is configured.
const DefaultInFlight = 1 << 30

// Config is what the gateways' endpoints are made of.
type Config struct {
	Decider Decider
	Settler Settler
	Guard   door.Guard
	Body    int64 // the largest body judged, in bytes; 0: door.DefaultBody
	// InFlight bounds the memory of questions being read and answered, in bytes;
	// what is above waits its turn. 0: DefaultInFlight.
	InFlight int64
	// Memory is that bound where others share it (NewMemory); nil: nobody does.
	Memory *semaphore.Weighted
	// Calls answers every path that is none of ours: the proxy. nil: they are 404.
	Calls http.Handler
	Log   *slog.Logger
}

// NewMemory is a bound for all bodies in memory at once, with room for at least one
// question of the largest kind.
func NewMemory(inFlight, body int64) *semaphore.Weighted {
	if inFlight <= 0 {
		inFlight = DefaultInFlight
	}
	return semaphore.NewWeighted(max(inFlight, door.EnvelopeBound(body)))
}

// server is the gateways' side of the door.
type server struct {
	Config
	bound  int64 // of one question
	memory *semaphore.Weighted
}

// New makes the handler of /v1/decide and /v1/report. Everything else is a call for
// the proxy, or 404 where there is none.
func New(c Config) http.Handler {
	if c.Body <= 0 {
		c.Body = door.DefaultBody
	}
	if c.Memory == nil {
		c.Memory = NewMemory(c.InFlight, c.Body)
	}
	if c.Calls == nil {
		c.Calls = http.HandlerFunc(NotFound)
	}
	s := &server{Config: c, bound: door.EnvelopeBound(c.Body), memory: c.Memory}
	decide, report := only(http.MethodPost, http.HandlerFunc(s.decide)), only(http.MethodPost, http.HandlerFunc(s.report))
	return Recover(c.Log, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Not a ServeMux: it would answer a path that is not clean with a redirect to the
		// clean one, and a call must be judged, or refused, as it was written.
		switch r.URL.Path {
		case "/v1/decide":
			r.Pattern = "/v1/decide"
			decide.ServeHTTP(w, r)
		case "/v1/report":
			r.Pattern = "/v1/report"
			report.ServeHTTP(w, r)
		default:
			c.Calls.ServeHTTP(w, r)
		}
	}))
}

// decide is POST /v1/decide: who asks, what they ask, the answer.
func (s *server) decide(w http.ResponseWriter, r *http.Request) {
	// Before the body is read: who is not known gets no memory from us.
	who, p := s.Guard.Admit(peer(r))
	if p != nil {
		problem(w, r, s.Log, p)
		return
	}
	body, release, p := s.read(w, r, s.bound)
	defer release()
	if p != nil {
		problem(w, r, s.Log, p)
		return
	}
	answer, p := s.ask(r.Context(), who, body)
	if p != nil {
		problem(w, r, s.Log, p)
		return
	}
	respond(w, r, s.Log, http.StatusOK, answer)
}

// ask turns a question's bytes into an answer.
func (s *server) ask(ctx context.Context, who door.Who, body []byte) (*door.Answer, *door.Problem) {
	question, p := parseQuestion(body)
	if p != nil {
		return nil, p
	}
	return door.Decide(ctx, s.Decider, s.Settler, who, question)
}

// report is POST /v1/report.
func (s *server) report(w http.ResponseWriter, r *http.Request) {
	who, p := s.Guard.Admit(peer(r))
	if p != nil {
		problem(w, r, s.Log, p)
		return
	}
	body, release, p := s.read(w, r, door.EnvelopeReport)
	defer release()
	if p != nil {
		problem(w, r, s.Log, p)
		return
	}
	report, p := parseReport(body)
	if p != nil {
		problem(w, r, s.Log, p)
		return
	}
	receipt, p := door.Settle(r.Context(), s.Settler, who, report)
	if p != nil {
		problem(w, r, s.Log, p)
		return
	}
	respond(w, r, s.Log, http.StatusOK, receipt)
}

// read reads a body of at most bound bytes once there is memory for it; release
// gives the memory back and is never nil.
func (s *server) read(w http.ResponseWriter, r *http.Request, bound int64) (body []byte, release func(), p *door.Problem) {
	most := bound
	if r.ContentLength >= 0 {
		most = min(r.ContentLength, bound)
	}
	if err := s.memory.Acquire(r.Context(), most); err != nil {
		return nil, func() {}, &door.Problem{Kind: door.Withdrawn, Message: "the question was withdrawn while it waited", Cause: err}
	}
	body, p = readBody(w, r, bound)
	return body, func() { s.memory.Release(most) }, p
}
