package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/semaphore"

	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret    = "sk-providers-own-secret"
	callerKey = "sbx_callers-own-key"
	chat      = "/v1/chat/completions"
	messages  = "/v1/messages"
	ask       = `{"model":"gpt","messages":[{"role":"user","content":"hi"}],"stream":true}`
)

// house is a proxy with everything around it, and what they were told.
type house struct {
	t       *testing.T
	limits  proxy.Limits
	parts   proxy.Parts
	log     *lockedBuffer
	decider *decider
	settler *settler
	health  *signs
	watch   *watcher
	places  []*registry.Deployment
	secrets map[string]string

	proxy  *proxy.Proxy
	server *httptest.Server
	wire   *http.Transport // of the callers
}

// build makes a house whose call goes to these providers, in this order. change may
// change anything before it opens.
func build(t *testing.T, providers []http.HandlerFunc, change ...func(*house)) *house {
	t.Helper()
	h := &house{t: t, limits: proxy.DefaultLimits(), log: &lockedBuffer{}, decider: &decider{}, settler: &settler{told: make(chan decision.Report, 1000)},
		health: &signs{}, watch: &watcher{}, secrets: map[string]string{"key": secret}}
	for i, handler := range providers {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		h.place(server.URL+"/v1", fmt.Sprintf("d%d", i+1))
	}
	h.decider.answer = h.allow()
	h.parts = proxy.Parts{Decider: h.decider, Settler: h.settler, Credentials: h, Health: h.health, Memory: semaphore.NewWeighted(1 << 30),
		Unspoken: http.NotFoundHandler(), Observe: h.watch, Now: time.Now, Log: slog.New(slog.NewTextHandler(h.log, nil))}
	for _, c := range change {
		c(h)
	}
	h.proxy = proxy.New(h.limits, h.parts)
	h.server = httptest.NewServer(h.proxy)
	h.wire = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1000}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.proxy.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		h.server.Close()
		h.wire.CloseIdleConnections()
		if strings.Contains(h.log.String(), secret) || strings.Contains(h.log.String(), callerKey) {
			t.Errorf("the log holds a secret:\n%s", h.log.String())
		}
	})
	return h
}

// place adds a deployment.
func (h *house) place(baseURL, name string) *registry.Deployment {
	p := &registry.Provider{Name: "p-" + name, Kind: registry.ProviderOpenAI, BaseURL: baseURL, Credential: "key", OnAbort: registry.AbortSeen}
	d := &registry.Deployment{Name: name, Provider: p.Name, Model: "gpt", UpstreamModel: "up-" + name, ProviderRef: p}
	h.places = append(h.places, d)
	return d
}

func (h *house) Credential(name string) (vault.Secret, bool) {
	s, ok := h.secrets[name]
	return vault.NewSecret(s), ok
}

// allow lets every call out.
func (h *house) allow() func(decision.Request) (decision.Answer, error) {
	return func(req decision.Request) (decision.Answer, error) {
		route, _ := llm.Recognise(req.Method, req.Path)
		plan := &decision.Plan{Deployments: h.places, ModelAsked: "gpt", ReportToken: "token",
			Hold: decision.Hold{Attempts: 1, ExpiresAt: time.Now().Add(time.Minute)}, Budget: &decision.BudgetLeft{Name: "month", Left: "12.5"}}
		if at := bytes.Index(req.Body, []byte(`"model":"`)); at >= 0 {
			from := at + len(`"model":"`)
			plan.ModelSpan = [2]int{from, from + bytes.IndexByte(req.Body[from:], '"')}
		}
		return decision.Answer{DecisionID: "d-1", Dialect: route.Dialect, Plan: plan}, nil
	}
}

// altering lets every call out, after this was done to its answer.
func altering(change func(*decision.Answer)) func(*house) {
	return func(h *house) {
		allow := h.decider.answer
		h.decider.answer = func(req decision.Request) (decision.Answer, error) {
			a, err := allow(req)
			change(&a)
			return a, err
		}
	}
}

// request is a caller's call, of an SDK with a key.
func (h *house) request(path, body string, headers ...string) *http.Request {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+callerKey)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// do makes a call and returns its answer's head.
func (h *house) do(r *http.Request) *http.Response {
	h.t.Helper()
	resp, err := h.wire.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// post makes a call and reads its answer to the end; err is how the reading ended.
func (h *house) post(path, body string, headers ...string) (resp *http.Response, text string, err error) {
	h.t.Helper()
	resp = h.do(h.request(path, body, headers...))
	all, err := io.ReadAll(resp.Body)
	if strings.Contains(string(all), secret) || strings.Contains(fmt.Sprint(resp.Header), secret) {
		h.t.Errorf("the caller was shown the provider's credential: %v %s", resp.Header, all)
	}
	return resp, string(all), err
}

// report waits for what was settled.
func (h *house) report() decision.Report {
	h.t.Helper()
	select {
	case r := <-h.settler.told:
		if r.Gateway != proxy.Gateway || r.Token != "token" {
			h.t.Errorf("reported as %q with %q", r.Gateway, r.Token)
		}
		return r
	case <-time.After(20 * time.Second):
		h.t.Fatal("nothing was settled")
		return decision.Report{}
	}
}

// settledOnce fails where more was settled than the test has taken.
func (h *house) settledOnce() {
	h.t.Helper()
	select {
	case r := <-h.settler.told:
		h.t.Errorf("settled once more: %+v", r)
	default:
	}
}

type decider struct {
	mu     sync.Mutex
	asked  []decision.Request
	answer func(decision.Request) (decision.Answer, error)
}

func (d *decider) Decide(_ context.Context, req decision.Request) (decision.Answer, error) {
	d.mu.Lock()
	d.asked = append(d.asked, req)
	d.mu.Unlock()
	return d.answer(req)
}

func (d *decider) last(t *testing.T) decision.Request {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		t.Fatal("the decision was not asked")
	}
	return d.asked[len(d.asked)-1]
}

type settler struct {
	told chan decision.Report
	when func(context.Context, decision.Report) error // nil: settles
}

func (s *settler) Settle(ctx context.Context, r decision.Report) (decision.Settled, error) {
	if s.when != nil {
		if err := s.when(ctx, r); err != nil {
			return decision.Settled{}, err
		}
	}
	s.told <- r
	return decision.Settled{Settled: true}, nil
}

type signs struct {
	mu   sync.Mutex
	list []string
}

func (s *signs) Learn(deployment string, sign health.Sign) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sign.Whole {
		return // which only a real board has a use for
	}
	word := fmt.Sprint(deployment, " ", sign.Status)
	if sign.Failed {
		word += " failed"
	}
	s.list = append(s.list, word)
}

func (s *signs) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.list, ", ")
}

// watcher remembers what was observed, in a word each.
type watcher struct {
	mu    sync.Mutex
	words []string
}

func (w *watcher) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.words = append(w.words, fmt.Sprintf(format, args...))
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.words, ", ")
}

func (w *watcher) TurnedAway(why string)                            { w.add("away:%s", why) }
func (w *watcher) Tried(_ context.Context, t proxy.Try)             { w.add("%s:%s", t.Deployment, t.Outcome) }
func (w *watcher) FirstByte(context.Context, string, time.Duration) {}
func (w *watcher) Ended(_ context.Context, e proxy.Ending)          { w.add("ended:%s", e.How) }
func (w *watcher) Unsettled()                                       { w.add("unsettled") }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// The providers of these stories.

// says answers with a status and a body.
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const answerJSON = `{"id":"c","object":"chat.completion","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`

// stream writes an event stream, step by step.
type stream struct {
	w http.ResponseWriter
	r *http.Request
}

func streams(tell func(s *stream)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		s := &stream{w, r}
		s.flush()
		tell(s)
	}
}

func (s *stream) flush() { _ = http.NewResponseController(s.w).Flush() }

func (s *stream) raw(text string) error {
	_, err := io.WriteString(s.w, text)
	s.flush()
	return err
}

func (s *stream) word(word string) error {
	return s.raw(`data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"` + word + `"},"finish_reason":null}]}` + "\n\n")
}

const (
	stopChunk  = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageChunk = `data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}` + "\n\n"
	doneMark   = "data: [DONE]\n\n"
)

// ends writes the end of a chat completion's stream, its usage included.
func (s *stream) ends() { _ = s.raw(stopChunk + usageChunk + doneMark) }

// cut breaks the connection.
func cut() { panic(http.ErrAbortHandler) }
