package llm

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxBody is above what any door lets in; it keeps offsets inside an int32.
	maxBody = 64 << 20
	// maxDepth is how deep the parts we read may nest. Providers' own parsers
	// stop at about a thousand; tool schemas of people stay below fifty. What we
	// skip may nest to the parser's own 10,000.
	maxDepth = 512
	// maxNames is the longest list of names read at one level.
	maxNames = 64
	// maxCount is the largest number of tokens anybody may ask for: far above any
	// model, and small enough that products with counts and prices stay in an int64.
	maxCount = 1 << 40
)

// reader walks a body once, front to back. The parser is jsontext's: it accepts
// what RFC 8259 accepts and nothing else (no bad UTF-8, no half surrogates), so
// that no provider can read a body in another way than we did. Duplicate names
// it lets through, because only those that we read are dangerous: see object.
type reader struct {
	dec  jsontext.Decoder
	in   bytes.Buffer // the body: the parser reads it in place
	body []byte
	path []step
	key  span  // the name whose value comes next, with its quotes
	cost int64 // tokens counted so far

	prompt bool // inside messages or system: what is read is part of the prompt's hash
	ask    *Ask
	steps  [12]step // where path begins its life
}

// step is one level of the key path. Names are always ours, never the caller's.
type step struct {
	name  string // "" for an index
	index int
}

func newReader(body []byte, ask *Ask) *reader {
	r := &reader{in: *bytes.NewBuffer(body), body: body, ask: ask}
	r.path = r.steps[:0]
	r.dec.Reset(&r.in, jsontext.AllowDuplicateNames(true))
	return r
}

// unknown stands in a key path for a name that we do not read: it may be the
// caller's content, so it is not repeated.
const unknown = "*"

// where is the key path of what is being read: messages[3].content[0].type.
func (r *reader) where() string {
	var b strings.Builder
	for i, s := range r.path {
		switch {
		case s.name == "":
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(s.index))
			b.WriteByte(']')
		case i == 0:
			b.WriteString(s.name)
		default:
			b.WriteByte('.')
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// kind looks at the next token without taking it; 0 when there is none.
func (r *reader) kind() jsontext.Kind { return r.dec.PeekKind() }

// start is the offset of the next token.
func (r *reader) start() int {
	i := int(r.dec.InputOffset())
	for i < len(r.body) {
		switch r.body[i] {
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			return i
		}
	}
	return i
}

// token takes one token: a bracket, a brace.
func (r *reader) token() *Problem {
	if _, err := r.dec.ReadToken(); err != nil {
		return r.broken(err)
	}
	return nil
}

// raw takes one whole value, or one name.
func (r *reader) raw() (span, *Problem) {
	value, err := r.dec.ReadValue()
	if err != nil {
		return span{}, r.broken(err)
	}
	end := int(r.dec.InputOffset())
	return span{end - len(value), end}, nil
}

// skip takes one whole value that nobody reads.
func (r *reader) skip() *Problem {
	if err := r.dec.SkipValue(); err != nil {
		return r.broken(err)
	}
	return nil
}

// pass takes one whole value of the prompt that is not counted: an image's bytes.
func (r *reader) pass() *Problem {
	at, p := r.raw()
	if p == nil {
		r.said(at)
	}
	return p
}

// object reads an object and calls visit with each name in turn, to take its
// value. names are those that are read at this level; for every other one visit
// is called with unknown. A name of names that comes twice is malformed, however
// it is escaped: one parser keeps the first, another the last, and the price
// must not depend on which. A name that differs from one of names only by case is
// malformed too: a provider written in Go takes "Max_Tokens" for max_tokens.
func (r *reader) object(names []string, visit func(name string) *Problem) *Problem {
	return r.fields(names, true, visit)
}

// fields is object for a level where callers may have names of their own, so that
// another case is another name when exact is false.
func (r *reader) fields(names []string, exact bool, visit func(name string) *Problem) *Problem {
	if p := r.want('{', "an object"); p != nil {
		return p
	}
	if p := r.token(); p != nil {
		return p
	}
	var seen [maxNames]int32 // offset + 1
	for r.kind() != '}' {
		key, p := r.raw()
		if p != nil {
			return p
		}
		r.key = key
		name := unknown
		if i := match(names, r.body[key.start:key.end]); i >= 0 {
			name = names[i]
			if seen[i] != 0 {
				return r.duplicate(name, int(seen[i]-1), key.start)
			}
			seen[i] = int32(key.start) + 1
		} else if exact {
			if i := matchFold(names, r.body[key.start:key.end]); i >= 0 {
				return r.malformed(key.start, "%s is spelt in another case", names[i])
			}
		}
		r.path = append(r.path, step{name: name})
		if p := visit(name); p != nil {
			return p
		}
		r.path = r.path[:len(r.path)-1]
	}
	return r.token()
}

// match finds a quoted name, as the body spells it, in names; -1 if it is none.
func match(names []string, quoted []byte) int {
	plain := unquote(quoted)
	for i, name := range names {
		if name == string(plain) {
			return i
		}
	}
	return -1
}

// matchFold finds a quoted name in names whatever its case; -1 if it is none.
func matchFold(names []string, quoted []byte) int {
	plain := unquote(quoted)
	// Names of ours are ASCII. What else folds to them is longer in bytes: K has a
	// twin of three. This keeps a body of a million names cheap.
	ascii := !slices.ContainsFunc(plain, func(c byte) bool { return c >= utf8.RuneSelf })
	for i, name := range names {
		if (!ascii || len(name) == len(plain)) && strings.EqualFold(name, string(plain)) {
			return i
		}
	}
	return -1
}

// unquote is what a quoted name says: "mod\u0065l" is model to every provider.
func unquote(quoted []byte) []byte {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') < 0 {
		return plain
	}
	unquoted, _ := jsontext.AppendUnquote(nil, quoted) // the parser has let it through: it cannot fail
	return unquoted
}

// array reads an array and calls each to take its elements.
func (r *reader) array(each func(i int) *Problem) *Problem {
	if p := r.want('[', "an array"); p != nil {
		return p
	}
	if p := r.token(); p != nil {
		return p
	}
	for i := 0; r.kind() != ']'; i++ {
		r.path = append(r.path, step{index: i})
		if p := each(i); p != nil {
			return p
		}
		r.path = r.path[:len(r.path)-1]
	}
	return r.token()
}

// null takes a null, if one is next. To every provider it means: not said.
func (r *reader) null() (bool, *Problem) {
	if r.kind() != 'n' {
		return false, nil
	}
	return true, r.skip()
}

// want checks what is next without taking it.
func (r *reader) want(kind jsontext.Kind, what string) *Problem {
	if r.dec.StackDepth() > maxDepth {
		return r.malformed(r.start(), "the body is nested deeper than %d", maxDepth)
	}
	switch got := r.kind(); {
	case got == kind:
		return nil
	case got == 0:
		return r.token() // it says what is broken
	default:
		return r.malformed(r.start(), "%s must be %s, got %s", r.subject(), what, kindName(got))
	}
}

// finish checks that nothing follows the document.
func (r *reader) finish() *Problem {
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return r.malformed(r.start(), "the body goes on after its end")
	}
	return nil
}
