package ledger

import "github.com/signalbox-dev/signalbox/journal"

// Token names a call's hold to a gateway that will report it, so that any
// replica can settle it.
type Token struct {
	Parts []TokenPart
	Note  []byte // decision's own, opaque here
}

// TokenPart is the hold on one ledger key.
type TokenPart struct {
	Key   string
	Hold  journal.HoldID
	Draws []Draw
}

// Draw is the part of a hold on one meter: which lease it came from, and the
// meter's position in that lease's ask.
type Draw struct {
	Lease    uint64
	Position int
	Held     int64
	Meter    journal.Meter // only where Lease is 0
}

// Token describes the hold, with decision's note.
func (h Held) Token(note []byte) Token { return Token{Note: note} }

// Signer signs tokens and knows its own again. The zero Previous is no secret.
type Signer struct{ Current, Previous [32]byte }

// Sign makes the token's text.
func (s Signer) Sign(payload []byte) string { return "" }

// Verify gives back the payload of a text that Sign made.
func (s Signer) Verify(text string) ([]byte, error) { return nil, nil }

// Encode is the token as bytes, at most MaxTokenBytes.
func (t Token) Encode() ([]byte, error) { return nil, nil }

// DecodeToken reads what Encode wrote.
func DecodeToken(b []byte) (Token, error) { return Token{}, nil }
