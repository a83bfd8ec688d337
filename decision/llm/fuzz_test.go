package llm_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// plain is what a parser that knows nothing of us reads in a body.
type plain struct {
	model                string
	stream, includeUsage bool
	maxOutput, n         float64
	messages             int
}

func readPlainly(body []byte) (plain, bool) {
	var m map[string]any
	if json.Unmarshal(body, &m) != nil {
		return plain{}, false
	}
	p := plain{n: 1}
	p.model, _ = m["model"].(string)
	p.stream, _ = m["stream"].(bool)
	if options, ok := m["stream_options"].(map[string]any); ok {
		p.includeUsage, _ = options["include_usage"].(bool)
	}
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		if n, ok := m[name].(float64); ok {
			p.maxOutput = max(p.maxOutput, n)
		}
	}
	for _, name := range []string{"n", "best_of"} {
		if n, ok := m[name].(float64); ok {
			p.n = max(p.n, n)
		}
	}
	list, _ := m["messages"].([]any)
	p.messages = len(list)
	return p, true
}

// differential holds our reading of a body against encoding/json's. Where we
// accept, both must agree; where we refuse, the message must be fit to be shown.
func differential(t interface{ Fatalf(string, ...any) }, route llm.Route, body []byte) {
	a, p := llm.Parse(route, body, true)
	if p != nil {
		if p.Code != "malformed" && p.Code != "too_large" || p.Message == "" || len(p.Message) > 300 || !utf8.ValidString(p.Message) || p.Offset > len(body) {
			t.Fatalf("%q: %+v", body, p)
		}
		return
	}
	want, ok := readPlainly(body)
	if !ok {
		t.Fatalf("%q was read, and encoding/json does not read it", body)
	}
	if route.Dialect == llm.Anthropic {
		want.n, want.includeUsage = 1, false
		var m map[string]any
		_ = json.Unmarshal(body, &m)
		want.maxOutput, _ = m["max_tokens"].(float64)
	}
	got := plain{a.Model, a.Stream, a.IncludeUsage, float64(a.MaxOutput), float64(a.N), a.Messages}
	if got != want {
		t.Fatalf("%q: got %+v, want %+v", body, got, want)
	}
	if a.InputTokens < 0 || a.N < 1 || a.MaxOutput < 0 || a.MinOutput < 1 || a.ExtraOutput < 0 || !utf8.Valid(body) {
		t.Fatalf("%q: %+v", body, a)
	}
	var span string
	if s := a.ModelSpan; json.Unmarshal(body[s[0]-1:s[1]+1], &span) != nil || span != a.Model {
		t.Fatalf("%q: the model's span %v holds %q", body, s, span)
	}
	c := a.Ceiling(llm.ModelLimits{Context: 1_000_000, MaxOutput: 128_000})
	if c.Input < 0 || c.N < 0 || c.Output < 0 || c.OutputExtra < 0 || c.N > math.MaxInt64/max(c.Output, 1) {
		t.Fatalf("%q: %+v", body, c)
	}
	for _, u := range a.Unbounded {
		if strings.ContainsFunc(u.Field+u.Tier, func(r rune) bool { return r > 'z' || r < '*' }) {
			t.Fatalf("%q: the caller's text in %+v", body, u)
		}
	}
	_ = hashOf(a)
}

func TestOurReadingIsEverybodysReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bodies().Draw(t, "body")
		differential(t, b.route, []byte(b.text))
	})
}

// A body with one byte changed, lost or doubled is read as everybody reads it, or
// refused.
func TestADamagedBodyIsReadAsEverybodyReadsItOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bodies().Draw(t, "body")
		body := []byte(b.text)
		at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "damage") {
		case 0:
			body[at] = rapid.SampledFrom([]byte("\"\\{}[]:,0-9.e \xff\x00ntf/")).Draw(t, "byte")
		case 1:
			body = append(body[:at:at], body[at+1:]...)
		case 2:
			body = append(body[:at+1:at+1], body[at:]...)
		}
		differential(t, b.route, body)
	})
}

func FuzzParse(f *testing.F) {
	for _, body := range []string{
		chatSeed, chat2KB, chatWith(`"tools":[{"type":"function","function":{"name":"f","parameters":{"a":{"enum":[1,2]}}}}]`),
		chatWith(`"max_tokens":1e3,"n":2,"service_tier":"priority"`), messagesWith(`"thinking":{"type":"enabled","budget_tokens":2048}`),
		messagesWith(`"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]`),
		`{"mod\u0065l":"a","model":"b","messages":[]}`, `{"model":"\ud83d\ude00","messages":[{"content":[{"image_url":{"url":"x"}}]}]}`,
		`{"model":"a","messages":[{"content":[{"type":"document","source":{"type":"base64","data":"AA"}}]}]}`,
		strings.Repeat("[", 1000), "\xef\xbb\xbf{}", `{"model":`, `{"model":"a","messages":[]}{}`, "",
	} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, anthropic bool) {
		route := chat
		if anthropic {
			route = messages
		}
		differential(t, route, body)
	})
}

const chatSeed = `{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello."}],"max_tokens":64}`
