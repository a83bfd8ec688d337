package llm_test

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

var (
	responses  = llm.Route{Dialect: llm.OpenAI, Endpoint: llm.Responses}
	embeddings = llm.Route{Dialect: llm.OpenAI, Endpoint: llm.Embeddings}
)

// responsesWith is a valid body with more fields.
func responsesWith(fields string) string {
	return `{"model":"gpt-5","input":"hi"` + comma(fields) + `}`
}

// item is a response whose input is one item, or several.
func items(of string) string { return `{"model":"gpt-5","input":[` + of + `]}` }

func TestAResponseIsReadAsItIsWritten(t *testing.T) {
	a := read(t, responses, `{"model":"gpt-5","instructions":"be brief","input":[{"role":"user","content":"hi"},
		{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"ok"}],
		"max_output_tokens":64,"stream":true,"stream_options":{"include_obfuscation":false},"user":"u-1","safety_identifier":"s-1",
		"metadata":{"session_id":"se-1"},"service_tier":"default","background":true,"tools":[{"type":"function","name":"f"},{"type":"custom","name":"g"}]}`)
	type summary struct {
		Model                    string
		Stream, IncludeUsage     bool
		Background, NoOutput     bool
		N, MaxOutput, MinOutput  int64
		Messages, Tools          int
		User, Safety, Session, T string
	}
	got := summary{a.Model, a.Stream, a.IncludeUsage, a.Background, a.NoOutput, a.N, a.MaxOutput, a.MinOutput, a.Messages, a.Tools, a.User, a.SafetyIdentifier, a.Session, a.ServiceTier}
	want := summary{"gpt-5", true, false, true, false, 1, 64, 16, 3, 2, "u-1", "s-1", "se-1", "default"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if s := a.ModelSpan; string(a.Body[s[0]:s[1]]) != "gpt-5" || len(a.Unbounded) != 0 || !a.CacheWrite {
		t.Errorf("got %+v", a)
	}
}

// What a coding agent sends, as it is sent.
func TestACodingAgentsResponseHasABound(t *testing.T) {
	a := read(t, responses, `{"model":"gpt-5.5-codex","instructions":"You are a coding agent.","input":[
		{"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions>"}]},
		{"type":"message","role":"user","content":[{"type":"input_text","text":"fix it"},{"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"high"}]},
		{"type":"reasoning","summary":[{"type":"summary_text","text":"look"}],"content":null,"encrypted_content":"gAAAA"},
		{"type":"function_call","name":"shell","arguments":"{\"command\":[\"ls\"]}","call_id":"c1"},
		{"type":"function_call_output","call_id":"c1","output":"a.go"},
		{"type":"custom_tool_call","status":"completed","call_id":"c2","name":"apply_patch","input":"*** Begin Patch"},
		{"type":"custom_tool_call_output","call_id":"c2","output":"ok"},
		{"type":"local_shell_call","call_id":"c3","status":"completed","action":{"type":"exec","command":["ls"],"env":{}}},
		{"type":"message","role":"assistant","content":[{"type":"output_text","text":"done"}],"phase":"final_answer"}],
		"tools":[{"type":"function","name":"shell","description":"run","strict":false,"parameters":{"type":"object"}},
		{"type":"custom","name":"apply_patch","description":"patch","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},
		{"type":"local_shell"},{"type":"namespace","name":"mcp__x","description":"x","tools":[{"type":"function","name":"y","parameters":{}}]},
		{"type":"tool_search","execution":"client","description":"find","parameters":{}}],
		"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"stream":true,
		"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","text":{"verbosity":"low"},"client_metadata":{"x":"y"}}`)
	if len(a.Unbounded) != 0 || a.Tools != 6 || a.Images != 1 || a.Messages != 9 || a.Files != 0 {
		t.Errorf("%d tools, %d images, %d items, %+v", a.Tools, a.Images, a.Messages, a.Unbounded)
	}
}

func TestWhatAResponseBillsBeyondItsBodyIsNamed(t *testing.T) {
	part := func(p string) string { return items(`{"role":"user","content":[` + p + `]}`) }
	for _, c := range []struct {
		body, field string
		kind        llm.Kind
		max         int64
	}{
		// Tools that the provider runs.
		{responsesWith(`"tools":[{"type":"web_search"}]`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"tools":[{"type":"web_search_preview_2025_03_11"}],"max_tool_calls":3`), "tools[0]", llm.KindTool, 3},
		{responsesWith(`"max_tool_calls":3,"tools":[{"type":"function","name":"f"},{"type":"file_search","vector_store_ids":["v"]}]`), "tools[1]", llm.KindTool, 3},
		{responsesWith(`"max_tool_calls":3,"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]`), "tools[0]", llm.KindTool, 3},
		{responsesWith(`"max_tool_calls":0,"tools":[{"type":"web_search"}]`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"max_tool_calls":3,"tools":[{"type":"mcp","server_label":"x","server_url":"y"}]`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"max_tool_calls":3,"tools":[{"type":"shell","environment":{"type":"container_auto"}}]`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"tools":[{"type":"shell","environment":{"container_id":"c","type":"container_reference"}}]`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"tools":[{"type":"shell"}]`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"tools":[{"type":"tool_search"}]`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"tools":[{"type":"programmatic_tool_calling"}],"max_tool_calls":1`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"tools":[{"type":"something_new"}],"max_tool_calls":1`), "tools[0]", llm.KindTool, 0},
		{responsesWith(`"tools":[{"type":"namespace","name":"n","tools":[{"type":"web_search"}]}]`), "tools[0].tools[0]", llm.KindTool, 0},
		{items(`{"type":"additional_tools","role":"developer","tools":[{"type":"mcp","server_label":"x"}]}`), "input[0].tools[0]", llm.KindTool, 0},
		{items(`{"tools":[{"type":"web_search"}],"type":"tool_search_output","call_id":"c"}`), "input[0].tools[0]", llm.KindTool, 0},
		{responsesWith(`"multi_agent":{"enabled":true,"max_concurrent_subagents":3}`), "multi_agent", llm.KindTool, 0},
		{responsesWith(`"multi_agent":{}`), "multi_agent", llm.KindTool, 0},
		{responsesWith(`"reasoning":{"effort":"high","mode":"pro"}`), "reasoning.mode", llm.KindTool, 0},
		{items(`{"type":"configuration_update","reasoning":{"mode":"pro"}}`), "input[0].reasoning.mode", llm.KindTool, 0},
		{responsesWith(`"web_search_options":{}`), "web_search_options", llm.KindTool, 0},
		{responsesWith(`"plugins":[{"id":"web"}]`), "plugins", llm.KindTool, 0},
		// Runs that nobody asked for by the piece.
		{responsesWith(`"context_management":[{"type":"compaction","compact_threshold":200000}]`), "context_management[0]", llm.KindRun, 1},
		{responsesWith(`"context_management":[{"compact_threshold":1,"type":"something_new"}]`), "context_management[0]", llm.KindTool, 0},
		// State that the provider keeps.
		{responsesWith(`"previous_response_id":"resp_1"`), "previous_response_id", llm.KindInput, 0},
		{responsesWith(`"conversation":"conv_1"`), "conversation", llm.KindInput, 0},
		{responsesWith(`"conversation":{"id":"conv_1"}`), "conversation", llm.KindInput, 0},
		{responsesWith(`"prompt":{"id":"pmpt_1","version":"2","variables":{"name":"Bob"}},"tools":[]`), "prompt", llm.KindInput, 0},
		{`{"model":"m","previous_response_id":"resp_1"}`, "previous_response_id", llm.KindInput, 0},
		{items(`{"type":"item_reference","id":"msg_1"}`), "input[0]", llm.KindInput, 0},
		{items(`{"id":"msg_1"}`), "input[0]", llm.KindInput, 0},
		{items(`{"id":"msg_1","type":null}`), "input[0]", llm.KindInput, 0},
		{items(`{"type":"reasoning","id":"rs_1","summary":[]}`), "input[0]", llm.KindInput, 0},
		{items(`{"encrypted_content":null,"id":"rs_1","summary":[],"type":"reasoning"}`), "input[0]", llm.KindInput, 0},
		{items(`{"type":"web_search_call","id":"ws_1","action":{"type":"search","query":"x"}}`), "input[0]", llm.KindInput, 0},
		{items(`{"type":"file_search_call","id":"fs_1","queries":["x"],"results":null}`), "input[0]", llm.KindInput, 0},
		{items(`{"type":"code_interpreter_call","id":"ci_1","code":"1","outputs":null}`), "input[0]", llm.KindInput, 0},
		{items(`{"type":"something_new","id":"x"}`), "input[0]", llm.KindInput, 0},
		// Files, and parts of kinds that have no rule.
		{part(`{"type":"input_file","file_id":"f"}`), "input[0].content[0]", llm.KindInput, 0},
		{part(`{"file_data":"data:application/pdf;base64,AAAA","filename":"a.pdf","type":"input_file"}`), "input[0].content[0]", llm.KindInput, 0},
		{part(`{"type":"input_file","file_url":"https://x.example/a.pdf"}`), "input[0].content[0]", llm.KindInput, 0},
		{part(`{"type":"input_text","text":"x","file_id":"f"}`), "input[0].content[0]", llm.KindInput, 0},
		{part(`{"type":"something_new","text":"x"}`), "input[0].content[0]", llm.KindInput, 0},
		{part(`{"type":"image","image":"https://x.example/a.png"}`), "input[0].content[0]", llm.KindInput, 0},
		{part(`{"type":"input_image","image_url":"data:application/pdf;base64,AAAA"}`), "input[0].content[0].image_url", llm.KindInput, 0},
		{part(`{"type":"input_image","file_url":"https://x.example/a.pdf"}`), "input[0].content[0]", llm.KindInput, 0},
		{items(`{"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_id":"f"}]}`), "input[0].output[0]", llm.KindInput, 0},
		{part(`{"type":"input_audio","input_audio":{"data":"AAAA"}}`), "input[0].content[0].input_audio", llm.KindMedia, 0},
		{part(`{"type":"input_video","file_id":"f"}`), "input[0].content[0]", llm.KindMedia, 0},
		// Other prices, other models.
		{responsesWith(`"service_tier":"priority"`), "service_tier", llm.KindTier, 0},
		{responsesWith(`"service_tier":"ultrafast"`), "service_tier", llm.KindTier, 0},
		{responsesWith(`"modalities":["text","audio"]`), "modalities[1]", llm.KindMedia, 0},
		{responsesWith(`"models":["a"]`), "models", llm.KindModel, 0},
		{responsesWith(`"extra_body":{"max_output_tokens":100000}`), "extra_body.max_output_tokens", llm.KindModel, 0},
	} {
		a := read(t, responses, c.body)
		if len(a.Unbounded) != 1 {
			t.Errorf("%s: %+v", c.body, a.Unbounded)
			continue
		}
		u := a.Unbounded[0]
		if u.Field != c.field || u.Kind != c.kind || u.Max != c.max || u.Why == "" || (u.Kind == llm.KindTier) != (u.Tier != "") {
			t.Errorf("%s: %+v, want %s %s %d", c.body, u, c.field, c.kind, c.max)
		}
	}
	// A kept prompt may bring tools; a picture is drawn at a price of its own.
	for body, want := range map[string]string{
		responsesWith(`"prompt":{"id":"p"}`):                          "input prompt, tool prompt",
		responsesWith(`"tools":[{"type":"image_generation"}]`):        "media tools[0], tool tools[0]",
		responsesWith(`"previous_response_id":"r","background":true`): "input previous_response_id",
	} {
		var got []string
		for _, u := range read(t, responses, body).Unbounded {
			got = append(got, string(u.Kind)+" "+u.Field)
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: %s, want %s", body, s, want)
		}
	}
}

func TestWhatCostsAResponseNothingMoreIsNotUnbounded(t *testing.T) {
	for _, body := range []string{
		responsesWith(`"background":true`), responsesWith(`"background":false`), responsesWith(`"store":true`), responsesWith(`"truncation":"auto"`),
		responsesWith(`"include":["file_search_call.results"],"top_logprobs":5,"parallel_tool_calls":false,"prompt_cache_key":"k","prompt_cache_retention":"24h"`),
		responsesWith(`"previous_response_id":null,"conversation":null,"prompt":null,"tools":null,"context_management":null,"multi_agent":null,"max_tool_calls":null,"reasoning":null,"text":null,"background":null`),
		responsesWith(`"previous_response_id":"","conversation":"","prompt":""`), responsesWith(`"multi_agent":{"enabled":false}`), responsesWith(`"context_management":[]`), responsesWith(`"service_tier":"flex"`),
		responsesWith(`"reasoning":{"effort":"high","summary":"auto","mode":"standard","context":"auto"}`),
		responsesWith(`"tools":[{"type":"function","name":"f","parameters":{}},{"type":"custom","name":"g"},{"type":"local_shell"},{"type":"apply_patch"},
			{"type":"computer_use_preview","display_width":1,"display_height":1,"environment":"mac"},{"type":"computer"},
			{"type":"shell","environment":{"type":"local","skills":[]}},{"type":"tool_search","execution":"client"},
			{"type":"namespace","name":"n","description":"d","tools":[{"type":"function","name":"f"},{"type":"custom","name":"g"}]}]`),
		responsesWith(`"text":{"format":{"type":"json_schema","name":"x","schema":{"type":"object"}}}`),
		items(`{"role":"user","content":"x"},{"type":"message","role":"assistant","id":"m","status":"completed","content":[{"type":"output_text","text":"x","annotations":[],"logprobs":[]},{"type":"refusal","refusal":"x"}]}`),
		items(`{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"x"}],"encrypted_content":"AAAA"}`),
		items(`{"type":"reasoning","id":"rs","summary":[],"content":[{"type":"reasoning_text","text":"x"}]}`),
		items(`{"type":"reasoning","summary":[{"type":"summary_text","text":"x"}]}`),
		items(`{"type":"computer_call","call_id":"c","action":{"type":"click","x":1,"y":2}},{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,AAAA"}}`),
		items(`{"type":"shell_call","call_id":"c","action":{"commands":["ls"]}},{"type":"shell_call_output","call_id":"c","output":[{"stdout":"a","stderr":"","outcome":{"type":"exit","exit_code":0}}]}`),
		items(`{"type":"apply_patch_call","call_id":"c","status":"completed","operation":{"type":"create_file","path":"a","diff":"+a"}},{"type":"apply_patch_call_output","call_id":"c","status":"completed","output":"ok"}`),
		items(`{"type":"local_shell_call_output","id":"c","output":"{}"},{"type":"mcp_list_tools","id":"l","server_label":"x","tools":[{"name":"f","input_schema":{}}]}`),
		items(`{"type":"mcp_call","id":"m","name":"f","server_label":"x","arguments":"{}","output":"ok"},{"type":"compaction","encrypted_content":"AAAA"}`),
		items(`{"type":"image_generation_call","id":"i","status":"completed","result":"AAAA"}`),
		items(`{"role":"user","content":[{"type":"input_image","file_id":"f"},{"type":"input_image","image_url":"https://x.example/a.png","detail":"low"},{"type":"input_text","text":"x","image_url":null,"file_id":null}]}`),
		items(`{"type":"agent_message","author":"a","recipient":"b","content":[{"type":"input_text","text":"x"},{"type":"encrypted_content","encrypted_content":"AAAA"}]}`),
	} {
		if a := read(t, responses, body); len(a.Unbounded) != 0 || a.Files != 0 {
			t.Errorf("%s: %+v, %d files", body, a.Unbounded, a.Files)
		}
	}
}

func TestTheCeilingOfAResponse(t *testing.T) {
	limits := llm.ModelLimits{Context: 100_000, MaxOutput: 4096}
	ceiling := func(fields string) llm.Ceiling {
		return read(t, responses, responsesWith(`"max_output_tokens":1000`+comma(fields))).Ceiling(limits)
	}
	plain := ceiling("")
	if plain.N != 1 || plain.Output != 1000 || plain.OutputExtra != 0 || plain.Input > 200 || !plain.CacheWrite || len(plain.Unpriced) != 0 {
		t.Errorf("got %+v", plain)
	}
	if c := ceiling(`"background":true`); c.Input != plain.Input || c.N != 1 || len(c.Unpriced) != 0 {
		t.Errorf("in the background the same bounds hold: %+v", c)
	}
	if c := ceiling(`"previous_response_id":"r"`); c.Input != 100_000 || len(c.Unpriced) != 0 {
		t.Errorf("state by reference is held at the context: %+v", c)
	}
	// The first reading is of what stands in the body, whatever comes later.
	runs := func(fields string, later int64) int64 {
		return read(t, responses, responsesWith(`"max_output_tokens":1000,`+fields)).InputTokens + later*100_000
	}
	// Three calls of two tools together are four runs, not seven.
	const both = `"max_tool_calls":3,"tools":[{"type":"web_search"},{"type":"file_search","vector_store_ids":[]}]`
	c := ceiling(both)
	if c.Input != runs(both, 3) || c.N != 4 || len(c.Fees) != 2 || c.Fees[0].Max != 3 || c.Fees[1].Max != 3 || len(c.Unpriced) != 0 {
		t.Errorf("three calls together: %+v", c)
	}
	if c := ceiling(`"tools":[{"type":"web_search"},{"type":"file_search","vector_store_ids":[]}]`); len(c.Unpriced) != 2 {
		t.Errorf("tools without a maximum have no bound: %+v", c)
	}
	if c := ceiling(`"max_tool_calls":3,"tools":[{"type":"web_search"},{"type":"mcp","server_label":"x"}]`); len(c.Unpriced) != 1 {
		t.Errorf("calls of a server's tools are not known to be counted: %+v", c)
	}
	if c := ceiling(`"max_tool_calls":5000,"tools":[{"type":"web_search"}]`); len(c.Unpriced) != 1 {
		t.Errorf("five thousand runs are not held: %+v", c)
	}
	// A summary is one run more, as long as the model can write, without a fee.
	const compacting = `"context_management":[{"type":"compaction","compact_threshold":1000}]`
	c = ceiling(compacting)
	if c.Input != runs(compacting, 1) || c.N != 1 || c.OutputExtra != 4096 || len(c.Fees) != 0 || len(c.Unpriced) != 0 {
		t.Errorf("a summary: %+v", c)
	}
	const all = `"context_management":[{"type":"compaction"}],"max_tool_calls":2,"tools":[{"type":"web_search"}]`
	c = ceiling(all)
	if c.Input != runs(all, 5) || c.N != 3 || c.OutputExtra != 3*4096 || len(c.Unpriced) != 0 {
		t.Errorf("a summary before each of three runs: %+v", c)
	}
	if c := ceiling(`"previous_response_id":"r",` + all); c.Input != 600_000 {
		t.Errorf("what the provider keeps may fill the first reading too: %+v", c)
	}
	a := read(t, responses, responsesWith(`"context_management":[{"type":"compaction"}]`))
	if c := a.Ceiling(llm.ModelLimits{Context: 100_000}); len(c.Unpriced) != 1 {
		t.Errorf("with no end of the model's output known, a summary has none: %+v", c)
	}
	if c := read(t, responses, responsesWith("")).Ceiling(limits); c.Output != 4096 {
		t.Errorf("nothing said is the model's most: %+v", c)
	}
}

// However many references stand before it, a kept prompt still may bring tools.
func TestNoPromptHidesBehindReferences(t *testing.T) {
	references := strings.Repeat(`{"type":"item_reference","id":"i"},`, 40)
	a := read(t, responses, `{"model":"m","input":[`+references+`{"role":"user","content":"x"}],"prompt":{"id":"p"}}`)
	if c := a.Ceiling(llm.ModelLimits{Context: 1000, MaxOutput: 10}); len(c.Unpriced) != 1 || c.Unpriced[0].Kind != llm.KindTool {
		t.Errorf("got %+v", c)
	}
}

// Forty tools are named as sixteen, and none of another sort goes missing.
func TestNoToolHidesBehindOthers(t *testing.T) {
	tools := strings.Repeat(`{"type":"web_search"},`, 40) + `{"type":"mcp","server_label":"x"}`
	c := read(t, responses, responsesWith(`"max_tool_calls":2,"tools":[`+tools+`]`)).Ceiling(llm.ModelLimits{Context: 1000, MaxOutput: 10})
	if len(c.Unpriced) != 1 || c.Unpriced[0].Field != "tools[40]" {
		t.Errorf("got %+v", c)
	}
}

func TestTheImagesOfAResponse(t *testing.T) {
	image := func(content string) *llm.Ask {
		return read(t, responses, items(`{"role":"user","content":[`+content+`]}`))
	}
	none := image("").InputTokens
	for content, tokens := range map[string]int64{
		`{"type":"input_image","image_url":"data:image/png;base64,` + strings.Repeat("A", 1<<20) + `"}`: llm.OpenAIImage,
		`{"type":"input_image","image_url":"https://x.example/a.png","detail":"low"}`:                   llm.OpenAIImageLow,
		`{"detail":"low","image_url":"https://x.example/a.png","type":"input_image"}`:                   llm.OpenAIImageLow,
		`{"type":"input_image","file_id":"f","detail":"original"}`:                                      llm.OpenAIImage,
		`{"type":"computer_screenshot","image_url":"x","detail":"low"}`:                                 llm.OpenAIImage,
	} {
		a := image(content)
		if n := a.InputTokens - none; a.Images != 1 || n < tokens || n > tokens+100 || len(a.Unbounded) != 0 {
			t.Errorf("%.60s: %d images, %d tokens, %+v", content, a.Images, n, a.Unbounded)
		}
	}
	drawn := read(t, responses, items(`{"type":"image_generation_call","result":"`+strings.Repeat("A", 1<<20)+`"}`))
	if drawn.Images != 1 || drawn.InputTokens > llm.OpenAIImage+1000 {
		t.Errorf("%d images, %d tokens", drawn.Images, drawn.InputTokens)
	}
}

func TestTheLeastLimitOfAResponse(t *testing.T) {
	for fields, want := range map[string]int64{
		"": 16, `"max_output_tokens":1000`: 16, `"max_output_tokens":5`: 5, `"max_output_tokens":null`: 16, `"reasoning":{"max_tokens":5000}`: 1025,
	} {
		if a := read(t, responses, responsesWith(fields)); a.MinOutput != want {
			t.Errorf("%s: at least %d, want %d", fields, a.MinOutput, want)
		}
	}
	if a := read(t, responses, items(`{"role":"user","content":"x"},{"type":"compaction_trigger"}`)); a.MinOutput != 20_000 || len(a.Unbounded) != 0 {
		t.Errorf("a response that compacts: %+v", a)
	}
}

func TestAResponsesBadBodiesAreRefused(t *testing.T) {
	for body, says := range map[string]string{
		`{"model":"m"}`:                                                        "input is missing",
		`{"model":"m","input":null}`:                                           "input is missing",
		`{"input":"x"}`:                                                        "model is missing",
		`{"model":"m","input":5}`:                                              "input must be a string or an array of items",
		`{"model":"m","input":{"role":"user"}}`:                                "input must be a string or an array of items",
		items(`"` + secret + `"`):                                              "input[0] must be an object",
		responsesWith(`"max_output_tokens":0`):                                 "max_output_tokens must be a positive whole number",
		responsesWith(`"max_output_tokens":"` + secret):                        "max_output_tokens must be a positive whole number",
		responsesWith(`"max_tool_calls":-1`):                                   "max_tool_calls must be a whole number",
		responsesWith(`"max_tool_calls":1,"max_tool_calls":2`):                 "there twice",
		responsesWith(`"Max_Output_Tokens":100000`):                            "another case",
		responsesWith(`"background":"` + secret + `"`):                         "background must be true or false",
		responsesWith(`"instructions":7`):                                      "instructions must be a string",
		responsesWith(`"previous_response_id":"a","previous_response_id":"b"`): "there twice",
		items(`{"type":"message","type":"item_reference"}`):                    "there twice",
		items(`{"Type":"item_reference"}`):                                     "another case",
		responsesWith(`"tools":[{"type":"function","t\u0079pe":"mcp"}]`):       "there twice",
		responsesWith(`"tools":[{"type":"shell","environment":{"type":"local","type":"container_auto"}}]`): "there twice",
	} {
		ask, p := llm.Parse(responses, []byte(body), true)
		switch {
		case p == nil:
			t.Errorf("%s: read as %+v", body, ask)
		case p.Code != "malformed" || !strings.Contains(p.Message, says) || strings.Contains(p.Message+p.Param, secret):
			t.Errorf("%s: %s %q, want %q in it", body, p.Code, p.Message, says)
		}
	}
}

func TestOtherSpellingsOfTheLimitAreNoneInAResponse(t *testing.T) {
	a := read(t, responses, responsesWith(`"max_tokens":50`))
	if a.MaxOutput != 0 {
		t.Errorf("got %d", a.MaxOutput)
	}
	if b := read(t, responses, responsesWith(`"max_tokens":5000,"max_output_tokens":100`)); b.MaxOutput != 5000 {
		t.Errorf("the larger of two counts: %d", b.MaxOutput)
	}
}

func TestUnknownFieldsOfAResponseArePaidFor(t *testing.T) {
	text := strings.Repeat("words ", 100)
	plain := read(t, responses, responsesWith("")).InputTokens
	for _, field := range []string{`"documents":["` + text + `"]`, `"instructions":"` + text + `"`, `"` + text + `":1`,
		`"tools":[{"type":"function","name":"f","description":"` + text + `"}]`, `"prompt":{"id":"p","variables":{"x":"` + text + `"}},"tools":[]`} {
		if more := read(t, responses, responsesWith(field)).InputTokens - plain; more < 600 {
			t.Errorf("%.20s…: only %d tokens for 600 bytes", field, more)
		}
	}
	none := read(t, responses, items(`{}`)).InputTokens
	for _, item := range []string{`{"role":"user","content":"` + text + `"}`, `{"type":"function_call","arguments":"` + text + `"}`, `{"type":"reasoning","encrypted_content":"` + text + `"}`,
		`{"type":"custom_tool_call_output","output":"` + text + `"}`, `{"type":"program_output","result":"` + text + `"}`, `{"type":"function_call_output","output":[{"type":"input_text","text":"` + text + `"}]}`} {
		if more := read(t, responses, items(item)).InputTokens - none; more < 600 {
			t.Errorf("%.40s…: only %d tokens for 600 bytes", item, more)
		}
	}
}
