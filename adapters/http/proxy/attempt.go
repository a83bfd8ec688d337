package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// errSlow: the provider took longer than it may, for its headers or between two
// bytes.
var errSlow = errors.New("the provider did not answer in time")

// attempt is one try at one deployment.
type attempt struct {
	deployment *registry.Deployment
	provider   *registry.Provider
	secret     string // never to be seen in what goes to the caller
	at         time.Time
	firstByte  time.Time

	ctx    context.Context
	cancel context.CancelCauseFunc
	alarm  *time.Timer // cancels when the provider is silent for too long

	sent     atomic.Bool // the whole request has left our hands
	reused   atomic.Bool // over a connection that had served before
	document atomic.Bool // the answer has begun, and it is no stream

	resp     *http.Response // nil: none came
	rejected *rejection     // the answer, read, when it is none that may be relayed
	err      error          // why no answer came
}

// rejection is a provider's answer that is not what the caller asked for.
type rejection struct {
	deployment string
	status     int
	header     http.Header
	body       []byte // nil: it could not be read, or must not be shown
	secret     string
}

// try makes one try, as far as the provider's headers. The caller of try ends it
// by done.
func (c *call) try(d *registry.Deployment, to door.Deployment, secret vault.Secret) *attempt {
	a := &attempt{deployment: d, provider: d.ProviderRef, secret: secret.Reveal(), at: c.p.Now()}
	a.ctx, a.cancel = context.WithCancelCause(c.ctx)
	a.alarm = time.AfterFunc(c.p.limits.FirstByte, func() { a.cancel(errSlow) })
	if !c.begins(a) {
		a.err = errGone
		return a
	}
	// Once more over a new connection where the first had been idle for too long and
	// died before the request was on it; that is no fault of the deployment's.
	for range 2 {
		a.resp, a.err = c.once(a, to, secret)
		if a.err != nil && closedIdle(a.err) {
			a.sent.Store(false)
		}
		if a.err == nil || a.sent.Load() || !a.reused.Load() || a.ctx.Err() != nil {
			break
		}
	}
	a.alarm.Stop()
	switch {
	case a.err != nil:
		a.err = a.why(a.err)
	case a.resp.StatusCode < 200 || a.resp.StatusCode > 299:
		a.rejected = a.readRejection()
	}
	c.learn(a)
	return a
}

// closedIdle reports whether the provider had closed the connection before our
// request was put on it: net/http says so only where no answer was waited for when
// the end came. It has no name for that error; were its words to change, such a call
// would count as one that may have been billed, as any other that breaks off does.
func closedIdle(err error) bool { return err.Error() == "http: server closed idle connection" }

func (c *call) once(a *attempt, to door.Deployment, secret vault.Secret) (*http.Response, error) {
	a.reused.Store(false)
	transport, err := c.p.transports.of(a.provider)
	if err != nil {
		return nil, err
	}
	req, err := c.outgoing(a, to, secret)
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(req) // and not a Client, which would follow redirects
}

// learn tells the board of health what the try showed. That the caller left or
// that we stop shows nothing.
func (c *call) learn(a *attempt) {
	switch {
	case a.resp != nil:
		c.p.Health.Learn(a.deployment.Name, door.Shown(a.resp.StatusCode, a.resp.Header, a.at))
	case !ours(a.err):
		c.p.Health.Learn(a.deployment.Name, health.Sign{Failed: true, Began: a.at})
	}
}

// ours reports whether a try ended for a reason that lies with us or the caller.
func ours(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, errDrained) || errors.Is(err, door.ErrStopping)
}

// why is the reason behind an error of the connection: our own, where we ended it.
func (a *attempt) why(err error) error {
	if cause := context.Cause(a.ctx); cause != nil {
		return cause
	}
	return err
}

// readRejection reads an answer that is an error, so that another deployment's can
// take its place, and so that the connection can be used again. What holds the
// credential is forgotten: some servers echo what they were sent.
func (a *attempt) readRejection() *rejection {
	r := &rejection{deployment: a.deployment.Name, status: a.resp.StatusCode, header: a.resp.Header, secret: a.secret}
	if r.status < 200 {
		// Who goes on in another protocol sends no body that ends, and net/http lets
		// none of our deadlines end the reading of one.
		return r
	}
	a.alarm.Reset(rejectionTime)
	defer a.alarm.Stop()
	body, err := io.ReadAll(io.LimitReader(a.resp.Body, maxRejection+1))
	if err == nil && len(body) <= maxRejection && (a.secret == "" || !bytes.Contains(body, []byte(a.secret))) {
		r.body = body
	}
	return r
}

// read reads the next bytes of the answer. The provider's silence is measured only
// while we wait for it, not while a slow caller makes it wait.
func (a *attempt) read(c *call, into []byte) (int, error) {
	a.alarm.Reset(c.p.limits.Idle)
	n, err := a.resp.Body.Read(into)
	a.alarm.Stop()
	if n > 0 && a.firstByte.IsZero() {
		a.firstByte = c.p.Now()
		c.p.Observe.FirstByte(c.ctx, a.provider.Name, a.firstByte.Sub(a.at))
	}
	if err != nil && err != io.EOF {
		err = a.why(err)
	}
	return n, err
}

// done lets go of the connection.
func (a *attempt) done() {
	a.alarm.Stop()
	if a.resp != nil {
		_ = a.resp.Body.Close()
	}
	a.cancel(nil)
}
