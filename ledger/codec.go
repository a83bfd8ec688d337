package ledger

import (
	"encoding/binary"
	"errors"

	"github.com/signalbox-dev/signalbox/journal"
)

// writer builds the compact form: varints, and strings with their length.
type writer struct{ buf []byte }

func (w *writer) uint(v uint64)   { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *writer) int(v int64)     { w.buf = binary.AppendVarint(w.buf, v) }
func (w *writer) bytes(b []byte)  { w.buf = append(w.buf, b...) }
func (w *writer) string(s string) { w.uint(uint64(len(s))); w.buf = append(w.buf, s...) }

func (w *writer) bool(v bool) {
	if v {
		w.uint(1)
	} else {
		w.uint(0)
	}
}

func (w *writer) meter(m journal.Meter) {
	w.int(m.Budget)
	w.uint(uint64(m.Unit))
	w.string(m.Per)
	w.string(m.Label)
}

// reader takes values off the front of bytes that may be damaged. After the first
// error everything it reads is zero.
type reader struct {
	rest []byte
	err  error
}

var errCut = errors.New("cut short")

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = errors.New(why)
	}
	r.rest = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errCut.Error())
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail(errCut.Error())
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bool() bool { return r.uint() != 0 }

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail(errCut.Error())
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes(r.uint())) }

// count is the length of a list. Each element takes a byte at least, so a damaged
// length cannot ask for more memory than the bytes that are there.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.fail(errCut.Error())
		return 0
	}
	return int(n)
}

func (r *reader) epoch() (e journal.Epoch) {
	copy(e[:], r.bytes(uint64(len(e))))
	return e
}

func (r *reader) meter() journal.Meter {
	return journal.Meter{Budget: r.int(), Unit: journal.Unit(r.uint()), Per: r.string(), Label: r.string()}
}

// meterOf reads a meter's number, and counts one more reference to it.
func (r *reader) meterOf(meters []*meter) *meter {
	n := r.uint()
	if n >= uint64(len(meters)) {
		r.fail("a meter's number is out of range")
		return &meter{budget: &budget{}, tally: gauge{}}
	}
	meters[n].refs++
	return meters[n]
}
