package follow

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// maxWord is above the longest name that is looked for and the longest tier.
const maxWord = 64

// str is the string that is being read.
type str struct {
	name    bool  // it is a name, not a value
	escape  uint8 // 0; 1 behind a backslash; 2 to 5 inside the digits of \uXXXX
	escaped bool  // it has an escape
	length  int   // as it is spelt; word has its beginning
	size    int64 // its tokens at most; of a scalar, its value
	word    [maxWord]byte
}

func (s *scanner) beginString(name bool) state {
	s.str.name, s.str.escape, s.str.escaped, s.str.length, s.str.size = name, 0, false, 0, 0
	return inString
}

// readString takes a string behind its first quote. Tokens are at most the bytes
// of the text when unescaped, as llm.Bound has it; \uXXXX counts three, so that a
// pair for one of four bytes counts six. In a call's arguments a quote, which is
// always escaped there, counts for the tag it may be the half of.
func (s *scanner) readString(p []byte) int {
	t := &s.str
	i := 0
	for i < len(p) {
		switch {
		case t.escape == 1 && p[i] == 'u':
			t.escape = 2
		case t.escape == 1:
			t.escape = 0
			t.size++
			if s.at == args {
				t.size += perQuote
			}
		case t.escape == 5:
			t.escape = 0
			t.size += 3
		case t.escape > 1:
			t.escape++
		default:
			n := plain(p[i:])
			t.spell(p[i : i+n])
			t.size += int64(n)
			if i += n; i == len(p) {
				return i
			}
			if p[i] == '"' {
				s.state = s.endString()
				return i + 1
			}
			t.escape, t.escaped = 1, true
		}
		t.spell(p[i : i+1])
		i++
	}
	return i
}

func (t *str) spell(p []byte) {
	if t.length < maxWord {
		copy(t.word[t.length:], p)
	}
	t.length += len(p)
}

// endString makes of a string what its place wants.
func (s *scanner) endString() state {
	t := &s.str
	if t.name {
		s.at = s.in[s.depth-1].place.field(t.said())
		if !s.typed && (s.at == response || s.at == message) {
			s.at = ignored
		}
		return colon
	}
	switch s.at {
	case kindText:
		s.kind = kindOf(t.said())
	case callText:
		s.uses.count(t.said())
	case statusText:
		said := string(t.said())
		s.waiting = said == "queued" || said == "in_progress"
	case tierText:
		if t.length <= maxWord && !t.escaped {
			s.tier = append(s.tier[:0], t.word[:t.length]...)
		}
	case reason:
		s.finish = s.finish || t.length > 0 // some servers write "" for null
	case failure:
		s.failed = s.failed || t.length > 0
	case name:
		if t.length > 0 {
			s.wrote = true
			s.written += perCall + t.size
		}
	default:
		if s.at.wordy() {
			s.wrote = s.wrote || t.length > 0
			s.written += t.size
		}
	}
	return after
}

// said is a short string unescaped: "us\u0061ge" is usage to every client.
func (t *str) said() []byte {
	if t.length > maxWord {
		return nil
	}
	if !t.escaped {
		return t.word[:t.length]
	}
	quoted := append(append([]byte{'"'}, t.word[:t.length]...), '"')
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil
	}
	return plain
}

// plainMost is how far plain looks at once: a text of a megabyte without a quote
// and with a backslash here and there must not be searched anew from each.
const plainMost = 512

// plain is how many bytes at the start of p are neither a quote nor a backslash.
func plain(p []byte) int {
	for n := 0; n < len(p); n += plainMost {
		part := p[n:min(n+plainMost, len(p))]
		if i := bytes.IndexByte(part, '"'); i >= 0 {
			part = part[:i]
		}
		if i := bytes.IndexByte(part, '\\'); i >= 0 {
			part = part[:i]
		}
		if n+len(part) < len(p) && len(part) < plainMost {
			return n + len(part)
		}
	}
	return len(p)
}
