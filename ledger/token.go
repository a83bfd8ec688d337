package ledger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/signalbox-dev/signalbox/journal"
)

// Token names a call's hold to a gateway that will report it, so that any
// replica can settle it. Meters stand in it by their lease and their position in
// that lease's ask, which the books know, so that it is small for any number of
// meters; what is held stands once for each amount.
type Token struct {
	Parts []TokenPart
	KeyID string // of the caller's key
	Note  []byte // decision's own, opaque here
}

// TokenPart is the hold on one ledger key.
type TokenPart struct {
	Key   string
	Hold  journal.HoldID
	Draws []Draw
}

// Draw is the part of a hold on one meter.
type Draw struct {
	Lease    uint64
	Position int // of the meter, in the lease's ask
	Held     int64
	Meter    journal.Meter // only where Lease is 0: a warn or shadow budget, or nothing to hold
}

// MaxTokenBytes bounds a token's text.
const MaxTokenBytes = 1024

// tokenVersion is the first byte of a token.
const tokenVersion = 1

// tokenMAC is how much of the HMAC-SHA256 stands in a token.
const tokenMAC = 16

// ErrToken says that a token is not one of ours: forged, damaged or of a cluster
// secret that is no longer valid.
var ErrToken = errors.New("the report token is not valid")

// errTokenLarge says that a token would not fit; its note is too long.
var errTokenLarge = fmt.Errorf("the report token would be longer than %d bytes", MaxTokenBytes)

// Token describes the hold, with decision's note.
func (h Held) Token(note []byte) Token {
	t := Token{Note: note}
	for i, part := range h.Parts {
		tp := TokenPart{Key: part.Key, Hold: part.Hold, Draws: make([]Draw, len(part.Charges))}
		for j, c := range part.Charges {
			d := Draw{Lease: c.Lease, Held: c.Held}
			if c.Lease == 0 {
				d.Meter = c.Meter
			} else {
				d.Position = h.open.position(i, j)
			}
			tp.Draws[j] = d
		}
		t.Parts = append(t.Parts, tp)
	}
	return t
}

// Encode is the token as bytes. Meters without a lease are left out, last ones
// first, where it would be too long: they are no enforced budget's.
func (t Token) Encode() ([]byte, error) {
	for without := 0; ; without++ {
		b, left := t.encode(without)
		if base64.RawURLEncoding.EncodedLen(len(b)+1+tokenMAC) <= MaxTokenBytes {
			return b, nil
		}
		if !left {
			return nil, errTokenLarge
		}
	}
}

// encode leaves out so many of the meters without a lease, and reports whether
// there were as many.
func (t Token) encode(without int) ([]byte, bool) {
	w := &writer{buf: make([]byte, 0, 256)}
	amounts := t.amounts()
	w.uint(uint64(len(amounts)))
	for _, a := range amounts {
		w.int(a)
	}
	w.string(t.KeyID)
	w.string(string(t.Note))
	w.uint(uint64(len(t.Parts)))
	for i := len(t.Parts) - 1; i >= 0; i-- {
		part := t.Parts[i]
		w.string(part.Key)
		w.bytes(part.Hold.Epoch[:])
		w.uint(part.Hold.N)
		draws := part.Draws
		keep := make([]Draw, 0, len(draws))
		for j := len(draws) - 1; j >= 0; j-- {
			if draws[j].Lease == 0 && without > 0 {
				without--
				continue
			}
			keep = append(keep, draws[j])
		}
		w.uint(uint64(len(keep)))
		for j := len(keep) - 1; j >= 0; j-- {
			w.draw(keep[j], amounts)
		}
	}
	return w.buf, without == 0
}

// amounts are the different amounts held, each once: as many as there are units.
func (t Token) amounts() (all []int64) {
	for _, part := range t.Parts {
		for _, d := range part.Draws {
			if indexOf(all, d.Held) < 0 {
				all = append(all, d.Held)
			}
		}
	}
	return all
}

func indexOf(all []int64, v int64) int {
	for i, a := range all {
		if a == v {
			return i
		}
	}
	return -1
}

func (w *writer) draw(d Draw, amounts []int64) {
	w.uint(d.Lease)
	w.uint(uint64(indexOf(amounts, d.Held)))
	if d.Lease == 0 {
		w.meter(d.Meter)
	} else {
		w.uint(uint64(d.Position))
	}
}

// positionMost bounds a meter's position: no ask has as many lines.
const positionMost = 1 << 16

// DecodeToken reads what Encode wrote.
func DecodeToken(b []byte) (Token, error) {
	r := &reader{rest: b}
	amounts := make([]int64, r.count())
	for i := range amounts {
		amounts[i] = r.int()
	}
	t := Token{KeyID: r.string(), Note: []byte(r.string())}
	t.Parts = make([]TokenPart, r.count())
	for i := len(t.Parts) - 1; i >= 0; i-- {
		part := &t.Parts[i]
		key := r.hold()
		part.Key, part.Hold = key.key, key.hold
		part.Draws = make([]Draw, r.count())
		for j := range part.Draws {
			part.Draws[j] = r.draw(amounts)
		}
	}
	if r.err == nil && len(r.rest) > 0 {
		r.fail("bytes are left over")
	}
	if r.err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, r.err)
	}
	return t, nil
}

func (r *reader) draw(amounts []int64) Draw {
	d := Draw{Lease: r.uint()}
	if i := r.uint(); i < uint64(len(amounts)) && valid(amounts[i]) {
		d.Held = amounts[i]
	} else {
		r.fail("an amount that is not there")
	}
	if d.Lease == 0 {
		d.Meter = r.meter()
		return d
	}
	n := r.uint()
	if n >= positionMost {
		r.fail("a position out of range")
		return d
	}
	d.Position = int(n)
	return d
}

// Signer signs tokens and knows its own again. Its secrets are the cluster's, so
// every replica's tokens are valid at every other. A zero Previous is no secret.
type Signer struct{ Current, Previous [32]byte }

// Sign makes the token's text:
//
//	base64url( version · HMAC-SHA256(version · payload), 16 bytes · payload )
//
// Its age is never judged: a report that comes late is late, and still true.
func (s Signer) Sign(payload []byte) string {
	raw := make([]byte, 1+tokenMAC, 1+tokenMAC+len(payload))
	raw[0] = tokenVersion
	copy(raw[1:], tag(s.Current, payload))
	return base64.RawURLEncoding.EncodeToString(append(raw, payload...))
}

// Verify gives back the payload of a text that Sign made with the current secret
// or the previous one.
func (s Signer) Verify(text string) ([]byte, error) {
	if len(text) > MaxTokenBytes {
		return nil, ErrToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 1+tokenMAC || raw[0] != tokenVersion {
		return nil, ErrToken
	}
	mac, payload := raw[1:1+tokenMAC], raw[1+tokenMAC:]
	current := hmac.Equal(mac, tag(s.Current, payload))
	previous := hmac.Equal(mac, tag(s.Previous, payload)) && s.Previous != [32]byte{}
	if !current && !previous {
		return nil, ErrToken
	}
	return payload, nil
}

func tag(secret [32]byte, payload []byte) []byte {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte{tokenVersion})
	mac.Write(payload)
	return mac.Sum(nil)[:tokenMAC]
}
