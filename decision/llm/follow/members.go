package follow

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// member takes a member of the event or the document itself.
func (r *reading) member(name string) error {
	kind := r.d.PeekKind()
	switch {
	case name == "type" && kind == '"':
		raw, err := r.small(name)
		r.kind = unquoted(raw)
		return err
	case name == "usage":
		raw, err := r.d.ReadValue()
		r.usage = r.last(raw)
		return err
	case r.asked.Endpoint == llm.ChatCompletions && name == "choices" && kind == '[':
		return r.elements(func(i int) error { return r.choice(i) })
	case r.asked.Endpoint == llm.Responses:
		return r.responses(name, kind)
	case r.asked.Endpoint == llm.Messages && name == "index" && kind == '0':
		raw, err := r.d.ReadValue()
		r.index = indexOf(raw)
		return err
	case r.asked.Endpoint == llm.Messages && name == "message" && kind == '{':
		return r.members(func(name string) error {
			if name != "content" {
				return r.d.SkipValue()
			}
			return r.value(&step{name: name})
		})
	case r.asked.Endpoint == llm.Messages && (name == "delta" || name == "content_block" || name == "content"):
		return r.value(&step{name: name})
	case name == "error", name == "stop_reason", name == "stop_sequence":
		return r.d.SkipValue()
	}
	_, err := r.small(name)
	return err
}

// responses takes a member of one of the responses' events, or of a response.
func (r *reading) responses(name string, kind jsontext.Kind) error {
	switch name {
	case "sequence_number":
		raw, err := r.d.ReadValue()
		if n, bad := strconv.ParseInt(string(raw), 10, 64); bad == nil {
			r.number, r.nth = r.last(raw), n
		}
		return err
	case "item_id", "output_index", "content_index", "summary_index":
		raw, err := r.d.ReadValue()
		if err == nil && len(raw) <= maxSmall {
			r.places = appendMember(r.places, name, raw)
		}
		if name == "output_index" {
			r.index = indexOf(raw)
		}
		return err
	case "delta", "part", "item", "output", "text", "refusal", "transcript", "arguments", "input", "code":
		if kind == '"' || r.stream || name == "output" {
			return r.value(&step{name: name})
		}
	case "response":
		if kind == '{' {
			return r.response()
		}
	case "logprobs":
		return r.aside(0)
	case "status", "error", "incomplete_details", "usage", "completed_at", "output_text":
		return r.d.SkipValue()
	}
	_, err := r.small(name)
	return err
}

// response takes the response that an event tells of.
func (r *reading) response() error {
	r.inside = true
	err := r.members(func(name string) error {
		switch name {
		case "output":
			return r.value(&step{name: name})
		case "status", "error", "incomplete_details", "usage", "completed_at":
			return r.d.SkipValue()
		}
		_, err := r.small(name)
		return err
	})
	r.inside = false
	return err
}

// choice takes one of a chat's choices.
func (r *reading) choice(i int) error {
	if r.d.PeekKind() != '{' {
		return r.d.SkipValue()
	}
	r.turns = append(r.turns, turn{index: i})
	t := &r.turns[len(r.turns)-1]
	first, asides := len(r.pieces), len(r.asides)
	err := r.members(func(name string) error {
		switch name {
		case "index", "finish_reason":
			raw, err := r.d.ReadValue()
			if name == "index" {
				t.index = indexOf(raw)
			} else {
				t.finish = len(raw) > 2 && raw[0] == '"' // some servers write "" for null
			}
			return err
		case "delta", "message":
			return r.value(&step{name: name})
		case "logprobs":
			return r.aside(first)
		}
		return r.d.SkipValue()
	})
	r.close(asides)
	return err
}
