package follow

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// An answer that a guard stopped ends as its dialect ends one that a filter of the
// provider's stopped, so that SDKs know the reason for what it is. One that cannot be
// read ends with an error, because nothing was found in it.

// ending is how a stream ends where a guard stopped it. seen bounds what was written.
func (g *guarded) ending(stop *Stop, seen int64) []byte {
	if stop == unreadable || stop == tooLarge {
		return g.failure(stop)
	}
	said := `,"signalbox":` + said(stop) + "}"
	switch {
	case g.asked.Endpoint == llm.ChatCompletions:
		data := "{" + g.around + `"choices":[` + g.finishes() + "]" + said
		return appendEvent(appendEvent(nil, "", data), "", doneMark)
	case g.asked.Endpoint == llm.Responses && g.started:
		data := `{"type":"response.incomplete","response":` + g.incomplete("[]", "null") + `,"sequence_number":` + itoa(g.next) + said
		return appendEvent(nil, "response.incomplete", data)
	case g.asked.Endpoint == llm.Messages && g.started:
		var out []byte
		if g.block >= 0 {
			out = appendEvent(out, "content_block_stop", `{"type":"content_block_stop","index":`+itoa(int64(g.block))+"}")
		}
		out = appendEvent(out, "message_delta", `{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},"usage":{"output_tokens":`+
			itoa(max(0, seen))+"}"+said)
		return appendEvent(out, "message_stop", `{"type":"message_stop"}`)
	}
	return g.failure(stop)
}

// finishes ends a chat's choices that have not ended.
func (g *guarded) finishes() string {
	var all []string
	for i, state := range g.turns {
		if state == turnOpen || i == 0 && state == turnUnknown {
			all = append(all, `{"index":`+itoa(int64(i))+`,"delta":{},"logprobs":null,"finish_reason":"content_filter"}`)
		}
	}
	return strings.Join(all, ",")
}

// incomplete is a response that was filtered.
func (g *guarded) incomplete(output, usage string) string {
	tools := ""
	if !strings.Contains(g.around, `"tools":`) { // there were too many to keep
		tools = `"tools":[],`
	}
	return "{" + g.around + tools + `"status":"incomplete","error":null,"incomplete_details":{"reason":"content_filter"},"output":` + output + `,"usage":` + usage + "}"
}

// failure is an error in the middle of a stream, as the endpoint's official SDKs find
// and raise it.
func (g *guarded) failure(stop *Stop) []byte {
	body := errorBody(g.asked, stop)
	switch g.asked.Endpoint {
	case llm.Messages:
		return appendEvent(nil, "error", string(body))
	case llm.Responses:
		// Twice: for clients that switch on its type, and for those that look for an error
		// before they look at types.
		data := `{"type":"error","code":` + quoted(stop.Code) + `,"message":` + quoted(stop.Message) + `,"param":null,"sequence_number":` + itoa(g.next)
		return appendEvent(nil, "error", data+","+string(bytes.TrimPrefix(body, []byte{'{'})))
	}
	return appendEvent(nil, "", string(body))
}

func errorBody(asked Asked, stop *Stop) []byte {
	return bytes.TrimSpace(llm.ErrorBody(asked.Dialect, llm.RefusalBody{Status: 502, Code: stop.Code, Message: stop.Message}))
}

// cut is a document that ends where a guard stopped it: with what it shows of the
// text in which it did.
func (g *guarded) cut(data []byte, r *reading, shown string, stop *Stop) []byte {
	g.around = string(r.around)
	usage := "null"
	if r.usage.to > 0 {
		usage = string(data[r.usage.from:r.usage.to])
	}
	said := `,"signalbox":` + said(stop) + "}"
	switch g.asked.Endpoint {
	case llm.Responses:
		output := `[{"type":"message","id":"msg_filtered","role":"assistant","status":"incomplete","content":[{"type":"output_text","text":` + quoted(shown) + `,"annotations":[]}]}]`
		return []byte(strings.TrimSuffix(g.incomplete(output, usage), "}") + said)
	case llm.Messages:
		return []byte("{" + g.around + `"content":[{"type":"text","text":` + quoted(shown) + `}],"stop_reason":"refusal","stop_sequence":null,"usage":` + usage + said)
	}
	return []byte("{" + g.around + `"choices":[{"index":0,"message":{"role":"assistant","content":` + quoted(shown) +
		`,"refusal":null},"logprobs":null,"finish_reason":"content_filter"}],"usage":` + usage + said)
}

// said is what a stop says beside the dialect's own words.
func said(stop *Stop) string {
	raw, err := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{stop.Code, stop.Message})
	if err != nil {
		return "{}"
	}
	return string(raw)
}
