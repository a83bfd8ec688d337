package follow_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// kinds are the items that are a use of a tool.
var kinds = map[string]string{"web_search_call": "web_search", "file_search_call": "file_search", "code_interpreter_call": "code_interpreter"}

// usesIn counts the uses in a response's output as a strict decoder reads it.
func usesIn(output json.RawMessage) map[string]int64 {
	var items []map[string]any
	if json.Unmarshal(output, &items) != nil {
		var mixed []any
		if json.Unmarshal(output, &mixed) != nil {
			return nil
		}
		for _, m := range mixed {
			if item, ok := m.(map[string]any); ok {
				items = append(items, item)
			}
		}
	}
	uses := map[string]int64{}
	for _, item := range items {
		kind, _ := item["type"].(string)
		if tool, ok := kinds[kind]; ok {
			uses[tool]++
		}
	}
	return said(uses)
}

// uses are the figures of a tool's uses, zeros and all.
func uses(web, file, code int64) map[string]int64 {
	return map[string]int64{"web_search": web, "file_search": file, "code_interpreter": code}
}

// A response's usage does not say how often the provider's tools were used. Its items
// do: when they begin, when they are done, and in the end.
func TestUsesOfTheProvidersTools(t *testing.T) {
	const (
		usage     = `"usage":{"input_tokens":5,"output_tokens":2}`
		search    = `{"type":"web_search_call","id":"ws_1","action":{"type":"search","query":"tide"}}`
		file      = `{"id":"fs_1","results":[{"type":"web_search_call"}],"type":"file_search_call"}`
		code      = `{"type":"code_interpreter_call","code":"print(1)","outputs":[{"type":"logs"}]}`
		own       = `{"type":"function_call","name":"web_search_call","arguments":"{\"type\":\"web_search_call\"}"}`
		text      = `{"type":"message","content":[{"type":"output_text","text":"web_search_call","annotations":[{"type":"file_search_call"}]}]}`
		completed = "data: {\"type\":\"response.completed\",\"response\":{" + usage + "}}\n\n"
	)
	event := func(kind, item string) string {
		return "data: {\"type\":\"response.output_item." + kind + "\",\"output_index\":0,\"item\":" + item + "}\n\n"
	}
	ended := func(items string) string {
		return `data: {"type":"response.completed","response":{"output":[` + items + `],"tools":[{"type":"web_search_call"}],` + usage + "}}\n\n"
	}
	for _, c := range []struct {
		name, kind, text string
		want             map[string]int64
	}{
		{"a document", plainJSON, `{"output":[` + search + `,` + file + `,` + text + `,` + search + `,` + code + `,` + own + `],` + usage + `}`, uses(2, 1, 1)},
		{"usage first", plainJSON, `{` + usage + `,"output":[` + search + `]}`, uses(1, 0, 0)},
		{"none", plainJSON, `{"output":[` + text + `],"tools":[{"type":"web_search_call"}],` + usage + `}`, uses(0, 0, 0)},
		{"an escaped kind", plainJSON, `{"output":[{"type":"web\u005fsearch_call"}],` + usage + `}`, uses(1, 0, 0)},
		{"a document that broke off: nobody knows", plainJSON, `{` + usage + `,"output":[` + search, nil},
		{"a stream, item by item", sse, event("added", search) + event("done", search) + event("added", file) + event("done", file) + completed, uses(1, 1, 0)},
		{"one that begins and is never done", sse, event("added", code) + completed, uses(0, 0, 1)},
		{"only done", sse, event("done", search) + event("done", search) + completed, uses(2, 0, 0)},
		{"only in the end", sse, ended(search + "," + file + "," + search), uses(2, 1, 0)},
		{"in all three places", sse, event("added", search) + event("done", search) + ended(text+","+search), uses(1, 0, 0)},
		{"a kind behind its event's", sse, "data: {\"item\":" + search + ",\"type\":\"response.output_item.done\"}\n\n" + completed, uses(1, 0, 0)},
		{"none in a stream", sse, event("done", text) + event("done", own) + ended(text), uses(0, 0, 0)},
		{"an event that cannot be read: nobody knows", sse, "data: {\"item\":\n\n" + completed, nil},
		{"the same, but all is said in the end", sse, "data: {\"item\":\n\n" + ended(search), uses(1, 0, 0)},
		{"failed, and billed", sse, event("added", search) + `data: {"type":"response.failed","response":{` + usage + "}}\n\n", uses(1, 0, 0)},
	} {
		for _, pieces := range [][]string{{c.text}, bytesOf(c.text)} {
			a := newAnswer(responses, c.kind)
			for _, p := range pieces {
				a.Write([]byte(p))
			}
			used, _, ok := a.Usage()
			if !ok || !maps.Equal(used.Other, c.want) || (used.Other == nil) != (c.want == nil) {
				t.Errorf("%s: %v %v, want %v", c.name, used.Other, ok, c.want)
			}
		}
	}
}

// Anthropic says it itself, and what it does not say was not used. A chat has no
// tools of the provider's that are billed by the use.
func TestUsesThatOthersSay(t *testing.T) {
	for _, c := range []struct {
		asked follow.Asked
		text  string
		want  map[string]int64
	}{
		{messages, `{"usage":{"input_tokens":5,"output_tokens":2,"server_tool_use":{"web_search_requests":3}}}`, map[string]int64{"web_search": 3, "web_fetch": 0}},
		{messages, `{"usage":{"input_tokens":5,"output_tokens":2,"server_tool_use":null}}`, map[string]int64{"web_search": 0, "web_fetch": 0}},
		{messages, `{"usage":{"input_tokens":5,"output_tokens":2}}`, map[string]int64{"web_search": 0, "web_fetch": 0}},
		{chat, `{"output":[{"type":"web_search_call"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}`, nil},
	} {
		a := newAnswer(c.asked, plainJSON)
		a.Write([]byte(c.text))
		if used, _, ok := a.Usage(); !ok || !maps.Equal(used.Other, c.want) {
			t.Errorf("%s: %v %v, want %v", c.text, used.Other, ok, c.want)
		}
	}
}
