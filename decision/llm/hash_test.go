package llm_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

func hashOf(a *llm.Ask) string {
	mac := hmac.New(sha256.New, []byte("a tenant's key"))
	a.HashPrompt(mac)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestPromptsThatAreTheSameHashTheSame(t *testing.T) {
	same := func(name string, route llm.Route, bodies ...string) {
		t.Helper()
		for _, b := range bodies[1:] {
			if hashOf(read(t, route, bodies[0])) != hashOf(read(t, route, b)) {
				t.Errorf("%s: %s and %s differ", name, bodies[0], b)
			}
		}
	}
	same("white space, escapes, order and other fields", chat,
		`{"model":"a","messages":[{"role":"user","content":"Hello, world"}]}`,
		`{"messages":[{"content":" Hello,\n\t world ","role":"user"}],"model":"b","temperature":1}`,
		`{"messages":[{"content":"\u0048ello, world","role":"us\u0065r"}],"model":"b","user":"x"}`)
	same("ids and cache marks", messages,
		`{"model":"a","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"ok"}]}]}`,
		`{"model":"a","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"2","content":"ok","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}`)
	same("a text and one part of it", chat,
		`{"model":"a","messages":[{"role":"user","content":"Hello"}]}`,
		`{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}`)
	same("system, wherever it stands", messages,
		`{"model":"a","system":"be brief","messages":[{"role":"user","content":"Hello"}]}`,
		`{"model":"a","messages":[{"role":"user","content":"Hello"}],"system":[{"type":"text","text":"be brief"}]}`)
	system := read(t, chat, `{"model":"a","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"Hello"}]}`)
	for _, c := range []struct {
		route llm.Route
		body  string
	}{
		{messages, `{"model":"a","system":"be brief","messages":[{"role":"user","content":"Hello"}]}`},
		{responses, `{"model":"a","instructions":"be  brief","input":"Hello"}`},
		{responses, `{"model":"a","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Hello"}]}],"instructions":"be brief"}`},
		{responses, `{"model":"a","input":[{"role":"system","content":"be brief"},{"role":"user","content":"Hello","id":"m_1","status":"completed"}]}`},
	} {
		if hashOf(system) != hashOf(read(t, c.route, c.body)) {
			t.Errorf("the same prompt differs in %s", c.body)
		}
	}
	same("ids of calls, and what a provider encrypts anew", responses,
		`{"model":"a","input":[{"type":"function_call_output","call_id":"1","id":"x","output":"ok"},{"type":"reasoning","summary":[],"encrypted_content":"AAAA"}]}`,
		`{"model":"b","input":[{"output":" ok","type":"function_call_output","call_id":"2"},{"encrypted_content":"BBBB","type":"reasoning","id":"r","summary":[]}]}`)
	same("what refers to state, in any order", responses,
		`{"model":"a","prompt":{"id":"p","variables":{"x":"y"}},"previous_response_id":"r","input":"Hello"}`,
		`{"input":"Hello","previous_response_id":"r","prompt":{"id":"p","variables":{"x":"y"}},"model":"a"}`)
	same("an input, alone or in a list", embeddings, `{"model":"a","input":"Hello"}`, `{"model":"a","input":[" Hello "]}`)
	same("token ids", embeddings, `{"model":"a","input":[1,2]}`, `{"model":"a","input":[ [1 , 2 ] ]}`)
}

func TestPromptsThatDifferHashDifferently(t *testing.T) {
	seen := map[string]string{}
	for _, b := range []string{
		`[]`, `[{"role":"user"}]`, `[{"role":"user","content":""}]`, `[{"role":"user","content":"a"}]`, `[{"role":"assistant","content":"a"}]`,
		`[{"role":"user","content":"a b"}]`, `[{"role":"user","content":"ab"}]`, `[{"role":"user","content":["a","b"]}]`,
		`[{"role":"user","content":"a"},{"role":"user","content":"b"}]`, `[{"role":"user","content":"a\u001fb"}]`, `[{"role":"user","content":"A"}]`,
		`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:1"}}]}]`, `[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:2"}}]}]`,
		`[{"role":"user","content":[{"type":"file","file":{"file_id":"1"}}]}]`, `[{"role":"user","content":[{"type":"file","file":{"file_id":"2"}}]}]`,
		`[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"1"}}]}]`, `[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"2"}}]}]`,
	} {
		if b == `[{"role":"user","content":"a\u001fb"}]` {
			continue // a separator in the text is folded to a space: the same as "a b"
		}
		h := hashOf(read(t, chat, `{"model":"m","messages":`+b+`}`))
		if other, taken := seen[h]; taken {
			t.Errorf("%s and %s hash the same", b, other)
		}
		seen[h] = b
	}
}

func TestResponsesAndEmbeddingsThatDifferHashDifferently(t *testing.T) {
	seen := map[string]string{}
	add := func(route llm.Route, body string) {
		h := hashOf(read(t, route, body))
		if other, taken := seen[h]; taken {
			t.Errorf("%s and %s hash the same", body, other)
		}
		seen[h] = body
	}
	for _, b := range []string{
		`"input":"a"`, `"instructions":"a","input":[]`, `"instructions":"a","input":"a"`, `"input":"a","previous_response_id":"r"`, `"input":"a","previous_response_id":"s"`,
		`"input":"a","conversation":"r"`, `"input":"a","conversation":{"id":"s"}`, `"input":"a","prompt":{"id":"p"}`, `"input":"a","prompt":{"id":"p","variables":{"x":"y"}}`,
		`"input":[{"type":"function_call","name":"f","arguments":"1"}]`, `"input":[{"type":"function_call","name":"f","arguments":"2"}]`,
		`"input":[{"role":"user","content":[{"type":"input_image","file_id":"1"}]}]`, `"input":[{"role":"user","content":[{"type":"input_image","file_id":"2"}]}]`,
	} {
		add(responses, `{"model":"m",`+b+`}`)
	}
	for _, input := range []string{`["a","b"]`, `["b","a"]`, `[1,2]`, `[[1],[2]]`, `[2,1]`} {
		add(embeddings, `{"model":"m","input":`+input+`}`)
	}
}

func TestTheHashDoesNotSeeHowTheJSONIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turns := []any{}
		for range rapid.IntRange(1, 4).Draw(t, "turns") {
			turns = append(turns, object{{"role", "user"}, {"content", anyText().Draw(t, "content")}})
		}
		body := object{{"model", "m"}, {"messages", turns}}
		var asks []*llm.Ask
		for range 2 {
			a, p := llm.Parse(chat, []byte(write(t, body)), true)
			if p != nil {
				t.Fatal(p.Message)
			}
			asks = append(asks, a)
		}
		if hashOf(asks[0]) != hashOf(asks[1]) {
			t.Fatalf("%s and %s differ", asks[0].Body, asks[1].Body)
		}
	})
}

func BenchmarkHashPrompt2KB(b *testing.B) {
	a, p := llm.Parse(chat, []byte(chat2KB), true)
	if p != nil {
		b.Fatal(p)
	}
	mac := hmac.New(sha256.New, []byte("key"))
	b.ReportAllocs()
	for b.Loop() {
		mac.Reset()
		a.HashPrompt(mac)
	}
}
