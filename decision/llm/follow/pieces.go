package follow

import (
	"bytes"
	"errors"
	"strconv"

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
