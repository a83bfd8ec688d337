package follow

import (
	"bytes"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// guard lets guards read along, or says at once that nobody can.
func (a *Answer) guard() {
	if a.read {
		a.guarded = &guarded{asked: a.asked, block: -1, reading: reading{asked: a.asked, stream: true}}
		return
	}
	switch a.asked.Endpoint {
	case llm.ChatCompletions, llm.Responses, llm.Messages:
		a.stop, a.stage, a.over = unreadable, held, true
	}
}

// closeGuarded lets an event go its way as its guards say.
func (a *Answer) closeGuarded(lo, hi int, f fate) {
	a.lines.fate = f
	switch {
	case f == hidden:
		a.relay.replace(nil)
		return
	case a.relay.size(lo, hi) > maxGuarded:
		a.stopBy(tooLarge, nil)
		return
	}
	raw, lo := a.relay.whole(lo, hi)
	e := openEvent(raw, !a.guarded.began)
	out := a.guarded.event(&e, f == ended)
	a.relay.emitCopy(out.before)
	switch {
	case out.stop != nil:
		a.stopBy(out.stop, nil)
		return
	case f == ended:
		a.end()
	}
	if len(out.with) > 0 {
		a.relay.replace(e.with(out.with))
		return
	}
	a.relay.close(lo, hi, false)
}

// keepEvent keeps the beginning of an event until it is whole.
func (a *Answer) keepEvent(from int) {
	r := &a.relay
	if r.size(from, len(r.p)) > maxGuarded {
		a.stopBy(tooLarge, nil)
		return
	}
	r.pending = append(r.pending, r.p[from:]...)
}

// lastGuarded takes the event that has no blank line, if there is one, and what is left
// of the texts that have not ended. Both wait for Release.
func (a *Answer) lastGuarded(f fate) {
	var last []byte
	var stop *Stop
	if f != hidden {
		e := openEvent(a.relay.pending, !a.guarded.began)
		out := a.guarded.event(&e, f == ended)
		if last, stop = out.before, out.stop; stop == nil {
			last = append(last, e.with(out.with)...)
		}
	}
	if stop == nil {
		var rest []byte
		if rest, stop = a.guarded.rest(); len(rest) > 0 && len(last) > 0 {
			last = append(last, "\n\n"...)
		}
		last = append(last, rest...)
	}
	if stop != nil {
		last = append(last, a.stopped(stop)...)
	}
	a.relay.pending = last
}

// keepDocument keeps a document until it is whole, and then lets it go as its guards
// say, but for its last byte.
func (a *Answer) keepDocument(p []byte) {
	if a.stage != open || a.over {
		a.behind(p)
		return
	}
	r := &a.relay
	n := a.scan.feed(p)
	if len(r.pending)+n > maxGuarded {
		a.stopBy(tooLarge, errorBody(a.asked, tooLarge))
		return
	}
	r.pending = append(r.pending, p[:n]...)
	switch a.scan.state {
	case over:
		a.document()
	case broken:
		a.stopBy(unreadable, errorBody(a.asked, unreadable))
		return
	default:
		return
	}
	out, stop := a.guarded.document(r.pending)
	if stop != nil {
		a.stopBy(stop, out)
		return
	}
	r.pending = nil
	r.emitCopy(out[:len(out)-1])
	a.end()
	r.emitCopy(out[len(out)-1:])
	a.behind(p[n:])
}

// behind takes what comes behind a document. Nobody guards it, so that only the blanks
// before anything else pass.
func (a *Answer) behind(p []byte) {
	rest := bytes.TrimLeft(p, " \t\r\n")
	a.relay.emitCopy(p[:len(p)-len(rest)])
	a.over = a.over || len(rest) > 0
}

// stopBy ends the answer here. What is shown of a document in its place is given.
func (a *Answer) stopBy(stop *Stop, instead []byte) {
	end := a.stopped(stop)
	if instead != nil {
		end = instead
	}
	a.end()
	a.relay.replace(end)
}

// stopped ends the answer here, and gives what its caller is told of that: nothing
// where they have seen an end already.
func (a *Answer) stopped(stop *Stop) []byte {
	a.stop, a.over = stop, true
	if a.stage != open {
		return nil
	}
	seen, _ := a.Seen()
	return a.guarded.ending(stop, seen)
}
