package main

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// tally counts what applications saw in one act.
type tally struct {
	mu          sync.Mutex
	calls       map[string]int // answered, by how they were asked
	refusals    map[string]int
	deployments map[string]int
	retries     int // of the SDKs' own
	leaked      int // answers with what is none of the caller's business
	took        []time.Duration
}

func newTally() *tally {
	return &tally{calls: map[string]int{}, refusals: map[string]int{}, deployments: map[string]int{}}
}

// private are headers by which a provider speaks to its customer, who is not the caller.
var private = []string{"Set-Cookie", "Openai-Organization", "Anthropic-Organization-Id", "X-Ratelimit-Remaining-Requests", "Anthropic-Ratelimit-Requests-Remaining"}

// sent notes one request of an SDK's and its answer; an SDK may make several for a call.
func (t *tally) sent(req *http.Request, resp *http.Response) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if again := req.Header.Get("X-Stainless-Retry-Count"); again != "" && again != "0" {
		t.retries++
	}
	if slices.ContainsFunc(private, func(name string) bool { return resp.Header.Get(name) != "" }) {
		t.leaked++
	}
	if resp.StatusCode == http.StatusOK {
		t.deployments[resp.Header.Get("X-Signalbox-Deployment")]++
	}
}

func (t *tally) answered(a ask, r reply, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, took)
	if r.code != "" {
		t.refusals[r.code]++
		return
	}
	kind := "OpenAI"
	if strings.HasPrefix(a.model, "claude") {
		kind = "Anthropic"
	}
	t.calls[kind]++
	if a.stream {
		t.calls["streamed"]++
	}
	if r.tool != "" {
		t.calls["tool calls"]++
	}
}

func (t *tally) allowed() int { return t.calls["OpenAI"] + t.calls["Anthropic"] }

// bill is the provider's side: what it charged, and what it saw of keys.
type bill struct {
	mu     sync.Mutex
	calls  int
	nano   int64
	strays int // calls with a caller's key, or without the provider's credential
}

// note is told of every call that reached the provider.
func (b *bill) note(c upstream.Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.nano += sold[c.Model].of(c.Usage)
	if c.Status == http.StatusUnauthorized {
		b.strays++
		return
	}
	for _, values := range c.Header {
		if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "sbx_") }) {
			b.strays++
			return
		}
	}
}

func (b *bill) sum() (calls int, nano int64, strays int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls, b.nano, b.strays
}
