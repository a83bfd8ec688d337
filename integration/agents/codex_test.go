package agents_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/agents"
)

// The settings of docs/use/codex.md: %[1]s is the base URL, %[2]s and %[3]s are what
// a test sets besides, at the top and for the provider.
const codexConfig = `model = "gpt-5.1-codex"
model_provider = "signalbox"
%[2]s
check_for_update_on_startup = false

[model_providers.signalbox]
name = "Signalbox"
base_url = "%[1]s/v1"
env_key = "SIGNALBOX_KEY"
wire_api = "responses"
env_http_headers = { "x-signalbox-session" = "SIGNALBOX_SESSION" }
%[3]s

[analytics]
enabled = false

[features]
plugins = false
`

// noSearch keeps Codex from asking for OpenAI's web search, as it does for models
// that it does not know.
const noSearch = `web_search = "disabled"`

// codex runs Codex with those settings.
func (w *world) codex(t *testing.T, s *scene, top, provider string, env map[string]string, args ...string) agents.Ended {
	t.Helper()
	home := filepath.Join(s.user.Home, ".codex")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config.toml"), fmt.Appendf(nil, codexConfig, s.base, top, provider), 0o644); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"SIGNALBOX_KEY": s.key}
	for name, value := range env {
		all[name] = value
	}
	ended, err := s.user.Run(ctx(t), w.kit.Codex, all, append([]string{"exec", "--skip-git-repo-check"}, args...)...)
	if err != nil {
		t.Fatalf("codex: %v\n%s", err, ended)
	}
	return ended
}

// TestCodex is the same day with Codex.
func TestCodex(t *testing.T) {
	w := newWorld(t, "0.25", "0.10")
	var scenes []*scene
	scene := func(t *testing.T, app string) *scene {
		s := w.scene(t, app)
		scenes = append(scenes, s)
		return s
	}

	t.Run("works", func(t *testing.T) {
		s := scene(t, "coding")
		s.Steer = map[string]string{"x-upstream-output": "12", "x-upstream-reasoning": "0"}
		ended := w.codex(t, s, noSearch, "", map[string]string{"SIGNALBOX_SESSION": "nightly-7"}, "Say something")
		calls := s.judged()
		if ended.Exit != 0 || len(calls) != 1 {
			t.Fatalf("%d calls: %s", len(calls), ended)
		}
		if text := streamedText(calls[0].Body, "response.output_text.delta", "delta"); text == "" || strings.TrimSpace(ended.Stdout) != text {
			t.Errorf("it says %q, and was answered %q", ended.Stdout, text)
		}
		if r := w.named(t, "coding", 1, "nightly-7"); r != (row{App: "coding", Model: "gpt-5.1-codex", Session: "nightly-7", Action: "allow"}) {
			t.Errorf("the decision: %+v", r)
		}
	})

	t.Run("says whose session it is where no header does", func(t *testing.T) {
		s := scene(t, "coding")
		ended := w.codex(t, s, "", "", nil, "--model", "gpt-6.1-sol", "Say something")
		if ended.Exit != 0 {
			t.Fatal(ended)
		}
		_, id, _ := strings.Cut(ended.Stderr, "session id: ")
		id, _, _ = strings.Cut(id, "\n")
		if r := w.named(t, "coding", 2, id); r != (row{App: "coding", Model: "gpt-6.1-sol", Session: id, Action: "allow"}) {
			t.Errorf("the decision: %+v", r)
		}
	})

	// A search costs a fee and another reading of the prompt, so the model says how
	// many there may be and the price what one costs.
	t.Run("may search the web", func(t *testing.T) {
		s := scene(t, "coding")
		s.Steer = map[string]string{"x-upstream-output": "12"}
		if ended := w.codex(t, s, `web_search = "live"`, "", nil, "Say something"); ended.Exit != 0 {
			t.Error(ended)
		}
		calls := w.provider.Calls()
		if sent := calls[len(calls)-1].Body; !strings.Contains(sent, `"type":"web_search"`) || !strings.Contains(sent, `"max_tool_calls":2`) {
			t.Errorf("the provider saw %s", sent)
		}
	})

	// With openai_base_url Codex keeps its own provider, which asks for a WebSocket
	// first, and goes on over HTTP when it is told that there is none.
	t.Run("works with its own provider", func(t *testing.T) {
		s := scene(t, "coding")
		s.Steer = map[string]string{"x-upstream-output": "12"}
		home := t.TempDir()
		config := fmt.Sprintf("model = \"gpt-6.1-sol\"\nopenai_base_url = \"%s/v1\"\ncheck_for_update_on_startup = false\n[analytics]\nenabled = false\n[features]\nplugins = false\n", s.base)
		if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		ended, err := s.user.Run(ctx(t), w.kit.Codex, map[string]string{"CODEX_HOME": home, "CODEX_API_KEY": s.key}, "exec", "--skip-git-repo-check", "Say something")
		if err != nil || ended.Exit != 0 {
			t.Fatalf("%v, %s", err, ended)
		}
		if calls := s.judged(); len(calls) != 2 || calls[0].Status != 426 || calls[1].Status != 200 {
			t.Errorf("%d requests, the first answered %d", len(calls), calls[0].Status)
		}
	})

	t.Run("uses tools, until its session has cost enough", func(t *testing.T) {
		s := scene(t, "looping")
		s.Steer = map[string]string{"x-upstream-reasoning": "0"}
		ended := w.codex(t, s, noSearch, "stream_max_retries = 0", nil, "Look around: call:exec_command")
		if ended.Exit != 1 || !strings.Contains(ended.Stderr, `402 Payment Required: budget "looping-session"`) {
			t.Errorf("it says %s", ended)
		}
		w.loopWasEnded(t, s.judged())
	})

	t.Run("is shortened where little is left", func(t *testing.T) {
		s := scene(t, "thrifty")
		s.Steer = map[string]string{"x-upstream-output": "12", "x-upstream-reasoning": "0"}
		ended := w.codex(t, s, noSearch, "", nil, "Say something")
		if rows := w.decisions(t, "thrifty", 1); ended.Exit != 0 || !rows[0].Clamped {
			t.Errorf("the decision: %+v; %s", rows[0], ended)
		}
	})

	t.Run("once an hour", func(t *testing.T) {
		s := scene(t, "hourly")
		s.Steer = map[string]string{"x-upstream-output": "12"}
		if ended := w.codex(t, s, noSearch, "", nil, "Say something"); ended.Exit != 0 {
			t.Errorf("%s", ended)
		}
	})

	// Codex takes most refusals for a stream that broke, and tries again as often
	// as stream_max_retries says; a refused attempt costs nothing.
	for _, refusal := range []struct {
		name, app, reason, provider string
		before, attempts            int // calls of the app
		sees                        string
	}{
		{"money is spent", "broke", "budget_exhausted", "stream_max_retries = 1", 0, 2, `402 Payment Required: budget "broke-month": 0 of 0.000001 usd spent`},
		{"the model is not the app's", "narrow", "model_not_allowed", "stream_max_retries = 0", 0, 1, "403 Forbidden: "},
		{"come back in an hour", "hourly", "rate_limited", "stream_max_retries = 0", 1, 1, "429 Too Many Requests"},
	} {
		t.Run(refusal.name, func(t *testing.T) {
			s := scene(t, refusal.app)
			ended := w.codex(t, s, noSearch, refusal.provider, nil, "Say something")
			if ended.Exit != 1 || !strings.Contains(ended.Stderr, refusal.sees) {
				t.Errorf("it should say %q: %s", refusal.sees, ended)
			}
			if calls := s.judged(); len(calls) != refusal.attempts {
				t.Errorf("%d attempts, not %d", len(calls), refusal.attempts)
			}
			rows := w.decisions(t, refusal.app, refusal.before+refusal.attempts)
			for _, r := range rows[refusal.before:] {
				if r.Action != "deny" || r.Reason != refusal.reason {
					t.Errorf("the decision: %+v", r)
				}
			}
		})
	}

	t.Run("nothing else is needed", func(t *testing.T) {
		if asked := w.border.Asked(); len(asked) > 0 {
			t.Errorf("it wanted to reach %q", asked)
		}
		w.noSecretCrossed(t, scenes...)
	})
}
