package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// passage is one answer on its way from a provider to the caller.
type passage struct {
	*call
	from   *attempt
	follow *follow.Answer
	events bool // an event stream: each piece is passed on as it comes

	firstToken time.Time
}

// relay passes on what a provider answered. What it has read it writes before it
// reads more, in this goroutine: a slow caller slows the provider down, and nothing
// is kept but one buffer.
func (c *call) relay(a *attempt) {
	defer a.done()
	c.forget() // nobody else is asked; net/http keeps what it still sends
	if a.rejected != nil {
		c.reject(a.rejected)
		return
	}
	contentType := a.resp.Header.Get("Content-Type")
	p := &passage{call: c, from: a, events: isEvents(contentType), follow: follow.New(follow.Asked{
		Dialect: c.answer.Dialect, Endpoint: c.route.Endpoint,
		HideUsage: slices.Contains(c.answer.Changes, decision.UsageRequested),
	}, a.resp.StatusCode, contentType, a.resp.Header.Get("Content-Encoding"))}
	a.document.Store(!p.events)
	if left, _ := c.hasLeft(); p.events && !left {
		// A stream's caller waits for the head to know that there is one; of any other
		// answer the head waits for the first byte, so that it can still become an error.
		p.head()
	}
	p.run()
}

// run is the loop. It ends when the answer has, whichever way.
func (p *passage) run() {
	buf := p.p.buffers.small.get()
	defer func() { p.p.buffers.put(buf) }()
	for {
		n, err := p.from.read(p.call, *buf)
		p.pass(p.follow.Write((*buf)[:n]))
		if p.firstToken.IsZero() && p.follow.Started() {
			p.firstToken = p.p.Now()
		}
		if err == io.EOF {
			p.follow.EOF()
		}
		switch left, draining := p.hasLeft(); {
		case left && !draining:
			p.gone()
			return
		case p.follow.Ended() && p.cutShort():
			p.broke(errCutShort)
			return
		case p.follow.Ended():
			p.end(*buf, err == io.EOF)
			return
		case err != nil && err != io.EOF:
			p.broke(err)
			return
		}
		buf = p.p.buffers.fit(buf, n)
	}
}

// errCutShort: the provider ended the answer as if it were whole, and it is not.
var errCutShort = errors.New("the answer has no end")

// cutShort reports whether the answer came to an end before its protocol's. Servers
// behind the provider break off so, and an SDK would take the half for the whole.
func (p *passage) cutShort() bool { return !p.follow.Complete() && !p.follow.Failed() }

// head begins the answer to the caller.
func (p *passage) head() {
	if p.answered {
		return
	}
	p.answered = true
	h := p.w.Header()
	toCaller(h, p.from.resp.Header, p.from.secret)
	p.introduce(h, p.from.deployment.Name)
	if length := p.from.resp.ContentLength; length >= 0 && !p.events {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	p.w.WriteHeader(p.from.resp.StatusCode)
	if !p.events {
		return
	}
	if err := p.put(nil); err != nil {
		p.leave()
	}
}

// introduce adds what we say ourselves of an answer that somebody else gave.
func (c *call) introduce(h http.Header, deployment string) {
	for name, value := range c.told.CallerHeaders {
		h.Set(name, value)
	}
	h.Set(headerDeployment, deployment)
}

// pass passes bytes on, if anybody is there to take them.
func (p *passage) pass(b []byte) {
	if left, _ := p.hasLeft(); left || len(b) == 0 {
		return
	}
	p.head()
	if err := p.put(b); err != nil {
		p.leave()
		return
	}
	p.relayed += int64(len(b))
}

// put writes to the caller, who must take it within the time there is. The
// deadline holds for this write alone: a model may think for longer between two.
// After an error it stays, so that nothing else waits for this connection.
func (p *passage) put(b []byte) error {
	p.hurry()
	if len(b) > 0 {
		if _, err := p.w.Write(b); err != nil {
			return err
		}
	}
	if p.events {
		if err := p.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	_ = p.rc.SetWriteDeadline(time.Time{})
	return nil
}

// finish ends the answer to the caller, and reads what comes behind the end of the
// provider's, for a moment: a connection whose answer was read to its last byte can
// be used again.
func (p *passage) finish(buf []byte, eof bool) {
	left, _ := p.hasLeft()
	if left {
		return
	}
	p.head() // of an answer without a body
	if !eof {
		p.hurry()
		_ = p.rc.Flush() // the caller does not wait for that moment
		p.from.alarm.Reset(restTime)
		for range 8 {
			n, err := p.from.resp.Body.Read(buf)
			p.pass(p.follow.Write(buf[:n]))
			if err != nil {
				break
			}
		}
		p.pass(p.follow.Release())
	}
	p.hurry() // for what the server writes when the handler has returned
}

// isEvents reads the type as follow does, which is forgiving about what stands behind
// it: what is followed as a stream must be flushed like one.
func isEvents(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}
