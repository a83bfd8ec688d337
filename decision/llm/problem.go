package llm

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Problem is why a body cannot be read. Its message says where, by byte offset
// and key path, and never quotes the caller's text.
type Problem struct {
	Code    string // malformed, too_large
	Message string
	Param   string // the key path, "" when the body as a whole is meant
	Offset  int    // in the body; -1 when there is no place to point at
}

func (p *Problem) Error() string { return p.Code + ": " + p.Message }

const (
	codeMalformed = "malformed"
	codeTooLarge  = "too_large"
)

// subject names what is being read, for the start of a sentence.
func (r *reader) subject() string {
	if w := r.where(); w != "" {
		return w
	}
	return "the body"
}

// malformed says what is wrong and where. Arguments are ours: key paths, numbers
// and names of kinds, never the caller's text.
func (r *reader) malformed(offset int, format string, args ...any) *Problem {
	return &Problem{
		Code:    codeMalformed,
		Message: fmt.Sprintf(format, args...) + fmt.Sprintf(" (byte %d)", offset),
		Param:   r.where(),
		Offset:  offset,
	}
}

func (r *reader) duplicate(name string, first, second int) *Problem {
	r.path = append(r.path, step{name: name})
	return &Problem{
		Code: codeMalformed,
		Message: fmt.Sprintf("%s is there twice, at bytes %d and %d: the provider may read the other one",
			r.subject(), first, second),
		Param:  r.where(),
		Offset: second,
	}
}

// broken says where a body stops being JSON. The parser's own words may quote
// the body, so none of them are passed on.
func (r *reader) broken(err error) *Problem {
	offset := r.start()
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset = int(syntax.ByteOffset)
	}
	switch why := err.Error(); {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return r.malformed(len(r.body), "the body ends in the middle")
	case strings.Contains(why, "depth"):
		return r.malformed(offset, "the body is nested too deep")
	case strings.Contains(why, "UTF-8"):
		return r.malformed(firstInvalid(r.body), "the body is not UTF-8")
	default:
		return r.malformed(offset, "the body is not JSON")
	}
}

// firstInvalid is the offset of the first byte that is not UTF-8.
func firstInvalid(b []byte) int {
	for i := 0; i < len(b); {
		c, size := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(b)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "nothing"
}
