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
	from  speaker
	role  piece // of a spoken turn, as the body says it
	texts int32 // where its texts begin in Ask.texts; they end where the next turn's begin
}

// speaker says whose a turn is, where the body does not say it by a role. Turns of
// an earlier kind come first, wherever they stand in the body.
type speaker uint8

const (
	earlier      speaker = iota // an earlier response, which the provider keeps
	conversation                // a conversation that it keeps
	template                    // a prompt that it keeps
	system                      // Anthropic's system and a response's instructions: a message of that role
	spoken                      // a message with its role
	user                        // an input that is a string: a message of that role
)

// roles are those that the body does not say itself.
var roles = [...]string{earlier: "previous_response_id", conversation: "conversation", template: "prompt",
	system: "system", user: "user"}

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
// prompt, or instructions, is a message of that role, in all dialects. What refers
// to state counts by its id: the same words in another conversation are no loop.
func (a *Ask) HashPrompt(mac hash.Hash) {
	w := hashWriter{mac: mac, buffer: make([]byte, 0, min(len(a.Body), 8<<10))}
	for from := earlier; from <= system; from++ {
		for i, t := range a.turns {
			if t.from == from {
				w.turn(a, i)
			}
		}
	}
	for i, t := range a.turns {
		if t.from > system {
			w.turn(a, i)
		}
	}
	mac.Write(w.buffer)
}

// turn writes one turn: its role, then its texts.
func (w *hashWriter) turn(a *Ask, i int) {
	w.separator(hashMessage)
	t := a.turns[i]
	if role := roles[t.from]; role != "" {
		w.text([]byte(role))
	} else {
		w.value(a.Body, t.role)
	}
	w.texts(a, i)
}

// turn notes that a message begins.
func (r *reader) turn(from speaker) {
	r.ask.turns = append(r.ask.turns, turn{from: from, texts: int32(len(r.ask.texts))})
}

// said notes one value of the prompt for its hash.
func (r *reader) said(at span) {
	if !r.prompt {
		return
	}
	p := piece{int32(at.start), int32(at.end)}
	if n := len(r.path); n > 0 && r.path[n-1].name != "" {
		switch match(unsaid, r.body[r.key.start:r.key.end]) {
		case -1:
		case 0:
			r.ask.turns[len(r.ask.turns)-1].role = p
			return
		default:
			return
		}
	}
	r.ask.texts = append(r.ask.texts, p)
}

// unsaid are the fields that are no text of the prompt: role, which is hashed
// before all texts, and what each client makes anew, while a loop must look like
// one.
var unsaid = []string{"role", "id", "tool_call_id", "tool_use_id", "signature", "type"}

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

// text writes one text, its white space folded. Most text is runs of words with
// one space between them, which are copied whole.
func (w *hashWriter) text(text []byte) {
	start := len(w.buffer)
	from := 0 // what is not written yet
	for i := 0; i < len(text); {
		c := text[i]
		if c > ' ' && c < utf8.RuneSelf || c == ' ' && i > from && i+1 < len(text) && text[i+1] > ' ' && text[i+1] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r != hashMessage && r != hashText && !unicode.IsSpace(r) {
			i += size
			continue
		}
		w.words(start, text[from:i])
		i += size
		from = i
	}
	w.words(start, text[from:])
}

// words writes a run without white space at its ends, one space behind what was
// written since start.
func (w *hashWriter) words(start int, run []byte) {
	if len(run) == 0 {
		return
	}
	if len(w.buffer) > start {
		w.buffer = append(w.buffer, ' ')
	}
	w.buffer = append(w.buffer, run...)
}
