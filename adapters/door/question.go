package door

import (
	"sort"
	"strings"

	"github.com/signalbox-dev/signalbox/decision"
)

// The bounds of a question's parts. The body's own bound is the decision's: a
// body that is too large is the caller's fault and is answered as such.
const (
	maxID      = 256      // bytes of a call id, or of any name
	maxMethod  = 32       // bytes
	maxPath    = 8 << 10  // bytes, with the query
	maxHeaders = 256      // of one request
	maxHeader  = 64 << 10 // bytes of one value
)

// DefaultBody is the largest body that is judged where nothing is configured.
const DefaultBody = 8 << 20

// EnvelopeBound is the largest question with a body of so many bytes: base64
// makes it a third longer, JSON's escapes about as much in ordinary text, and
// headers need room. Text with more escapes than that goes as body_base64.
func EnvelopeBound(body int64) int64 { return body + body*2/5 + 64<<10 }

// Question is a call as a gateway describes it, read but not yet believed.
type Question struct {
	CallID       string
	Gateway      string // the gateway's word, to be compared with who it is
	Method, Path string
	Headers      map[string]string
	Body         []byte
	BodyComplete *bool // nil: yes
}

// Request checks a question and turns it into what is decided on. gateway is who
// asks, as the door found out.
func (q *Question) Request(gateway string) (decision.Request, *Problem) {
	none := decision.Request{}
	if p := checkID("call_id", q.CallID); p != nil {
		return none, p
	}
	if !isToken(q.Method) || len(q.Method) > maxMethod {
		return none, bad("request.method", "want the caller's HTTP method, such as POST")
	}
	if !strings.HasPrefix(q.Path, "/") || len(q.Path) > maxPath || !isVisible(q.Path) {
		return none, bad("request.path", "want the caller's path, such as /v1/chat/completions: it starts with a slash, is percent-encoded, and has at most %d bytes", maxPath)
	}
	headers, p := lowerHeaders(q.Headers)
	if p != nil {
		return none, p
	}
	return decision.Request{
		CallID: q.CallID, Gateway: gateway, Method: q.Method, Path: q.Path, Headers: headers, Body: q.Body,
		// A gateway that cut the body and did not say so has made it invalid JSON,
		// which is refused; so the default does no harm.
		BodyComplete: q.BodyComplete == nil || *q.BodyComplete,
	}, nil
}

// lowerHeaders lowers the names. Names that differ only in case are refused: we
// would have to choose one of them, and the provider might choose the other.
func lowerHeaders(given map[string]string) (decision.Headers, *Problem) {
	if len(given) > maxHeaders {
		return nil, bad("request.headers", "%d headers; at most %d are read", len(given), maxHeaders)
	}
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	sort.Strings(names) // so that a question with two faults always has the same one named
	headers := make(decision.Headers, len(given))
	for _, name := range names {
		if !isToken(name) || len(name) > maxID {
			return nil, bad("request.headers", "%s is not a header's name", quote(name))
		}
		lower, value := strings.ToLower(name), given[name]
		if _, twice := headers[lower]; twice {
			return nil, bad("request.headers."+lower, "this header stands twice, in different cases; send one")
		}
		if len(value) > maxHeader || !isFieldValue(value) {
			return nil, bad("request.headers."+lower, "the value holds control characters or is longer than %d bytes", maxHeader)
		}
		headers[lower] = value
	}
	return headers, nil
}

// checkID refuses what could not be printed in one line or joined into a key.
func checkID(where, id string) *Problem {
	if len(id) > maxID {
		return bad(where, "at most %d bytes", maxID)
	}
	if !isFieldValue(id) {
		return bad(where, "no control characters")
	}
	return nil
}

// quote prints the start of something that somebody typed, in one line.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '"' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?")) + `"`
}

// isToken is RFC 9110's token: methods and header names.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue allows what a header's value may hold: anything but control
// characters, tab excepted.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isVisible allows no spaces either: a path in a request line has none.
func isVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
