package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// maxBody is the largest request it reads.
const maxBody = 32 << 20

// Provider is ready to be used as it is; its fields are set before it serves.
type Provider struct {
	// Credentials are what it accepts of Authorization (as written: "Bearer …"),
	// x-api-key and api-key. None: it accepts whatever is there, and nothing too.
	Credentials map[string]bool
	// Billed is told of every call when it has ended, in no order; nil: nobody is.
	Billed func(Call)
	// Now is the clock; nil: the machine's.
	Now func() time.Time

	calls    atomic.Int64 // numbers ids
	inFlight atomic.Int64
	record   record

	mu    sync.Mutex
	prior map[string]int64 // stored responses: the tokens of each, for those that continue it
}

// New is a provider that wants one of these credentials.
func New(credentials map[string]bool) *Provider { return &Provider{Credentials: credentials} }

// InFlight is how many calls are being answered right now.
func (p *Provider) InFlight() int { return int(p.inFlight.Load()) }

// exchange is one call while it is answered. Only its own goroutine touches it.
type exchange struct {
	p     *Provider
	ctx   context.Context
	w     http.ResponseWriter
	place place
	steer steer
	n     int64 // the call's number
	at    time.Time
	call  Call
	body  []byte
	pen   pen
	// prompt is what the first reading cost, from the first search on.
	prompt int64
}

// Why a call ends before its end.
var (
	errGone  = errors.New("nobody reads any more")
	errCut   = errors.New("the connection is cut, as the test asked")
	errFault = errors.New("the stream ends with an error event, as the test asked")
)

// ServeHTTP answers one call: read, authenticate, steer, answer, record.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.inFlight.Add(1)
	defer p.inFlight.Add(-1)
	x := p.begin(w, r)
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	x.body, x.call.Body = raw, string(raw)
	switch {
	case err != nil:
		x.refuse(refusal{status: http.StatusRequestEntityTooLarge, message: "Request exceeds the maximum size"})
	case !x.authenticated(r):
	default:
		err = x.answer()
	}
	x.call.Took = p.now().Sub(x.at)
	p.record.add(x.call)
	if p.Billed != nil {
		p.Billed(x.call)
	}
	if errors.Is(err, errCut) {
		panic(http.ErrAbortHandler) // net/http's own way to break a connection
	}
}

func (p *Provider) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{p: p, ctx: r.Context(), w: w, place: placeOf(r), steer: steerOf(r.Header), n: p.calls.Add(1), at: p.now()}
	x.call = Call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Status: http.StatusOK}
	x.pen = pen{w: w, rc: http.NewResponseController(w), steer: &x.steer}
	return x
}

func (p *Provider) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// answer lets the dialect answer, unless the steering answers in its place.
func (x *exchange) answer() error {
	model := x.model()
	x.call.Model = model
	x.steer.onlyFor(model)
	if err := x.wait(x.steer.delay); err != nil {
		return err
	}
	if x.steer.status != 0 {
		x.refuse(x.steered())
		return nil
	}
	serve, ok := map[operation]func(*exchange) error{
		chatCompletions: (*exchange).chat, responses: (*exchange).responses, embeddings: (*exchange).embeddings,
		messages: (*exchange).messages, countTokens: (*exchange).countTokens, models: (*exchange).models,
	}[x.place.operation]
	if !ok {
		x.refuse(notFound(x.place, x.call.Method, x.call.Path))
		return nil
	}
	err := serve(x)
	x.call.Completed = err == nil && x.call.Status == http.StatusOK
	return err
}

// wait lets time pass, or says that the caller has gone meanwhile.
func (x *exchange) wait(d time.Duration) error {
	if d <= 0 {
		return x.gone()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-x.ctx.Done():
		return errGone
	case <-timer.C:
		return nil
	}
}

func (x *exchange) gone() error {
	if x.ctx.Err() != nil {
		return errGone
	}
	return nil
}

// generate is the model at work: n more tokens, unless nobody reads any more. They
// are billed from here on, whatever becomes of the chunk that carries them.
func (x *exchange) generate(n int64) error {
	if err := x.wait(x.steer.chunkDelay); err != nil {
		return err
	}
	x.call.Usage.Output += n
	return nil
}

// bills notes the prompt's part of the bill, by the steering's word for what the
// cache gave and took. All providers start the bill here: a prompt that was read
// is paid for, whether or not an answer is.
func (x *exchange) bills(input int64, long bool) {
	u := journal.Tokens{Input: input}
	u.Cached = min(x.steer.cached, u.Input)
	written := min(x.steer.cacheWrite, u.Input-u.Cached)
	if long {
		u.CacheWriteLong = written
	} else {
		u.CacheWrite = written
	}
	x.call.Usage = u
}

func (x *exchange) id(prefix string) string { return fmt.Sprintf("%s%024d", prefix, x.n) }

// json sends a whole answer; a cut one breaks off in the middle of its body.
func (x *exchange) json(v any) error {
	if x.steer.cut == 0 {
		return errCut
	}
	raw, err := marshal(v)
	if err != nil {
		return err
	}
	x.headers("application/json")
	x.w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
	x.w.WriteHeader(http.StatusOK)
	if x.steer.cut > 0 {
		_, _ = x.w.Write(raw[:len(raw)/2])
		_ = x.pen.rc.Flush()
		return errCut
	}
	_, err = x.w.Write(raw)
	return err
}
