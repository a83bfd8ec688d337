package llm

import (
	"bytes"
	"hash"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// turn is one message as the prompt's hash sees it.
type turn struct {
	system bool  // Anthropic's system: a message of that role, wherever it stands in the body
	role   piece // of any other
	texts  int32 // where its texts begin in Ask.texts; they end where the next turn's begin
}

// piece is the span of one JSON value of the prompt. There may be millions of
// them in a hostile body, so it is small.
type piece struct{ start, end int32 }

// Separators of what is hashed. Text that holds them has them folded to a space,
// so no two prompts that differ look alike.
const (
	hashMessage = 0x1e
	hashText    = 0x1f
)

// HashPrompt writes the prompt, normalised, into mac, which the caller keys by
// tenant. Two prompts are the same if they have the same roles and texts in the
// same order. White space does not count: a run of it is one space, and none at
// the ends of a text. Neither do ids, cache marks, types, or how the JSON is
// written. An image or a file counts by its bytes or its address. A system
// prompt is a message of that role, in both dialects.
func (a *Ask) HashPrompt(mac hash.Hash) {
	w := hashWriter{mac: mac}
	for i, t := range a.turns {
		if t.system {
			w.separator(hashMessage)
			w.text([]byte("system"))
			w.texts(a, i)
		}
	}
	for i, t := range a.turns {
		if !t.system {
			w.separator(hashMessage)
			w.value(a.Body, t.role)
			w.texts(a, i)
		}
	}
	mac.Write(w.buffer)
}

// turn notes that a message begins.
func (r *reader) turn(system bool) {
	r.ask.turns = append(r.ask.turns, turn{system: system, texts: int32(len(r.ask.texts))})
}

// said notes one value of the prompt for its hash.
func (r *reader) said(at span) {
	if !r.prompt {
		return
	}
	p := piece{int32(at.start), int32(at.end)}
	if n := len(r.path); n > 0 && r.path[n-1].name != "" {
		switch string(r.body[r.key.start+1 : r.key.end-1]) {
		case "role":
			r.ask.turns[len(r.ask.turns)-1].role = p
			return
		case "id", "tool_call_id", "tool_use_id", "signature", "type":
			return // made anew by each client, while a loop must look like one
		}
	}
	r.ask.texts = append(r.ask.texts, p)
}

// hashWriter gathers normalised text, so that the hash is written in large pieces.
type hashWriter struct {
	mac             hash.Hash
	buffer, scratch []byte
}

func (w *hashWriter) separator(b byte) {
	if len(w.buffer) > 4096 {
		w.mac.Write(w.buffer)
		w.buffer = w.buffer[:0]
	}
	w.buffer = append(w.buffer, b)
}

// texts writes the texts of one turn.
func (w *hashWriter) texts(a *Ask, turn int) {
	end := len(a.texts)
	if turn+1 < len(a.turns) {
		end = int(a.turns[turn+1].texts)
	}
	for _, text := range a.texts[a.turns[turn].texts:end] {
		w.separator(hashText)
		w.value(a.Body, text)
	}
}

// value writes one JSON string, unescaped, or one number or boolean as it is.
func (w *hashWriter) value(body []byte, at piece) {
	raw := body[at.start:at.end]
	if len(raw) == 0 || raw[0] != '"' {
		w.text(raw)
		return
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		w.text(raw[1 : len(raw)-1])
		return
	}
	w.scratch, _ = jsontext.AppendUnquote(w.scratch[:0], raw) // read once already: it cannot fail
	w.text(w.scratch)
}

// text writes one text, its white space folded.
func (w *hashWriter) text(text []byte) {
	from, started := -1, false
	for i := 0; i < len(text); {
		c, size := rune(text[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(text[i:])
		}
		switch space := c == hashMessage || c == hashText || unicode.IsSpace(c); {
		case space && from >= 0:
			w.buffer = append(w.buffer, text[from:i]...)
			from = -1
		case !space && from < 0:
			if started {
				w.buffer = append(w.buffer, ' ')
			}
			from, started = i, true
		}
		i += size
	}
	if from >= 0 {
		w.buffer = append(w.buffer, text[from:]...)
	}
}
