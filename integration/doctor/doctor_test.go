// Package doctor_test takes the doctor to gateways: the proxy, which is wired, a
// provider, which asks nobody, and one that is wired by half.
package doctor_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

// world has a deployment that costs no money: a budget of zero dollars would let it
// through.
const world = `
tenants: [{name: acme}]
providers:
  - {name: openai, kind: openai, base_url: "{{.}}/v1", credential: openai, allow_private: true}
  - {name: anthropic, kind: anthropic, base_url: "{{.}}", credential: anthropic, allow_private: true}
models:
  - {name: gpt-4o, dialect: openai, context: 128000, max_output: 16384}
  - {name: claude, dialect: anthropic, context: 200000, max_output: 64000, default_max_output: 1024}
deployments:
  - {name: ptu, provider: openai, model: gpt-4o, upstream_model: gpt-4o, kind: provisioned, region: eu, capacity: {unit: tokens, amount: "300000", window: {rolling: 1m}}, hourly_usd: "98"}
  - {name: claude-eu, provider: anthropic, model: claude, upstream_model: claude, kind: paygo, region: eu}
prices: [{deployment: claude-eu, from: 2026-01-01T00:00:00Z, input: "3", output: "15"}]
`

// ward is a running service with a provider behind its proxy.
type ward struct {
	box      *rig.Box
	provider *upstream.Provider
	url      string // the provider's
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{provider: &upstream.Provider{}}
	server := httptest.NewServer(w.provider)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.box = rigtest.Start(t, rig.Config{Env: []string{"SIGNALBOX_CREDENTIAL_OPENAI=sk-one", "SIGNALBOX_CREDENTIAL_ANTHROPIC=sk-ant-one"}},
		strings.ReplaceAll(world, "{{.}}", server.URL))
	return w
}

func (w *ward) doctor(t *testing.T, gateway string, args ...string) rig.Done {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	done, err := w.box.Command(ctx, append([]string{"doctor", "--gateway", gateway}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	w.isLeftClean(t)
	return done
}

// isLeftClean holds after every doctor: no app, no budget and no key that works.
func (w *ward) isLeftClean(t *testing.T) {
	t.Helper()
	keys, err := w.box.Run(t.Context(), "keys", "list")
	if err != nil || strings.Contains(keys, "active") || strings.Contains(keys, "expiring") {
		t.Errorf("a key is left (%v):\n%s", err, keys)
	}
	rows, err := w.box.Budgets(t.Context(), "")
	for _, b := range rows {
		if b.Tenant == "signalbox-doctor" {
			t.Errorf("budget %s is left (%v)", b.Budget, err)
		}
	}
}

// The proxy is a gateway that asks: nothing reaches the provider.
func TestTheProxyIsWired(t *testing.T) {
	w := newWard(t)
	done := w.doctor(t, w.box.URL())
	if done.Exit != 0 || !strings.Contains(done.Stdout, "none passed by") || done.Stderr != "" {
		t.Errorf("%+v", done)
	}
	if calls := w.provider.Calls(); len(calls) != 0 {
		t.Errorf("the provider saw %d calls", len(calls))
	}
}

// A gateway that asks nobody is red everywhere, and the provider has not seen more
// calls than show it.
func TestAProviderIsNot(t *testing.T) {
	w := newWard(t)
	done := w.doctor(t, w.url)
	if done.Exit != 1 || strings.Contains(done.Stdout, "  wired") || !strings.Contains(done.Stdout, "PASSED") {
		t.Errorf("%+v", done)
	}
}

// One route that was forgotten is found, and named.
func TestARouteThatWasForgotten(t *testing.T) {
	w := newWard(t)
	to := func(address string) *httputil.ReverseProxy {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return httputil.NewSingleHostReverseProxy(u)
	}
	asks, forgets := to(w.box.URL()), to(w.url)
	gateway := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Host = ""
		if r.URL.Path == "/v1/messages" {
			forgets.ServeHTTP(rw, r)
			return
		}
		asks.ServeHTTP(rw, r)
	}))
	t.Cleanup(gateway.Close)
	done := w.doctor(t, gateway.URL)
	if done.Exit != 1 {
		t.Errorf("exit %d", done.Exit)
	}
	for _, line := range strings.Split(done.Stdout, "\n") {
		if forgotten := strings.HasPrefix(line, "POST /v1/messages "); forgotten != strings.HasSuffix(line, "PASSED") {
			t.Errorf("it says %q", line)
		}
	}
	if done := w.doctor(t, gateway.URL, "--route", "/v1/chat/completions"); done.Exit != 0 {
		t.Errorf("the route that is wired: %+v", done)
	}
}

// Another Signalbox refuses as well, but nobody finds its decisions in this journal.
func TestAnotherSignalboxIsAStranger(t *testing.T) {
	w, other := newWard(t), newWard(t)
	done := w.doctor(t, other.box.URL(), "--route", "/v1/chat/completions")
	if done.Exit != 1 || !strings.Contains(done.Stdout, "STRANGER: ") || strings.Contains(done.Stdout, "  wired") {
		t.Errorf("%+v", done)
	}
}
