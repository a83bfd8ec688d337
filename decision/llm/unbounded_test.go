package llm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// What is billed but not bounded by the body: one line a field. A line that goes
// missing is a way to spend money that nobody holds.
func TestEachFieldThatBillsBeyondTheBodyIsNamed(t *testing.T) {
	part := func(p string) string {
		return `{"model":"m","messages":[{"role":"user","content":[` + p + `]}]}`
	}
	cases := []struct {
		route llm.Route
		body  string
		field string
		kind  llm.Kind
		max   int64
	}{
		// OpenAI: tools that the provider runs.
		{chat, chatWith(`"web_search_options":{}`), "web_search_options", llm.KindTool, 0},
		{chat, chatWith(`"search_parameters":{"mode":"auto"}`), "search_parameters", llm.KindTool, 0},
		{chat, chatWith(`"enable_search":true`), "enable_search", llm.KindTool, 0},
		{chat, chatWith(`"plugins":[{"id":"web"}]`), "plugins", llm.KindTool, 0},
		{chat, chatWith(`"data_sources":[{"type":"azure_search"}]`), "data_sources", llm.KindTool, 0},
		{chat, chatWith(`"background":true`), "background", llm.KindTool, 0},
		{chat, chatWith(`"tools":[{"type":"function","function":{}},{"type":"web_search"}]`), "tools[1]", llm.KindTool, 0},
		{chat, chatWith(`"tools":[{"type":"mcp","server_url":"x"}]`), "tools[0]", llm.KindTool, 0},
		{chat, chatWith(`"tools":[{"type":"something_new"}]`), "tools[0]", llm.KindTool, 0},
		{chat, chatWith(`"tools":[{"google_search":{}}]`), "tools[0]", llm.KindTool, 0},
		// OpenAI: state and files by reference.
		{chat, chatWith(`"previous_response_id":"r"`), "previous_response_id", llm.KindInput, 0},
		{chat, chatWith(`"conversation":"c"`), "conversation", llm.KindInput, 0},
		{chat, chatWith(`"prompt":{"id":"p"}`), "prompt", llm.KindInput, 0},
		{chat, chatWith(`"chat_template":"{% for %}"`), "chat_template", llm.KindInput, 0},
		{chat, chatWith(`"mm_processor_kwargs":{"max_pixels":1}`), "mm_processor_kwargs", llm.KindInput, 0},
		{chat, chatWith(`"cached_content":"cachedContents/1"`), "cached_content", llm.KindInput, 0},
		{chat, chatWith(`"cachedContent":"cachedContents/1"`), "cachedContent", llm.KindInput, 0},
		{chat, chatWith(`"extra_body":{"google":{"cached_content":"cachedContents/1"}}`), "extra_body.google.cached_content", llm.KindInput, 0},
		{chat, chatWith(`"extra_body":{"cached_content":"cachedContents/1"}`), "extra_body.cached_content", llm.KindInput, 0},
		{chat, chatWith(`"google":{"cached_content":"cachedContents/1"}`), "google.cached_content", llm.KindInput, 0},
		{chat, chatWith(`"extra_body":{"extra_body":{"google":{"cached_content":"c"}}}`), "extra_body.extra_body.google.cached_content", llm.KindInput, 0},
		{chat, `{"model":"m","messages":[{"role":"user","content":"x","images":["https://x.example/1.png"]}]}`, "messages[0].images", llm.KindInput, 0},
		{chat, `{"model":"m","messages":[{"role":"user","content":"x","files":["f"]}]}`, "messages[0].files", llm.KindInput, 0},
		{chat, `{"model":"m","messages":[{"role":"user","content":"x","attachments":[{"file_id":"f"}]}]}`, "messages[0].attachments", llm.KindInput, 0},
		// OpenAI: parts that are neither text nor of a kind that has a rule.
		{chat, part(`{"type":"text","text":"sum up"},{"type":"document_url","document_url":"https://x.example/900.pdf"}`), "messages[0].content[1]", llm.KindInput, 0},
		{chat, part(`{"document_url":"https://x.example/900.pdf","type":"document_url"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"image","image":"https://x.example/a.png"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"image":"https://x.example/a.png"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"text","text":"x","image":"https://x.example/a.png"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"input_image","file_id":"f"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"input_image","image_url":"https://x.example/a.png"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"input_file","file_id":"f"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"input_file","file_url":"https://x.example/900.pdf"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"file","file_id":"f"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"image_url","url":"https://x.example/a.png"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"document","source":{"type":"file","file_id":"f"}}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"something_new","text":"x"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"something_new":"x"}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":null,"inline_data":{"data":"AAAA"}}`), "messages[0].content[0]", llm.KindInput, 0},
		{chat, part(`{"type":"video","video":["https://x.example/1.png","https://x.example/2.png"]}`), "messages[0].content[0]", llm.KindMedia, 0},
		{chat, part(`{"video":"https://x.example/1.mp4"}`), "messages[0].content[0]", llm.KindMedia, 0},
		{chat, part(`{"type":"audio","audio":"https://x.example/1.wav"}`), "messages[0].content[0]", llm.KindMedia, 0},
		{chat, part(`{"type":"input_video","file_id":"f"}`), "messages[0].content[0]", llm.KindMedia, 0},
		{chat, part(`{"type":"image_url","image_url":{"url":"data:application/pdf;base64,AAAA"}}`), "messages[0].content[0].image_url.url", llm.KindInput, 0},
		{chat, part(`{"type":"image_url","image_url":" \u0064ATA:application/pdf;base64,` + strings.Repeat("A", 500) + `"}`), "messages[0].content[0].image_url", llm.KindInput, 0},
		{chat, part(`{"type":"image_url","image_url":{"url":"data:video/mp4;base64,AAAA"}}`), "messages[0].content[0].image_url.url", llm.KindMedia, 0},
		{chat, part(`{"type":"image_url","image_url":["https://x.example/1.png","https://x.example/2.png"]}`), "messages[0].content[0].image_url", llm.KindInput, 0},
		{chat, part(`{"type":"file","file":{"file_id":"f"}}`), "messages[0].content[0].file", llm.KindInput, 0},
		{chat, part(`{"file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"},"type":"file"}`), "messages[0].content[0].file", llm.KindInput, 0},
		// OpenAI: sound and pictures, in and out.
		{chat, chatWith(`"modalities":["text","audio"]`), "modalities[1]", llm.KindMedia, 0},
		{chat, chatWith(`"modalities":["image"]`), "modalities[0]", llm.KindMedia, 0},
		{chat, chatWith(`"audio":{"voice":"alloy"}`), "audio", llm.KindMedia, 0},
		{chat, part(`{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}`), "messages[0].content[0].input_audio", llm.KindMedia, 0},
		{chat, part(`{"type":"audio_url","audio_url":{"url":"x"}}`), "messages[0].content[0].audio_url", llm.KindMedia, 0},
		{chat, part(`{"type":"video_url","video_url":{"url":"x"}}`), "messages[0].content[0].video_url", llm.KindMedia, 0},
		{chat, `{"model":"m","messages":[{"role":"assistant","audio":{"id":"a"}}]}`, "messages[0].audio", llm.KindMedia, 0},
		// OpenAI: other prices, other models.
		{chat, chatWith(`"service_tier":"priority"`), "service_tier", llm.KindTier, 0},
		{chat, chatWith(`"service_tier":"fast"`), "service_tier", llm.KindTier, 0},
		{chat, chatWith(`"service_tier":"something new"`), "service_tier", llm.KindTier, 0},
		{chat, chatWith(`"models":["a","b"]`), "models", llm.KindModel, 0},
		{chat, chatWith(`"fallbacks":["a"]`), "fallbacks", llm.KindModel, 0},
		{chat, chatWith(`"preset":"p"`), "preset", llm.KindModel, 0},
		{chat, chatWith(`"extra_body":{"preset":"p"}`), "extra_body.preset", llm.KindModel, 0},
		{chat, chatWith(`"extra_body":{"max_tokens":100000}`), "extra_body.max_tokens", llm.KindModel, 0},
		{chat, chatWith(`"extra_body":{"model":"dear"}`), "extra_body.model", llm.KindModel, 0},

		// Anthropic: tools that the provider runs.
		{messages, messagesWith(`"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":5}]`), "tools[0]", llm.KindTool, 5},
		{messages, messagesWith(`"tools":[{"name":"web_search","max_uses":3,"type":"web_search_20260318"}]`), "tools[0]", llm.KindTool, 3},
		{messages, messagesWith(`"tools":[{"type":"web_search_20250305","name":"web_search"}]`), "tools[0]", llm.KindTool, 0},
		{messages, messagesWith(`"tools":[{"type":"web_fetch_20250910","name":"web_fetch","max_uses":2}]`), "tools[0]", llm.KindTool, 2},
		{messages, messagesWith(`"tools":[{"type":"code_execution_20250825","name":"code_execution"}]`), "tools[0]", llm.KindTool, 0},
		{messages, messagesWith(`"tools":[{"type":"tool_search_tool_bm25_20251119","name":"s"}]`), "tools[0]", llm.KindTool, 0},
		{messages, messagesWith(`"tools":[{"type":"mcp_toolset","mcp_server_name":"s"}]`), "tools[0]", llm.KindTool, 0},
		{messages, messagesWith(`"tools":[{"type":"advisor_20260301","model":"dear","name":"advisor"}]`), "tools[0]", llm.KindTool, 0},
		{messages, messagesWith(`"mcp_servers":[{"type":"url","url":"x"}]`), "mcp_servers", llm.KindTool, 0},
		{messages, messagesWith(`"container":"c-1"`), "container", llm.KindTool, 0},
		{messages, messagesWith(`"container":{"skills":[{"skill_id":"pptx"}]}`), "container", llm.KindTool, 0},
		{messages, part(`{"type":"container_upload","file_id":"f"}`), "messages[0].content[0]", llm.KindTool, 0},
		{messages, messagesWith(`"context_management":{"edits":[{"type":"compact_20260112"}]}`), "context_management.edits[0]", llm.KindTool, 0},
		// Anthropic: files, by reference and in the body.
		{messages, part(`{"type":"document","source":{"type":"file","file_id":"f"}}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"type":"document","source":{"type":"url","url":"x"}}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"source":{"data":"AAAA","type":"base64"},"type":"document"}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"type":"tool_result","content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}`), "messages[0].content[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"type":"web_fetch_tool_result","content":{"type":"web_fetch_result","content":{"type":"document","source":{"type":"base64","data":"AAAA"}}}}`), "messages[0].content[0].content.content", llm.KindInput, 0},
		{messages, part(`{"type":"video","source":{"type":"base64","data":"AAAA"}}`), "messages[0].content[0]", llm.KindMedia, 0},
		{messages, part(`{"type":"document","file_id":"f"}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"type":"file","file":{"file_id":"f"}}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"type":"document_url","document_url":"https://x.example/900.pdf"}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"type":"something_new","text":"x"}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"file_id":"f"}`), "messages[0].content[0]", llm.KindInput, 0},
		{messages, part(`{"type":"tool_result","content":[{"type":"something_new","id":"f"}]}`), "messages[0].content[0].content[0]", llm.KindInput, 0},
		{messages, `{"model":"m","system":[{"type":"something_new","id":"f"}],"messages":[]}`, "system[0]", llm.KindInput, 0},
		{messages, part(`{"type":"video","file_id":"f"}`), "messages[0].content[0]", llm.KindMedia, 0},
		{messages, part(`{"type":"input_audio","input_audio":{"data":"AAAA"}}`), "messages[0].content[0]", llm.KindMedia, 0},
		{messages, messagesWith(`"cached_content":"c"`), "cached_content", llm.KindInput, 0},
		{messages, messagesWith(`"preset":"p"`), "preset", llm.KindModel, 0},
		{messages, messagesWith(`"models":["a"]`), "models", llm.KindModel, 0},
		{messages, messagesWith(`"plugins":[{"id":"web"}]`), "plugins", llm.KindTool, 0},
		// Anthropic: other prices, other models.
		{messages, messagesWith(`"service_tier":"priority"`), "service_tier", llm.KindTier, 0},
		{messages, messagesWith(`"speed":"fast"`), "speed", llm.KindTier, 0},
		{messages, messagesWith(`"inference_geo":"us"`), "inference_geo", llm.KindTier, 0},
		{messages, messagesWith(`"fallbacks":[{"model":"m"}]`), "fallbacks", llm.KindModel, 0},
	}
	for _, c := range cases {
		a := read(t, c.route, c.body)
		if len(a.Unbounded) != 1 {
			t.Errorf("%s: %+v", c.body, a.Unbounded)
			continue
		}
		u := a.Unbounded[0]
		if u.Field != c.field || u.Kind != c.kind || u.Max != c.max || u.Why == "" || (u.Kind == llm.KindTier) != (u.Tier != "") {
			t.Errorf("%s: %+v, want %s %s %d", c.body, u, c.field, c.kind, c.max)
		}
	}
}

func TestWhatCostsNothingMoreIsNotUnbounded(t *testing.T) {
	for _, field := range []string{
		`"service_tier":"auto"`, `"service_tier":"default"`, `"service_tier":"flex"`, `"modalities":["text"]`, `"store":true`,
		`"web_search_options":null`, `"enable_search":false`, `"background":false`, `"plugins":[]`, `"data_sources":[ ]`, `"models":[]`,
		`"tools":[]`, `"tools":[{"type":"function","function":{"name":"f"}}]`, `"tools":[{"type":"custom","custom":{"name":"f"}}]`,
		`"functions":[{"name":"f","parameters":{}}]`, `"logprobs":true,"top_logprobs":20`, `"prompt_cache_key":"k"`,
		`"reasoning_effort":"high"`, `"prompt_cache_retention":"24h"`,
	} {
		if a := read(t, chat, chatWith(field)); len(a.Unbounded) != 0 {
			t.Errorf("%s: %+v", field, a.Unbounded)
		}
	}
	for _, field := range []string{
		`"service_tier":"standard_only"`, `"speed":"standard"`, `"inference_geo":"global"`, `"mcp_servers":[]`, `"container":null`,
		`"tools":[{"name":"f","input_schema":{}}]`, `"tools":[{"type":"custom","name":"f"}]`, `"tools":[{"type":"bash_20250124","name":"bash"}]`,
		`"tools":[{"type":"text_editor_20250728","name":"e"}]`, `"tools":[{"type":"computer_20251124","name":"c"}]`, `"tools":[{"type":"memory_20250818","name":"m"}]`,
		`"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}`, `"betas":["context-1m-2025-08-07"]`, `"thinking":{"type":"adaptive"}`,
		`"output_config":{"effort":"max"}`,
	} {
		if a := read(t, messages, messagesWith(field)); len(a.Unbounded) != 0 {
			t.Errorf("%s: %+v", field, a.Unbounded)
		}
	}
}

func TestPartsThatAreTextAreNotUnbounded(t *testing.T) {
	for _, c := range []struct {
		route llm.Route
		parts []string
	}{
		{chat, []string{
			`"x"`, `{}`, `{"type":"text","text":"x"}`, `{"text":"x"}`, `{"type":"text","text":"x","annotations":[],"image":null,"file_id":null}`,
			`{"type":"refusal","refusal":"x"}`, `{"type":"input_text","text":"x"}`, `{"type":"output_text","text":"x"}`,
			`{"type":"thinking","thinking":[{"type":"text","text":"x"}]}`, `{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}`,
			`{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}`, `{"image_url":"data:image/png;base64,AAAA"}`,
		}},
		{messages, []string{
			`{"type":"text","text":"x"}`, `{"text":"x"}`, `{"type":"thinking","thinking":"x","signature":"s"}`, `{"type":"redacted_thinking","data":"AAAA"}`,
			`{"type":"tool_use","id":"t","name":"f","input":{"type":"anything"}}`, `{"type":"tool_result","tool_use_id":"t","content":"x"}`,
			`{"type":"server_tool_use","id":"t","name":"web_search","input":{}}`, `{"type":"search_result","source":"x","title":"x","content":[{"type":"text","text":"x"}]}`,
			`{"type":"web_search_tool_result","tool_use_id":"t","content":[{"type":"web_search_result","url":"x","encrypted_content":"AAAA"}]}`,
			`{"type":"web_search_tool_result","content":{"type":"web_search_tool_result_error","error_code":"unavailable"}}`,
			`{"type":"code_execution_tool_result","content":{"type":"code_execution_result","stdout":"x","content":[{"type":"code_execution_output","file_id":"f"}]}}`,
			`{"type":"compaction","content":"x"}`, `{"type":"document","source":{"type":"text","data":"x"}}`,
		}},
	} {
		for _, p := range c.parts {
			body := `{"model":"m","messages":[{"role":"user","content":[` + p + `]}]}`
			if a := read(t, c.route, body); len(a.Unbounded) != 0 {
				t.Errorf("%s: %+v", body, a.Unbounded)
			}
		}
	}
}

func TestCacheWrites(t *testing.T) {
	part := func(p string) string {
		return `{"model":"m","messages":[{"role":"user","content":[` + p + `]}]}`
	}
	for _, c := range []struct {
		route       llm.Route
		body        string
		write, long bool
	}{
		// OpenAI's newest models write by themselves, unless told not to.
		{chat, chatWith(""), true, false},
		{chat, chatWith(`"prompt_cache_options":{"mode":"implicit"}`), true, false},
		{chat, chatWith(`"prompt_cache_options":{"mode":"explicit"}`), false, false},
		{chat, `{"model":"m","prompt_cache_options":{"mode":"explicit"},"messages":[{"content":[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}]}]}`, true, false},
		// Anthropic writes where it is told to.
		{messages, messagesWith(""), false, false},
		{messages, messagesWith(`"cache_control":{"type":"ephemeral"}`), true, false},
		{messages, messagesWith(`"cache_control":{"type":"ephemeral","ttl":"1h"}`), true, true},
		{messages, messagesWith(`"cache_control":{"ttl":"2d"}`), true, true},
		{messages, messagesWith(`"cache_control":null`), false, false},
		{messages, messagesWith(`"tools":[{"name":"f","cache_control":{"type":"ephemeral","ttl":"5m"}}]`), true, false},
		{messages, messagesWith(`"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]`), true, true},
		{messages, part(`{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}`), true, false},
		{messages, part(`{"type":"text","text":"a","cache_contro\u006c":{"type":"ephemeral","tt\u006c":"1\u0068"}}`), true, true},
		{messages, part(`{"type":"tool_result","content":[{"type":"text","text":"a","cache_control":{"ttl":"1h"}}]}`), true, true},
		{messages, part(`{"type":"something_new","deep":[{"cache_control":{"ttl":"1h"}}]}`), true, true},
	} {
		a := read(t, c.route, c.body)
		if a.CacheWrite != c.write || a.CacheWriteLong != c.long {
			t.Errorf("%s: write %v, long %v", c.body, a.CacheWrite, a.CacheWriteLong)
		}
	}
}

func TestTheCeilingOfAnOrdinaryCall(t *testing.T) {
	a := read(t, chat, chatWith(`"max_tokens":100,"n":3`))
	c := a.Ceiling(llm.ModelLimits{Context: 128_000, MaxOutput: 16_384})
	if c.Input != a.InputTokens || c.N != 3 || c.Output != 100 || c.OutputExtra != 0 || !c.CacheWrite || c.Tier != "" || len(c.Unpriced) != 0 {
		t.Errorf("got %+v", c)
	}
	// More than the model writes is not asked for; nothing said is the model's most.
	if c := a.Ceiling(llm.ModelLimits{MaxOutput: 50}); c.Output != 50 {
		t.Errorf("got %+v", c)
	}
	if c := read(t, chat, chatWith("")).Ceiling(llm.ModelLimits{MaxOutput: 50}); c.Output != 50 {
		t.Errorf("got %+v", c)
	}
	if c := read(t, chat, chatWith("")).Ceiling(llm.ModelLimits{}); c.Output != 0 {
		t.Errorf("nothing bounds it: %+v", c)
	}
	// A prompt beyond the context is refused by the provider.
	long := read(t, chat, chatWith(`"x":"`+strings.Repeat("a", 10_000)+`"`))
	if c := long.Ceiling(llm.ModelLimits{Context: 8000}); c.Input != 8000 {
		t.Errorf("got %+v", c)
	}
}

func TestTheCeilingOfWhatTheBodyDoesNotBound(t *testing.T) {
	limits := llm.ModelLimits{Context: 100_000, MaxOutput: 4096}
	ceiling := func(route llm.Route, body string) llm.Ceiling { return read(t, route, body).Ceiling(limits) }

	if c := ceiling(chat, chatWith(`"previous_response_id":"r"`)); c.Input != 100_000 || len(c.Unpriced) != 0 {
		t.Errorf("state by reference is held at the context: %+v", c)
	}
	if c := read(t, chat, chatWith(`"previous_response_id":"r"`)).Ceiling(llm.ModelLimits{}); len(c.Unpriced) != 1 {
		t.Errorf("with no context known it has no bound: %+v", c)
	}
	searches := messagesWith(`"tools":[{"type":"web_search_20250305","max_uses":4}]`)
	c := ceiling(messages, searches)
	if first := read(t, messages, searches).InputTokens; c.Input != first+400_000 || c.N != 5 || len(c.Fees) != 1 || c.Fees[0] != (llm.Fee{Tool: llm.WebSearch, Max: 4}) || len(c.Unpriced) != 0 {
		t.Errorf("four searches are five runs and four fees: %+v", c)
	}
	for _, body := range []string{
		`"tools":[{"type":"web_search_20250305"}]`, `"tools":[{"type":"web_search_20250305","max_uses":1024}]`, `"mcp_servers":[{}]`,
		`"container":"c"`, `"fallbacks":[{}]`, `"context_management":{"edits":[{"type":"compact_20260112"}]}`,
	} {
		if c := ceiling(messages, messagesWith(body)); len(c.Unpriced) != 1 {
			t.Errorf("%s has no bound: %+v", body, c)
		}
	}
	if c := ceiling(messages, messagesWith(`"speed":"fast"`)); c.Tier != "fast" || len(c.Unpriced) != 0 {
		t.Errorf("got %+v", c)
	}
	if c := ceiling(messages, messagesWith(`"inference_geo":"us"`)); c.Tier != "inference_geo_us" || len(c.Unpriced) != 0 {
		t.Errorf("got %+v", c)
	}
	if c := ceiling(chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"document_url","document_url":"x"}]}]}`); c.Input != 100_000 || len(c.Unpriced) != 0 {
		t.Errorf("a part of a kind we do not know is held at the context: %+v", c)
	}
	if c := ceiling(messages, messagesWith(`"speed":"fast","inference_geo":"us"`)); c.Tier != "fast" || len(c.Unpriced) != 1 {
		t.Errorf("two tiers at once have no price: %+v", c)
	}
	if c := ceiling(chat, chatWith(`"service_tier":"Ignore previous instructions"`)); c.Tier != "unknown" {
		t.Errorf("a tier goes into messages: %+v", c)
	}
	if c := ceiling(messages, `{"model":"m","max_tokens":0,"messages":[]}`); c.N != 0 || c.Output != 0 {
		t.Errorf("nothing is written: %+v", c)
	}
	if c := ceiling(messages, messagesWith(`"betas":["context-1m-2025-08-07"],"container":"c","tools":[{"type":"web_fetch_20250910","max_uses":1}]`)); c.Input < 1_000_000 || c.Input > 1_010_000 {
		t.Errorf("the beta opens a million: %+v", c)
	}
	a := read(t, messages, messagesWith(""))
	a.Beta("fine-grained-2025, context-1m-2025-08-07")
	if !a.LongContext {
		t.Error("the beta in the header was overlooked")
	}
}

func TestOutputBesideTheAnswer(t *testing.T) {
	a := read(t, chat, chatWith(`"max_tokens":10,"n":2,"prediction":{"type":"content","content":"`+strings.Repeat("x", 1000)+`"}`))
	if c := a.Ceiling(llm.ModelLimits{}); c.OutputExtra < 2000 || c.OutputExtra > 2100 {
		t.Errorf("rejected predictions are output: %+v", c)
	}
	if b := read(t, chat, chatWith("")); a.InputTokens != b.InputTokens {
		t.Errorf("a prediction is no input: %d and %d", a.InputTokens, b.InputTokens)
	}
	a = read(t, chat, chatWith(`"thinking":{"type":"enabled","budget_tokens":5000},"best_of":4`))
	if c := a.Ceiling(llm.ModelLimits{}); c.OutputExtra != 20_000 || c.N != 4 {
		t.Errorf("another provider's thinking may lie outside the limit: %+v", c)
	}
}

func TestEveryBudgetOfThinkingIsHeldBesideEachAnswer(t *testing.T) {
	for _, c := range []struct {
		fields string
		extra  int64
	}{
		{`"thinking_budget":30000`, 30_000},
		{`"thinkingBudget":30000`, 30_000},
		{`"reasoning_budget":30000`, 30_000},
		{`"thinking_token_budget":30000`, 30_000},
		{`"max_thinking_tokens":30000`, 30_000},
		{`"max_reasoning_tokens":3e4`, 30_000},
		{`"thinking_budget":"30000"`, 30_000},
		{`"thinking_budg\u0065t":30000.0`, 30_000},
		{`"reasoning":{"max_tokens":30000}`, 30_000},
		{`"reasoning":{"effort":"high"}`, 0},
		{`"reasoning":null,"thinking_budget":null`, 0},
		{`"thinking_budget":-1`, 0},
		{`"extra_body":{"google":{"thinking_config":{"thinking_budget":30000}}}`, 30_000},
		{`"extra_body":{"thinking_budget":30000}`, 30_000},
		{`"extra_body":{"reasoning":{"max_tokens":30000}}`, 30_000},
		{`"extra_body":{"thinking":{"type":"enabled","budget_tokens":30000}}`, 30_000},
		// A call thinks by one of them: the largest.
		{`"thinking_budget":10,"reasoning":{"max_tokens":30000},"thinking":{"budget_tokens":2000}`, 30_000},
		{`"thinking":{"budget_tokens":30000},"thinking_budget":10`, 30_000},
	} {
		a := read(t, chat, chatWith(`"max_tokens":10,"n":2,`+c.fields))
		if a.ExtraOutput != c.extra || len(a.Unbounded) != 0 {
			t.Errorf("%s: %d beside, %+v", c.fields, a.ExtraOutput, a.Unbounded)
		}
		if got := a.Ceiling(llm.ModelLimits{}); got.OutputExtra != 2*c.extra {
			t.Errorf("%s: %+v", c.fields, got)
		}
	}
	for _, field := range []string{`"thinking_budget":1.5`, `"thinking_budget":"many"`, `"reasoning":{"max_tokens":1e300}`,
		`"thinking_budget":1,"thinking_budget":2`, `"Thinking_Budget":1`} {
		if _, p := llm.Parse(chat, []byte(chatWith(field)), true); p == nil {
			t.Errorf("%s was read", field)
		}
	}
}

// Text in a field that nobody knows is still no more than its bytes.
func TestUnknownFieldsOfTextAreCountedByTheirBytes(t *testing.T) {
	for _, field := range []string{`"documents":[{"text":"` + strings.Repeat("x", 1000) + `"}]`, `"extra_body":{"x":"` + strings.Repeat("x", 1000) + `"}`} {
		a, b := read(t, chat, chatWith(field)), read(t, chat, chatWith(""))
		if n := a.InputTokens - b.InputTokens; n < 1000 || n > 1100 || len(a.Unbounded) != 0 {
			t.Errorf("%.20s: %d tokens, %+v", field, n, a.Unbounded)
		}
	}
}

func TestImagesAreCountedByRuleAndNotByTheirBytes(t *testing.T) {
	small, large := "AAAA", strings.Repeat("A", 1<<20)
	of := func(route llm.Route, format, data string) *llm.Ask {
		return read(t, route, `{"model":"m","messages":[{"role":"user","content":[`+fmt.Sprintf(format, data)+`]}]}`)
	}
	for _, c := range []struct {
		route  llm.Route
		format string
		tokens int64
	}{
		{chat, `{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}`, llm.OpenAIImage},
		{chat, `{"image_url":{"detail":"high","url":"%s"},"type":"image_url"}`, llm.OpenAIImage},
		{chat, `{"image_url":{"detail":"original","url":"%s"},"type":"image_url"}`, llm.OpenAIImage},
		{chat, `{"type":"image_url","image_url":{"url":"https://x/%s","detail":"low"}}`, llm.OpenAIImageLow},
		{chat, `{"type":"image_url","image_url":"%s"}`, llm.OpenAIImage},
		{messages, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%s"}}`, llm.AnthropicImage},
		{messages, `{"source":{"data":"%s","type":"base64"},"type":"image"}`, llm.AnthropicImage},
		{messages, `{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":"%s"}}]}`, llm.AnthropicImage},
	} {
		a, b := of(c.route, c.format, small), of(c.route, c.format, large)
		if a.InputTokens != b.InputTokens || a.Images != 1 || a.InputTokens < c.tokens || a.InputTokens > c.tokens+1000 {
			t.Errorf("%s: %d and %d tokens, %d images", c.format, a.InputTokens, b.InputTokens, a.Images)
		}
		if u := a.Ceiling(llm.ModelLimits{ImageTokens: 85}); u.Input != a.InputTokens-c.tokens+85 {
			t.Errorf("%s: a model whose images cost 85: %+v", c.format, u)
		}
		if len(a.Unbounded) != 0 {
			t.Errorf("%s: %+v", c.format, a.Unbounded)
		}
	}
	// An image by file id costs no more than any other.
	if a := of(messages, `{"type":"image","source":{"type":"file","file_id":"%s"}}`, "f"); a.Images != 1 || len(a.Unbounded) != 0 {
		t.Errorf("got %+v", a)
	}
	// A document that is text is counted as text.
	if a := of(messages, `{"type":"document","source":{"data":"%s","type":"text"}}`, large); a.Files != 0 || a.InputTokens < 1<<20 || len(a.Unbounded) != 0 {
		t.Errorf("%d tokens, %+v", a.InputTokens, a.Unbounded)
	}
	if a := of(messages, `{"type":"document","source":{"type":"content","content":[{"type":"text","text":"%s"}]}}`, large); a.InputTokens < 1<<20 || len(a.Unbounded) != 0 {
		t.Errorf("%d tokens, %+v", a.InputTokens, a.Unbounded)
	}
}
