package follow

import "bytes"

// lines cuts an event stream as the WHATWG's standard has it: lines end with CR,
// LF or both, an empty line ends an event, a line is a field's name, a colon, one
// space that may be missing, and its value.
type lines struct {
	first   bool  // no line has ended yet: it may begin with a byte order mark
	afterCR bool  // a LF that comes next belongs to the line before
	fate    fate  // of the event that ended last
	field   field // of the line that is being read
	space   bool  // the one space behind the colon may come next
	length  int   // of the name so far; word has its beginning
	word    [len(byteOrderMark) + len("event") + 1]byte

	event
}

const byteOrderMark = "\xef\xbb\xbf"

// event is what is known of the event that is being read, beside its data's JSON.
type event struct {
	fields int                 // lines so far that are no comments
	data   int                 // lines of data
	size   int64               // their bytes
	head   [len(doneMark)]byte // their beginning
	name   [maxKind]byte
	named  int // the length of its name
}

const (
	doneMark = "[DONE]"
	maxKind  = 48 // above the longest type that is looked for
)

type field uint8

const (
	unnamed field = iota // its name is being read
	comment
	dataField
	eventField
	otherField // known, and of no interest
	strayField // nobody's
)

// fate is what becomes of an event.
type fate uint8

const (
	passed fate = iota
	hidden
	ended
)

// writeEvents takes the next bytes of a stream.
func (a *Answer) writeEvents(p []byte) {
	from := 0 // where the event begins that is not closed yet, or its rest
	at := lineEnds{p: p, lf: -1, cr: -1}
	for i := 0; i < len(p); {
		if a.lines.afterCR {
			a.lines.afterCR = false
			if p[i] == '\n' {
				i++
				if a.relay.size(from, i) == 1 { // the event before ended with that CR
					a.close(from, i, a.lines.fate)
					from = i
				}
				continue
			}
		}
		end := at.next(i)
		a.part(p[i:end])
		if end == len(p) {
			break
		}
		i = end + 1
		a.lines.afterCR = p[end] == '\r'
		if fate, over := a.endLine(); over {
			a.close(from, i, fate)
			from = i
		}
		if a.stop != nil {
			return
		}
	}
	if a.guarded != nil {
		a.keepEvent(from)
		return
	}
	a.relay.wait(from, len(p))
}

// lineEnds finds the line ends of one write, each byte looked at once.
type lineEnds struct {
	p      []byte
	lf, cr int // the next of each; before i: not known
}

func (e *lineEnds) next(i int) int {
	find := func(at int, c byte) int {
		if at >= i {
			return at
		}
		if n := bytes.IndexByte(e.p[i:], c); n >= 0 {
			return i + n
		}
		return len(e.p)
	}
	e.lf, e.cr = find(e.lf, '\n'), find(e.cr, '\r')
	return min(e.lf, e.cr)
}

// part takes a part of one line.
func (a *Answer) part(b []byte) {
	l := &a.lines
	if l.field == unnamed {
		i := bytes.IndexByte(b, ':')
		if i < 0 {
			l.spell(b)
			return
		}
		l.spell(b[:i])
		a.beginValue()
		b = b[i+1:]
	}
	if len(b) == 0 {
		return
	}
	if l.space && b[0] == ' ' {
		b = b[1:]
	}
	l.space = false
	switch l.field {
	case dataField:
		a.data(b)
	case eventField:
		l.named += copy(l.name[l.named:], b)
	case strayField:
		a.output += int64(len(b))
	}
}

func (l *lines) spell(b []byte) {
	if l.length < len(l.word) {
		copy(l.word[l.length:], b)
	}
	l.length += len(b)
}

// beginValue takes the end of a line's name.
func (a *Answer) beginValue() {
	l := &a.lines
	name := l.word[:min(l.length, len(l.word))]
	if l.first {
		name = bytes.TrimPrefix(name, []byte(byteOrderMark))
	}
	switch string(name) {
	case "":
		l.field = comment
	case "data":
		l.field = dataField
		if l.data++; l.data > 1 {
			a.data([]byte{'\n'})
		}
	case "event":
		l.field, l.named = eventField, 0
	case "id", "retry":
		l.field = otherField
	default:
		// Clients of event streams drop it. But it is there to be read, such as a whole
		// JSON document that a server calls a stream, and was written: like an event that
		// cannot be read it has at most as many tokens as bytes.
		l.field = strayField
		a.output += int64(l.length)
	}
	l.space = true
}

// data takes a part of an event's data.
func (a *Answer) data(b []byte) {
	e := &a.lines.event
	if e.size < int64(len(e.head)) {
		copy(e.head[e.size:], b)
	}
	e.size += int64(len(b))
	n := a.scan.feed(b)
	if a.scan.state == over && len(bytes.TrimLeft(b[n:], " \t\r\n")) > 0 {
		a.scan.state = broken
	}
}

// endLine takes the end of a line and says whether an event ended with it. A
// comment before an event's first field counts as one: it keeps a connection
// alive and must not wait for what comes after.
func (a *Answer) endLine() (fate, bool) {
	l := &a.lines
	empty := false
	if l.field == unnamed { // there was no colon
		a.beginValue()
		empty = l.field == comment
	}
	isComment := l.field == comment
	l.first, l.field, l.length = false, unnamed, 0
	switch {
	case empty:
		f := a.judge()
		l.event = event{}
		a.scan.reset()
		return f, true
	case isComment:
		return passed, l.fields == 0
	}
	l.fields++
	return passed, false
}

// close lets an event go its way, of which the rest stands in what was written.
func (a *Answer) close(lo, hi int, f fate) {
	if a.guarded != nil {
		a.closeGuarded(lo, hi, f)
		return
	}
	if f == hidden && a.relay.size(lo, hi) > maxEvent {
		f = passed // its beginning may have gone out
	}
	if f == ended {
		a.end()
	}
	a.lines.fate = f
	a.relay.close(lo, hi, f == hidden)
}

// lastEvent ends the stream behind an event that has no blank line. It waits for
// Release.
func (a *Answer) lastEvent() {
	if a.relay.size(0, 0) == 0 {
		if a.guarded != nil {
			a.lastGuarded(hidden)
		}
		return
	}
	if a.lines.field != unnamed || a.lines.length > 0 {
		a.endLine()
	}
	switch f := a.judge(); {
	case a.guarded != nil:
		a.lastGuarded(f)
	case f == hidden && a.relay.early == 0:
		a.relay.close(0, 0, true)
	}
	a.lines.event = event{}
	a.scan.reset()
}

// doneMark reports whether the event's data begins with chat's end mark, or may,
// as far as it has come.
func (e *event) doneMark() bool {
	return string(e.head[:min(e.size, int64(len(e.head)))]) == doneMark[:min(e.size, int64(len(doneMark)))]
}
