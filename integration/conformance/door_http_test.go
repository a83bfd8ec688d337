package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// asker is a gateway that asks before a call and reports after it, as the contract has
// it. How it asks is all that the two doors of that kind differ in.
type asker struct {
	called string
	via    func(t *testing.T, w *world) asking
	w      *world
	asking
}

type asking interface {
	decide(ctx context.Context, t *testing.T, c *call, body string, complete bool) *door.Answer
	report(ctx context.Context, t *testing.T, r *door.Report)
}

func (g *asker) name() string { return g.called }

func (g *asker) traits() traits { return traits{} }

func (g *asker) open(t *testing.T, w *world) { g.w, g.asking = w, g.via(t, w) }

func (g *asker) take(ctx context.Context, t *testing.T, c *call) *reply {
	t.Helper()
	// A gateway keeps as much of a body as is judged, and says so when that is not all.
	kept := c.body[:min(len(c.body), largest)]
	a := g.decide(ctx, t, c, kept, len(kept) == len(c.body))
	if a.Response != nil {
		r := &reply{status: a.Response.Status, header: http.Header{}, body: string(a.Response.Bytes())}
		r.add(a.Response.Headers)
		r.add(a.CallerHeaders)
		return r
	}
	tries := g.send(t, c, a)
	last := tries[len(tries)-1]
	if a.ReportToken != "" {
		g.report(ctx, t, reportOf(c, a, tries))
	}
	r := last.reply
	r.add(a.CallerHeaders)
	return r
}

// send asks one deployment after the other, each by its own path and its own name for
// the model.
func (g *asker) send(t *testing.T, c *call, a *door.Answer) (tries []tried) {
	t.Helper()
	body, span := c.body, a.ModelSpan
	if a.Request != nil {
		body, span = string(a.Request.Bytes()), a.Request.ModelSpan
	}
	header := maps.Clone(c.header)
	maps.DeleteFunc(header, func(name, _ string) bool {
		return strings.HasPrefix(name, "x-signalbox-") || slices.Contains(keyHeaders, name)
	})
	if routeOf(c).Dialect == llm.Anthropic && header["anthropic-version"] == "" {
		header["anthropic-version"] = "2023-06-01"
	}
	for _, d := range a.Deployments {
		named := body
		if span != nil {
			named = body[:span[0]] + d.UpstreamModel + body[span[1]:]
		}
		tries = append(tries, g.w.send(t, d.Name, g.path(c, d.Path), c, header, named))
		if !another(tries[len(tries)-1].status) {
			break
		}
	}
	return tries
}

// path is the deployment's, with the one word of a caller's query that its provider must
// see.
func (g *asker) path(c *call, path string) string {
	if routeOf(c).Dialect == llm.Anthropic && strings.Contains(c.path, "beta=true") {
		path += "?beta=true"
	}
	return path
}

// reportOf is what a gateway says of a call when it is over.
func reportOf(c *call, a *door.Answer, tries []tried) *door.Report {
	last := tries[len(tries)-1]
	r := &door.Report{ReportToken: a.ReportToken, Deployment: last.deployment, Status: int64(last.status), Outcome: "completed", LatencyMS: 1}
	for _, t := range tries[:len(tries)-1] {
		r.Attempts = append(r.Attempts, door.Attempt{Deployment: t.deployment, Status: int64(t.status), Outcome: "failed"})
	}
	if last.status >= 400 {
		r.Outcome = "failed"
		return r
	}
	read := last.follow(routeOf(c), slices.Contains(a.Changes, "usage_requested"))
	switch {
	case read.Failed():
		r.Outcome = "failed"
	case last.cut || !read.Complete():
		r.Outcome = "aborted"
	}
	r.Source = "body"
	if tokens, tier, known := read.Usage(); known {
		r.Usage, r.ServiceTier = usageOf(tokens), tier
	} else if seen, _ := read.Seen(); r.Outcome != "completed" && seen >= 0 {
		r.SeenOutputTokens = &seen
	}
	return r
}

func usageOf(t journal.Tokens) *door.Usage {
	return &door.Usage{InputTokens: t.Input, CachedInputTokens: t.Cached, CacheWriteTokens: t.CacheWrite, CacheWriteLongTokens: t.CacheWriteLong,
		OutputTokens: t.Output, ReasoningTokens: t.Reasoning, Other: t.Other}
}

func (r *reply) add(headers map[string]string) {
	for name, value := range headers {
		r.header.Set(name, value)
	}
}

// overHTTP asks POST /v1/decide.
type overHTTP struct{ w *world }

func throughHTTP(_ *testing.T, w *world) asking { return overHTTP{w} }

func (h overHTTP) decide(_ context.Context, t *testing.T, c *call, body string, complete bool) *door.Answer {
	t.Helper()
	request := map[string]any{"method": c.method, "path": c.path, "headers": c.header, "body_complete": complete}
	if utf8.ValidString(body) {
		request["body"] = body
	} else {
		request["body_base64"] = []byte(body)
	}
	var a door.Answer
	h.post(t, "/v1/decide", map[string]any{"request": request}, &a)
	return &a
}

func (h overHTTP) report(_ context.Context, t *testing.T, r *door.Report) {
	t.Helper()
	m := map[string]any{"report_token": r.ReportToken, "outcome": r.Outcome, "status": r.Status, "deployment": r.Deployment, "latency_ms": r.LatencyMS}
	if len(r.Attempts) > 0 {
		m["attempts"] = r.Attempts
	}
	if r.Usage != nil {
		m["usage"], m["service_tier"] = r.Usage, r.ServiceTier
	}
	if r.Source != "" {
		m["source"] = r.Source
	}
	if r.SeenOutputTokens != nil {
		m["seen_output_tokens"] = *r.SeenOutputTokens
	}
	var receipt door.Receipt
	h.post(t, "/v1/report", m, &receipt)
	if !receipt.Settled || receipt.Repeated {
		t.Errorf("the report was taken as %+v", receipt)
	}
}

func (h overHTTP) post(t *testing.T, path string, message, into any) {
	t.Helper()
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(message); err != nil {
		t.Fatal(err)
	}
	r := h.w.exchange(t, request{method: http.MethodPost, url: h.w.URL() + path, header: map[string]string{"content-type": "application/json"}, body: body.String()})
	if r.status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), into); err != nil {
		t.Fatalf("%s answered what is not its contract: %v: %s", path, err, r.body)
	}
}

// byProxy sends the call to the proxy, which does all the rest.
type byProxy struct{ w *world }

func (*byProxy) name() string { return "proxy" }

func (*byProxy) traits() traits { return traits{} }

func (p *byProxy) open(_ *testing.T, w *world) { p.w = w }

func (p *byProxy) take(_ context.Context, t *testing.T, c *call) *reply {
	t.Helper()
	return p.w.exchange(t, request{c.method, p.w.URL() + c.path, c.header, c.body, c.Leaves})
}
