package follow_test

import (
	"encoding/json"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// refEvent is an event as the standard's text has it, read in the plainest way
// from a stream that is there as a whole.
type refEvent struct {
	raw, data, name string
	lines           int  // of data
	open            bool // the stream ends inside it
}

// refEvents cuts a stream into events. Comments before the first field of an event
// are events of their own.
func refEvents(text string) []refEvent {
	var all []refEvent
	var e refEvent
	fields, first := 0, true
	for len(text) > 0 {
		end := strings.IndexAny(text, "\r\n")
		open := end < 0
		if open {
			end = len(text)
		}
		line, ended := text[:end], end
		switch {
		case strings.HasPrefix(text[end:], "\r\n"):
			ended += 2
		case !open:
			ended++
		}
		e.raw, text = e.raw+text[:ended], text[ended:]
		if first {
			line, first = strings.TrimPrefix(line, "\xef\xbb\xbf"), false
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && !open, strings.HasPrefix(line, ":") && fields == 0 && !open:
			all, e, fields = append(all, e), refEvent{}, 0
			continue
		case line != "" && name != "":
			fields++
		}
		switch name {
		case "data":
			if e.lines++; e.lines > 1 {
				e.data += "\n"
			}
			e.data += value
		case "event":
			e.name = value
		}
	}
	if e.raw != "" {
		e.open = true
		all = append(all, e)
	}
	return all
}

// refChunk is what a strict decoder makes of an event of a chat.
type refChunk struct {
	Type    any
	Error   any
	Usage   any
	Choices any
}

// read decodes an event's data. sure is false where it begins as an object but is
// none: we need not see that.
func (e refEvent) read() (c refChunk, object, sure bool) {
	text := strings.TrimLeft(e.data, " \t\r\n")
	if !strings.HasPrefix(text, "{") {
		return c, false, true
	}
	var names map[string]json.RawMessage
	if !jsontext.Value(text).IsValid() || json.Unmarshal([]byte(text), &names) != nil {
		return c, true, false
	}
	for name, to := range map[string]*any{"type": &c.Type, "error": &c.Error, "usage": &c.Usage, "choices": &c.Choices} {
		if raw, ok := names[name]; ok && json.Unmarshal(raw, to) != nil {
			return c, true, false // a number above a float's
		}
	}
	return c, true, true
}

// fate is what becomes of an event of a chat.
func (e refEvent) fate(asked follow.Asked) (hide, end, sure bool) {
	if e.lines == 0 {
		return false, false, true
	}
	if strings.HasPrefix(e.data, "[DONE]") {
		return false, true, true
	}
	c, object, sure := e.read()
	_, wrong := c.Error.(map[string]any)
	if text, ok := c.Error.(string); ok && text != "" {
		wrong = true
	}
	if wrong || e.name == "error" || c.Type == "error" {
		return false, true, sure
	}
	_, used := c.Usage.(map[string]any)
	choices, _ := c.Choices.([]any)
	return object && used && len(choices) == 0 && asked.HideUsage && asked.Endpoint == llm.ChatCompletions, false, sure
}

// written is the text of a chunk, in bytes.
func (e refEvent) written() (n int64) {
	c, _, _ := e.read()
	choices, _ := c.Choices.([]any)
	for _, choice := range choices {
		fields, _ := choice.(map[string]any)
		delta, _ := fields["delta"].(map[string]any)
		text, _ := delta["content"].(string)
		n += int64(len(text))
	}
	return n
}

// fits reports whether a relayed text is these events, without those that are
// hidden, and with or without those of which nobody can be sure.
func fits(text string, events []refEvent, asked follow.Asked, clean bool) bool {
	at := map[int]bool{0: true}
	for _, e := range events {
		hide, _, sure := e.fate(asked)
		if e.open && !clean {
			hide, sure = false, !asked.HideUsage
		}
		next := map[int]bool{}
		for i := range at {
			if hide || !sure {
				next[i] = true
			}
			if (!hide || !sure) && strings.HasPrefix(text[i:], e.raw) {
				next[i+len(e.raw)] = true
			}
		}
		at = next
	}
	return at[len(text)]
}
