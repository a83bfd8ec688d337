package conformance_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// reply is what a caller reads.
type reply struct {
	status int
	header http.Header
	body   string
	cut    bool // it broke off
	left   bool // because nobody reads it any more
}

func (r *reply) decision() string { return r.header.Get("X-Signalbox-Decision") }

// request is one request as it is sent.
type request struct {
	method, url string
	header      map[string]string
	body        string
	leaves      int // whoever sends it hangs up after so many bytes of the answer; 0: never
}

// exchange sends a request and reads its answer. Nothing is followed, and nothing is
// added.
func (w *world) exchange(t *testing.T, q request) *reply {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "conformance")
	resp, err := w.HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	from := io.Reader(resp.Body)
	if q.leaves > 0 {
		from = io.LimitReader(from, int64(q.leaves))
	}
	raw, err := io.ReadAll(from)
	left := q.leaves > 0 && len(raw) == q.leaves
	return &reply{status: resp.StatusCode, header: resp.Header, body: string(raw), cut: err != nil || left, left: left}
}

// keyHeaders are where callers put their keys; none of them goes on.
var keyHeaders = []string{"authorization", "x-api-key", "api-key", "ocp-apim-subscription-key"}

// credential is what a gateway shows a provider: its own.
func credential(deployment string) (name, value string) {
	switch {
	case strings.HasPrefix(deployment, "claude"):
		return "x-api-key", anthropicCredential
	case strings.HasPrefix(deployment, "azure"), strings.HasPrefix(deployment, "second"):
		return "api-key", azureCredential
	}
	return "authorization", "Bearer " + openaiCredential
}

// tried is a deployment and what it answered.
type tried struct {
	deployment string
	*reply
}

// send sends a call to a deployment, with the credential that it wants.
func (w *world) send(t *testing.T, deployment, path string, c *call, header map[string]string, body string) tried {
	t.Helper()
	out := maps.Clone(header)
	name, value := credential(deployment)
	out[name] = value
	return tried{deployment, w.exchange(t, request{c.method, "http://" + w.address + path, out, body, c.Leaves})}
}

// another reports whether the next deployment is asked after this answer.
func another(status int) bool {
	return status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented
}

// follow reads an answer as a gateway does that is written in Go, and leaves what its
// caller may see.
func (r *reply) follow(route llm.Route, hide bool) *follow.Answer {
	a := follow.New(follow.Asked{Dialect: route.Dialect, Endpoint: route.Endpoint, HideUsage: hide}, r.status, r.header.Get("Content-Type"), "")
	var shown bytes.Buffer
	shown.Write(a.Write([]byte(r.body)))
	if !r.cut {
		a.EOF()
	}
	shown.Write(a.Release())
	shown.Write(a.Release())
	r.body = shown.String()
	return a
}

func routeOf(c *call) llm.Route {
	route, _ := llm.Recognise(c.method, c.path)
	return route
}

// traits are what a gateway cannot do.
type traits struct {
	fixed  bool // it sends bodies on as they are
	alone  bool // its routes are somebody's own: one place is tried
	logged bool // it tells what was used by its access log alone
}

// way is one way to ask: a door, and the gateway before it.
type way interface {
	name() string
	traits() traits
	// open makes it ready for the calls of a box.
	open(t *testing.T, w *world)
	// take takes one call through, and settles it.
	take(ctx context.Context, t *testing.T, c *call) *reply
}
