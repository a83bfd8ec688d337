package follow

import (
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// maxStrands bounds the texts that are written at the same time.
const maxStrands = 256

// strand is a text that comes in pieces.
type strand struct {
	key   string
	of    int   // the choice, item or block that it belongs to
	guard Guard // nil: nobody's

	// An event of our own, which says what the guard kept back when the text ends.
	name          string // "": it has none
	before, after string // its data around the text
	numbered      bool
}

// strands are the texts that have begun and have not ended, in that order.
type strands []*strand

func (all strands) strand(key string) *strand {
	for _, s := range all {
		if s.key == key {
			return s
		}
	}
	return nil
}

// begin begins the text of which this is the first piece. It is nil if there are too
// many.
func (g *guarded) begin(r *reading, p *piece) *strand {
	if len(g.strands) == maxStrands {
		return nil
	}
	s := &strand{key: p.key, guard: g.asked.Guards(r.part(p))}
	g.strands = append(g.strands, s)
	if s.guard == nil {
		return s // and nothing will be left of it
	}
	before, after := p.at.spell()
	switch g.asked.Endpoint {
	case llm.ChatCompletions:
		s.of = r.turns[p.turn].index
		s.before = "{" + g.around + `"choices":[{"index":` + strconv.Itoa(s.of) + `,"finish_reason":null,` + before[1:]
		s.after = after + "]}"
	case llm.Responses:
		s.of, s.name = r.index, r.kind
		s.before, s.after = `{"type":`+quoted(r.kind)+","+string(r.places)+before[1:], after[:len(after)-1]
		_, s.numbered = r.numbered()
	case llm.Messages:
		s.of, s.name = r.index, "content_block_delta"
		s.before = `{"type":"content_block_delta","index":` + strconv.Itoa(s.of) + `,"delta":{"type":` + quoted(deltaOf(p.at)) + "," + quoted(p.at.name) + ":"
		s.after = "}}"
	}
	return s
}

// deltaOf is the type of the delta that continues a block's text. The event that
// begins a block may hold its first piece, beside the block's own type.
func deltaOf(at *step) string {
	switch at.name {
	case "text":
		return "text_delta"
	case "thinking":
		return "thinking_delta"
	case "partial_json":
		return "input_json_delta"
	}
	return at.up.kind
}

func (s *strand) text(piece string) (string, *Stop) {
	if s.guard == nil {
		return piece, nil
	}
	return s.guard.Text(piece)
}

// end ends a text, and gives what was kept back of it.
func (g *guarded) end(s *strand) (string, *Stop) {
	g.strands = slices.DeleteFunc(g.strands, func(other *strand) bool { return other == s })
	if s.guard == nil {
		return "", nil
	}
	return s.guard.End()
}

// flush ends the texts that have ended, each with an event of our own if there was
// something left of it.
func (g *guarded) flush(to *[]byte, ended func(*strand) bool) *Stop {
	for _, s := range slices.Clone(g.strands) {
		if !ended(s) {
			continue
		}
		rest, stop := g.end(s)
		g.say(to, s, rest)
		if stop != nil {
			return stop
		}
	}
	return nil
}

// say continues a text by an event of our own.
func (g *guarded) say(to *[]byte, s *strand, text string) {
	if text == "" {
		return
	}
	data := s.before + quoted(text) + s.after
	if s.numbered {
		data += `,"sequence_number":` + itoa(g.next)
		g.next++
		g.added++
	}
	if g.asked.Endpoint == llm.Responses {
		data += "}"
	}
	*to = appendEvent(*to, s.name, data)
}

// whole reads a text that is there as a whole.
func (g *guarded) whole(text string, part Part) (string, *Stop) {
	guard := g.asked.Guards(part)
	if guard == nil {
		return text, nil
	}
	shown, stop := guard.Text(text)
	if stop != nil {
		return shown, stop
	}
	rest, stop := guard.End()
	return shown + rest, stop
}

// name tells the texts of an event that come in pieces from one another.
func (r *reading) name() {
	if strings.HasSuffix(r.kind, "audio.delta") {
		r.pieces = nil // sound, not text
	}
	for i := range r.pieces {
		p := &r.pieces[i]
		if p.at.whole() {
			continue
		}
		switch r.asked.Endpoint {
		case llm.ChatCompletions:
			p.key = strconv.Itoa(r.turns[p.turn].index) + p.at.key()
		case llm.Responses:
			if p.at.root() == "delta" {
				p.key = r.kind + string(r.places) + p.at.key()
			}
		case llm.Messages:
			if at := p.at; at.up != nil && at.up.up == nil && (at.up.name == "delta" || at.up.name == "content_block") {
				p.key = strconv.Itoa(r.index) + "." + at.name
			}
		}
	}
}

// part is what kind of text a piece is.
func (r *reading) part(p *piece) Part {
	if part := p.at.part(); part != Words {
		return part
	}
	switch {
	case strings.Contains(r.kind, "reasoning"):
		return Thoughts
	case strings.Contains(r.kind, "arguments"), strings.Contains(r.kind, "input"), strings.Contains(r.kind, "code."):
		return Arguments
	}
	return Words
}

func appendEvent(to []byte, name, data string) []byte {
	if name != "" {
		to = append(append(append(to, "event: "...), name...), '\n')
	}
	return append(append(append(to, "data: "...), data...), "\n\n"...)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
