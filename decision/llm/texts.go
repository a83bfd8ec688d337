package llm

import (
	"iter"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Text is one string of the prompt that a person or a tool wrote.
type Text struct {
	Where string // the key path: messages[2].content[0].text; names of the caller's own are *
	Raw   [2]int // the JSON string in Body, with its quotes
	// quoted: it is a string of JSON that is itself a string, as the arguments of a
	// tool's call are; Raw spans it with its quotes as the outer string escapes them.
	quoted bool
}

// PromptTexts walks every string of the prompt that a person or a tool wrote:
// messages, system prompts, instructions, inputs, tool calls' arguments and
// results, a predicted output, the descriptions in tools and schemas, and all of
// a field that we do not know. Names of fields, types, roles, ids, signatures,
// base64 and the addresses of images are none. They come in body order, but for a
// few whose kind is told behind them.
//
// What a caller says of itself (user, safety_identifier, metadata, a cache's key) is
// no prompt, and no part of its hash, but goes to the provider like one: it is among
// them.
//
// The body is read a second time for it, so that a call which nobody inspects
// pays nothing.
func (a *Ask) PromptTexts() iter.Seq[Text] {
	return func(yield func(Text) bool) {
		if len(a.Body) == 0 {
			return
		}
		w := texter{reader: newReader(a.Body, &Ask{}), yield: yield, known: a.fields()}
		w.members(w.known, w.top)
	}
}

// fields are the names that are read at the top of the body.
func (a *Ask) fields() []string {
	switch {
	case a.Dialect == Anthropic:
		return messagesFields
	case a.Endpoint == Responses:
		return responsesFields
	case a.Endpoint == Embeddings:
		return embeddingsFields
	}
	return chatFields
}

// texter walks a body that has been read once. Its methods answer false when
// there is nothing more to do: whoever listens has heard enough, or the body
// broke off, as that of a free call may.
type texter struct {
	*reader
	yield func(Text) bool
	known []string
}

// top takes the value of one top-level field.
func (w *texter) top(name string) bool {
	switch name {
	case "messages", "system", "instructions", "input", "prediction", "prompt":
		return w.prose()
	case "tools", "functions", "response_format", "text", "output_format", "output_config":
		return w.descriptions(false)
	case "extra_body", "google", unknown:
		return w.everything()
	case "user", "safety_identifier", "prompt_cache_key", "metadata", "client_metadata":
		return w.hints()
	}
	return w.pass() == nil
}

// hints walks what a caller says of itself. Coding agents write JSON into a string of
// it, which must still be JSON when one of its texts has been replaced.
func (w *texter) hints() bool {
	if w.kind() != '{' {
		return w.arguments()
	}
	return w.members(metadataFields, func(string) bool { return w.arguments() })
}

// proseFields are the fields of a prompt that are known by name. The first lines
// have a rule in item; the others are text, or hold it.
var proseFields = []string{
	"type", "data", "result", "url", "name", "variables", "tools", "parameters", "input_schema",
	"input", "arguments", "attributes", "env", "metadata",

	"content", "text", "refusal", "thinking", "reasoning", "summary", "title", "context", "filename",
	"tool_calls", "function_call", "function", "custom", "output", "source", "citations", "cited_text", "annotations",
	"action", "operation", "command", "commands", "diff", "path", "query", "queries", "results", "code", "outputs", "logs",
	"stdout", "stderr", "error", "reason", "file", "description",
}

// noProse are the fields of a prompt that hold no text of anybody's, whatever
// stands in them: what names things, what is base64, and addresses of pictures.
var noProse = []string{
	"role", "id", "status", "phase", "format", "detail", "media_type", "error_code",
	"call_id", "tool_call_id", "tool_use_id", "item_id", "approval_request_id", "container_id",
	"file_id", "file_ids", "server_label", "server_name", "namespace", "caller", "execution", "fingerprint", "version",
	"signature", "encrypted_content", "encrypted_index", "encrypted_stdout", "cache_control", "prompt_cache_breakpoint",
	"image_url", "image", "images", "input_image", "image_embeds",
	"input_audio", "audio", "audio_url", "audio_embeds", "video", "videos", "video_url", "input_video",
	"file_data", "file_url", "file_uri", "fileData", "inline_data", "inlineData", "document_url", "cached_content",
}

// noTexts are the types whose data, result or url is base64 or the address of a
// file or a picture.
var noTexts = []string{"base64", "url", "file", "image", "image_generation_call", "redacted_thinking"}

// prose walks a value in which the API's own names say what is text.
func (w *texter) prose() bool {
	switch w.kind() {
	case '[':
		return w.elements(w.prose)
	case '{':
		return w.item()
	case '"':
		return w.found()
	}
	return w.pass() == nil
}

// item walks one object of the prompt. What its data is, its type tells, which
// may stand behind it.
func (w *texter) item() bool {
	kind, later := "", []Text(nil)
	going := w.members(proseFields, func(name string) bool {
		switch name {
		case "type", "data", "result", "url":
			if w.kind() != '"' {
				return w.prose()
			}
			at, p := w.raw()
			if name == "type" && p == nil {
				kind = string(unquote(w.body[at.start:at.end]))
			} else {
				later = append(later, Text{Where: w.where(), Raw: at.array()})
			}
			return p == nil
		case "name":
			if len(w.path) != 3 || w.path[0].name != "messages" { // Only the speaker's is a person's own.
				return w.pass() == nil
			}
		case "variables":
			if w.kind() == '{' {
				return w.members(nil, func(string) bool { return w.prose() })
			}
		case "tools", "parameters", "input_schema":
			return w.descriptions(false)
		case "arguments":
			return w.arguments()
		case "input", "attributes", "env", "metadata":
			return w.everything()
		case unknown:
			if match(noProse, w.body[w.key.start:w.key.end]) >= 0 {
				return w.pass() == nil
			}
		}
		return w.prose()
	})
	if !going || slices.Contains(noTexts, kind) {
		return going
	}
	for _, t := range later {
		if !w.yield(t) {
			return false
		}
	}
	return true
}

// everything walks a value in which each string is text: names in it are the
// caller's own, and tell nothing.
func (w *texter) everything() bool {
	switch w.kind() {
	case '[':
		return w.elements(w.everything)
	case '{':
		return w.members(nil, func(string) bool { return w.everything() })
	case '"':
		return w.found()
	}
	return w.pass() == nil
}

// arguments walks the arguments of a call. Most are JSON written into a string, and
// must still be JSON when one of their texts has been replaced; so their own
// strings are the texts, and not what stands around them. In the whole string a
// line break is a backslash and an n, which reads as the beginning of a word.
func (w *texter) arguments() bool {
	if w.kind() != '"' {
		return w.everything()
	}
	at, p := w.raw()
	if p != nil {
		return false
	}
	whole := Text{Where: w.where(), Raw: at.array()}
	value, offsets := whole.Value(w.body)
	inner := []byte(value)
	if kind := jsontext.Value(inner).Kind(); kind != '{' && kind != '[' || !jsontext.Value(inner).IsValid(jsontext.AllowDuplicateNames(true)) {
		return w.yield(whole)
	}
	in := texter{reader: newReader(inner, &Ask{}), yield: func(t Text) bool {
		span, err := offsets.Span(t.Raw[0], t.Raw[1])
		if t.Where[0] != '[' {
			t.Where = "." + t.Where
		}
		return err == nil && w.yield(Text{Where: whole.Where + t.Where, Raw: span, quoted: true})
	}}
	return in.everything()
}

// described are the fields of a schema that are prose.
var described = []string{"description"}

// descriptions walks tools and schemas, in which only the descriptions are prose:
// a name or a pattern that somebody replaced would make another tool of it.
func (w *texter) descriptions(prose bool) bool {
	switch w.kind() {
	case '[':
		return w.elements(func() bool { return w.descriptions(false) })
	case '{':
		return w.members(described, func(name string) bool { return w.descriptions(name != unknown) })
	case '"':
		if prose {
			return w.found()
		}
	}
	return w.pass() == nil
}

// found takes one text.
func (w *texter) found() bool {
	at, p := w.raw()
	return p == nil && w.yield(Text{Where: w.where(), Raw: at.array()})
}

// members walks an object, whose names beside those of names are the caller's.
func (w *texter) members(names []string, visit func(name string) bool) bool {
	if w.kind() != '{' || w.token() != nil {
		return false
	}
	for w.kind() != '}' {
		key, p := w.raw()
		if p != nil {
			return false
		}
		w.key = key
		name := unknown
		if i := match(names, w.body[key.start:key.end]); i >= 0 {
			name = names[i]
		}
		w.path = append(w.path, step{name: name})
		if !visit(name) {
			return false
		}
		w.path = w.path[:len(w.path)-1]
	}
	return w.token() == nil
}

// elements walks an array.
func (w *texter) elements(visit func() bool) bool {
	if w.token() != nil {
		return false
	}
	for i := 0; w.kind() != ']'; i++ {
		w.path = append(w.path, step{index: i})
		if !visit() {
			return false
		}
		w.path = w.path[:len(w.path)-1]
	}
	return w.token() == nil
}
