package llm

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Value is a text as its reader sees it, unescaped, and the way back from it to
// the body.
func (t Text) Value(body []byte) (string, Offsets) {
	if t.Raw[0] < 0 || t.Raw[1] > len(body) || t.Raw[1]-t.Raw[0] < 2 {
		return "", Offsets{}
	}
	if !t.quoted {
		plain, o := offsets(body, t.Raw[0]+1, t.Raw[1]-1)
		return string(plain), Offsets{outer: o}
	}
	quoted, outer := offsets(body, t.Raw[0], t.Raw[1])
	if len(quoted) < 2 {
		return "", Offsets{}
	}
	plain, inner := offsets(quoted, 1, len(quoted)-1)
	return string(plain), Offsets{outer: outer, inner: &inner}
}

// Offsets lead from a text, unescaped, back to the bytes of the body that say it.
type Offsets struct {
	outer escapes
	inner *escapes // of a string in a string; nil: it is none
}

// escapes lead from what a JSON string says back to its bytes.
type escapes struct {
	raw     []byte // between the quotes
	base    int    // of raw in what it is part of
	size    int    // of what it says
	escaped bool
	marks   []piece // one for each markEvery bytes of what it says: where that stands, and where in raw
}

// offsets reads what stands between the quotes of a JSON string.
func offsets(body []byte, start, end int) ([]byte, escapes) {
	o := escapes{raw: body[start:end], base: start}
	plain := o.raw
	if bytes.IndexByte(o.raw, '\\') >= 0 {
		quoted := slices.Concat([]byte{'"'}, o.raw, []byte{'"'})
		plain, _ = jsontext.AppendUnquote(nil, quoted) // the parser has let it through: it cannot fail
	}
	o.size, o.escaped = len(plain), len(plain) != len(o.raw)
	if o.escaped {
		o.mark()
	}
	return plain, o
}

// markEvery is how much of a text is walked at most to find a place in it. A mark
// for each escape would be several times the body.
const markEvery = 1 << 10

// mark notes places on the way through the text.
func (o *escapes) mark() {
	next, at := markEvery, piece{}
	for int(at.end) < len(o.raw) {
		if int(at.start) >= next {
			o.marks = append(o.marks, at)
			next = int(at.start) + markEvery
		}
		at = o.step(at)
	}
}

// step goes one character on: an escape, or what one character's bytes are.
func (o *escapes) step(at piece) piece {
	rest := o.raw[at.end:]
	if rest[0] == '\\' {
		size, taken := escape(rest)
		return piece{at.start + int32(size), at.end + int32(taken)}
	}
	_, size := utf8.DecodeRune(rest)
	return piece{at.start + int32(size), at.end + int32(size)}
}

// Span is where a range of the text stands in the body. It fails for a range that
// cuts a character in two, since half of one, or half of its escape, cannot be
// replaced.
func (o Offsets) Span(start, end int) ([2]int, error) {
	if o.inner == nil {
		return o.outer.span(start, end)
	}
	at, err := o.inner.span(start, end)
	if err != nil {
		return at, err
	}
	return o.outer.span(at[0], at[1])
}

func (o *escapes) span(start, end int) ([2]int, error) {
	if start < 0 || end < start || end > o.size {
		return [2]int{}, fmt.Errorf("%d to %d lies outside a text of %d bytes", start, end, o.size)
	}
	from, ok1 := o.place(start)
	to, ok2 := o.place(end)
	if !ok1 || !ok2 {
		return [2]int{}, fmt.Errorf("%d to %d cuts a character in two", start, end)
	}
	return [2]int{o.base + from, o.base + to}, nil
}

// place is where a byte of the text begins in raw; false: inside a character.
func (o *escapes) place(n int) (int, bool) {
	if !o.escaped {
		return n, n == len(o.raw) || utf8.RuneStart(o.raw[n])
	}
	at := o.before(n)
	for int(at.start) < n {
		at = o.step(at)
	}
	return int(at.end), int(at.start) == n
}

// before is the last mark that is not behind a place in the text.
func (o *escapes) before(n int) piece {
	low, high := 0, len(o.marks)
	for low < high {
		if mid := int(uint(low+high) >> 1); int(o.marks[mid].start) <= n {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return piece{}
	}
	return o.marks[low-1]
}

// Redact replaces a range of a text, as Value gives it, by other text. For many
// ranges of one text, Value's Offsets and Replace do it without reading the text
// again for each.
func (a *Ask) Redact(t Text, start, end int, replacement string) (Edit, error) {
	if t.Raw[0] < 0 || t.Raw[1] > len(a.Body) || t.Raw[1]-t.Raw[0] < 2 {
		return Edit{}, fmt.Errorf("redact: %d to %d is no text of the body", t.Raw[0], t.Raw[1])
	}
	_, offsets := t.Value(a.Body)
	return offsets.Replace(start, end, replacement)
}

// Replace is the edit that writes other text over a range of this one.
func (o Offsets) Replace(start, end int, replacement string) (Edit, error) {
	at, err := o.Span(start, end)
	if err != nil {
		return Edit{}, fmt.Errorf("redact: %w", err)
	}
	text := escaped(replacement)
	if o.inner != nil {
		text = escaped(string(text))
	}
	return Edit{At: at, Text: text, Why: "text redacted"}, nil
}

// escaped is a text as it stands between the quotes of a JSON string.
func escaped(text string) []byte {
	quoted := quote(text)
	return quoted[1 : len(quoted)-1]
}

// Grow raises the bounds of the prompt by what edits of its texts may add, for a
// replacement may be longer than what it replaces. Call it before Ceiling.
func (a *Ask) Grow(edits []Edit) {
	for _, e := range edits {
		n := renderedTokens(e.Text)
		a.InputTokens += n
		if a.predicts {
			a.ExtraOutput += n
		}
	}
}
