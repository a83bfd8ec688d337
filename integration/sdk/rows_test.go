package sdk_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// row is one line of the table: what an application does, and what must come of
// it. It is played by every SDK that has the operation, in every language.
type row struct {
	name      string
	ops       []string // none: chat and messages
	languages []string // none: all
	how       string   // "": in one piece; stream; helper
	azure     string
	ask       ask
	steer     map[string]string // what the provider is told to do
	gate      bool              // the provider holds back the second piece until the first has been read
	seen      bool              // what is wanted needs somebody who sees the answer go by, which an Envoy with ext_authz has not

	// Signalbox's part: who asks, and what happened before.
	app, key string // the app whose key it is, or a key of its own
	headers  map[string]string
	before   bool // a call of the same is let out first and stays open
	released bool // until the SDK has been refused once
	spent    bool // it does not stay open: it was answered

	want want
}

// want is what the application must get, and what must have happened behind it.
type want struct {
	refused  string // the reason's code: Signalbox refuses
	status   int    // of the exception; 0: there is none
	class    string // of the exception, where its status does not say it
	broken   bool   // an exception without a status
	attempts int    // of the SDK; 0: 1
	atMost   int    // of the SDK, where it depends on when something is free again
	calls    int    // at the provider; 0: 1, or none where Signalbox refuses; -1: none
	finish   string // in OpenAI's words
	waits    bool   // the SDK waits as long as it is told
	also     func(t *testing.T, p *play)
}

var (
	generating = []string{"chat", "responses", "messages"}
	everybody  = []string{"chat", "messages"}
	searching  = []string{"responses", "messages"}
)

// playedBy reports whether an SDK has an operation.
var operations = map[string][]string{
	"openai":    {"chat", "responses", "embeddings", "models", "elsewhere"},
	"anthropic": {"messages", "count_tokens", "models", "elsewhere"},
}

// opsOf are the operations of a row that a player has.
func (r *row) opsOf(p player) []string {
	if len(r.languages) > 0 && !slices.Contains(r.languages, p.language) {
		return nil
	}
	ops := r.ops
	if len(ops) == 0 {
		ops = everybody
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op string) bool { return !slices.Contains(operations[p.sdk], op) })
}

// answered are the rows where the call goes out and an answer comes back. They
// are played with the provider itself too: what differs is Signalbox's doing.
func answered() []row {
	const text = "Where is the train?"
	short := map[string]string{upstream.HeaderOutput: "12"}
	long := map[string]string{upstream.HeaderOutput: "5000"}
	return []row{
		{name: "allowed", ops: generating, ask: ask{text: text, max: 200}, steer: short, want: want{finish: "stop"}},
		{name: "streamed", ops: generating, how: "stream", gate: true, ask: ask{text: text, max: 200}, steer: short, want: want{finish: "stop"}},
		{name: "streamed, with no usage that nobody asked for", ops: []string{"chat"}, how: "stream", seen: true, ask: ask{text: text, max: 200}, steer: short,
			want: want{finish: "stop", also: noUsageUnasked}},
		{name: "streamed with usage asked", ops: []string{"chat"}, how: "stream", gate: true, steer: short,
			ask:  ask{text: text, max: 200, more: map[string]any{"stream_options": map[string]any{"include_usage": true}}},
			want: want{finish: "stop", also: usageInOneChunk}},
		{name: "streamed by the SDK's own helper", ops: generating, how: "helper", gate: true, ask: ask{text: text, max: 200}, steer: short,
			want: want{finish: "stop"}},
		{name: "limited", ops: generating, ask: ask{text: text, max: 30}, steer: long, want: want{finish: "length", also: providerSawLimit(30)}},

		{name: "tool", ops: generating, ask: ask{text: "call:weather please", max: 200, tools: true}, want: want{finish: "tool_calls", also: calledTheTool}},
		{name: "tool streamed", ops: generating, how: "stream", ask: ask{text: "call:weather please", max: 200, tools: true},
			want: want{finish: "tool_calls", also: calledTheTool}},
		{name: "tool by the SDK's own helper", ops: generating, how: "helper", ask: ask{text: "call:weather please", max: 200, tools: true},
			want: want{finish: "tool_calls", also: calledTheTool}},
		{name: "image", ops: generating, ask: ask{text: text, max: 200, image: true}, steer: short, want: want{finish: "stop", also: imageCounted}},
		{name: "web search", ops: searching, seen: true, ask: ask{model: "%-search", text: text, max: 200, web: true, uses: 3}, steer: searches(2), want: want{finish: "stop", also: searched(2)}},
		{name: "web search, streamed", ops: searching, seen: true, how: "stream", ask: ask{model: "%-search", text: text, max: 200, web: true, uses: 3}, steer: searches(5),
			want: want{finish: "stop", also: searched(3)}},
		{name: "web search by the SDK's own helper", ops: searching, seen: true, how: "helper", ask: ask{model: "%-search", text: text, max: 200, web: true, uses: 3}, steer: searches(2),
			want: want{finish: "stop", also: searched(2)}},
		{name: "web search that is not made", ops: searching, seen: true, ask: ask{model: "%-search", text: text, max: 200, web: true, uses: 3}, steer: short,
			want: want{finish: "stop", also: searched(0)}},
		{name: "embeddings", ops: []string{"embeddings"}, ask: ask{model: "embed"}, want: want{also: twoVectors}},

		{name: "read from the prompt cache", ops: generating, ask: ask{text: strings.Repeat(text, 40), max: 200},
			steer: map[string]string{upstream.HeaderOutput: "9", upstream.HeaderCached: "64"}, want: want{finish: "stop", also: billed("cached", 64)}},
		{name: "written to the prompt cache for 5 minutes", ops: []string{"messages"}, ask: cached(text, nil),
			steer: map[string]string{upstream.HeaderOutput: "9", upstream.HeaderCacheWrite: "64"}, want: want{finish: "stop", also: billed("written", 64)}},
		{name: "written to the prompt cache for an hour", ops: []string{"messages"}, how: "stream", ask: cached(text, map[string]any{"ttl": "1h"}),
			steer: map[string]string{upstream.HeaderOutput: "9", upstream.HeaderCacheWrite: "64"}, want: want{finish: "stop", also: billed("written long", 64)}},
		{name: "reasoning", ops: []string{"chat", "responses"}, ask: ask{model: "reasoner", text: text, max: 200},
			steer: map[string]string{upstream.HeaderOutput: "60", upstream.HeaderReasoning: "40"}, want: want{finish: "stop", also: billed("reasoning", 40)}},
		{name: "thinking", ops: []string{"messages"}, ask: thinking(text), want: want{also: thought}},
		{name: "thinking streamed", ops: []string{"messages"}, how: "stream", ask: thinking(text), want: want{also: thought}},
		{name: "thinking by the SDK's own helper", ops: []string{"messages"}, how: "helper", ask: thinking(text), want: want{also: thought}},
		{name: "tokens counted", ops: []string{"count_tokens"}, ask: ask{text: text, max: -1}, want: want{also: counted}},
		{name: "models", ops: []string{"models"}, want: want{calls: -1, also: listed}},

		{name: "Azure's client", languages: []string{"python", "node"}, azure: "deployments", ops: []string{"chat"},
			ask: ask{model: "azured", text: text, max: 200}, steer: short, want: want{finish: "stop"}},
		{name: "Azure's client, streamed", languages: []string{"python", "node"}, azure: "deployments", ops: []string{"chat"}, how: "stream", gate: true,
			ask: ask{model: "azured", text: text, max: 200}, steer: short, want: want{finish: "stop"}},
		{name: "Azure's client, a tool", languages: []string{"python", "node"}, azure: "deployments", ops: []string{"chat"}, how: "helper",
			ask: ask{model: "azured", text: "call:weather please", max: 200, tools: true}, want: want{finish: "tool_calls", also: calledTheTool}},
		{name: "Azure's client, embeddings", languages: []string{"python", "node"}, azure: "deployments", ops: []string{"embeddings"},
			ask: ask{model: "azure-embed"}, want: want{also: twoVectors}},
		{name: "Azure's client, responses", languages: []string{"python", "node"}, azure: "deployments", ops: []string{"responses"}, how: "helper", gate: true,
			ask: ask{model: "azured", text: text, max: 200}, steer: short, want: want{finish: "stop"}},
		{name: "Azure's client, models", languages: []string{"python", "node"}, azure: "deployments", ops: []string{"models"}, want: want{calls: -1, also: listed}},
		{name: "Azure's v1 paths", azure: "v1", ops: []string{"chat", "responses"}, ask: ask{model: "azured", text: text, max: 200}, steer: short,
			want: want{finish: "stop"}},
		{name: "Azure's v1 paths, streamed", azure: "v1", ops: []string{"chat", "responses"}, how: "stream", gate: true,
			ask: ask{model: "azured", text: text, max: 200}, steer: short, want: want{finish: "stop"}},
	}
}

// failing are the rows where the provider refuses or breaks off: what the
// application sees is what it would have seen without us.
func failing() []row {
	status := func(s string) map[string]string { return map[string]string{upstream.HeaderStatus: s} }
	return []row{
		{name: "provider's 400", ops: generating, ask: ask{text: "Hello", max: 50}, steer: status("400"), want: want{status: 400, also: providersWords}},
		{name: "provider's 400 to a stream", ops: generating, how: "stream", ask: ask{text: "Hello", max: 50}, steer: status("400"),
			want: want{status: 400, also: providersWords}},
		{name: "provider's 422", ask: ask{text: "Hello", max: 50}, steer: status("422"), want: want{status: 422, also: providersWords}},
		{name: "provider breaks off", ops: generating, how: "stream", seen: true, ask: ask{text: "Hello", max: 2000},
			steer: map[string]string{upstream.HeaderOutput: "40", upstream.HeaderErrorEvent: "12"}, want: want{broken: true}},
		{name: "provider's connection breaks", ops: generating, how: "stream", seen: true, gate: true, ask: ask{text: "Hello", max: 2000},
			steer: map[string]string{upstream.HeaderOutput: "40", upstream.HeaderCut: "12"}, want: want{broken: true}},
	}
}

// searches has the provider search the web so often, if it may.
func searches(n int) map[string]string {
	return map[string]string{upstream.HeaderOutput: "12", upstream.HeaderSearches: strconv.Itoa(n)}
}

// finishOf is how an operation says why an answer ended.
func finishOf(op, finish string) string {
	words := map[string]map[string]string{
		"messages":  {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"},
		"responses": {"stop": "completed", "length": "incomplete", "tool_calls": "completed"},
	}
	if said, ok := words[op][finish]; ok {
		return said
	}
	return finish
}

// What else must be so.

func noUsageUnasked(t *testing.T, p *play) {
	if p.op == "chat" && (p.got.Usage != nil || p.got.Bare != 0) {
		t.Errorf("nobody asked for the usage, and the application got %v and %d chunks without choices", p.got.Usage, p.got.Bare)
	}
}

func usageInOneChunk(t *testing.T, p *play) {
	if p.got.Usage == nil || p.got.Bare != 1 {
		t.Errorf("the usage was asked for; the application got %v in %d chunks without choices, want it in one", p.got.Usage, p.got.Bare)
	}
}

func providerSawLimit(most float64) func(*testing.T, *play) {
	return func(t *testing.T, p *play) {
		for _, c := range p.calls {
			body := map[string]any{}
			if err := json.Unmarshal([]byte(c.Body), &body); err != nil {
				t.Fatal(err)
			}
			field := "max_tokens"
			if p.op == "responses" {
				field = "max_output_tokens"
			}
			if body[field] != most {
				t.Errorf("the provider saw %s %v, want %v", field, body[field], most)
			}
		}
	}
}

func calledTheTool(t *testing.T, p *play) {
	if len(p.got.Calls) != 1 || p.got.Calls[0].Name != "weather" || p.got.Calls[0].Arguments["city"] != "Utrecht" {
		t.Errorf("the application got the tool calls %+v, want weather in Utrecht", p.got.Calls)
	}
}

func imageCounted(t *testing.T, p *play) {
	for _, c := range p.calls {
		if c.Usage.Input < 765 || !strings.Contains(c.Body, pixel) {
			t.Errorf("the provider billed %d tokens for a prompt with a picture, want 765 and more", c.Usage.Input)
		}
	}
}

func twoVectors(t *testing.T, p *play) {
	if sizes := strings.Fields(p.got.Text); len(sizes) != 2 || sizes[0] != sizes[1] || sizes[0] == "0" {
		t.Errorf("the application got vectors of %q numbers, want two of the same", p.got.Text)
	}
}

func billed(part string, tokens int64) func(*testing.T, *play) {
	return func(t *testing.T, p *play) {
		for _, c := range p.calls {
			got := map[string]int64{"cached": c.Usage.Cached, "written": c.Usage.CacheWrite, "written long": c.Usage.CacheWriteLong, "reasoning": c.Usage.Reasoning}
			if got[part] != tokens {
				t.Errorf("the provider billed %+v, want %d %s", c.Usage, tokens, part)
			}
		}
	}
}

// searched: the provider billed so many searches, and the SDK read what each was for.
func searched(n int) func(*testing.T, *play) {
	return func(t *testing.T, p *play) {
		if len(p.got.Searches) != n || slices.Contains(p.got.Searches, "") {
			t.Errorf("the application was told of the searches %q, want %d", p.got.Searches, n)
		}
		if got := p.calls[0].Usage.Other["web_search"]; got != int64(n) {
			t.Errorf("the provider billed %d searches, want %d", got, n)
		}
	}
}

func thought(t *testing.T, p *play) {
	if p.got.Thinking == "" {
		t.Error("the application was shown no thinking")
	}
}

func counted(t *testing.T, p *play) {
	if p.got.Text == "" || p.got.Text == "0" {
		t.Errorf("the application was told of %q tokens", p.got.Text)
	}
}

func listed(t *testing.T, p *play) {
	if len(p.got.Names) == 0 {
		t.Error("the application was told of no models")
	}
}

// providersWords: the error is the provider's, and not one of ours about it.
func providersWords(t *testing.T, p *play) {
	if said := p.got.Error; !strings.Contains(said.Message, "The test asked for this error.") {
		t.Errorf("the application's exception says %q, want the provider's own words", said.Message)
	}
	if got := p.attempts[0].Header.Get("X-Signalbox-Decision"); got == "" && p.through {
		t.Error("the answer has no decision's id")
	}
	if p.attempts[0].Status < http.StatusBadRequest {
		t.Errorf("the answer's status is %d", p.attempts[0].Status)
	}
}
