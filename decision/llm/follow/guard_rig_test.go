package follow_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// dialect writes a stream of which the pieces make one text.
type dialect struct {
	asked  follow.Asked
	stream func(pieces []string) string
}

var written = map[string]dialect{
	"chat":              {chat, func(p []string) string { return chatStream("content", p) }},
	"chat thoughts":     {chat, func(p []string) string { return chatStream("reasoning_content", p) }},
	"responses":         {responses, responsesStream},
	"messages":          {messages, func(p []string) string { return messagesStream("text", p) }},
	"messages thoughts": {messages, func(p []string) string { return messagesStream("thinking", p) }},
}

func chatStream(name string, pieces []string) string {
	const around = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}` + "\n\n"
	var s strings.Builder
	fmt.Fprintf(&s, around, `{"role":"assistant","content":""}`, "null")
	for _, p := range pieces {
		fmt.Fprintf(&s, around, fmt.Sprintf(`{%q:%s}`, name, spelt(p)), "null")
	}
	fmt.Fprintf(&s, around, "{}", `"stop"`)
	return s.String() + "data: [DONE]\n\n"
}

func messagesStream(name string, pieces []string) string {
	var s strings.Builder
	event := func(kind, rest string) {
		fmt.Fprintf(&s, "event: %s\ndata: {\"type\":%q%s}\n\n", kind, kind, rest)
	}
	event("message_start", `,"message":{"id":"m1","type":"message","content":[],"usage":{"input_tokens":3,"output_tokens":1}}`)
	event("content_block_start", fmt.Sprintf(`,"index":0,"content_block":{"type":%q,%q:%s}`, name, name, spelt(pieces[0])))
	for _, p := range pieces[1:] {
		event("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":%q,%q:%s}`, name+"_delta", name, spelt(p)))
	}
	event("content_block_stop", `,"index":0`)
	event("message_delta", `,"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}`)
	event("message_stop", "")
	return s.String()
}

func responsesStream(pieces []string) string {
	var s strings.Builder
	n := 0
	event := func(kind, rest string) {
		fmt.Fprintf(&s, "event: %s\ndata: {\"type\":%q,%s,\"sequence_number\":%d}\n\n", kind, kind, rest, n)
		n++
	}
	const at = `"item_id":"msg_1","output_index":0,"content_index":0`
	text := spelt(strings.Join(pieces, ""))
	part := `{"type":"output_text","text":` + text + `,"annotations":[]}`
	item := `{"id":"msg_1","type":"message","role":"assistant","content":[` + part + `]}`
	event("response.created", `"response":{"id":"resp_1","object":"response","status":"in_progress","output":[],"usage":null}`)
	event("response.output_item.added", `"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}`)
	event("response.content_part.added", at+`,"part":{"type":"output_text","text":"","annotations":[]}`)
	for _, p := range pieces {
		event("response.output_text.delta", at+`,"delta":`+spelt(p)+`,"logprobs":[]`)
	}
	event("response.output_text.done", at+`,"text":`+text)
	event("response.content_part.done", at+`,"part":`+part)
	event("response.output_item.done", `"output_index":0,"item":`+item)
	event("response.completed", `"response":{"id":"resp_1","object":"response","status":"completed","output":[`+item+`],"usage":{"input_tokens":3,"output_tokens":9}}`)
	return s.String()
}

func spelt(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// textsOf is what a client puts together of a stream: the texts that come in pieces by
// where they belong, and each that comes whole.
func textsOf(t tb, asked follow.Asked, stream string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	number := float64(-1)
	for _, e := range refEvents(stream) {
		if e.data == "" || strings.HasPrefix(e.data, "[DONE]") {
			continue
		}
		var event map[string]any
		if err := json.Unmarshal([]byte(e.data), &event); err != nil {
			t.Fatalf("no client reads %q: %v", e.data, err)
		}
		if kind, ok := event["type"].(string); ok && asked.Endpoint != llm.ChatCompletions && e.name != kind {
			t.Fatalf("an event is called %q and is %q", e.name, kind)
		}
		if n, ok := event["sequence_number"].(float64); ok {
			if n <= number {
				t.Fatalf("event %v comes after %v", n, number)
			}
			number = n
		}
		switch asked.Endpoint {
		case llm.ChatCompletions:
			choices, _ := event["choices"].([]any)
			for _, c := range choices {
				choice, _ := c.(map[string]any)
				gather(texts, fmt.Sprint("choice ", choice["index"]), choice["delta"])
			}
		case llm.Responses:
			delta, ok := event["delta"].(string)
			switch {
			case ok:
				texts[fmt.Sprint(event["type"], event["output_index"], event["content_index"], event["summary_index"])] += delta
			case event["response"] != nil:
				response, _ := event["response"].(map[string]any)
				gather(texts, fmt.Sprint(event["type"]), response["output"])
			default:
				delete(event, "sequence_number")
				gather(texts, fmt.Sprint(event["type"], event["output_index"], event["content_index"], event["summary_index"]), event)
			}
		case llm.Messages:
			gather(texts, fmt.Sprint("block ", event["index"]), event["content_block"])
			gather(texts, fmt.Sprint("block ", event["index"]), event["delta"])
		}
	}
	return texts
}

// gather adds all strings under a value to what stood there before, but for those that
// are no texts.
func gather(texts map[string]string, at string, value any) {
	switch v := value.(type) {
	case string:
		texts[at] += v
	case []any:
		for i, e := range v {
			if o, ok := e.(map[string]any); ok && o["index"] != nil {
				i = int(o["index"].(float64))
			}
			gather(texts, fmt.Sprint(at, " ", i), e)
		}
	case map[string]any:
		for name, e := range v {
			switch name {
			case "text", "content", "refusal", "thinking", "reasoning_content", "summary", "function", "arguments",
				"partial_json", "tool_calls", "part", "item", "input", "code":
				gather(texts, at+" "+name, e)
			}
		}
	}
}
