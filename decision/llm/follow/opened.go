package follow

import (
	"bytes"
	"slices"
)

// opened is an event of a stream whose lines are told apart. There is one data line
// in nearly every event; what stands in several is put together.
type opened struct {
	raw  []byte
	data []byte
	at   int    // where the data stands in raw; -1: in several lines
	name string // the last event line's
	none bool   // it has no data: no client hands it on
	lost bool   // a line is nobody's, and could hold anything
	rest []byte // of several data lines: the other lines
}

// openEvent reads a whole event. first says that it may begin with a byte order mark.
func openEvent(raw []byte, first bool) opened {
	e := opened{raw: raw, none: true}
	if first {
		raw = bytes.TrimPrefix(raw, []byte(byteOrderMark))
	}
	for at := len(e.raw) - len(raw); at < len(e.raw); {
		end, next := lineEnd(e.raw, at)
		e.line(at, end, next)
		at = next
	}
	return e
}

// lineEnd is where the line ends that begins here, and where the next one begins.
func lineEnd(raw []byte, at int) (end, next int) {
	n := bytes.IndexAny(raw[at:], "\r\n")
	if n < 0 {
		return len(raw), len(raw)
	}
	end, next = at+n, at+n+1
	if raw[end] == '\r' && next < len(raw) && raw[next] == '\n' {
		next++
	}
	return end, next
}

func (e *opened) line(at, end, next int) {
	name, value, _ := bytes.Cut(e.raw[at:end], []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "data":
		if e.none {
			e.data, e.at, e.none = value, end-len(value), false
			return
		}
		if e.at >= 0 {
			e.data, e.at = slices.Clone(e.data), -1
		}
		e.data = append(append(e.data, '\n'), value...)
		return
	case "event":
		e.name = string(value)
	case "", "id", "retry": // the empty line that ends the event, or a comment
	default:
		e.lost = true
	}
	if at < end {
		e.rest = append(e.rest, e.raw[at:next]...)
	}
}

// change is a part of the data that is replaced.
type change struct {
	span
	by string
}

// with is the event with other data. The changes do not overlap.
func (e *opened) with(changes []change) []byte {
	if len(changes) == 0 {
		return e.raw
	}
	data := changed(e.data, changes)
	if e.at >= 0 {
		out := make([]byte, 0, len(e.raw)+len(data)-len(e.data))
		out = append(append(out, e.raw[:e.at]...), data...)
		return append(out, e.raw[e.at+len(e.data):]...)
	}
	out := bytes.Clone(e.rest)
	for line := range bytes.SplitSeq(data, []byte{'\n'}) {
		out = append(append(append(out, "data: "...), line...), '\n')
	}
	return append(out, '\n')
}

func changed(data []byte, changes []change) []byte {
	slices.SortFunc(changes, func(a, b change) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, c := range changes {
		out = append(append(out, data[at:c.from]...), c.by...)
		at = c.to
	}
	return append(out, data[at:]...)
}
