package journal

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Epoch is one start of one process: a random id that stands in every entry the
// process writes, so that what a dead process held can be told from what its
// successor holds.
type Epoch [16]byte

// String is the epoch in hexadecimal, as operators type it.
func (e Epoch) String() string { return hex.EncodeToString(e[:]) }

// IsZero reports whether no epoch is named.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// ParseEpoch reads what String wrote.
func ParseEpoch(s string) (Epoch, error) {
	var e Epoch
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(e) {
		return e, fmt.Errorf("epoch %q: want 32 hexadecimal digits", s)
	}
	copy(e[:], b)
	return e, nil
}

// Origin says which process wrote a record and where it stood in that process's
// own order. A record that is sent again carries the same origin; inside one
// partition the sequence of one epoch only rises, so a reader that has seen Seq
// drops everything of that epoch at or below it.
type Origin struct {
	Epoch Epoch
	Seq   uint64 // 0: not numbered (entries that are idempotent by themselves)
}

// Record is an event on its way into the journal.
type Record struct {
	Topic  Topic
	Key    string // chooses the partition: a tenant, SharedKey, or "" on one-partition topics
	Name   string // compacted topics only: what a later record replaces, within Key
	Origin Origin
	Event  Event // nil on a compacted topic: forget Name
}

// Entry is an event where it stands in the journal.
type Entry struct {
	Record
	Partition int32
	Offset    int64
	// At is the append time: the broker's clock, or, in the embedded journal,
	// the one process's clock. It never goes into a decision about safety.
	At time.Time
}

// Event is a fact. The set is closed: these types and no others.
type Event interface{ event() }

// Unreadable stands where an entry could not be read whole: rules above ours, a
// field we do not know, damaged bytes. A fold must stop at it; skipping would
// fork the books quietly.
type Unreadable struct{ Why string }

func (Unreadable) event() {}
