package llm

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// text takes a string and unescapes it.
func (r *reader) text() (string, span, *Problem) {
	if p := r.want('"', "a string"); p != nil {
		return "", span{}, p
	}
	at, p := r.raw()
	if p != nil {
		return "", span{}, p
	}
	quoted := r.body[at.start:at.end]
	if plain := quoted[1 : len(quoted)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), at, nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return "", span{}, r.malformed(at.start, "%s is not a string that can be read", r.subject())
	}
	return string(unquoted), at, nil
}

// optionalText takes a string or a null.
func (r *reader) optionalText() (string, *Problem) {
	if null, p := r.null(); null || p != nil {
		return "", p
	}
	s, _, p := r.text()
	return s, p
}

// boolean takes a boolean or a null, which is false.
func (r *reader) boolean() (bool, span, *Problem) {
	kind := r.kind()
	if kind != 't' && kind != 'f' && kind != 'n' {
		if p := r.want('t', "true or false"); p != nil {
			return false, span{}, p
		}
	}
	at, p := r.raw()
	return kind == 't', at, p
}

// whole takes a whole number from least to most, or a null, which is said = false.
func (r *reader) whole(least, most int64) (n int64, said bool, at span, p *Problem) {
	what := "a positive whole number"
	if least == 0 {
		what = "a whole number, 0 or more"
	}
	if r.kind() == 'n' {
		at, p = r.raw()
		return 0, false, at, p
	}
	if p = r.want('0', what); p != nil {
		return 0, false, at, p
	}
	if at, p = r.raw(); p != nil {
		return 0, false, at, p
	}
	n, ok := wholeNumber(r.body[at.start:at.end])
	switch {
	case !ok || n < least:
		return 0, false, at, r.malformed(at.start, "%s must be %s", r.subject(), what)
	case n > most:
		return 0, false, at, r.malformed(at.start, "%s must be at most %d", r.subject(), most)
	}
	return n, true, at, nil
}

// wholeNumber reads a JSON number that is whole, in any spelling (1024, 1024.0,
// 1.024e3): providers' parsers take them all. Above 2⁵³ it answers 2⁵³, which is
// more than any limit here.
func wholeNumber(raw []byte) (int64, bool) {
	if len(raw) <= 15 {
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return n, true
		}
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	const exact = 1 << 53
	switch {
	case f != math.Trunc(f): // infinities are whole
		return 0, false
	case f > exact:
		return exact, true
	case f < -exact:
		return -exact, true
	}
	return int64(f), true
}
