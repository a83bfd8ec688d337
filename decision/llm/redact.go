package llm

import (
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Value is a text as its reader sees it, unescaped, and the way back from it to
// the body.
func (t Text) Value(body []byte) (string, Offsets) {
	if t.Raw[0] < 0 || t.Raw[1] > len(body) || t.Raw[1]-t.Raw[0] < 2 {
		return "", Offsets{}
	}
	quoted := body[t.Raw[0]:t.Raw[1]]
	o := Offsets{raw: quoted[1 : len(quoted)-1], base: t.Raw[0] + 1}
	plain := unquote(quoted)
	o.size, o.escaped = len(plain), len(plain) != len(o.raw)
	if o.escaped {
		o.mark()
	}
	return string(plain), o
}

// Offsets lead from a text, unescaped, back to the bytes of the body that say it.
type Offsets struct {
	raw     []byte // between the quotes
	base    int    // of raw in the body
	size    int    // of the text
	escaped bool
	marks   []piece // one for each markEvery bytes of the text: where it stands in the text, and in raw
}

// markEvery is how much of a text is walked at most to find a place in it. A mark
// for each escape would be several times the body.
const markEvery = 1 << 10

// mark notes places on the way through the text.
func (o *Offsets) mark() {
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
func (o *Offsets) step(at piece) piece {
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
func (o *Offsets) place(n int) (int, bool) {
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
func (o *Offsets) before(n int) piece {
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
	if t.Raw[0] < 0 || t.Raw[1] > len(a.Body) || t.Raw[1]-t.Raw[0] < 2 || jsontext.Value(a.Body[t.Raw[0]:t.Raw[1]]).Kind() != '"' {
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
	quoted := quote(replacement)
	return Edit{At: at, Text: quoted[1 : len(quoted)-1], Why: "text redacted"}, nil
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
