package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// outgoing is the request of one try: the caller's, as the answer has edited it,
// with the upstream model's name where the caller's stood.
func (c *call) outgoing(a *attempt, to door.Deployment, secret vault.Secret) (*http.Request, error) {
	parts, err := c.parts(a.deployment)
	if err != nil {
		return nil, err
	}
	trace := httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { a.reused.Store(got.Reused) },
	})
	req, err := http.NewRequestWithContext(trace, c.r.Method, to.Scheme+"://"+to.Host+door.WithBeta(to.Path, c.r.URL.RequestURI()), nil)
	if err != nil {
		return nil, fmt.Errorf("address the call: %w", err)
	}
	req.Header = toProvider(c.r.Header)
	dress(req.Header, c.answer.Dialect, a.provider, secret)
	for _, part := range parts {
		req.ContentLength += int64(len(part))
	}
	if req.ContentLength == 0 {
		a.sent.Store(true) // there is nothing to see leave
		return req, nil
	}
	// It was read as JSON in UTF-8, which is what JSON is. Under another type or charset
	// (UTF-7, in which quotes hide in letters) a server might read another body than the
	// one that was judged, held for and redacted.
	req.Header.Set("Content-Type", "application/json")
	req.Body = newOutflow(parts, a)
	// net/http asks for the body again only where it knows that nothing of the first
	// one was processed: the connection was dead before a byte was on it, or the
	// provider refused the stream.
	req.GetBody = func() (io.ReadCloser, error) { return newOutflow(parts, a), nil }
	return req, nil
}

// parts are the body in pieces, because a copy for each try would cost its size.
func (c *call) parts(d *registry.Deployment) ([][]byte, error) {
	edit, err := door.ModelEdit(d, c.route.Endpoint, c.body, c.plan.ModelSpan)
	switch {
	case err != nil:
		return nil, err
	case len(c.body) == 0:
		return nil, nil
	case edit.Text == nil:
		return [][]byte{c.body}, nil
	}
	return [][]byte{c.body[:edit.At[0]], edit.Text, c.body[edit.At[1]:]}, nil
}

// outflow is the body on its way out. It notes when the last byte leaves our hands,
// which is before it is on the wire: a call of which a provider cannot have seen
// the end cannot have been billed.
type outflow struct {
	io.Reader
	left int
	try  *attempt
}

func newOutflow(parts [][]byte, a *attempt) *outflow {
	o := &outflow{try: a}
	readers := make([]io.Reader, len(parts))
	for i, part := range parts {
		o.left += len(part)
		readers[i] = bytes.NewReader(part)
	}
	o.Reader = io.MultiReader(readers...)
	a.sent.Store(false)
	return o
}

func (o *outflow) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	if o.left -= n; o.left <= 0 {
		o.try.sent.Store(true)
	}
	return n, err
}

func (o *outflow) Close() error { return nil }

// detached is for what must be done although the caller may have gone.
func (c *call) detached() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.r.Context()), c.p.limits.Settle)
}
