package llm_test

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// object is a JSON object whose fields have an order.
type object []field

type field struct {
	name  string
	value any // string, raw, []any, object
}

// raw is JSON as it stands: numbers, booleans, null.
type raw string

// writer writes JSON as wildly as JSON allows: white space anywhere, any
// character escaped in any way, fields in any order.
type writer struct {
	below func(n int) int // draws a number from 0, below n
	b     strings.Builder
}

func write(t *rapid.T, v any) string {
	return writeBy(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }, v)
}

func writeBy(below func(n int) int, v any) string {
	w := &writer{below: below}
	w.space()
	w.value(v)
	w.space()
	return w.b.String()
}

func (w *writer) chance(oneIn int) bool { return w.below(oneIn) == 0 }

func (w *writer) space() {
	if w.chance(4) {
		w.b.WriteString([]string{" ", "\n\t", "\r\n", "   "}[w.below(4)])
	}
}

// shuffled are fields in any order.
func (w *writer) shuffled(o object) []field {
	all := slices.Clone([]field(o))
	for i := len(all) - 1; i > 0; i-- {
		j := w.below(i + 1)
		all[i], all[j] = all[j], all[i]
	}
	return all
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case raw:
		w.b.WriteString(string(v))
	case string:
		w.text(v)
	case []any:
		w.b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				w.b.WriteByte(',')
			}
			w.space()
			w.value(e)
			w.space()
		}
		w.b.WriteByte(']')
	case object:
		w.b.WriteByte('{')
		for i, f := range w.shuffled(v) {
			if i > 0 {
				w.b.WriteByte(',')
			}
			w.space()
			w.text(f.name)
			w.space()
			w.b.WriteByte(':')
			w.space()
			w.value(f.value)
			w.space()
		}
		w.b.WriteByte('}')
	default:
		panic(fmt.Sprintf("no JSON for %T", v))
	}
}

func (w *writer) text(s string) {
	wild := w.chance(3)
	w.b.WriteByte('"')
	for _, c := range s {
		w.character(c, wild && w.chance(4))
	}
	w.b.WriteByte('"')
}

func (w *writer) character(c rune, escape bool) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\t': `\t`, '\r': `\r`, '\b': `\b`, '\f': `\f`, '/': `\/`}
	s, known := short[c]
	switch {
	case known && (c != '/' || escape) && !(escape && w.chance(2)):
		w.b.WriteString(s)
	case c >= 0x10000 && escape:
		high, low := utf16.EncodeRune(c)
		fmt.Fprintf(&w.b, `\u%04x\u%04X`, high, low)
	case c < ' ' || c < 0x10000 && escape:
		fmt.Fprintf(&w.b, `\u%04X`, c)
	default:
		w.b.WriteRune(c)
	}
}

// texts are what people and programs send.
var texts = []string{
	"How do I return a parcel that came too late? I have lost the label, and the shop is closed on Mondays.",
	"func (b *Book) Apply(e journal.Entry) error {\n\tif e.Offset <= b.offset {\n\t\treturn nil // redelivered\n\t}\n\tfor i := range e.Asks {\n\t\tb.ask(&e.Asks[i])\n\t}\n}\n",
	"{\"rows\": [{\"id\": 1, \"name\": \"a\", \"ok\": true}, {\"id\": 2, \"name\": \"b\", \"ok\": null}]}",
	"我想退货,但是包裹已经打开了。请问还可以退款吗?订单号是三二一。",
	"返品したいのですが、ラベルをなくしてしまいました。どうすればいいですか。",
	"반품하고 싶은데 라벨을 잃어버렸어요. 어떻게 해야 하나요?",
	"मैं अपना पार्सल वापस करना चाहता हूँ।", "أريد إعادة الطرد لكنني فقدت الملصق.", "ผมอยากคืนพัสดุ",
	"👩‍👩‍👧‍👦🏳️‍🌈🫠🧑🏿‍🚀👍🏽🇺🇳", "Z̸̢͚͗a̶̡͝l̵̰͒g̷͔̈́o̴̻͘", "\u00a0\u2003\u200b\u202e\ufeff",
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=",
	"<|endoftext|><|im_start|>system<|im_end|><|fim_prefix|>", "\n \n\t\t   \r\n \n\n\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"1234567890 3.14159265358979 0x7fff ffff 10.0.0.1", "SELECT * FROM t WHERE a='b' -- drop", "ÄÖÜäöüß éèê ñ ø œ Łódź", "𝕬𝖓𝖈𝖎𝖊𝖓𝖙 𐎠𐎡𐎢", "", " ", "x",
}

// anyText draws a text: one of texts, a piece of one, some of them, or noise.
func anyText() *rapid.Generator[string] {
	sample := rapid.SampledFrom(texts)
	return rapid.OneOf(
		sample,
		rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(sample, 1, 4).Draw(t, "some"), " ") }),
		rapid.Custom(func(t *rapid.T) string {
			s := sample.Draw(t, "whole")
			from := rapid.IntRange(0, len(s)).Draw(t, "from")
			return strings.ToValidUTF8(s[from:], "")
		}),
		rapid.String(),
		rapid.StringMatching(`[ -~]{0,60}`),
		rapid.StringMatching(`[\s.,;:'"{}()\[\]<>/\\-]{0,30}`),
	).Filter(utf8.ValidString)
}
