package llm_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// The bodies of testdata/agents are what Claude Code 2.1.330 and Codex 0.169.0 sent to
// a server that wrote them down, in each of their ways of working: texts are cut short,
// most tools left out and ids replaced, and nothing else is changed.
func TestWhatCodingAgentsSend(t *testing.T) {
	const (
		device = "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
		first  = "00000000-0000-4000-8000-000000000001"
	)
	session := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
	counting := llm.Route{Dialect: llm.Anthropic, Endpoint: llm.CountTokens, Free: true}
	rows := []struct {
		name          string
		route         llm.Route
		user, session string
		limit         int64 // as asked
		least         int64 // that the limit may be lowered to
		messages      int
		tools         int      // nested ones too
		unbounded     []string // all that the provider runs
		hour          bool     // a cache for an hour
	}{
		{"claude-opus-5-5-first", messages, device, first, 128_000, 1, 2, 3, nil, false},
		{"claude-opus-5-5-after-tool", messages, device, first, 128_000, 1, 4, 3, nil, false},
		{"claude-1h-cache", messages, device, first, 128_000, 1, 2, 3, nil, true},
		{"claude-sonnet-4-5-thinking-budget", messages, device, first, 32_000, 1025, 1, 3, nil, false},
		{"claude-haiku-3-5-plain", messages, device, first, 8192, 1, 1, 2, nil, false},
		{"claude-nostream-fallback", messages, device, first, 64_000, 1, 2, 3, nil, false},
		{"claude-subagent", messages, device, first, 128_000, 1, 2, 3, nil, false},
		{"claude-compact", messages, device, first, 128_000, 1, 4, 3, nil, false},
		{"claude-interactive-title", messages, device, first, 128_000, 1, 1, 0, nil, false},
		// A classifier of the provider's, which is not billed.
		{"claude-interactive-auto-mode-safeguards", messages, device, first, 128_000, 1, 2, 3, nil, false},
		{"claude-toolsearch-tool-reference", messages, device, first, 128_000, 1, 4, 4, nil, false},
		{"claude-websearch-server-tool", messages, device, first, 8192, 1, 1, 1, []string{"tools[0] tool 8"}, false},
		{"claude-count-tokens", counting, "", "", 0, 1, 1, 0, nil, false},
		{"codex-after-tool", responses, "", session(6), 0, 16, 6, 5, nil, false},
		{"codex-unknown-model-first", responses, "", session(5), 0, 16, 4, 6, []string{"tools[3] tool 0"}, false},
		{"codex-gpt6-additional_tools", responses, "", session(9), 0, 16, 8, 9, nil, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a := read(t, row.route, agentBody(t, row.name))
			if a.User != row.user || a.Session != row.session || a.MaxOutput != row.limit || a.MinOutput != row.least || a.CacheWriteLong != row.hour {
				t.Errorf("user %q, session %q, limit %d to %d, for an hour: %v", a.User, a.Session, a.MinOutput, a.MaxOutput, a.CacheWriteLong)
			}
			if a.Messages != row.messages || a.Tools != row.tools {
				t.Errorf("%d messages, %d tools", a.Messages, a.Tools)
			}
			if a.InputTokens < llm.PerRequest || a.InputTokens > int64(8*len(a.Body)) || a.ExtraOutput != 0 || a.N != 1 {
				t.Errorf("%d tokens in %d bytes, %d beside %d answers", a.InputTokens, len(a.Body), a.ExtraOutput, a.N)
			}
			var unbounded []string
			for _, u := range a.Unbounded {
				unbounded = append(unbounded, fmt.Sprintf("%s %s %d", u.Field, u.Kind, u.Max))
			}
			if !slices.Equal(unbounded, row.unbounded) {
				t.Errorf("unbounded: %q", unbounded)
			}
			if !a.Free {
				lowered(t, a)
			}
		})
	}
	if all, err := filepath.Glob("testdata/agents/*.json"); err != nil || len(all) != len(rows) {
		t.Errorf("%d recorded bodies, %d rows (%v)", len(all), len(rows), err)
	}
}

func agentBody(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile("testdata/agents/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// lowered lowers the limit of an agent's body, or sets the default that it left out:
// what goes out has that limit, room for an answer behind its thinking, and is what
// was sent in all else.
func lowered(t *testing.T, a *llm.Ask) {
	t.Helper()
	for _, most := range []int64{a.MinOutput, 2048, 4096} {
		edits, err := a.ClampOutput(most, "max_tokens")
		if err != nil {
			t.Fatal(err)
		}
		out, err := llm.Apply(a.Body, edits)
		if err != nil {
			t.Fatal(err)
		}
		after := read(t, a.Route, string(out))
		if after.MaxOutput != most || after.Model != a.Model || hashOf(after) != hashOf(a) {
			t.Errorf("at %d: a limit of %d for %s", most, after.MaxOutput, after.Model)
		}
		if after.Thinking > 0 && (after.Thinking < 1024 || after.Thinking >= most) {
			t.Errorf("at %d: a budget of %d for thinking", most, after.Thinking)
		}
		was, is := fieldsOf(t, a.Body), fieldsOf(t, out)
		for _, field := range []string{"max_tokens", "max_output_tokens"} {
			delete(was, field)
			delete(is, field)
		}
		if a.Thinking > 0 { // see above
			delete(was["thinking"].(map[string]any), "budget_tokens")
			delete(is["thinking"].(map[string]any), "budget_tokens")
		}
		if !reflect.DeepEqual(was, is) {
			t.Errorf("at %d: more was changed:\n%s", most, out)
		}
	}
	if _, err := a.ClampOutput(a.MinOutput-1, "max_tokens"); err == nil {
		t.Errorf("a limit of %d", a.MinOutput-1)
	}
}

func fieldsOf(t *testing.T, body []byte) (fields map[string]any) {
	t.Helper()
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return fields
}

// A namespace is the caller's own, and so is an item that brings tools; what the
// provider runs is found in either, however deep.
func TestAToolInsideATool(t *testing.T) {
	const own = `{"type":"function","name":"f","parameters":{}}`
	in := func(n int, tool string) string {
		return strings.Repeat(`{"type":"namespace","name":"n","tools":[`+own+`,`, n) + tool + strings.Repeat(`]}`, n)
	}
	for _, tool := range []string{`{"type":"web_search"}`, `{"type":"mcp","server_label":"x"}`, `{"type":"something_new"}`, `{"type":"code_interpreter","container":{"type":"auto"}}`} {
		for _, c := range []struct{ body, where string }{
			{`{"model":"m","input":[],"tools":[` + in(1, tool) + `]}`, "tools[0].tools[1]"},
			{`{"model":"m","input":[],"tools":[` + in(3, tool) + `]}`, "tools[0].tools[1].tools[1].tools[1]"},
			{items(`{"type":"additional_tools","role":"developer","tools":[` + in(1, tool) + `]}`), "input[0].tools[0].tools[1]"},
			{items(`{"type":"tool_search_output","tools":[` + in(2, tool) + `]}`), "input[0].tools[0].tools[1].tools[1]"},
			// A tool that holds others by any other type than a namespace's.
			{`{"model":"m","input":[],"tools":[{"type":"function","name":"f","tools":[` + tool + `]}]}`, "tools[0].tools[0]"},
		} {
			a := read(t, responses, c.body)
			if len(a.Unbounded) != 1 || a.Unbounded[0].Field != c.where || a.Unbounded[0].Kind != llm.KindTool {
				t.Errorf("%s: %+v", c.body, a.Unbounded)
			}
		}
	}
	if a := read(t, responses, `{"model":"m","input":[],"tools":[`+in(5, own)+`]}`); len(a.Unbounded) != 0 || a.Tools != 11 {
		t.Errorf("%d tools, %+v", a.Tools, a.Unbounded)
	}
}

// Codex writes the time of day beside each message. A loop must look like one.
func TestTheTimeOfDayIsNoPrompt(t *testing.T) {
	said := func(text, when string) *llm.Ask {
		return read(t, responses, items(`{"type":"message","role":"user","content":[{"type":"input_text","text":"`+text+`"}],
			"internal_chat_message_metadata_passthrough":{"turn_id":"`+when+`","create_time":`+when+`}}`))
	}
	if hashOf(said("a", "1")) != hashOf(said("a", "22")) {
		t.Error("one prompt at two times is two prompts")
	}
	if hashOf(said("a", "1")) == hashOf(said("b", "1")) {
		t.Error("two prompts are one")
	}
	if said("a", "1").InputTokens >= said("a", strings.Repeat("2", 30)).InputTokens {
		t.Error("what is passed through is not paid for")
	}
}
