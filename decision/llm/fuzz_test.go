package llm_test

import (
	"encoding/json"
	"math"
	"slices"
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
	MaxTokens           float64  `json:"max_tokens"`
	MaxCompletionTokens float64  `json:"max_completion_tokens"`
	MaxOutputTokens     *float64 `json:"max_output_tokens"`
	N                   float64
	BestOf              float64 `json:"best_of"`
	Messages            []json.RawMessage
	Input               json.RawMessage
	Background          bool
}

// reading is what must be the same to us and to everybody.
type reading struct {
	model                string
	stream, includeUsage bool
	background           bool
	maxOutput, n         float64
	messages             int
}

func readPlainly(route llm.Route, body []byte) (reading, error) {
	var p plain
	err := json.Unmarshal(body, &p)
	read := reading{model: p.Model, stream: p.Stream, maxOutput: p.MaxTokens, n: 1, messages: len(p.Messages)}
	switch route.Endpoint {
	case llm.ChatCompletions:
		read.includeUsage = p.StreamOptions.IncludeUsage
		read.maxOutput, read.n = max(p.MaxTokens, p.MaxCompletionTokens), max(p.N, p.BestOf, 1)
	case llm.Responses:
		read.n, read.background, read.maxOutput, read.messages = max(p.N, p.BestOf, 1), p.Background, 0, 0
		if p.MaxOutputTokens != nil {
			read.maxOutput = max(*p.MaxOutputTokens, p.MaxTokens, p.MaxCompletionTokens)
		}
	case llm.Embeddings:
		return reading{model: p.Model}, err
	}
	return read, err // what is left out differs by what the input is: see the random bodies
}

// routes are what the fuzzers choose from, by a number.
var routes = []llm.Route{chat, messages, responses, embeddings}

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
	// What an endpoint does not know by name may have any type.
	want, err := readPlainly(route, body)
	if err != nil && !(route.Endpoint != llm.ChatCompletions && json.Valid(body)) {
		t.Fatalf("%q was read, and encoding/json says %v", body, err)
	}
	got := reading{a.Model, a.Stream, a.IncludeUsage, a.Background, float64(a.MaxOutput), float64(a.N), a.Messages}
	if route.Endpoint == llm.Responses || route.Endpoint == llm.Embeddings {
		got.messages = 0
	}
	if got != want {
		t.Fatalf("%q: got %+v, want %+v", body, got, want)
	}
	checkTexts(t, a)
	if a.InputTokens < 0 || a.N < 0 || a.N == 0 && route.Endpoint != llm.Embeddings || a.MaxOutput < 0 || a.MinOutput < 1 || a.ExtraOutput < 0 || !utf8.Valid(body) {
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

// checkTexts holds that every text is a string of the body that can be replaced.
func checkTexts(t interface{ Fatalf(string, ...any) }, a *llm.Ask) {
	for text := range a.PromptTexts() {
		value, offsets := text.Value(a.Body)
		quoted, inset := a.Body[text.Raw[0]:text.Raw[1]], 1
		if text.Quoted() && quoted[0] == '\\' { // a string in a string
			var inner string
			if err := json.Unmarshal(slices.Concat([]byte{'"'}, quoted, []byte{'"'}), &inner); err != nil {
				t.Fatalf("%q: %s: %v", a.Body, text.Where, err)
			}
			quoted, inset = []byte(inner), 0
		}
		var plain string
		if err := json.Unmarshal(quoted, &plain); err != nil || plain != value {
			t.Fatalf("%q: %s is %q, and %q to us (%v)", a.Body, text.Where, plain, value, err)
		}
		if strings.ContainsFunc(text.Where, func(r rune) bool { return r > 'z' || r < '*' }) {
			t.Fatalf("%q: the caller's text in %q", a.Body, text.Where)
		}
		at, err := offsets.Span(0, len(value))
		if err != nil || inset == 1 && at != [2]int{text.Raw[0] + 1, text.Raw[1] - 1} || at[0] <= text.Raw[0] || at[1] >= text.Raw[1] {
			t.Fatalf("%q: all of %s stands at %v (%v)", a.Body, text.Where, at, err)
		}
	}
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
		responsesWith(`"max_output_tokens":2e3,"background":true,"tools":[{"type":"web_search"}],"max_tool_calls":3`),
		items(`{"role":"user","content":[{"type":"input_image","image_url":"x","detail":"low"}]},{"id":"r","type":"reasoning","summary":[]}`),
		items(`{"type":"function_call_output","output":[{"type":"input_text","text":"\ud83d\ude00"}]},{"type":"image_generation_call","result":"AA"}`),
		messagesWith(`"metadata":{"user_id":"{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"s\"}"}`),
		responsesWith(`"client_metadata":{"session_id":"s","x-codex-turn-metadata":"{\"cwd\":\"/\"}"},"prompt_cache_key":"[\"k\"]"`),
		`{"model":"m","input":["a",[1,2],3,{"text":"b"}],"dimensions":1}`, `{"model":"m","prompt":{"id":"p","variables":{"type":"a"}},"tools":[]}`,
	} {
		for i := range routes {
			f.Add([]byte(body), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, route uint8) {
		differential(t, routes[int(route)%len(routes)], body)
	})
}

const chatSeed = `{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello."}],"max_tokens":64}`
