package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
)

// target is the path and the query as the caller wrote them: what we judge by must
// be what was asked for, byte for byte.
func target(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI() // an absolute URI, as clients write it to a proxy
}

// isUpgrade reports whether a caller wants to go on in another protocol. Codex asks
// for a WebSocket first.
func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// read makes the decision's question of the caller's request; false: the caller
// has been answered.
func (c *call) read() bool {
	body, complete, ok := c.readBody()
	if !ok {
		return false
	}
	q := door.Question{Method: c.r.Method, Path: target(c.r), Headers: firstValues(c.r.Header), Body: body, BodyComplete: &complete}
	var p *door.Problem
	if c.request, p = q.Request(Gateway); p != nil {
		c.refuse(http.StatusBadRequest, string(decision.Malformed), p.Error())
		return false
	}
	return true
}

// readBody reads the caller's body once there is memory for it. A body that is too
// long, or of somebody without a good key, is not kept: the decision says what is
// wrong, in the dialect, and writes it down. Otherwise a hundred connections of
// anybody's, each with a long body announced and none sent, held all the memory there is.
func (c *call) readBody() (body []byte, complete, ok bool) {
	if coding := c.r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		c.discard()
		c.refuse(http.StatusBadRequest, string(decision.Malformed), "the body is encoded by content-encoding; send it as it is")
		return nil, false, false
	}
	if !c.known() || c.r.ContentLength > c.p.limits.Body {
		c.discard()
		return nil, false, true
	}
	if !c.remember() {
		return nil, false, false
	}
	body, err := readAll(c.r.Body, c.r.ContentLength, c.p.limits.Body)
	switch {
	case errors.Is(err, errTooLong):
		c.forget()
		c.discard()
		return nil, false, true
	case err != nil:
		c.refuse(http.StatusBadRequest, string(decision.Malformed), "the body broke off")
		return nil, false, false
	}
	c.keep(int64(len(body)))
	return body, true, true
}

// known reports whether the caller's key is worth memory.
func (c *call) known() bool {
	keys := decision.Headers{}
	for _, name := range keyHeaders {
		keys[strings.ToLower(name)] = c.r.Header.Get(name)
	}
	return hasKey(c.r.Header) && (c.p.Keys == nil || c.p.Keys.Knows(keys))
}

var errTooLong = errors.New("the body is too long")

// readAll reads a body of at most most bytes. The announced length has been paid
// for in memory; without one the room grows with what comes.
func readAll(r io.Reader, length, most int64) ([]byte, error) {
	if length >= 0 {
		body := make([]byte, length)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(r, most+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > most {
		return nil, errTooLong
	}
	return b.Bytes(), nil
}

// remember waits until there is memory for the body. The wait is bounded: calls to
// slow providers keep theirs for long, and a caller who cannot be served should
// try elsewhere.
func (c *call) remember() bool {
	most := c.p.limits.Body
	if c.r.ContentLength >= 0 {
		most = c.r.ContentLength
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.p.limits.Memory)
	defer cancel()
	if err := c.p.Memory.Acquire(ctx, most); err != nil {
		c.p.Observe.TurnedAway(door.AwayFull)
		c.discard()
		c.overloaded()
		return false
	}
	c.memory = most
	return true
}

// keep gives back what a body of unknown length turned out not to need.
func (c *call) keep(size int64) {
	c.p.Memory.Release(c.memory - size)
	c.memory = size
}

// forget lets go of the caller's body: nobody else will be sent it.
func (c *call) forget() {
	c.p.Memory.Release(c.memory)
	c.memory, c.request.Body, c.body = 0, nil, nil
}

// discard reads what the caller is still sending. Who asks first, with Expect, has
// sent nothing.
func (c *call) discard() {
	if c.r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, c.r.Body, maxDiscarded)
	}
}
