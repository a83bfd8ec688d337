package follow_test

import (
	"strings"
	"testing"
)

const (
	perAnswer = 16
	perBlock  = 16
	perCall   = 64
)

// What counts as output, and for how much. Each text is followed by a stream that
// breaks off, so that there are no figures.
func TestWhatWasSeen(t *testing.T) {
	delta := func(s string) string { return `data: {"choices":[{"index":0,"delta":` + s + "}]}\n\n" }
	block := func(s string) string {
		return `data: {"type":"content_block_start","index":0,"content_block":` + s + "}\n\n"
	}
	part := func(s string) string { return `data: {"type":"content_block_delta","index":0,"delta":` + s + "}\n\n" }
	added := func(i, s string) string {
		return `data: {"type":"response.output_item.added","output_index":` + i + `,"item":` + s + "}\n\n"
	}
	text := func(i, s string) string {
		return `data: {"type":"response.output_text.delta","output_index":` + i + `,"delta":"` + s + `"}` + "\n\n"
	}
	whole := func(i, s string) string {
		return `data: {"type":"response.output_item.done","output_index":` + i + `,"item":` + s + "}\n\n"
	}
	const message = `{"id":"msg_0123456789","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello","logprobs":[{"token":"Hello"}]}]}`

	for _, c := range []struct {
		name, text string
		want       int64
	}{
		{"nothing", "", 0},
		{"a chunk that is there for its role", delta(`{"role":"assistant","content":""}`), 1 + perAnswer},
		{"text", delta(`{"content":"Hello"}`) + delta(`{"content":"!"}`), 6 + perAnswer},
		{"a part of a letter that is held back", delta(`{"content":""}`) + delta(`{"content":"語"}`), 4 + perAnswer},
		{"escapes", delta(`{"content":"\n\"\\\/\u00e9\u8a9e\ud83d\udea2"}`), 4 + 3 + 3 + 6 + perAnswer},
		{"thoughts and a refusal", delta(`{"reasoning_content":"Hmm","reasoning":"Hm","refusal":"No"}`), 7 + perAnswer},
		{"text in parts", delta(`{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hmm"}]},{"type":"text","text":"Yes"}]}`), 6 + perAnswer},
		{"a field that nobody knows", delta(`{"cogitation":{"deep":["thought"]}}`), 7 + perAnswer},
		{"what is not written", delta(`{"content":"Hello"},"logprobs":{"content":[{"token":"Hello"}]},"content_filter_results":{"a":"b"}`), 5 + perAnswer},
		{"a call", delta(`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}`), perCall + 1 + 7 + 4 + perAnswer},
		{"arguments that are no text", delta(`{"tool_calls":[{"function":{"name":"f","arguments":{"a":[1]}}}]}`), perCall + 1 + 9 + 4 + perAnswer},
		{"two choices at once", `data: {"choices":[{"index":0,"delta":{"content":""}},{"index":1,"delta":{"content":""}}]}` + "\n\n", 2 + 2*perAnswer},
		{"the second of two", `data: {"choices":[{"index":1,"delta":{"content":"Hi"}}]}` + "\n\n", 2 + 2*perAnswer},
		{"a number that is no index", `data: {"choices":[{"index":1e9,"delta":{"content":"Hi"}}]}` + "\n\n", 2 + perAnswer},
		{"Azure's first chunk", `data: {"choices":[],"prompt_filter_results":[{"content_filter_results":{"a":"b"}}]}` + "\n\n", 0},
		{"a count that is higher", `data: {"choices":[{"delta":{"content":""}}],"usage":{"prompt_tokens":5,"completion_tokens":900}}` + "\n\n", 900},
		{"an event that cannot be read", "data: {\"choices\":[{]\n\n", 14 + perAnswer},
		{"a document that is called a stream", `{"a":"Hello"}` + "\n" + "Hello\n", 12 + 5 + perAnswer},
		{"such a text, which broke off", "Hello, this is no event at all", 30 + perAnswer},
		{"an event's own fields", "id: 7\nretry: 100\nevent: x\n: a comment\n\n", 0},
		{"an event that broke off", `data: {"choices":[{"index":0,"delta":{"content":"Hel`, 3 + perAnswer},

		{"messages: what is known of the prompt", opened, 1}, // which says so
		{"messages: text", block(`{"type":"text","text":""}`) + part(`{"type":"text_delta","text":"Hello"}`) + part(`{"type":"text_delta","text":""}`), perBlock + 6 + perAnswer},
		{"messages: thoughts stand for their signature", block(`{"type":"thinking","thinking":"","signature":""}`) + part(`{"type":"thinking_delta","thinking":"Hmm"}`) + part(`{"type":"signature_delta","signature":"EqQBCg=="}`), perBlock + 3 + 8 + perAnswer},
		{"messages: thoughts that are not shown", block(`{"type":"redacted_thinking","data":"EmwKAhgB"}`), perBlock + 8 + perAnswer},
		{"messages: a call", block(`{"type":"tool_use","id":"toolu_1","name":"f","input":{}}`) + part(`{"type":"input_json_delta","partial_json":"{\"a\":1}"}`), perBlock + perCall + 1 + 2 + 7 + 4 + perAnswer},
		{"messages: what a server's tool found", block(`{"type":"web_search_tool_result","tool_use_id":"","content":[{"title":"Tides"}]}`), perBlock + perAnswer},
		{"messages: a summary", block(`{"type":"compaction","content":"Hello"}`), perBlock + 5 + perAnswer},
		{"messages: the reason to stop is no text", `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}` + "\n\n", 0},

		{"responses: text, and whole behind it", added("0", `{"type":"message","content":[]}`) + text("0", "Hel") + text("0", "lo") + whole("0", message), perBlock + 5 + perAnswer},
		{"responses: whole only", whole("0", message), perBlock + 5 + perAnswer},
		{"responses: a second item", whole("0", message) + text("1", "Hi") + whole("0", message), 2*(perBlock+5) + 2 + perAnswer},
		{"responses: items without a number", `data: {"type":"response.output_text.delta","delta":"Hello"}` + "\n\n" + whole("77", message), 5 + perBlock + 5 + perAnswer},
		{"responses: texts that come again", `data: {"type":"response.output_text.done","text":"Hello"}` + "\n\n" + `data: {"type":"response.content_part.done","part":{"text":"Hello"}}` + "\n\n", 0},
		{"responses: a search, and what it found", whole("0", `{"type":"web_search_call","results":[{"text":"Tides"}],"action":{"query":"tide"}}`), perBlock + 16 + 8 + perAnswer},
		{"responses: a thought that is not shown", whole("0", `{"type":"reasoning","summary":[],"encrypted_content":"gAAAAABo"}`), perBlock + 8 + perAnswer},
		{"responses: by their events' names", "event: response.output_text.delta\ndata: {\"delta\":\"Hello\"}\n\n", 5 + perAnswer},
	} {
		asked := chat
		switch {
		case len(c.name) > 9 && c.name[:9] == "messages:":
			asked = messages
		case len(c.name) > 10 && c.name[:10] == "responses:":
			asked = responses
		}
		for _, pieces := range [][]string{{c.text}, bytesOf(c.text)} {
			if got := relay(newAnswer(asked, sse), pieces, false); got.settled.output != c.want || got.settled.told {
				t.Errorf("%s: seen %d, want %d (%+v)", c.name, got.settled.output, c.want, got.settled)
			}
		}
	}
}

// The first token is the first text, not the first event.
func TestWhenTheAnswerStarted(t *testing.T) {
	first := map[string]string{"chat_usage.sse": `"The"`, "chat_azure.sse": `"Guten"`, "chat_deepseek.sse": `"Okay"`,
		"messages_tools.sse": `"I"`, "responses.sse": `"**Weigh"`}
	for _, c := range samples {
		if first[c.name] == "" {
			continue
		}
		a := newAnswer(c.asked, sse)
		for _, event := range strings.SplitAfter(sample(t, c.name), "\n\n") {
			a.Write([]byte(event))
			if now := strings.Contains(event, first[c.name]); a.Started() != now {
				t.Errorf("%s: started %v with %q", c.name, a.Started(), event)
			} else if now {
				break
			}
		}
	}
}
