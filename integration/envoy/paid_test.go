package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// twice is a policy by which holds pay for two tries that may each be billed.
const twice = "package signalbox.decision.custom\n\nattempts contains 2\n"

// startPaid runs a lab with three deployments of gpt, and holds that pay for two tries.
// Where provider is an address, all of them are there.
func startPaid(t *testing.T, provider string) *lab {
	t.Helper()
	policies := t.TempDir()
	if err := os.WriteFile(filepath.Join(policies, "twice.rego"), []byte(twice), 0o600); err != nil {
		t.Fatal(err)
	}
	l := start(t, rig.Config{Extra: fmt.Sprintf("policy: {dir: %s}\n", policies), Env: []string{"SIGNALBOX_ENVOY_TRY_TIMEOUT=1s"}}, "gpt")
	world := strings.Replace(l.world(""), "prices:\n", `  - {name: gpt-gamma, provider: beta, model: gpt, upstream_model: gpt-at-gamma, kind: paygo}
prices:
  - {deployment: gpt-gamma, from: 2024-01-01T00:00:00Z, input: "2.50", output: "10.00"}
`, 1)
	if provider != "" {
		world = strings.NewReplacer(l.alpha.addr, provider, l.beta.addr, provider).Replace(world)
	}
	if err := l.Apply(ctx(t), world); err != nil {
		t.Fatal(err)
	}
	return l
}

// reached is how many calls have reached a provider.
func (l *lab) reached() int { return len(l.alpha.Calls()) + len(l.beta.Calls()) }

// Each provider cuts its connection when it has the whole request, which it may bill. As
// many of them are tried as the hold pays for, and not one more although there is one;
// and that is what is charged.
func TestNoMoreTriesThanAreHeldFor(t *testing.T) {
	l := startPaid(t, "")
	for i, mode := range modes {
		front := envoytest.Before(t, l.Box, []string{"--mode", mode, "--node", mode}, alphaKey, betaKey)
		before := l.reached()
		a, err := l.ask(ctx(t), front.URL(), call{model: "gpt", steer: []string{upstream.HeaderCut, "0"}})
		if err != nil || a.status < 500 {
			t.Errorf("%s: %d %s, %v", mode, a.status, a.body, err)
		}
		if n := l.reached() - before; n != 2 {
			t.Errorf("%s: %d providers had the call; want the two that are paid for", mode, n)
		}
		l.chargedForTwo(t, mode, i+1)
	}
}

// The caller hangs up while the second try is at work, and the first was given up as too
// slow: both may be billed.
func TestACallerHangsUpInTheSecondTry(t *testing.T) {
	asked := make(chan struct{}, 16)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // who has gone is noticed behind the body
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	l := startPaid(t, silent.Listener.Addr().String())
	for i, mode := range modes {
		front := envoytest.Before(t, l.Box, []string{"--mode", mode, "--node", mode}, alphaKey, betaKey)
		leaving, leave := context.WithCancel(ctx(t))
		left := make(chan error, 1)
		go func() {
			_, err := l.ask(leaving, front.URL(), call{model: "gpt"})
			left <- err
		}()
		<-asked
		<-asked
		leave()
		if err := <-left; err == nil {
			t.Errorf("%s: an answer came", mode)
		}
		l.chargedForTwo(t, mode, i+1)
	}
}

// chargedForTwo waits until so many calls are settled: each at what was held, for two
// tries.
func (l *lab) chargedForTwo(t *testing.T, mode string, calls int) {
	t.Helper()
	rows, held := l.settled(t, calls), map[string]int64{}
	rigtest.Eventually(t, "the decisions are written down", func() error {
		if held = l.held(t); len(held) < calls {
			return fmt.Errorf("%d of %d are", len(held), calls)
		}
		return nil
	})
	for id, tries := range rows {
		var charged, billed int64
		for _, try := range tries {
			if charged += try.charged; try.charged > 0 {
				billed++
			}
		}
		// Each try is rounded up by itself, and there is a nano-dollar for that.
		if most := held[id]; billed != 2 || charged > most || charged < most-1 {
			t.Errorf("%s: charged %d of %d held: %+v", mode, charged, most, tries)
		}
	}
}
