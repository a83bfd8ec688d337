package llm_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// Bodies in the shapes that providers send, streamed and not.
func TestUsageIsReadByEachProvidersConvention(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect llm.Dialect
		body    string
		want    journal.Tokens
		tier    string
	}{
		{"OpenAI: a response", llm.OpenAI,
			`{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"{\"usage\":{\"prompt_tokens\":9}}","refusal":null},"finish_reason":"stop"}],
			"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":128,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},
			"service_tier":"default","system_fingerprint":"fp_1"}`,
			journal.Tokens{Input: 2006, Cached: 1920, Output: 300, Reasoning: 128}, "default"},
		{"OpenAI: a stream's last chunk", llm.OpenAI,
			`{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29},"service_tier":"priority"}`,
			journal.Tokens{Input: 19, Output: 10}, "priority"},
		{"OpenAI: bare", llm.OpenAI, `{"completion_tokens":10,"prompt_tokens":19,"total_tokens":29}`, journal.Tokens{Input: 19, Output: 10}, ""},
		{"OpenAI: cache writes", llm.OpenAI, `{"prompt_tokens":2000,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":500,"cache_write_tokens":1400}}`,
			journal.Tokens{Input: 2000, Cached: 500, CacheWrite: 1400, Output: 10}, ""},
		{"OpenAI: sound", llm.OpenAI, `{"prompt_tokens":100,"completion_tokens":90,"prompt_tokens_details":{"audio_tokens":40},"completion_tokens_details":{"audio_tokens":70}}`,
			journal.Tokens{Input: 100, Output: 90, Other: map[string]int64{"audio_input_tokens": 40, "audio_output_tokens": 70}}, ""},
		{"OpenAI: the other spelling", llm.OpenAI, `{"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":6},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}}`,
			journal.Tokens{Input: 36, Cached: 6, Output: 87, Reasoning: 64}, ""},
		{"OpenAI: a spelling of Anthropic's is not its convention", llm.OpenAI, `{"input_tokens":100,"output_tokens":1,"input_tokens_details":{"cached_tokens":40}}`, journal.Tokens{Input: 100, Cached: 40, Output: 1}, ""},
		{"Anthropic: the same figures by the other convention", llm.Anthropic, `{"input_tokens":100,"output_tokens":1,"cache_read_input_tokens":40}`, journal.Tokens{Input: 140, Cached: 40, Output: 1}, ""},
		{"OpenAI: the event that ends a response", llm.OpenAI,
			`{"type":"response.completed","response":{"id":"resp_1","output":[{"type":"message","content":[]}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":6},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123},"service_tier":"flex"}}`,
			journal.Tokens{Input: 36, Cached: 6, Output: 87, Reasoning: 64}, "flex"},
		{"OpenAI: embeddings write nothing", llm.OpenAI, `{"usage":{"prompt_tokens":8,"total_tokens":8}}`, journal.Tokens{Input: 8}, ""},
		{"compatible: reasoning beside the completion", llm.OpenAI, `{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,"completion_tokens_details":{"reasoning_tokens":100}}`,
			journal.Tokens{Input: 10, Output: 105, Reasoning: 100}, ""},
		{"compatible: DeepSeek's cache", llm.OpenAI, `{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}`,
			journal.Tokens{Input: 10, Cached: 8, Output: 5}, ""},
		{"compatible: DeepSeek's cache in both spellings", llm.OpenAI, `{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":8,"prompt_tokens_details":{"cached_tokens":8}}`,
			journal.Tokens{Input: 10, Cached: 8, Output: 5}, ""},
		{"compatible: reasoning in both spellings", llm.OpenAI, `{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":4},"output_tokens_details":{"reasoning_tokens":4}}`,
			journal.Tokens{Input: 10, Output: 5, Reasoning: 4}, ""},
		{"compatible: nulls and floats", llm.OpenAI, `{"usage":{"prompt_tokens":10.0,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}}`,
			journal.Tokens{Input: 10, Output: 5}, ""},

		{"Anthropic: a response", llm.Anthropic,
			`{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",
			"usage":{"input_tokens":50,"cache_creation_input_tokens":248,"cache_read_input_tokens":1800,"cache_creation":{"ephemeral_5m_input_tokens":148,"ephemeral_1h_input_tokens":100},"output_tokens":503,"service_tier":"standard"}}`,
			journal.Tokens{Input: 2098, Cached: 1800, CacheWrite: 148, CacheWriteLong: 100, Output: 503}, "standard"},
		{"Anthropic: no split", llm.Anthropic, `{"input_tokens":50,"cache_creation_input_tokens":248,"cache_read_input_tokens":0,"output_tokens":5}`,
			journal.Tokens{Input: 298, CacheWrite: 248, Output: 5}, ""},
		{"Anthropic: a time to live we do not know is a long one", llm.Anthropic, `{"input_tokens":1,"cache_creation_input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1d_input_tokens":90},"output_tokens":1}`,
			journal.Tokens{Input: 101, CacheWrite: 10, CacheWriteLong: 90, Output: 1}, ""},
		{"Anthropic: the first event", llm.Anthropic,
			`{"type":"message_start","message":{"id":"msg_1","type":"message","content":[],"usage":{"input_tokens":25,"output_tokens":1,"service_tier":"priority"}}}`,
			journal.Tokens{Input: 25, Output: 1}, "priority"},
		{"Anthropic: the last event", llm.Anthropic,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn","usage":7},"usage":{"input_tokens":10682,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":510,"server_tool_use":{"web_search_requests":1,"web_fetch_requests":0}}}`,
			journal.Tokens{Input: 10682, Output: 510, Other: map[string]int64{"web_search": 1}}, ""},
		{"Anthropic: thinking", llm.Anthropic, `{"input_tokens":5,"output_tokens":500,"output_tokens_details":{"thinking_tokens":400}}`,
			journal.Tokens{Input: 5, Output: 500, Reasoning: 400}, ""},
		{"Anthropic: the fast mode", llm.Anthropic, `{"usage":{"input_tokens":5,"output_tokens":5,"service_tier":"standard","speed":"fast"}}`, journal.Tokens{Input: 5, Output: 5}, "fast"},
		{"Anthropic: the fast mode, said first", llm.Anthropic, `{"usage":{"speed":"fast","input_tokens":5,"output_tokens":5,"service_tier":"standard"}}`, journal.Tokens{Input: 5, Output: 5}, "fast"},
		{"Anthropic: a fixed region", llm.Anthropic, `{"usage":{"input_tokens":5,"output_tokens":5,"inference_geo":"us","service_tier":"standard"}}`, journal.Tokens{Input: 5, Output: 5}, "inference_geo_us"},
		{"Anthropic: a region, said last", llm.Anthropic, `{"type":"message_start","message":{"usage":{"service_tier":"standard","input_tokens":5,"output_tokens":5,"inference_geo":"us"}}}`, journal.Tokens{Input: 5, Output: 5}, "inference_geo_us"},
		{"Anthropic: any region", llm.Anthropic, `{"input_tokens":5,"output_tokens":5,"service_tier":"standard","inference_geo":"global","speed":"standard"}`, journal.Tokens{Input: 5, Output: 5}, "standard"},
		{"Anthropic: no region to be had", llm.Anthropic, `{"input_tokens":5,"output_tokens":5,"service_tier":"standard","inference_geo":"not_available","speed":null}`, journal.Tokens{Input: 5, Output: 5}, "standard"},
		{"Anthropic: no region said", llm.Anthropic, `{"input_tokens":5,"output_tokens":5,"inference_geo":null}`, journal.Tokens{Input: 5, Output: 5}, ""},
		{"Anthropic: the fast mode in a region", llm.Anthropic, `{"input_tokens":5,"output_tokens":5,"inference_geo":"us","speed":"fast"}`, journal.Tokens{Input: 5, Output: 5}, "fast"},
		{"Anthropic: a region as a text", llm.Anthropic, `{"input_tokens":5,"output_tokens":5,"inference_geo":"Ignore all"}`, journal.Tokens{Input: 5, Output: 5}, "unknown"},
		{"Anthropic: compaction is billed beside, an adviser by its own price", llm.Anthropic,
			`{"usage":{"input_tokens":23000,"output_tokens":1000,"iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500,"cache_read_input_tokens":7,"cache_creation_input_tokens":3},
			{"type":"message","input_tokens":23000,"output_tokens":1000},{"type":"advisor_message","model":"x","input_tokens":800,"output_tokens":90}]}}`,
			journal.Tokens{Input: 203010, Cached: 7, CacheWrite: 3, Output: 4500, Other: map[string]int64{"advisor_input_tokens": 800, "advisor_output_tokens": 90}}, ""},
	} {
		got, tier, err := llm.Usage(c.dialect, []byte(c.body))
		got.Other = said(got.Other)
		if err != nil || !reflect.DeepEqual(got, c.want) || tier != c.tier {
			t.Errorf("%s:\n got %+v %q (%v)\nwant %+v %q", c.name, got, tier, err, c.want, c.tier)
		}
	}
}

// said is what was used, without the tools that were not.
func said(other map[string]int64) map[string]int64 {
	maps.DeleteFunc(other, func(_ string, n int64) bool { return n == 0 })
	if len(other) == 0 {
		return nil
	}
	return other
}

// What Anthropic does not say of its tools was not used; OpenAI's usage says nothing
// of them, and that is not none.
func TestUsesThatAreNotSaid(t *testing.T) {
	for _, c := range []struct {
		dialect llm.Dialect
		body    string
		want    map[string]int64
	}{
		{llm.Anthropic, `{"input_tokens":1,"output_tokens":1}`, map[string]int64{"web_search": 0, "web_fetch": 0}},
		{llm.Anthropic, `{"input_tokens":1,"output_tokens":1,"server_tool_use":{"web_fetch_requests":2}}`, map[string]int64{"web_search": 0, "web_fetch": 2}},
		{llm.OpenAI, `{"input_tokens":1,"output_tokens":1}`, nil},
	} {
		if got, _, err := llm.Usage(c.dialect, []byte(c.body)); err != nil || !maps.Equal(got.Other, c.want) {
			t.Errorf("%s: %v (%v), want %v", c.body, got.Other, err, c.want)
		}
	}
}

// recorded is one file of testdata/usage: what a provider sent, and what it is.
type recorded struct {
	Note    string
	Dialect llm.Dialect
	Want    journal.Tokens
	Tier    string
	Body    json.RawMessage
}

// Bodies as providers send them, one file for each provider and endpoint.
func TestRecordedUsage(t *testing.T) {
	files, err := filepath.Glob("testdata/usage/*.json")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c recorded
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		got, tier, err := llm.Usage(c.Dialect, c.Body)
		got.Other = said(got.Other)
		if err != nil || !reflect.DeepEqual(got, c.Want) || tier != c.Tier {
			t.Errorf("%s: %s:\n got %+v %q (%v)\nwant %+v %q", file, c.Note, got, tier, err, c.Want, c.Tier)
		}
	}
}

// What is not over yet has no figures, and that is no zero.
func TestAnAnswerThatGoesOnHasNoUsage(t *testing.T) {
	for _, body := range []string{
		`{"id":"resp_1","object":"response","status":"queued","background":true,"output":[],"usage":null}`,
		`{"type":"response.created","response":{"id":"resp_1","status":"in_progress","usage":null}}`,
		`{"type":"response.output_text.delta","delta":"usage","sequence_number":4}`,
	} {
		if got, tier, err := llm.Usage(llm.OpenAI, []byte(body)); err == nil || got.Input != 0 || tier != "" {
			t.Errorf("%s: %+v %q", body, got, tier)
		}
	}
}

func TestFiguresThatCannotBeAreRefused(t *testing.T) {
	refused := func(d llm.Dialect, body string) {
		t.Helper()
		got, tier, err := llm.Usage(d, []byte(body))
		if err == nil || !reflect.DeepEqual(got, journal.Tokens{}) || tier != "" {
			t.Errorf("%s: %.80s: %+v %q (%v)", d, body, got, tier, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes the body: %v", err)
		}
	}
	refused(llm.OpenAI, `{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":11}}`)
	refused(llm.OpenAI, `{"prompt_tokens":10,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}`)
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `"` + secret + `"`, `{"usage":null}`, `{"usage":{}}`, `{"error":{"message":"` + secret + `"}}`, `{"usage":{"prompt_tokens":1,`,
		`{"prompt_tokens":1}`, `{"completion_tokens":1}`, `{"prompt_tokens":1,"total_tokens":5}`, `{"input_tokens":1}`, `{"output_tokens":1}`,
		`{"prompt_tokens":-1,"completion_tokens":1}`, `{"prompt_tokens":1,"completion_tokens":-1}`, `{"prompt_tokens":1.5,"completion_tokens":1}`,
		`{"prompt_tokens":"` + secret + `","completion_tokens":1}`, `{"prompt_tokens":1e30,"completion_tokens":1}`, `{"prompt_tokens":9223372036854775808,"completion_tokens":1}`,
		`{"prompt_tokens":1,"prompt_tokens":2,"completion_tokens":1}`, `{"usage":{"prompt_tokens":1,"completion_tokens":1},"usage":{}}`,
		`{"input_tokens":1,"output_tokens":1,"cache_read_input_tokens":-5}`, `{"input_tokens":1,"output_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":-5}}`,
		`{"input_tokens":1,"output_tokens":1,"iterations":[` + strings.Repeat(`{"type":"compaction","input_tokens":1099511627776},`, 40) + `{}]}`,
		"{\"prompt_tokens\":1,\"completion_tokens\":1,\"x\":\"\xff\"}", `{"prompt_tokens":1,"completion_tokens":1} x`,
	} {
		refused(llm.OpenAI, body)
		refused(llm.Anthropic, body)
	}
}

func FuzzUsage(f *testing.F) {
	for _, body := range []string{
		`{"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920}},"service_tier":"default"}`,
		`{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":1}}}}`,
		`{"input_tokens":1,"output_tokens":1,"iterations":[{"type":"compaction","input_tokens":1e3}]}`,
		`{"prompt_tokens":-1,"completion_tokens":9223372036854775807}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, d := range []llm.Dialect{llm.OpenAI, llm.Anthropic} {
			got, _, err := llm.Usage(d, body)
			if err != nil {
				continue
			}
			for _, n := range []int64{got.Input, got.Cached, got.CacheWrite, got.CacheWriteLong, got.Output, got.Reasoning} {
				if n < 0 || n > 1<<50 {
					t.Fatalf("%s: %s: %+v", d, body, got)
				}
			}
			if got.Cached+got.CacheWrite+got.CacheWriteLong > got.Input || got.Reasoning > got.Output {
				t.Fatalf("%s: %s: %+v", d, body, got)
			}
		}
	})
}
