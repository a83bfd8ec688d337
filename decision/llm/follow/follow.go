// Package follow reads a provider's answer as it passes by.
package follow

import (
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// Asked is what is known of the call before its answer comes.
type Asked struct {
	Dialect  llm.Dialect
	Endpoint llm.Endpoint
	// HideUsage: we asked for the stream's usage and the caller did not, so the
	// chunk that holds it is not passed on.
	HideUsage bool
}

// Answer follows one answer.
type Answer struct{}

// New begins to follow an answer with this status and these headers' values.
// Whatever is neither JSON nor an event stream, or is encoded, passes unread.
func New(asked Asked, status int, contentType, contentEncoding string) *Answer { return &Answer{} }

// Write takes the next bytes and gives those that may go to the caller now, in
// order. What it gives is valid until the next call.
func (a *Answer) Write(p []byte) []byte { return p }

// Ended reports that the event or the byte that ends the answer has been seen
// and is held back: settle now, then Release.
func (a *Answer) Ended() bool { return false }

// Release gives what was held back: at the end, and when the answer broke off.
func (a *Answer) Release() []byte { return nil }

// Usage is what the provider says was used; ok is false where it did not say, or
// what it said cannot be true.
func (a *Answer) Usage() (used journal.Tokens, tier string, ok bool) { return used, "", false }

// Seen bounds what was written so far: output tokens, by bytes, never under; and
// what the provider said of the prompt at the beginning, nil where it did not.
// Output is -1 when nothing could be read.
func (a *Answer) Seen() (output int64, input *journal.Tokens) { return -1, nil }

// Failed reports that the provider ended a stream with an error event.
func (a *Answer) Failed() bool { return false }
