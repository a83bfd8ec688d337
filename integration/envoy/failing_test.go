package envoy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// Signalbox stands still, ends, and comes back. While it cannot decide, callers get
// 503 in their dialect, with when to come again, and no provider is reached; when it
// can again, Envoy needs nobody to tell it so; and what was refused meanwhile stands
// in the audit, as far as Envoy could tell.
func TestWhileNobodyDecides(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			l := start(t, rig.Config{}, "gpt", "claude")
			front := envoytest.Before(t, l.Box, []string{"--mode", mode, "--timeout", "4s"}, alphaKey, betaKey)
			l.allAnswered(t, front)

			if err := l.Pause(); err != nil {
				t.Fatal(err)
			}
			l.refusedByEnvoy(t, front)
			if err := l.Resume(); err != nil {
				t.Fatal(err)
			}
			l.answeredAgain(t, front)
			l.undecided(t, "deny", len(l.models))

			if err := l.Kill(); err != nil {
				t.Fatal(err)
			}
			l.refusedByEnvoy(t, front)
			if err := l.Start(ctx(t)); err != nil {
				t.Fatal(err)
			}
			l.answeredAgain(t, front)

			// Asked to end, it answers what is in flight: nothing of it is lost.
			if err := l.Stop(); err != nil {
				t.Fatal(err)
			}
			l.refusedByEnvoy(t, front)
			if err := l.Start(ctx(t)); err != nil {
				t.Fatal(err)
			}
			l.answeredAgain(t, front)
		})
	}
}

// allAnswered asks once in each dialect.
func (l *lab) allAnswered(t *testing.T, front *envoytest.Front) {
	t.Helper()
	for _, model := range l.models {
		l.mustAsk(t, front.URL(), call{model: model})
	}
}

// answeredAgain: without anybody's doing, and soon.
func (l *lab) answeredAgain(t *testing.T, front *envoytest.Front) {
	t.Helper()
	rigtest.Eventually(t, "calls are answered again", func() error {
		for _, model := range l.models {
			a, err := l.ask(ctx(t), front.URL(), call{model: model})
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("%d %s", a.status, a.body)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// refusedByEnvoy asks once in each dialect, and wants an answer that the SDKs of it
// understand, and nobody behind it called.
func (l *lab) refusedByEnvoy(t *testing.T, front *envoytest.Front) {
	t.Helper()
	before := len(l.alpha.Calls()) + len(l.beta.Calls())
	var asked sync.WaitGroup
	for _, model := range l.models {
		asked.Go(func() { // at once: each waits for Envoy to lose its patience
			a, err := l.ask(ctx(t), front.URL(), call{model: model})
			if err != nil {
				t.Errorf("%s: %v", model, err)
				return
			}
			inDialect(t, model, a)
		})
	}
	asked.Wait()
	if now := len(l.alpha.Calls()) + len(l.beta.Calls()); now != before {
		t.Errorf("%d calls that nobody decided reached a provider", now-before)
	}
}

func inDialect(t *testing.T, model string, a answer) {
	t.Helper()
	var body struct {
		Type  string
		Error struct{ Type, Code, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Error.Message == "" {
		t.Errorf("%s: the body is %q (%v)", model, a.body, err)
	}
	if strings.HasPrefix(model, "claude") != (body.Type == "error") {
		t.Errorf("%s: the body is in another dialect: %s", model, a.body)
	}
	if strings.HasPrefix(model, "gpt") && body.Error.Code != string(decision.NotDecided) {
		t.Errorf("%s: the code is %q; want %s", model, body.Error.Code, decision.NotDecided)
	}
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Errorf("%s: %d %v; want 503 and when to come again", model, a.status, a.header)
	}
}

// undecided waits until the audit has so many calls that nobody decided, which were
// let through, or refused.
func (l *lab) undecided(t *testing.T, action string, calls int) {
	t.Helper()
	rigtest.Eventually(t, "the audit shows what nobody decided", func() error {
		rows, err := l.SQL(ctx(t), "SELECT action, gateway, reasons.message AS why FROM decisions WHERE has(`reasons.code`, 'undecided')")
		if err != nil {
			return err
		}
		n := 0
		for _, row := range rows {
			if row["action"] == action && row["gateway"] == envoytest.Gateway {
				n++
			}
		}
		if n < calls {
			return fmt.Errorf("%d of %d: %v", n, calls, rows)
		}
		return nil
	})
}
