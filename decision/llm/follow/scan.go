package follow

const (
	// maxOpen is how deep the parts may nest that we look into. Providers' answers
	// stay below ten; what is passed over may nest as it likes.
	maxOpen = 32
	// maxUsage is far above any usage, with Anthropic's list of its runs.
	maxUsage = 64 << 10
	// maxIndex bounds the positions that are told apart.
	maxIndex = 1 << 10
)

// What the bytes of a text do not show of its tokens: decision 036 has the
// sources.
const (
	perAnswer = 16 // the markers around an answer, and around a thought
	perBlock  = 16 // the same around one part of it
	perCall   = 64 // the wrapping of one tool call
	perQuote  = 2  // beside itself, a quote in a call's arguments: half of a tag
)

// scanner reads one JSON object as its bytes come, wherever they are cut, and
// keeps what is found, not the object. It is no validator: of what is passed over
// it follows brackets and quotes only. What it cannot follow is broken, and then
// nothing of it is believed. (jsontext's decoder wants a reader to pull from, and
// keeps each string whole.)
type scanner struct {
	typed bool // it is an event that has a type, and may hold its figures deeper
	state state
	at    place // what the value is that is being read, or comes next
	depth int
	in    [maxOpen]container

	str    str
	nested int  // brackets open in a value that is passed over
	quoted bool // inside one of its strings

	found
}

type container struct {
	place place
	list  bool
}

// found is what one object said.
type found struct {
	kind    kind
	waiting bool  // the answer is not written yet: queued, or in progress
	index   int   // the highest; -1: none
	choices int64 // how many
	finish  bool  // a finish or stop reason that is not null
	failed  bool
	wrote   bool  // there is text of the model's
	written int64 // its tokens, at most
	usages  int
	lost    bool   // a usage too large to keep
	usage   []byte // as it is spelt
	tier    []byte // between the quotes
	uses    uses   // of the provider's tools
	listed  bool   // a response's whole output is there
}

type state uint8

const (
	before    state = iota // the object's opening brace
	firstName              // or the closing brace
	nextName
	colon
	value
	firstElement // or the closing bracket
	after        // a comma, or a closing bracket
	inString
	inScalar
	inPassed
	over
	broken
)

func (s *scanner) reset() {
	s.state, s.at, s.depth = before, root, 0
	s.str.escape, s.quoted, s.nested = 0, false, 0
	s.found = found{index: -1, usage: emptied(s.usage), tier: s.tier[:0]}
}

// usageOnly reports whether all there is to the object is usage, as far as it has
// been read.
func (s *scanner) usageOnly() bool {
	said := s.usages > 0 || s.state == inPassed && s.at == usage
	return said && s.choices == 0 && !s.failed
}

// feed takes the next bytes and says how many of them belong to the object.
func (s *scanner) feed(p []byte) int {
	i := 0
	for i < len(p) && s.state < over {
		switch s.state {
		case inString:
			i += s.readString(p[i:])
		case inScalar:
			i += s.readScalar(p[i:])
		case inPassed:
			i += s.passOver(p[i:])
		default:
			if c := p[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				s.state = s.token(c)
			}
			if s.state != inScalar && s.state != inPassed { // which want their first byte
				i++
			}
		}
	}
	return i
}

// token takes a byte between values.
func (s *scanner) token(c byte) state {
	switch {
	case s.state == before && c == '{':
		return s.open(false)
	case (s.state == firstName || s.state == nextName) && c == '"':
		return s.beginString(true)
	case s.state == firstName && c == '}', s.state == firstElement && c == ']':
		return s.close()
	case s.state == colon && c == ':':
		return value
	case s.state == value, s.state == firstElement:
		return s.begin(c)
	case s.state != after:
		return broken
	}
	in := s.in[s.depth-1]
	switch {
	case c == ',' && in.list:
		s.at = in.place.element()
		return value
	case c == ',':
		return nextName
	case c == '}' && !in.list, c == ']' && in.list:
		return s.close()
	}
	return broken
}

// begin takes the first byte of a value.
func (s *scanner) begin(c byte) state {
	if s.at == choice {
		s.choices++
	}
	switch {
	case c == '"':
		return s.beginString(false)
	case s.depth == maxOpen && (c == '{' || c == '['):
		s.at = args // only what the model wrote is looked into so deep: it counts as it is spelt
		return inPassed
	case c == '{' && s.at.looked():
		return s.open(false)
	case c == '[' && s.at.element() != ignored:
		return s.open(true)
	case c == '{', c == '[':
		if s.at == usage && c == '[' {
			s.at = ignored
		}
		s.failed = s.failed || s.at == failure && c == '{'
		return inPassed
	case c == '-', c >= '0' && c <= '9', c == 't', c == 'f', c == 'n':
		s.str.size = 0
		return inScalar
	}
	return broken
}

func (s *scanner) open(list bool) state {
	s.in[s.depth] = container{s.at, list}
	s.depth++
	if list {
		s.listed = s.listed || s.at == makes
		s.at = s.at.element()
		return firstElement
	}
	if s.at == block || s.at == item {
		s.written += perBlock
	}
	return firstName
}

func (s *scanner) close() state {
	s.depth--
	if s.depth == 0 {
		return over
	}
	return after
}

// readScalar takes a number, true, false or null.
func (s *scanner) readScalar(p []byte) int {
	for i, c := range p {
		switch {
		case c >= '0' && c <= '9':
			s.str.size = min(s.str.size*10+int64(c-'0'), maxIndex)
		case c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			s.str.size = maxIndex // which is no position
		default:
			if s.at == number && s.str.size < maxIndex {
				s.index = max(s.index, int(s.str.size))
			}
			s.state = after
			return i
		}
		if s.at == args {
			s.written++
		}
	}
	return len(p)
}

// passOver takes a value that is not looked into, from its bracket on.
func (s *scanner) passOver(p []byte) int {
	i := 0
	for i < len(p) && s.state == inPassed {
		switch {
		case s.str.escape > 0: // whatever stands behind a backslash; the digits of \uXXXX are plain
			s.str.escape = 0
			i++
			continue
		case s.quoted:
			i += plain(p[i:])
		default:
			i += dull(p[i:])
		}
		if i == len(p) {
			break
		}
		s.mark(p[i])
		i++
	}
	s.keep(p[:i])
	if s.state == after && s.at == usage {
		s.usages++
	}
	return i
}

// marks are what is followed in a value that is passed over.
var marks = [256]bool{'"': true, '[': true, ']': true, '{': true, '}': true}

// mark follows a quote, a bracket, or inside quotes a backslash.
func (s *scanner) mark(c byte) {
	switch c {
	case '\\':
		s.str.escape = 1
	case '"':
		s.quoted = !s.quoted
		if s.at == args {
			s.written += perQuote
		}
	case '{', '[':
		s.nested++
	default:
		s.nested--
		if s.nested == 0 {
			s.state = after
		}
	}
}

// dull is how many bytes at the start of p are no marks.
func dull(p []byte) int {
	for i, c := range p {
		if marks[c] {
			return i
		}
	}
	return len(p)
}

// keep keeps what is wanted of a value that is passed over.
func (s *scanner) keep(p []byte) {
	switch {
	case s.at == args:
		s.written += int64(len(p))
	case s.at == usage && len(s.usage)+len(p) > maxUsage:
		s.lost = true
	case s.at == usage:
		s.usage = append(s.usage, p...)
	}
}
