package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

const doctorModels = `{"models":[
	{"name":"gpt-4o","dialect":"openai","deployments":["paygo","ptu"]},
	{"name":"gpt-4o-mini","dialect":"openai","deployments":["mini"]},
	{"name":"claude","dialect":"anthropic","deployments":["claude-eu"]}]}`

const canarySecret = "sbx_canary"

// clinic is a service as the doctor sees it: the operator's API, and what gateways
// are told when they ask.
type clinic struct {
	*httptest.Server
	mu       sync.Mutex
	budget   string // the canary's
	journal  map[string]bool
	n        int
	removed  bool
	revoked  bool
	sqlFails bool
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{journal: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.operator))
	t.Cleanup(c.Close)
	t.Setenv("SIGNALBOX_URL", c.URL)
	t.Setenv("SIGNALBOX_TOKEN", "sba_test")
	return c
}

var canaryName = regexp.MustCompile(`canary-[0-9a-f]{8}`)

func (c *clinic) operator(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/admin/v1/models":
		_, _ = io.WriteString(w, doctorModels)
	case "/admin/v1/apply":
		if name := canaryName.FindString(string(body)); name != "" {
			c.budget = name
		} else {
			c.removed = strings.Contains(string(body), `"prune":true`)
		}
		_, _ = io.WriteString(w, `{"applied":true,"diff":{"changes":[]}}`)
	case "/admin/v1/keys":
		_, _ = io.WriteString(w, `{"key":{"id":"key-canary"},"secret":"`+canarySecret+`"}`)
	case "/admin/v1/keys/key-canary/revoke":
		c.revoked = true
		_, _ = io.WriteString(w, `{"key":{"id":"key-canary"}}`)
	case "/admin/v1/sql":
		c.sql(w, string(body))
	}
}

func (c *clinic) sql(w http.ResponseWriter, query string) {
	if c.sqlFails {
		w.WriteHeader(503)
		_, _ = io.WriteString(w, `{"error":{"code":"analytics_missing","message":"no ClickHouse is configured"}}`)
		return
	}
	n := 0
	for id := range c.journal {
		if strings.Contains(query, "'"+id+"'") {
			fmt.Fprintf(w, `{"row":[%q,"canary","edge-1"]}`+"\n", id)
			n++
		}
	}
	fmt.Fprintf(w, `{"rows":%d}`+"\n", n)
}

// decide answers a call as a gateway does that asks us and obeys.
func (c *clinic) decide(w http.ResponseWriter, r *http.Request) {
	key := ""
	for _, name := range []string{"authorization", "x-api-key", "api-key"} {
		key += strings.TrimPrefix(r.Header.Get(name), "Bearer ")
	}
	path := r.URL.EscapedPath()
	_, judged := llm.Recognise(r.Method, path)
	switch {
	case key == "":
		c.refuse(w, 401, "key_missing")
	case key != canarySecret:
		c.refuse(w, 401, "key_unknown")
	case !judged:
		c.refuse(w, 404, "path_unknown")
	case r.Method == "GET":
		w.Header().Set("x-signalbox-decision", c.decision())
		_, _ = io.WriteString(w, `{"object":"list"}`)
	default:
		if body, _ := io.ReadAll(r.Body); len(body) == 0 {
			c.refuse(w, 400, "malformed")
			return
		}
		c.refuse(w, 402, "budget_exhausted")
	}
}

func (c *clinic) decision() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	id := fmt.Sprintf("d-%d", c.n)
	c.journal[id] = true
	return id
}

func (c *clinic) refuse(w http.ResponseWriter, status int, code string) {
	id := c.decision()
	w.Header().Set("x-signalbox-decision", id)
	w.WriteHeader(status)
	budget := ""
	if status == 402 {
		budget = c.budget
	}
	fmt.Fprintf(w, `{"error":{"code":%q,"signalbox":{"decision_id":%q,"budget":%q}}}`, code, id, budget)
}

// provider answers whatever comes, as one that takes the gateway's credential.
func provider(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("x-ratelimit-remaining-requests", "9")
	_, _ = io.WriteString(w, `{"choices":[]}`)
}

// gatewayOf is a gateway that does what a test says.
func gatewayOf(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return server.URL
}

func (c *clinic) isLeftClean(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.removed || !c.revoked {
		t.Errorf("the canary is still there: removed %t, its key revoked %t", c.removed, c.revoked)
	}
}

func TestDoctorFindsAGatewayWired(t *testing.T) {
	c := newClinic(t)
	got := typeIn("", "doctor", "--gateway", gatewayOf(t, c.decide))
	if got.exit != 0 || !strings.Contains(got.stdout, "none passed by, asked as edge-1") || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"POST /v1/chat/completions ", "POST /v1/messages ", "POST /openai/deployments/{model}/embeddings ", "GET /v1/models ", "unknown path"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("nothing is said of %s:\n%s", want, got.stdout)
		}
	}
	c.isLeftClean(t)
}

// Every call to a provider costs, and three of a kind show what a hundred would.
func TestDoctorFindsAGatewayThatDoesNotAsk(t *testing.T) {
	c := newClinic(t)
	reached := map[string]int{}
	got := typeIn("", "doctor", "--gateway", gatewayOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		reached[fmt.Sprint(r.URL.Path, strings.Contains(string(body), "stream"), r.Header)]++
		provider(w, r)
	}))
	if got.exit != 1 || !strings.Contains(got.stdout, "PASSED: these calls were answered without a decision") || strings.Contains(got.stdout, "  wired") {
		t.Errorf("%+v", got)
	}
	for what, n := range reached {
		if n > enough {
			t.Errorf("%d calls of one kind reached the provider: %s", n, what)
		}
	}
	c.isLeftClean(t)
}

// Gateways that are wired but for one thing.
func TestDoctorFindsWhatIsNotWired(t *testing.T) {
	only := func(c *clinic, is func(r *http.Request, body string) bool, other http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if is(r, string(body)) {
				other(w, r)
				return
			}
			c.decide(w, r)
		}
	}
	always := func(*http.Request, string) bool { return true }
	path := func(p string) func(*http.Request, string) bool {
		return func(r *http.Request, _ string) bool { return r.URL.Path == p }
	}
	for name, test := range map[string]struct {
		gateway func(c *clinic) http.HandlerFunc
		want    []string // in what is printed
	}{
		"a path that is not asked about": {func(c *clinic) http.HandlerFunc { return only(c, path("/v1/messages"), provider) },
			[]string{"POST /v1/messages ", "PASSED"}},
		"streams that are not asked about": {func(c *clinic) http.HandlerFunc {
			return only(c, func(_ *http.Request, body string) bool { return strings.Contains(body, `"stream":true`) }, provider)
		}, []string{"canary (stream)", "PASSED"}},
		"a model that is not asked about": {func(c *clinic) http.HandlerFunc {
			return only(c, func(_ *http.Request, body string) bool { return strings.Contains(body, `"gpt-4o-mini"`) }, provider)
		}, []string{"gpt-4o-mini ", "PASSED"}},
		"a route by a header that callers can write": {func(c *clinic) http.HandlerFunc {
			return only(c, func(r *http.Request, _ string) bool { return r.Header.Get("x-signalbox-deployment") == "paygo" }, provider)
		}, []string{"forged", "PASSED"}},
		"a path beside the judged ones": {func(c *clinic) http.HandlerFunc { return only(c, path("/v1/batches"), provider) },
			[]string{"POST /v1/batches", "unknown path", "PASSED"}},
		"a provider that refuses the caller's key": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(401)
				_, _ = io.WriteString(w, `{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}`)
			})
		}, []string{"401 invalid_api_key", "PASSED"}},
		"asked without the key": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("authorization")
				c.decide(w, r)
			})
		}, []string{"401 key_missing", "GARBLED", "allowed_headers"}},
		"asked without the body": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, r *http.Request) {
				r.Body = http.NoBody
				c.decide(w, r)
			})
		}, []string{"400 malformed", "GARBLED", "with_request_body"}},
		"asked about another path": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path, r.URL.RawPath = "/llm"+r.URL.Path, ""
				c.decide(w, r)
			})
		}, []string{"404 path_unknown", "GARBLED", "rewrites paths"}},
		"a service that does not answer": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		}, []string{"503", "UNANSWERED", "HTTP/2"}},
		"a gateway that lets nobody in": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
		}, []string{"403", "BARRED", "-H"}},
		"a header that is given back": {func(c *clinic) http.HandlerFunc {
			return only(c, func(r *http.Request, _ string) bool { return r.Header.Get("x-signalbox-decision") != "" }, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("x-signalbox-decision", r.Header.Get("x-signalbox-decision"))
				provider(w, r)
			})
		}, []string{"PASSED", "are not removed"}},
		"another key in place of the caller's": {func(c *clinic) http.HandlerFunc {
			return only(c, path("/v1/embeddings"), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("x-signalbox-decision", c.decision())
				provider(w, r)
			})
		}, []string{"PASSED", "another key in place"}},
		"a redirect": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://elsewhere.test/", http.StatusMovedPermanently)
			})
		}, []string{"301", "UNANSWERED", "redirects"}},
		"no route at all": {func(c *clinic) http.HandlerFunc {
			return only(c, always, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
		}, []string{"no route"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			got := typeIn("", "doctor", "--gateway", gatewayOf(t, test.gateway(c)))
			if got.exit != 1 {
				t.Errorf("exit %d", got.exit)
			}
			for _, want := range test.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("it does not say %q:\n%s%s", want, got.stdout, got.stderr)
				}
			}
			c.isLeftClean(t)
		})
	}
}

// A gateway may route a part of what is judged; and may drop our headers, for the
// decision stands in the body as well.
func TestDoctorTakesAGatewayAsItIs(t *testing.T) {
	c := newClinic(t)
	gateway := gatewayOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/chat/completions" {
			http.Error(w, "", 404)
			return
		}
		recorded := httptest.NewRecorder()
		c.decide(recorded, r)
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes())
	})
	if got := typeIn("", "doctor", "--gateway", gateway); got.exit != 0 || !strings.Contains(got.stdout, "no route") {
		t.Errorf("%+v", got)
	}
	var report doctorReport
	got := typeIn("", "doctor", "--gateway", gateway+"/", "--route", "/v1/chat/completions", "--route", "/own/path", "-o", "json")
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.exit != 0 || !report.Wired || got.stderr != "" {
		t.Fatalf("%v %+v", err, got)
	}
	for _, p := range report.Probes {
		if p.Path != "/v1/chat/completions" && p.Path != "/own/path" {
			t.Errorf("%s was not asked for", p.Path)
		}
	}
}

// What the journal behind --url does not know was decided elsewhere. Without SQL the
// name of the canary's budget proves as much, and the rest is said to be unproven.
func TestDoctorLooksDecisionsUp(t *testing.T) {
	c := newClinic(t)
	c.sqlFails = true
	if got := typeIn("", "doctor", "--gateway", gatewayOf(t, c.decide)); got.exit != 0 || !strings.Contains(got.stderr, "not looked up") {
		t.Errorf("without SQL: %+v", got)
	}
	seen := []*doctorSeen{
		{decision: "d-1", verdict: verdict{is: wired}},
		{decision: "d-2", verdict: verdict{is: wired}},
		{decision: "d-3", budget: "canary-0", verdict: verdict{is: wired}},
		{decision: "'; DROP", verdict: verdict{is: wired}},
	}
	c.sqlFails, c.journal = false, map[string]bool{"d-1": true}
	g := &globals{URL: c.URL, Stdout: io.Discard, Stderr: io.Discard}
	clock := newTicks()
	notes := g.lookThrough(t.Context(), &canary{budget: "canary-0"}, seen, clock)
	want := []standing{wired, stranger, wired, stranger}
	for i, s := range seen {
		if s.verdict.is != want[i] {
			t.Errorf("%s: %s; want %s", s.decision, s.verdict.is, want[i])
		}
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "1 decisions were not in the journal") {
		t.Errorf("notes %q", notes)
	}
}

// newTicks is a clock on which the journal's time is over at the second look.
func newTicks() func() time.Time {
	now := time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(journalWait)
		return now
	}
}

func TestDoctorCleansUpWhenInterrupted(t *testing.T) {
	c := newClinic(t)
	ctx, interrupt := context.WithCancel(t.Context())
	gateway := gatewayOf(t, func(w http.ResponseWriter, r *http.Request) { interrupt() })
	var out, complaints bytes.Buffer
	exit := run(ctx, []string{"doctor", "--gateway", gateway}, strings.NewReader(""), &out, &complaints)
	if exit != 1 || !strings.Contains(complaints.String(), "interrupted") {
		t.Errorf("exit %d: %s", exit, &complaints)
	}
	c.isLeftClean(t)
}

func TestDoctorCannotReachTheGateway(t *testing.T) {
	c := newClinic(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	if got := typeIn("", "doctor", "--gateway", gone.URL); got.exit != 1 || !strings.Contains(got.stderr, "cannot reach the gateway at "+gone.URL) {
		t.Errorf("%+v", got)
	}
	c.isLeftClean(t)
}

// A replica that has not heard of the key yet is asked again.
func TestDoctorWaitsForAReplica(t *testing.T) {
	c := newClinic(t)
	late := 2
	got := typeIn("", "doctor", "--route", "/v1/models", "--route", "/v1/embeddings", "--gateway", gatewayOf(t, func(w http.ResponseWriter, r *http.Request) {
		if late > 0 {
			late--
			c.refuse(w, 401, "key_unknown")
			return
		}
		c.decide(w, r)
	}))
	if got.exit != 0 || late != 0 {
		t.Errorf("%+v", got)
	}
}

func TestDoctorUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--gateway", "llm.example.com"}, {"--gateway", "https://llm.example.com/v1"}, {"--gateway", "ftp://x"},
		{"--gateway", "http://127.0.0.1:1", "-H", "nothing"}, {"extra"},
	} {
		if got := typeIn("", append([]string{"doctor"}, args...)...); got.exit != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// The lists of paths and decision/llm cannot part: what is judged is recognised, and
// what is not is unknown.
func TestDoctorKnowsThePaths(t *testing.T) {
	for _, j := range judgedPaths {
		route, ok := llm.Recognise("POST", strings.ReplaceAll(j.path, "{model}", "m"))
		if !ok || route.Dialect != j.dialect || route.Endpoint != j.endpoint {
			t.Errorf("%s: %+v %t", j.path, route, ok)
		}
	}
	for _, f := range freePaths {
		if route, ok := llm.Recognise(f.method, f.path); !ok || !route.Free {
			t.Errorf("%s %s: %+v %t", f.method, f.path, route, ok)
		}
	}
	for _, u := range unknownPaths {
		if _, ok := llm.Recognise(u.method, u.path); ok {
			t.Errorf("%s %s is judged", u.method, u.path)
		}
	}
}

func TestDoctorAsksTheService(t *testing.T) {
	newService(t, reply{200, `{"version":"1.2.3","registry_version":17}`}, reply{200, `{"version":"1.2.3"}`}, reply{401, `{}`})
	ready := reply{200, `{"status":"degraded","degraded":["registry: empty"]}`}
	ops := gatewayOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked %s", r.URL)
		}
		w.WriteHeader(ready.status)
		_, _ = io.WriteString(w, ready.body)
	})
	want := "FIELD     VALUE\nstatus    degraded\nversion   1.2.3\nregistry  17\ndegraded  registry: empty\n"
	if got := typeIn("", "doctor", "--ops", ops); got.exit != 0 || got.stdout != want {
		t.Errorf("degraded: %+v", got)
	}
	ready = reply{503, `{"status":"stopped","stopped":["journal: not reached"],"degraded":[]}`}
	if got := typeIn("", "doctor", "--ops", ops); got.exit != 1 || !strings.Contains(got.stdout, "STOPPED") {
		t.Errorf("stopped: %+v", got)
	}
	ready = reply{200, `{"status":"ready","degraded":[]}`}
	if got := typeIn("", "doctor", "--ops", ops, "-o", "json"); got.exit != 0 || !json.Valid([]byte(got.stdout)) || !strings.Contains(got.stderr, "note:") {
		t.Errorf("an operator who is not let in: %+v", got)
	}
	ready = reply{200, `hello`}
	if got := typeIn("", "doctor", "--ops", ops); got.exit != 1 {
		t.Errorf("not a service: %+v", got)
	}
}
