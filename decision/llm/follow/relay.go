package follow

// maxEvent is the largest event that is kept until its blank line comes. A larger
// one is passed on in parts, read all the same, but cannot be left out.
const maxEvent = 256 << 10

// maxHeld is the most that waits behind the end. Nobody needs much there.
const maxHeld = 2 * maxEvent

// keepBuffer is the largest buffer that is kept for the next event: one large
// event must not stay in memory for the rest of a long stream.
const keepBuffer = 16 << 10

// relay is what happens to bytes: they go out, wait for the rest of their event,
// wait behind the end, or are dropped. As long as all that goes out stands in one
// piece of what was written, nothing is copied.
type relay struct {
	p      []byte // what was written last
	lo, hi int    // the part of it that goes out, when copied is false
	copied bool
	buf    []byte // what goes out, when copied is true

	pending []byte // the event that is not whole yet, but for what has gone out of it
	early   int    // how much of that event has gone out
	holding bool   // what goes out is held back
	held    []byte
}

func (r *relay) begin(p []byte) {
	r.p, r.lo, r.hi, r.copied = p, 0, 0, false
	r.buf = emptied(r.buf)
}

func (r *relay) out() []byte {
	if r.copied {
		return r.buf
	}
	return r.p[r.lo:r.hi:r.hi]
}

// emit sends out a part of what was written.
func (r *relay) emit(lo, hi int) {
	switch {
	case lo == hi:
	case r.holding, r.copied:
		r.emitCopy(r.p[lo:hi])
	case r.lo == r.hi:
		r.lo, r.hi = lo, hi
	case r.hi == lo:
		r.hi = hi
	default:
		r.emitCopy(r.p[lo:hi])
	}
}

// emitCopy sends out bytes from elsewhere, or holds them back. Above the bound
// they go out, the end first, because memory comes before order.
func (r *relay) emitCopy(b []byte) {
	switch {
	case len(b) == 0:
	case !r.holding:
		r.write(b)
	case len(r.held)+len(b) <= maxHeld:
		r.held = append(r.held, b...)
	default:
		r.write(r.held)
		r.write(b)
		r.held, r.holding = nil, false
	}
}

func (r *relay) write(b []byte) {
	if !r.copied {
		r.buf, r.copied = append(r.buf, r.p[r.lo:r.hi]...), true
	}
	r.buf = append(r.buf, b...)
}

// size is how large the event is that ends at hi.
func (r *relay) size(lo, hi int) int { return r.early + len(r.pending) + hi - lo }

// close sends out the event whose rest is here, or drops it.
func (r *relay) close(lo, hi int, hide bool) {
	if !hide {
		r.emitCopy(r.pending)
		r.emit(lo, hi)
	}
	r.pending, r.early = emptied(r.pending), 0
}

// whole is the event whose rest is here, in one piece, and where its rest begins then.
func (r *relay) whole(lo, hi int) ([]byte, int) {
	if len(r.pending) == 0 {
		return r.p[lo:hi], lo
	}
	r.pending = append(r.pending, r.p[lo:hi]...)
	return r.pending, hi
}

// replace sends out other bytes than the event that is here.
func (r *relay) replace(by []byte) {
	r.emitCopy(by)
	r.pending, r.early = emptied(r.pending), 0
}

// wait keeps the beginning of an event. Above the bound it goes out, but for the
// line end it stops at: a client that reads by lines must not see the last line of
// an event before we have read that it is the last.
func (r *relay) wait(lo, hi int) {
	end := hi
	if r.early > 0 || r.size(lo, hi) > maxEvent {
		for end > lo && (r.p[end-1] == '\n' || r.p[end-1] == '\r') {
			end--
		}
		if end > lo {
			r.early += len(r.pending) + end - lo
			r.emitCopy(r.pending)
			r.emit(lo, end)
			r.pending, lo = emptied(r.pending), end
		}
	}
	r.pending = append(r.pending, r.p[lo:hi]...)
}

// release gives what was held back.
func (r *relay) release() []byte {
	out := r.held
	r.held, r.holding = nil, false
	return out
}

// rest gives what was held back, and the beginning of an event behind it.
func (r *relay) rest(hide bool) []byte {
	out := r.release()
	if !hide {
		out = append(out, r.pending...)
	}
	r.pending = nil
	return out
}

func emptied(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	return b[:0]
}
