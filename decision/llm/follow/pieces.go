package follow

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

const (
	// maxPieces bounds the texts of one event or document. A long conversation's last
	// event, which says all items again, has hundreds.
	maxPieces = 1 << 14
	// maxNested is how deep texts may lie. What is deeper nobody could guard.
	maxNested = 128
	// maxSmall is the longest value that is kept of what stands around an answer's
	// texts: ids, names, times.
	maxSmall = 256
	// maxAround bounds those values together.
	maxAround = 4 << 10
)

// span is a part of an event's data or of a document.
type span struct{ from, to int }

// piece is a text, or the next part of one, where it stands.
type piece struct {
	span        // with its quotes
	text string // unquoted
	at   *step
	turn int    // chat: the place of its choice in turns
	key  string // of the text that it continues; "": it is whole
}

// step is a way to a value: a member's name, or a place in a list.
type step struct {
	up    *step
	name  string // "": an element
	index int    // of an element: its own, or else by how it stands there, below 0
	kind  string // its "type", where it is an object
	depth int
}

// turn is what one event says of a chat's choice.
type turn struct {
	index  int
	finish bool
}

// aside is what says a text again in other words: its tokens. It can stand only
// beside a text that is shown as it was.
type aside struct {
	span
	first, last int // the texts, of which last is not one
}

// reading finds the texts of one event or document. Unlike the scanner, which only
// counts and must never be under, it knows names: a string of a name that it does not
// know may be anything, and would be broken in two by a guard that waits for more.
type reading struct {
	asked  Asked
	stream bool
	around []byte // small members around the texts
	known  bool   // those are known already

	d *jsontext.Decoder // kept from one event to the next, as the lists are

	kind   string // the event's
	pieces []piece
	asides []aside
	turns  []turn
	index  int    // the block's or the item's; -1: none
	places []byte // responses: which text of which item it is, as members
	inside bool   // responses: inside the response that an event tells of
	number span   // responses: where the event's number stands
	nth    int64  // that number
	usage  span   // of a document
}

var errTexts = errors.New("more texts than anybody reads")

// read reads one JSON object: an event's, of this name, or a document.
func (r *reading) read(data []byte, name string) error {
	// As a client would take it; and of two members of one name it may take either.
	if r.d == nil {
		r.d = jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	} else {
		r.d.Reset(bytes.NewBuffer(data), r.d.Options())
	}
	r.kind, r.index, r.number, r.nth, r.usage = name, -1, span{}, 0, span{}
	r.pieces, r.asides, r.turns, r.places = kept(r.pieces), kept(r.asides), kept(r.turns), r.places[:0]
	if r.d.PeekKind() != '{' {
		return errors.New("it is no object")
	}
	if err := r.members(r.member); err != nil {
		return err
	}
	r.close(0)
	if r.stream {
		r.name()
	}
	if len(data) > keepBuffer {
		r.d = nil // which keeps what it has read
	}
	return nil
}

// kept is an empty list in the place of another, unless that was a large one.
func kept[E any](list []E) []E {
	if cap(list) > 64 {
		return nil
	}
	clear(list)
	return list[:0]
}

// numbered is the event's number, if it has one.
func (r *reading) numbered() (int64, bool) { return r.nth, r.number.to > 0 }

// members reads an object and gives each member's name before its value.
func (r *reading) members(take func(name string) error) error {
	if _, err := r.d.ReadToken(); err != nil {
		return err
	}
	for r.d.PeekKind() != '}' {
		name, err := r.d.ReadToken()
		if err != nil {
			return err
		}
		if err := take(name.String()); err != nil {
			return err
		}
	}
	_, err := r.d.ReadToken()
	return err
}

// elements reads a list.
func (r *reading) elements(take func(i int) error) error {
	if _, err := r.d.ReadToken(); err != nil {
		return err
	}
	for i := 0; r.d.PeekKind() != ']'; i++ {
		if err := take(i); err != nil {
			return err
		}
	}
	_, err := r.d.ReadToken()
	return err
}

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

// aside takes what stands beside the texts of an object, from the first of them on.
func (r *reading) aside(first int) error {
	raw, err := r.d.ReadValue()
	if err == nil && len(raw) > 0 && (raw[0] == '{' || raw[0] == '[') {
		r.asides = append(r.asides, aside{r.last(raw), first, -1})
	}
	return err
}

// close ends the object that these stand in.
func (r *reading) close(first int) {
	for i := first; i < len(r.asides); i++ {
		if r.asides[i].last < 0 {
			r.asides[i].last = len(r.pieces)
		}
	}
}

// value takes a value in which texts may lie.
func (r *reading) value(at *step) error {
	if at.up != nil {
		if at.depth = at.up.depth + 1; at.depth > maxNested {
			return errTexts
		}
	}
	switch r.d.PeekKind() {
	case '"':
		return r.text(at)
	case '{':
		return r.object(at)
	case '[':
		return r.elements(func(i int) error { return r.value(&step{up: at, index: -1 - i}) })
	}
	return r.d.SkipValue()
}

func (r *reading) object(at *step) error {
	first, asides := len(r.pieces), len(r.asides)
	err := r.members(func(name string) error {
		kind := r.d.PeekKind()
		switch {
		case name == "index" && kind == '0' && at.name == "":
			raw, err := r.d.ReadValue()
			at.index = indexOf(raw)
			return err
		case name == "type" && kind == '"' && at.part() != Arguments:
			raw, err := r.d.ReadValue()
			at.kind = unquoted(raw)
			return err
		case name == "logprobs":
			return r.aside(first)
		}
		return r.value(&step{up: at, name: name})
	})
	r.close(asides)
	return err
}

// text takes a string. It is a text by its name, or because it is a part of what a
// tool is called with, where all is.
func (r *reading) text(at *step) error {
	raw, err := r.d.ReadValue()
	if err != nil || !at.text() || len(raw) <= len(`""`) {
		return err
	}
	if len(r.pieces) == maxPieces {
		return errTexts
	}
	r.pieces = append(r.pieces, piece{span: r.last(raw), text: unquoted(raw), at: at, turn: len(r.turns) - 1})
	return nil
}

// small takes a member that may be wanted to write another event or document of the
// same answer.
func (r *reading) small(name string) (jsontext.Value, error) {
	raw, err := r.d.ReadValue()
	wanted := !r.stream || r.inside || r.asked.Endpoint == llm.ChatCompletions
	if wanted && !r.known && err == nil && len(raw) <= maxSmall && len(r.around)+len(name)+len(raw) <= maxAround {
		r.around = appendMember(r.around, name, raw)
	}
	return raw, err
}

// last is where the value stands that was read last.
func (r *reading) last(raw jsontext.Value) span {
	to := int(r.d.InputOffset())
	return span{to - len(raw), to}
}

// text reports whether a string here is one of the model's texts.
func (s *step) text() bool {
	if _, known := partOf(s.name); known || s.name == "delta" {
		return true
	}
	for up := s.up; up != nil; up = up.up {
		if part, known := partOf(up.name); known && part == Arguments {
			return true // an object where others write JSON in a string
		}
	}
	return s.name == "" && s.up != nil && s.up.text() // a list of texts
}

// part is what kind of text it is.
func (s *step) part() Part {
	for ; s != nil; s = s.up {
		if part, _ := partOf(s.name); part != Words {
			return part
		}
		if strings.HasPrefix(s.kind, "reasoning") || strings.HasPrefix(s.kind, "summary") || strings.HasPrefix(s.kind, "thinking") {
			return Thoughts
		}
	}
	return Words
}

// partOf is what a string of this name is.
func partOf(name string) (Part, bool) {
	switch name {
	case "content", "text", "refusal", "transcript":
		return Words, true
	case "reasoning", "reasoning_content", "thinking", "summary":
		return Thoughts, true
	case "arguments", "partial_json", "input", "code":
		return Arguments, true
	}
	return Words, false
}

// whole reports whether a string here is not continued by the next event: a value in
// an object that a tool is called with.
func (s *step) whole() bool {
	for up := s.up; up != nil; up = up.up {
		if part, known := partOf(up.name); known && part == Arguments {
			return true
		}
	}
	return false
}

// spell writes what stands before and behind a text in an object that has nothing
// but this way to it.
func (s *step) spell() (before, after string) {
	if s == nil {
		return "", ""
	}
	before, after = s.up.spell()
	if s.name == "" {
		return before + "[", "]" + after
	}
	before += "{"
	if up := s.up; up != nil {
		if up.name == "" && up.index >= 0 {
			before += `"index":` + strconv.Itoa(up.index) + ","
		}
		if up.kind != "" {
			before += `"type":` + quoted(up.kind) + ","
		}
	}
	return before + quoted(s.name) + ":", "}" + after
}

// root is the name of the member that it is in.
func (s *step) root() string {
	for s.up != nil {
		s = s.up
	}
	return s.name
}

// key tells one text from another.
func (s *step) key() string {
	if s == nil {
		return ""
	}
	if s.name == "" {
		return s.up.key() + "[" + strconv.Itoa(s.index)
	}
	return s.up.key() + "." + s.name
}

// indexOf reads an index; one that is none, or beyond all bounds, is the last.
func indexOf(raw []byte) int {
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 0 || n > maxIndex {
		return maxIndex
	}
	return n
}

func appendMember(to []byte, name string, raw []byte) []byte {
	return append(append(append(append(to, quoted(name)...), ':'), raw...), ',')
}

func unquoted(raw []byte) string {
	text, _ := jsontext.AppendUnquote(nil, raw) // what cannot be read in it is replaced
	return string(text)
}

func quoted(text string) string {
	raw, _ := jsontext.AppendQuote(nil, text)
	return string(raw)
}
