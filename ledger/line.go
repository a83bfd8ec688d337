package ledger

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// waiter is a call that waits for money.
type waiter struct {
	n      uint64 // its place: who came earlier has a smaller one; from 1
	looked uint64 // the turn in which it looked again
	sought uint64 // the turn in which it was seen to what it misses
	req    *HoldRequest
	done   chan answer // cap 1
	prefer int         // the candidate it waits for
	asked  bool        // an ask for it was sent: it takes what that brought
	queued bool
	home   *purse   // the tenant's, whose share of the line it takes
	purses []*purse // it is in their lines
	hands  []*hand  // it is in their lines: of all its candidates
	wants  []*hand  // of the candidate it waits for: nobody behind it passes it there
}

// print is how a meter looks to every call in its line. While it stays the same,
// no call there can get another answer than it got, so none is asked.
type print struct {
	limit, unspent int64
	pool, most     int64 // not out in leases; the most in one lease of ours
	free           int64
	known, others  bool // the limit is in the book; another replica waits there
	moved          bool // its calls count elsewhere by now
}

// worse: something that was to be had may not be any more.
func (p print) worse(than print) bool {
	return p.limit < than.limit || p.unspent < than.unspent || p.pool < than.pool || p.most < than.most ||
		p.free < than.free || p.others != than.others || p.known != than.known || p.moved
}

// print looks at a meter that calls wait for.
func (k *Keeper) print(p *purse, h *hand, now time.Time) print {
	var seen print
	seen.limit, seen.known = k.limit(p, h.sample)
	seen.free, seen.moved = h.free(), p.at(h.meter) != h
	if best := h.most(now); best != nil {
		seen.most = best.free
	}
	if seen.known {
		seen.unspent, seen.pool = k.balance(p, h, h.sample, now)
		seen.others = p.queuedByOthers(h.meter, k.cfg.Epoch)
	}
	return seen
}

// heldUp reports whether somebody who came before a place waits for the meter.
func (h *hand) heldUp(n uint64) bool { return len(h.wanted) > 0 && h.wanted[0].n < n }

// line puts a call in line on all meters of all its candidates, on each meter
// once: counted by candidate, a lone call would share what is there with itself.
func (k *Keeper) line(w *waiter) {
	k.arrivals++
	w.n, w.queued = k.arrivals, true
	k.waiters = append(k.waiters, w)
	w.home = k.home(w.req)
	w.home.callers++
	for i := range w.req.Candidates {
		k.lineFor(w, i)
	}
	k.want(w, w.prefer)
}

// home is the purse whose share of the line a call takes: its tenant's. The shared
// key is nobody's, and a share of it would let one tenant keep out the others.
func (k *Keeper) home(req *HoldRequest) *purse {
	if req.Key != "" {
		return k.purse(req.Key)
	}
	return k.purse(req.Candidates[0].homeKey())
}

// lineFor puts a call in line on the meters of one candidate.
func (k *Keeper) lineFor(w *waiter, candidate int) {
	demands := w.req.Candidates[candidate].Demands
	for j := range demands {
		d := &demands[j]
		if !d.enforced() {
			continue
		}
		at := k.sight(d)
		p, h := at.purse, at.hand
		least, _ := d.Amount(w.req.Floor)
		h.largest = max(h.largest, least)
		if slices.Contains(w.hands, h) {
			continue
		}
		if len(h.line) == 0 {
			p.lined[h] = true
		}
		h.sample = d
		h.line = enqueue(h.line, w)
		h.waiting++
		if len(w.req.Candidates) > 1 {
			h.choosers++
		}
		w.hands = append(w.hands, h)
		if !slices.Contains(w.purses, p) {
			p.line = enqueue(p.line, w)
			w.purses = append(w.purses, p)
			k.lined[p] = true
		}
	}
}

// want says for which candidate a call waits. Meters that it no longer waits for
// are free for those behind it.
func (k *Keeper) want(w *waiter, candidate int) {
	k.lineFor(w, candidate) // Values that became too many count elsewhere.
	w.prefer = candidate
	before := w.wants
	w.wants = nil
	demands := w.req.Candidates[candidate].Demands
	for j := range demands {
		if d := &demands[j]; d.enforced() {
			if h := k.sight(d).hand; !slices.Contains(w.wants, h) {
				w.wants = append(w.wants, h)
			}
		}
	}
	for _, h := range w.wants {
		if !slices.Contains(before, h) {
			h.wanted = enqueue(h.wanted, w)
		}
	}
	for _, h := range before {
		if !slices.Contains(w.wants, h) {
			h.wanted = remove(h.wanted, w)
			k.lookBehind(h, w.n, false)
		}
	}
}

// leave takes a call out of the line, and has those look again that stood behind
// it.
func (k *Keeper) leave(w *waiter) {
	if !w.queued {
		return
	}
	w.queued = false
	k.waiters = remove(k.waiters, w)
	w.home.callers--
	for _, h := range w.wants {
		h.wanted = remove(h.wanted, w)
	}
	for _, h := range w.hands {
		h.line = remove(h.line, w)
		h.waiting--
		if len(w.req.Candidates) > 1 {
			h.choosers--
		}
		k.lookBehind(h, w.n, false)
	}
	for _, p := range w.purses {
		p.line = remove(p.line, w)
		for _, h := range w.hands {
			if len(h.line) == 0 {
				h.sample, h.seen, h.largest = nil, print{}, 0
				delete(p.lined, h)
			}
		}
		if len(p.line) == 0 {
			delete(k.lined, p)
		}
	}
}

func place(line []*waiter, n uint64) int {
	i, _ := slices.BinarySearchFunc(line, n, func(w *waiter, n uint64) int { return cmp.Compare(w.n, n) })
	return i
}

func enqueue(line []*waiter, w *waiter) []*waiter { return slices.Insert(line, place(line, w.n), w) }

func remove(line []*waiter, w *waiter) []*waiter {
	if i := place(line, w.n); i < len(line) && line[i] == w {
		return slices.Delete(line, i, i+1)
	}
	return line
}

// rescan is a meter whose line has to look again, from a place on.
type rescan struct {
	hand  *hand
	from  uint64 // the place of the next to look
	whole bool   // even those behind one who is not served
}

// rescans are in the order in which their next calls came.
type rescans []*rescan

func (r rescans) Len() int           { return len(r) }
func (r rescans) Less(i, j int) bool { return r[i].from < r[j].from }
func (r rescans) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *rescans) Push(x any)        { *r = append(*r, x.(*rescan)) }
func (r *rescans) Pop() any {
	old := *r
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	return last
}

// lookBehind has a meter's line look again, behind a place.
func (k *Keeper) lookBehind(h *hand, n uint64, whole bool) {
	i := place(h.line, n+1)
	if i == len(h.line) {
		return
	}
	if r := h.again; r != nil && r.from <= h.line[i].n && (r.whole || !whole) {
		return
	}
	h.again = &rescan{hand: h, from: h.line[i].n, whole: whole}
	heap.Push(&k.again, h.again)
}

// lookForChanges has the lines look again of those meters of a key that are not
// as they were.
func (k *Keeper) lookForChanges(p *purse, now time.Time) {
	for h := range p.lined {
		seen := k.print(p, h, now)
		if seen == h.seen {
			continue
		}
		// One who is behind another there has only bad news to learn: that it is
		// spent, or that its next candidate is better.
		whole := seen.worse(h.seen) && (h.choosers > 0 || seen.unspent < h.largest || !seen.known || seen.moved)
		h.seen = seen
		if whole {
			h.largest = h.largestWithin(seen.unspent)
		}
		k.lookBehind(h, 0, whole)
	}
}

// largestWithin is the most that a call in line needs at least, of those whose
// need can be met at all.
func (h *hand) largestWithin(unspent int64) (largest int64) {
	for _, w := range h.line {
		for i := range w.req.Candidates {
			demands := w.req.Candidates[i].Demands
			for j := range demands {
				if d := &demands[j]; d.Meter == h.meter {
					if least, _ := d.Amount(w.req.Floor); least <= unspent {
						largest = max(largest, least)
					}
				}
			}
		}
	}
	return largest
}

// next is the next call to look again; nil when there is none. A line is left at
// the first that stands behind another: nobody passes anybody.
func (k *Keeper) next() *waiter {
	for len(k.again) > 0 {
		r := heap.Pop(&k.again).(*rescan)
		h := r.hand
		if h.again == r {
			h.again = nil
		}
		i := place(h.line, r.from)
		if i == len(h.line) || h.heldUp(h.line[i].n) && !r.whole {
			continue
		}
		w := h.line[i]
		if i+1 < len(h.line) {
			r.from = h.line[i+1].n
			h.again = r
			heap.Push(&k.again, r)
		}
		if w.looked != k.turn {
			w.looked = k.turn
			return w
		}
	}
	return nil
}

// strayed: what the call waits for counts on other meters by now.
func (k *Keeper) strayed(w *waiter) bool {
	demands := w.req.Candidates[w.prefer].Demands
	for j := range demands {
		if d := &demands[j]; d.enforced() && !slices.Contains(w.wants, k.sight(d).hand) {
			return true
		}
	}
	return false
}
