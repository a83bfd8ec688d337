package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// respond writes an answer of ours, whole.
func (c *call) respond(r *door.Response) {
	for name, value := range r.Headers {
		c.w.Header().Set(name, value)
	}
	for name, value := range c.told.CallerHeaders {
		c.w.Header().Set(name, value)
	}
	c.reply(r.Status, r.Bytes())
}

// reply sends a whole body, within the time a caller may take.
func (c *call) reply(status int, body []byte) {
	c.hurry()
	c.answered = true
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	// A write fails when the caller has gone, and then there is nobody to tell.
	_, _ = c.w.Write(body)
}

// hurry gives the caller so long to take what is written from now on.
func (c *call) hurry() { _ = c.rc.SetWriteDeadline(time.Now().Add(c.p.limits.Write)) }

// refuseAs answers with a failure of ours.
func (c *call) refuseAs(f door.Failed) {
	r := door.Failure(f)
	c.respond(&r)
}

// refuse answers what the decision is not asked about, or has not answered.
func (c *call) refuse(status int, code, message string) {
	c.refuseAs(door.Failed{Dialect: c.dialect(), DecisionID: c.answer.DecisionID, Status: status, Code: code, Message: message})
}

func (c *call) dialect() llm.Dialect {
	if c.answer.Dialect != "" {
		return c.answer.Dialect
	}
	return c.route.Dialect
}

// overloaded turns a call away before anything is decided, and writes nothing
// down: a journal that had to note each would only be slower.
func (c *call) overloaded() {
	c.refuseAs(door.Failed{Dialect: c.dialect(), Status: http.StatusServiceUnavailable, Code: door.Overloaded, RetryAfter: soon,
		Message: "too much is asked at once, or this process is about to end; try again"})
}

// plainly sends a caller who asks for a WebSocket back to plain HTTP, where each
// call is decided by itself. At 426 clients turn round at once; at 404 they first
// try again for seconds. Nothing was asked for yet, so there is nothing to decide.
func (c *call) plainly() {
	c.w.Header().Set("Upgrade", "HTTP/1.1")
	c.w.Header().Set("Connection", "Upgrade")
	c.refuse(http.StatusUpgradeRequired, string(decision.PathUnknown), "no WebSocket is spoken here; send the call by POST")
}

// nowhere answers a path that a rule lets through unjudged. A gateway knows where
// such a path goes; we know providers by their models alone. It is no 501, which
// SDKs would try again.
func (c *call) nowhere() {
	c.refuse(http.StatusNotFound, string(decision.PathUnknown),
		"this path is let through unjudged, and the proxy does not know which provider it is for; call that provider through a gateway")
}

// undecided answers when there is no decision.
func (c *call) undecided(err error) {
	switch p := door.FromDecide(&c.request, err); {
	case c.r.Context().Err() != nil:
		c.abort()
	case p.Answer != nil && p.Answer.Response != nil:
		c.logUndecided(p)
		c.respond(p.Answer.Response)
	default:
		c.logUndecided(p)
		c.refuse(http.StatusInternalServerError, "internal", "something broke here; the operators' log says what")
	}
}

func (c *call) logUndecided(p *door.Problem) {
	if c.p.seldom.May("no decision") {
		c.p.Log.ErrorContext(c.r.Context(), "no decision could be made", "cause", p.Cause)
	}
}

// abort cuts the connection. It does not return. A caller who has gone may still be
// reading, and must not find an end that looks like one.
func (c *call) abort() { panic(http.ErrAbortHandler) }
