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

// plain is what encoding/json reads into a struct, as a provider written in Go
// would: whatever the case of a name, and of two the last.
type plain struct {
	Model         string
	Stream        bool
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           float64 `json:"max_tokens"`
	MaxCompletionTokens float64 `json:"max_completion_tokens"`
	N                   float64
	BestOf              float64 `json:"best_of"`
	Messages            []json.RawMessage
}

// reading is what must be the same to us and to everybody.
type reading struct {
	model                string
	stream, includeUsage bool
	maxOutput, n         float64
	messages             int
}

func readPlainly(d llm.Dialect, body []byte) (reading, error) {
	var p plain
	err := json.Unmarshal(body, &p)
	if d == llm.Anthropic { // which has no other spelling, and one answer
		return reading{p.Model, p.Stream, false, p.MaxTokens, 1, len(p.Messages)}, err
	}
	return reading{p.Model, p.Stream, p.StreamOptions.IncludeUsage, max(p.MaxTokens, p.MaxCompletionTokens),
		max(p.N, p.BestOf, 1), len(p.Messages)}, err
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
	// What Anthropic does not know by name may have any type.
	want, err := readPlainly(route.Dialect, body)
	if err != nil && !(route.Dialect == llm.Anthropic && json.Valid(body)) {
		t.Fatalf("%q was read, and encoding/json says %v", body, err)
	}
	got := reading{a.Model, a.Stream, a.IncludeUsage, float64(a.MaxOutput), float64(a.N), a.Messages}
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
