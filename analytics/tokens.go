package analytics

import (
	"fmt"
	"strings"
)

// tokenKind is what a piece of a statement is.
type tokenKind uint8

const (
	word       tokenKind = iota + 1 // a bare name or keyword
	quotedName                      // `name` or "name"
	literal                         // 'text' or a number
	symbol                          // one character of punctuation
)

// token is one piece of a statement, as it was written.
type token struct {
	kind  tokenKind
	text  string
	apart bool // from the one before it, by space or a comment
}

// is says whether the token is this keyword or symbol; quoted names never are.
func (t token) is(s string) bool {
	return (t.kind == word && strings.EqualFold(t.text, s)) || (t.kind == symbol && t.text == s)
}

// name is the identifier that the token spells, "" if it is none.
func (t token) name() string {
	switch t.kind {
	case word:
		return t.text
	case quotedName:
		return t.text[1 : len(t.text)-1]
	}
	return ""
}

// maxStatement bounds a user's statement.
const maxStatement = 256 << 10

// tokens takes a statement apart. It knows less than ClickHouse's own lexer and
// refuses what it does not know: where two lexers could read one text as two
// statements, there is no answer. Comments are dropped here, and what is sent is
// put together from the tokens, so how ClickHouse reads a comment cannot matter.
func tokens(sql string) ([]token, error) {
	if len(sql) > maxStatement {
		return nil, fmt.Errorf("the statement is longer than %d bytes", maxStatement)
	}
	var out []token
	apart := false
	for i := 0; i < len(sql); {
		rest := sql[i:]
		c := sql[i]
		var t token
		var err error
		n := 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			apart = true
			i++
			continue
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				return out, nil
			}
			apart = true
			i += end
			continue
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 || strings.Contains(rest[2:2+end], "/*") {
				return nil, fmt.Errorf("a comment is not closed, or holds another one")
			}
			apart = true
			i += end + 4
			continue
		case c == '\'':
			n, err = quoted(rest)
			t.kind = literal
		case c == '`' || c == '"':
			n, err = quoted(rest)
			t.kind = quotedName
			if err == nil && strings.Contains(rest[:n], "\\") {
				err = fmt.Errorf("a quoted name holds a backslash")
			}
		case isNameStart(c):
			n = nameLength(rest)
			t.kind = word
		case isDigit(c):
			n, err = numberLength(rest)
			t.kind = literal
		case strings.IndexByte("()[],.;:?=<>!+-*/%|^@", c) >= 0:
			t.kind = symbol
		default:
			err = fmt.Errorf("the character %q is not allowed outside of quotes", rest[:1])
		}
		if err != nil {
			return nil, err
		}
		t.text, t.apart = rest[:n], apart
		out = append(out, t)
		apart = false
		i += n
	}
	return out, nil
}

// quoted is the length of a quoted piece. A backslash takes the next character
// with it; a doubled quote is one quote.
func quoted(s string) (int, error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case 0:
			return 0, fmt.Errorf("quotes hold a zero byte")
		case '\\':
			i++
		case quote:
			if i+1 < len(s) && s[i+1] == quote {
				i++
				continue
			}
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("a quote %c is not closed", quote)
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isNameStart(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func nameLength(s string) int {
	n := 1
	for n < len(s) && (isNameStart(s[n]) || isDigit(s[n])) {
		n++
	}
	return n
}

// numberLength is the length of a number: digits, a fraction, an exponent, or
// hexadecimal. A letter must not follow at once: some lexers would begin a name
// there and some would not.
func numberLength(s string) (int, error) {
	n := 0
	digits := func() {
		for n < len(s) && isDigit(s[n]) {
			n++
		}
	}
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		n = 2
		for n < len(s) && (isDigit(s[n]) || strings.IndexByte("abcdefABCDEF", s[n]) >= 0) {
			n++
		}
	} else {
		digits()
		if n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
			n++
			digits()
		}
		if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
			n++
			if n < len(s) && (s[n] == '+' || s[n] == '-') {
				n++
			}
			digits()
		}
	}
	if n < len(s) && isNameStart(s[n]) {
		return 0, fmt.Errorf("the number %q runs into a name", s[:n+1])
	}
	return n, nil
}

// render puts tokens together again, with one space where there was any space or
// a comment.
func render(list []token) string {
	var b strings.Builder
	for i, t := range list {
		if i > 0 && t.apart {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}
