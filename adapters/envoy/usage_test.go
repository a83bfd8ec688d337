package envoy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// copied is what Envoy's filters make of an answer: sse_to_metadata of the data of
// its events, json_to_metadata of a document. It does what the real ones were seen
// to do: an object is a text in the one and nothing in the other, lists and nulls
// are nothing in both, and the last that is said counts.
func copied(t interface{ Fatal(...any) }, stream bool, said ...string) *structpb.Struct {
	out := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for _, s := range said {
		var all any
		if err := json.Unmarshal([]byte(s), &all); err != nil {
			t.Fatal(err)
		}
		for _, rule := range envoy.UsageRules() {
			if rule.Stream == stream {
				if v := reach(all, rule.Path, stream); v != nil {
					out.Fields[rule.Key] = v
				}
			}
		}
	}
	return out
}

func reach(value any, path []string, stream bool) *structpb.Value {
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	switch v := value.(type) {
	case map[string]any:
		if text, err := json.Marshal(v); err == nil && stream {
			return structpb.NewStringValue(string(text))
		}
	case string:
		return structpb.NewStringValue(v)
	case float64:
		return structpb.NewNumberValue(v)
	}
	return nil
}

var answers = []struct {
	name    string
	dialect llm.Dialect
	stream  bool
	said    []string
	used    journal.Tokens
	tier    string
	final   bool
}{
	{name: "a chat", dialect: llm.OpenAI, said: []string{`{"choices":[{"message":{"content":"{\"usage\":{\"prompt_tokens\":9}}"}}],"service_tier":"priority",
		"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":7,"audio_tokens":2}}}`},
		used: journal.Tokens{Input: 12, Cached: 5, Output: 34, Reasoning: 7, Other: map[string]int64{"audio_output_tokens": 2}}, tier: "priority", final: true},
	{name: "a chat's stream", dialect: llm.OpenAI, stream: true, said: []string{
		`{"choices":[{"delta":{"content":"a"}}],"usage":null}`, `{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}`},
		used: journal.Tokens{Input: 12, Output: 34}, tier: "flex"},
	{name: "Groq's stream", dialect: llm.OpenAI, stream: true, said: []string{
		`{"choices":[],"x_groq":{"id":"1"}}`, `{"choices":[],"x_groq":{"id":"1","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}`},
		used: journal.Tokens{Input: 1, Output: 2}},
	{name: "a response", dialect: llm.OpenAI, said: []string{`{"status":"completed","error":null,
		"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":3},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":12}}`},
		used: journal.Tokens{Input: 10, Cached: 3, Output: 2, Reasoning: 1}, final: true},
	{name: "a response's stream", dialect: llm.OpenAI, stream: true, said: []string{
		`{"type":"response.created","response":{"status":"in_progress","usage":null}}`,
		`{"type":"response.completed","response":{"status":"completed","service_tier":"default","usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}}`},
		used: journal.Tokens{Input: 10, Output: 2}, tier: "default", final: true},
	{name: "embeddings", dialect: llm.OpenAI, said: []string{`{"object":"list","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}`},
		used: journal.Tokens{Input: 8}, final: true},
	{name: "a message", dialect: llm.Anthropic, said: []string{`{"type":"message","stop_reason":"end_turn","usage":{"input_tokens":10,"cache_creation_input_tokens":4,
		"cache_read_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":3},"output_tokens":20,"service_tier":"standard","server_tool_use":{"web_search_requests":2}}}`},
		used: journal.Tokens{Input: 19, Cached: 5, CacheWrite: 1, CacheWriteLong: 3, Output: 20, Other: map[string]int64{"web_search": 2, "web_fetch": 0}}, tier: "standard", final: true},
	{name: "a message's stream", dialect: llm.Anthropic, stream: true, said: []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1,"service_tier":"standard"}}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":0,"cache_read_input_tokens":null,"output_tokens":20,"iterations":[{"type":"compaction","input_tokens":7,"output_tokens":3}]}}`},
		used: journal.Tokens{Input: 22, Cached: 5, Output: 23, Other: map[string]int64{"web_search": 0, "web_fetch": 0}}, tier: "standard", final: true},
	{name: "a message's stream that broke off", dialect: llm.Anthropic, stream: true, said: []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}}`},
		used: journal.Tokens{Input: 10, Output: 1, Other: map[string]int64{"web_search": 0, "web_fetch": 0}}},
}

func TestUsageIsWhatTheProviderSaid(t *testing.T) {
	for _, a := range answers {
		t.Run(a.name, func(t *testing.T) {
			u := envoy.ReadUsage(a.dialect, copied(t, a.stream, a.said...))
			used, tier, err := llm.Usage(a.dialect, u.Said)
			if err != nil {
				t.Fatalf("%s: %v", u.Said, err)
			}
			if diff := cmp.Diff(a.used, used); diff != "" || tier != a.tier || u.Final != a.final || u.Failed || u.Unfinished {
				t.Errorf("tier %q, %+v: %s", tier, u, diff)
			}
		})
	}
}

func TestWhatIsNoUsage(t *testing.T) {
	for name, said := range map[string]string{
		"nothing": `{}`, "a null": `{"usage":null}`, "the model's words": `{"choices":[{"usage":{"prompt_tokens":1}}]}`,
	} {
		for _, stream := range []bool{true, false} {
			if u := envoy.ReadUsage(llm.OpenAI, copied(t, stream, said)); u.Said != nil {
				t.Errorf("%s: %s", name, u.Said)
			}
		}
	}
	if u := envoy.ReadUsage(llm.Anthropic, copied(t, true, `{"type":"error","error":{"type":"overloaded_error"}}`)); !u.Failed {
		t.Error("an error event was not seen")
	}
	if u := envoy.ReadUsage(llm.OpenAI, copied(t, false, `{"status":"queued","usage":null}`)); !u.Unfinished {
		t.Error("work that goes on was not seen")
	}
	envoy.ReadUsage(llm.OpenAI, nil)
}

// Whatever figures a document holds, all that a filter can copy comes out as they
// went in.
func TestNamedFiguresAreTheDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dialect := rapid.SampledFrom([]llm.Dialect{llm.OpenAI, llm.Anthropic}).Draw(t, "dialect")
		document := map[string]any{}
		for _, rule := range envoy.UsageRules() {
			if rule.Stream || rule.Path[0] != "usage" || !rapid.Bool().Draw(t, rule.Key) {
				continue
			}
			at := document
			for _, name := range rule.Path[:len(rule.Path)-1] {
				if at[name] == nil {
					at[name] = map[string]any{}
				}
				at = at[name].(map[string]any)
			}
			last := rule.Path[len(rule.Path)-1]
			if strings.HasSuffix(last, "_tokens") || strings.HasSuffix(last, "_requests") {
				at[last] = rapid.Int64Range(0, 1<<40).Draw(t, "n")
			} else {
				at[last] = rapid.SampledFrom([]string{"fast", "us", "priority"}).Draw(t, "text")
			}
		}
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		want, wantTier, wantErr := llm.Usage(dialect, text)
		u := envoy.ReadUsage(dialect, copied(t, false, string(text)))
		got, tier, err := llm.Usage(dialect, u.Said)
		if (err == nil) != (wantErr == nil) || tier != wantTier || !cmp.Equal(got, want) {
			t.Fatalf("%s became %s: %v %v, %v %v", text, u.Said, got, err, want, wantErr)
		}
	})
}
