package agents_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/agents"
)

// claude runs Claude Code with the settings of docs/use/claude-code.md.
func (w *world) claude(t *testing.T, s *scene, more map[string]string, args ...string) agents.Ended {
	t.Helper()
	env := map[string]string{
		"ANTHROPIC_BASE_URL": s.base, "ANTHROPIC_AUTH_TOKEN": s.key, "ANTHROPIC_MODEL": "claude-opus-5-5",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
	}
	for name, value := range more {
		env[name] = value
	}
	ended, err := s.user.Run(ctx(t), w.kit.Claude, env, append([]string{"-p"}, args...)...)
	if err != nil {
		t.Fatalf("claude: %v\n%s", err, ended)
	}
	return ended
}

// claudeResult is what Claude Code says of a run with --output-format json.
type claudeResult struct {
	Result    string `json:"result"`
	IsError   bool   `json:"is_error"`
	SessionID string `json:"session_id"`
	Usage     struct {
		OutputTokens int64 `json:"output_tokens"`
	} `json:"usage"`
}

func claudeSays(t *testing.T, ended agents.Ended) claudeResult {
	t.Helper()
	var said claudeResult
	if err := json.Unmarshal([]byte(ended.Stdout), &said); err != nil {
		t.Fatalf("claude: %v\n%s", err, ended)
	}
	return said
}

// TestClaudeCode is a day with Claude Code: it works, it uses tools, and where it
// is refused it says why and stops.
func TestClaudeCode(t *testing.T) {
	w := newWorld(t, "0.30", "0.60")
	var scenes []*scene
	scene := func(t *testing.T, app string) *scene {
		s := w.scene(t, app)
		scenes = append(scenes, s)
		return s
	}

	t.Run("works", func(t *testing.T) {
		s := scene(t, "coding")
		said := claudeSays(t, w.claude(t, s, map[string]string{"ANTHROPIC_CUSTOM_HEADERS": "x-upstream-output: 12\nx-upstream-reasoning: 0"}, "Say something", "--output-format", "json"))
		calls := s.judged()
		if said.IsError || len(calls) != 1 || said.Result == "" || said.Result != streamedText(calls[0].Body, "text_delta", "delta.text") {
			t.Errorf("it says %+v after %d calls, which were answered %s", said, len(calls), calls[0].Body)
		}
		if said.Usage.OutputTokens != 12 {
			t.Errorf("it was told of %d output tokens", said.Usage.OutputTokens)
		}
		if r := w.named(t, "coding", 1, said.SessionID); r != (row{App: "coding", Model: "claude-opus-5-5", Session: said.SessionID, Action: "allow"}) {
			t.Errorf("the decision: %+v", r)
		}
	})

	// The simulated model wants the tool again whenever it was used, so nothing but
	// the session's budget ends this.
	t.Run("uses tools, until its session has cost enough", func(t *testing.T) {
		s := scene(t, "looping")
		said := claudeSays(t, w.claude(t, s, nil, "Look around: call:Bash", "--output-format", "json"))
		calls := s.judged()
		if !said.IsError || !strings.Contains(said.Result, `API Error: 402 budget "looping-session"`) {
			t.Errorf("it says %+v after %d calls", said, len(calls))
		}
		w.loopWasEnded(t, calls)
	})

	t.Run("says who it is by headers", func(t *testing.T) {
		s := scene(t, "coding")
		const before = 1 // call of the first scene
		w.claude(t, s, map[string]string{"ANTHROPIC_CUSTOM_HEADERS": "x-signalbox-session: nightly-7\nx-signalbox-tag-repo: payments"}, "Say something")
		w.named(t, "coding", before+1, "nightly-7")
	})

	t.Run("is shortened where little is left", func(t *testing.T) {
		s := scene(t, "thrifty")
		said := claudeSays(t, w.claude(t, s, nil, "Say something", "--output-format", "json"))
		if rows := w.decisions(t, "thrifty", 1); said.IsError || !rows[0].Clamped {
			t.Errorf("it says %+v; the decision: %+v", said, rows[0])
		}
	})

	t.Run("once an hour", func(t *testing.T) {
		if said := claudeSays(t, w.claude(t, scene(t, "hourly"), nil, "Say something", "--output-format", "json")); said.IsError {
			t.Errorf("it says %+v", said)
		}
	})

	// It takes a refusal as it is meant: what does not come back by waiting is not
	// tried again, and our sentence is what the user reads.
	for _, refusal := range []struct {
		name, app, reason string
		before, attempts  int // calls of the app
		sees              string
	}{
		{"money is spent", "broke", "budget_exhausted", 0, 1, `API Error: 402 budget "broke-month": 0 of 0.000001 usd spent`},
		{"the model is not the app's", "narrow", "model_not_allowed", 0, 1, "API Error: 403 "},
		{"come back in an hour", "hourly", "rate_limited", 1, 1, `API Error: Request rejected (429) · budget "hourly-calls"`},
	} {
		t.Run(refusal.name, func(t *testing.T) {
			s := scene(t, refusal.app)
			ended := w.claude(t, s, nil, "Say something")
			if ended.Exit != 1 || !strings.Contains(ended.Stdout, refusal.sees) {
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

// streamedText puts the text of a stream together: the value at a path of every
// event of a type.
func streamedText(stream []byte, kind, path string) string {
	var text strings.Builder
	for line := range strings.Lines(string(stream)) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !ok || !strings.Contains(data, `"`+kind+`"`) {
			continue
		}
		var event map[string]any
		if json.Unmarshal([]byte(data), &event) != nil {
			continue
		}
		var at any = event
		for _, name := range strings.Split(path, ".") {
			in, _ := at.(map[string]any)
			at = in[name]
		}
		fmt.Fprint(&text, at)
	}
	return text.String()
}
