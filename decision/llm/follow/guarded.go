package follow

import (
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// maxGuarded is the largest event or document that is guarded. Nothing of one goes
// out before all of it was read, so this is what one answer may hold in memory. An
// event that says again all items, with a picture among them, has megabytes.
const maxGuarded = 8 << 20

// What ends an answer that guards cannot read. It is shown to nobody then: whoever
// asked for guards asked that nothing passes unread.
var (
	unreadable = &Stop{Code: "upstream_unavailable", Message: "the provider's answer cannot be read, and so not be guarded"}
	tooLarge   = &Stop{Code: "upstream_unavailable", Message: "the provider's answer is too large to be guarded"}
)

// guarded is an answer that guards read along with.
type guarded struct {
	asked Asked
	strands
	reading reading
	began   bool   // an event came
	started bool   // messages, responses: the one that begins the answer
	around  string // members that stand around the texts, for events of our own
	block   int    // messages: the block that is open; -1: none
	turns   [maxAnswers]turnState
	next    int64 // responses: the next event's number
	added   int64 // responses: how many events are ours
}

// turnState is how far a chat's choice is.
type turnState uint8

const (
	turnUnknown turnState = iota
	turnOpen
	turnOver
)

// outcome is what goes out for an event.
type outcome struct {
	before []byte   // events of our own, first
	with   []change // what of it is replaced
	stop   *Stop    // it does not go out, and nothing after it
}

// event reads an event that is whole. last says that it ends the answer.
func (g *guarded) event(e *opened, last bool) (out outcome) {
	switch {
	case e.lost:
		out.stop = unreadable
		return out
	case e.none:
		return out
	}
	g.began = true
	if strings.HasPrefix(string(e.data[:min(len(e.data), len(doneMark))]), doneMark) && g.asked.Dialect == llm.OpenAI {
		out.stop = g.flush(&out.before, all)
		return out
	}
	r := &g.reading
	if err := r.read(e.data, e.name); err != nil {
		out.stop = unreadable
		return out
	}
	g.learn(r)
	ended := g.endedBy(r)
	if last {
		ended = all
	}
	if out.stop = g.flush(&out.before, ended); out.stop == nil {
		g.rewrite(r, &out)
	}
	if out.stop == nil {
		g.renumber(r, &out)
	}
	return out
}

// rest is what goes out when the answer has ended with texts that have not.
func (g *guarded) rest() (out []byte, stop *Stop) {
	stop = g.flush(&out, all)
	return out, stop
}

// learn keeps what is wanted to write events of our own.
func (g *guarded) learn(r *reading) {
	switch g.asked.Endpoint {
	case llm.ChatCompletions:
		if g.around == "" && len(r.turns) > 0 { // Azure's first event has no choices, and an empty id
			g.around, r.known = string(r.around), true
		}
		r.around = r.around[:0]
		for _, t := range r.turns {
			if t.index < len(g.turns) {
				g.turns[t.index] = max(g.turns[t.index], turnOpen)
			}
			if t.index < len(g.turns) && t.finish {
				g.turns[t.index] = turnOver
			}
		}
	case llm.Responses:
		if !g.started && len(r.around) > 0 {
			g.started, g.around, r.known = true, string(r.around), true
		}
		if n, ok := r.numbered(); ok {
			g.next = n + g.added
		}
	case llm.Messages:
		switch r.kind {
		case "message_start":
			g.started = true
		case "content_block_start":
			g.block = r.index
		case "content_block_stop":
			g.block = -1
		}
	}
}

// endedBy says which texts an event ends, that it does not continue.
func (g *guarded) endedBy(r *reading) func(*strand) bool {
	switch {
	case g.asked.Endpoint == llm.ChatCompletions:
		return func(s *strand) bool { return r.goesOn(s) }
	case g.asked.Endpoint == llm.Responses && strings.HasSuffix(r.kind, ".done"):
		return func(s *strand) bool { return r.index < 0 || s.of == r.index }
	case g.asked.Endpoint == llm.Messages && r.kind == "content_block_stop":
		return func(s *strand) bool { return s.of == r.index }
	case g.asked.Endpoint == llm.Messages && kindOf([]byte(r.kind)) == closing:
		return all
	}
	return func(*strand) bool { return false }
}

func all(*strand) bool { return true }

// goesOn reports whether a chat's choice goes on to another text than this, or ends
// with an event that has none of it. What an SDK shows as it comes, such as a thought
// before a text, and a call's arguments before the next call, would otherwise be late.
func (r *reading) goesOn(s *strand) bool {
	on := false
	for _, t := range r.turns {
		on = on || t.index == s.of && t.finish
	}
	for i := range r.pieces {
		p := &r.pieces[i]
		if p.key == s.key {
			return false
		}
		on = on || p.turn >= 0 && r.turns[p.turn].index == s.of
	}
	return on
}

// rewrite reads the texts of an event, and says what is shown in their place.
func (g *guarded) rewrite(r *reading, out *outcome) {
	shown := make([]string, len(r.pieces))
	for i := range r.pieces {
		p := &r.pieces[i]
		var stop *Stop
		if p.key == "" {
			if shown[i], stop = g.whole(p.text, r.part(p)); stop != nil {
				out.stop = stop
				return
			}
			continue
		}
		s := g.strand(p.key)
		if s == nil {
			if s = g.begin(r, p); s == nil {
				out.stop = tooLarge
				return
			}
		}
		if shown[i], stop = s.text(p.text); stop == nil && r.ends(i) {
			var rest string
			rest, stop = g.end(s)
			shown[i] += rest
		}
		if stop != nil {
			g.say(&out.before, s, shown[i])
			out.stop = stop
			return
		}
	}
	out.with = r.changes(shown)
}

// ends reports whether a chat's choice ends in this event, and this is the last piece
// of its text.
func (r *reading) ends(i int) bool {
	p := &r.pieces[i]
	if p.turn < 0 || !r.turns[p.turn].finish {
		return false
	}
	for j := i + 1; j < len(r.pieces); j++ {
		if r.pieces[j].key == p.key {
			return false
		}
	}
	return true
}

// changes is what of the data is replaced where this is shown.
func (r *reading) changes(shown []string) []change {
	var with []change
	for i, p := range r.pieces {
		if shown[i] != p.text {
			with = append(with, change{p.span, quoted(shown[i])})
		}
	}
	for _, a := range r.asides {
		for i := a.first; i < a.last; i++ {
			if shown[i] != r.pieces[i].text {
				with = append(with, change{a.span, r.nothing()})
				break
			}
		}
	}
	return with
}

// nothing is how an event says that a text's tokens are not told.
func (r *reading) nothing() string {
	if r.asked.Endpoint == llm.Responses {
		return "[]"
	}
	return "null"
}

// renumber gives the event its number behind those of our own: a client may hold
// events against each other by it.
func (g *guarded) renumber(r *reading, out *outcome) {
	n, ok := r.numbered()
	if !ok {
		return
	}
	if g.added > 0 {
		out.with = append(out.with, change{r.number, itoa(n + g.added)})
	}
	g.next = n + g.added + 1
}

// document reads an answer that is one object. What a guard stopped is another.
func (g *guarded) document(data []byte) ([]byte, *Stop) {
	r := &reading{asked: g.asked}
	if err := r.read(data, ""); err != nil {
		return errorBody(g.asked, unreadable), unreadable
	}
	shown := make([]string, len(r.pieces))
	for i := range r.pieces {
		p := &r.pieces[i]
		var stop *Stop
		if shown[i], stop = g.whole(p.text, r.part(p)); stop != nil {
			if r.part(p) != Words {
				shown[i] = ""
			}
			return g.cut(data, r, shown[i], stop), stop
		}
	}
	return changed(data, r.changes(shown)), nil
}
