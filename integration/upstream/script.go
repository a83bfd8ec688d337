package upstream

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

// order is what a body asks the model for, whatever the dialect.
type order struct {
	body   []byte
	limit  int64 // of the output; 0: none
	thinks int64 // tokens of reasoning, unless steered; -1: it must not
	tools  []string
	asked  string // the last text of the user's
}

// script is what the model writes: reasoning, then text or tool calls.
type script struct {
	seed      uint64
	reasoning int64
	text      int64 // tokens of text, a word each
	calls     []toolCall
	cut       bool // the limit ended it
}

// toolCall is a call's name, one token, and its arguments, a token a piece.
type toolCall struct {
	name   string
	pieces []string
}

func (c toolCall) arguments() string { return strings.Join(c.pieces, "") }

// write decides what is written: what the steering says, else a length that
// follows from the body, and never more than the limit.
func (s steer) write(o order) script {
	h := fnv.New64a()
	_, _ = h.Write(o.body)
	w := script{seed: h.Sum64()}
	limit := o.limit
	if limit == 0 {
		limit = naturalEnd
	}
	if w.calls = called(o); len(w.calls) > 0 && s.output < 0 {
		w.reasoning = min(s.thought(o), limit)
		w.shorten(limit - w.reasoning)
		return w
	}
	w.calls = nil
	total := s.output
	if total < 0 {
		total = s.thought(o) + length(w.seed, min(limit, naturalEnd))
	}
	w.cut = total >= limit
	total = min(total, limit)
	w.reasoning = min(s.thought(o), total)
	w.text = total - w.reasoning
	return w
}

// thought is how many tokens the model thinks before it writes.
func (s steer) thought(o order) int64 {
	if o.thinks < 0 || s.reasoning < 0 {
		return max(o.thinks, 0)
	}
	return s.reasoning
}

// naturalEnd is where an answer ends that nothing else ends.
const naturalEnd = 4096

// length is how long this answer happens to be: a quarter of the calls write
// nearly nothing, a few all they may.
func length(seed uint64, most int64) int64 {
	switch x := int64(seed % 100); {
	case x < 25:
		return 1 + x
	case x < 95:
		return 20 + most*x/250
	default:
		return most
	}
}

// wanted is how a prompt asks for a tool: "call:NAME".
var wanted = regexp.MustCompile(`call:([A-Za-z0-9_-]+)`)

// called are the tool calls that the prompt asks for, of tools that it has.
func called(o order) []toolCall {
	var calls []toolCall
	for _, m := range wanted.FindAllStringSubmatch(o.asked, 8) {
		if slices.Contains(o.tools, m[1]) {
			calls = append(calls, toolCall{m[1], []string{`{"`, `city`, `":"`, `Utre`, `cht`, `","`, `days`, `":`, fmt.Sprint(len(calls) + 1), `}`}})
		}
	}
	return calls
}

// shorten ends the tool calls where the limit does, in the middle of one if so.
func (w *script) shorten(left int64) {
	for i, c := range w.calls {
		if left < 1 {
			w.calls, w.cut = w.calls[:i], true
			return
		}
		left--
		if n := int64(len(c.pieces)); n > left {
			w.calls[i].pieces, w.calls, w.cut = c.pieces[:left], w.calls[:i+1], true
			return
		}
		left -= int64(len(c.pieces))
	}
}

var vocabulary = []string{" signal", " box", " the", " train", " waits", " until", " a", " track", " is", " free", " and", " then",
	" it", " goes", " on", " under", " the", " bridge", " as", " every", " day", " before", " noon", " quietly"}

// word is one token of text.
func (w *script) word(i int64) string {
	v := vocabulary[(w.seed+uint64(i)*7)%uint64(len(vocabulary))]
	if i == 0 {
		return strings.ToUpper(v[1:2]) + v[2:]
	}
	return v
}

// words are the first n tokens of text.
func (w *script) words(n int64) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(w.word(i))
	}
	return b.String()
}

// tokens is how many there are of everything.
func (w *script) tokens() int64 {
	n := w.reasoning + w.text
	for _, c := range w.calls {
		n += 1 + int64(len(c.pieces))
	}
	return n
}
