package follow

import (
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// Asked is what is known of the call before its answer comes.
type Asked struct {
	Dialect  llm.Dialect
	Endpoint llm.Endpoint
	// HideUsage: we asked for the stream's usage and the caller did not, so the
	// chunk that holds it is not passed on.
	HideUsage bool
	// Guards gives the guard of one more text. nil: nobody reads along. It may give nil
	// for a kind of text that is not to be read.
	Guards func(Part) Guard
}

// Answer follows one answer. It is not safe for use by several goroutines.
type Answer struct {
	asked Asked
	form  form
	read  bool // its figures are looked for
	stage stage
	eof   bool // the provider ended cleanly
	over  bool // nothing more is read
	began bool // the first output came

	lines lines   // of an event stream
	scan  scanner // of the event, or of the document, that is being read
	relay relay

	complete bool     // the protocol's own end came
	failed   bool     // an error came
	guarded  *guarded // nil: nobody reads along
	stop     *Stop
	figures
}

// form is how the bytes are cut.
type form uint8

const (
	raw form = iota
	document
	events
)

// stage is how far the answer's end is. It only goes forward, and the end is held
// back once: what comes behind it is of no interest to a client.
type stage uint8

const (
	open stage = iota
	held
	released
)

// New begins to follow an answer with this status and these headers' values.
// Whatever is neither JSON nor an event stream, or is encoded, passes unread. Of
// an error only the end is looked for.
func New(asked Asked, status int, contentType, contentEncoding string) *Answer {
	a := &Answer{asked: asked, form: formOf(contentType, contentEncoding)}
	switch asked.Endpoint {
	case llm.ChatCompletions, llm.Responses, llm.Embeddings, llm.Messages:
		a.read = a.form != raw && status < 400
	}
	if a.form == events && !a.read {
		a.form = raw
	}
	a.scan.typed = a.form == events && asked.Endpoint != llm.ChatCompletions
	a.scan.reset()
	a.lines.first = true
	if asked.Guards != nil && asked.Endpoint != llm.Embeddings && status < 400 {
		a.guard()
	}
	return a
}

func formOf(contentType, contentEncoding string) form {
	if e := strings.ToLower(strings.TrimSpace(contentEncoding)); e != "" && e != "identity" {
		return raw
	}
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); {
	case kind == "text/event-stream":
		return events
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return document
	}
	return raw
}

// Write takes the next bytes and gives those that may go to the caller now, in
// order. What it gives is valid until the next Write, and as long as p is.
func (a *Answer) Write(p []byte) []byte {
	a.relay.begin(p)
	switch {
	case a.stop != nil, a.guarded != nil && a.over: // nobody reads the rest
	case a.form == events && !a.over:
		a.writeEvents(p)
	case a.guarded != nil && a.form == document:
		a.keepDocument(p)
	case a.form == document && a.stage == open && !a.over:
		a.writeDocument(p)
	default:
		a.relay.emit(0, len(p))
	}
	a.began = a.began || a.form != events && len(p) > 0
	return a.relay.out()
}

// writeDocument passes a document on and holds back its last byte: whoever waits
// for a length, or for the brace, waits for that.
func (a *Answer) writeDocument(p []byte) {
	n := a.scan.feed(p)
	switch a.scan.state {
	case over:
		a.relay.emit(0, n-1)
		a.document()
		a.end()
		a.relay.emit(n-1, len(p))
		return
	case broken:
		a.read, a.over = false, true
	}
	a.relay.emit(0, len(p))
}

// end holds back what goes out from now on, if the end was not seen before.
func (a *Answer) end() {
	if a.stage == open {
		a.stage, a.relay.holding = held, true
	}
}

// EOF says that the provider ended the answer cleanly. An event that lacks its
// blank line counts then: clients differ in whether they take it, and what the
// provider said it said.
func (a *Answer) EOF() {
	if a.eof {
		return
	}
	a.eof = true
	a.relay.begin(nil)
	switch {
	case a.stop != nil:
	case a.form == events:
		a.lastEvent()
		a.cleanEnd()
	case a.guarded != nil:
		a.relay.pending = nil // half of a document, which nobody guards
	case !a.read:
		a.complete = true
	}
	a.end()
}

// Ended reports that the event or the byte that ends the answer has been seen and
// is held back: settle now, then Release. It is so once in each answer; of one that
// is not read, at EOF.
func (a *Answer) Ended() bool { return a.stage == held }

// Release gives what was held back: at the end, and once more after the last
// Write. Where the answer broke off it gives the part of an event that came, and
// nothing more is read.
func (a *Answer) Release() []byte {
	ended := a.stage == held && !a.eof
	a.stage = released
	if ended {
		return a.relay.release()
	}
	a.over = true
	if a.guarded != nil && !a.eof {
		return a.relay.rest(true) // the rest was not read by anybody
	}
	return a.relay.rest(a.form == events && a.relay.early == 0 && a.hides())
}

// Complete reports that the answer came to the end its protocol has, or, where it
// was not read, to a clean one.
func (a *Answer) Complete() bool { return a.complete }

// Failed reports that the provider ended the answer with an error.
func (a *Answer) Failed() bool { return a.failed }

// Started reports that the first output came: a stream's first text, a document's
// first byte.
func (a *Answer) Started() bool { return a.began }
