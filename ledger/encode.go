package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// bookFormat is the first number of an encoded book. A program reads its own
// format only; another one folds the log again.
const bookFormat = 3

// Encode is the whole book as bytes: the same for the same entries, whatever
// order maps were filled in.
func (b *Book) Encode() []byte {
	w := &writer{}
	w.uint(bookFormat)
	w.string(b.key)
	w.int(b.offset)
	w.int(b.now)
	w.int(b.folded)
	w.int(b.nextMark)
	b.encodeBudgets(w)
	meters := b.encodeMeters(w)
	b.encodeEpochs(w, meters)
	b.encodeQueue(w, meters)
	b.encodeNames(w)
	return w.buf
}

// Hash is what replicas compare: equal at equal offsets.
func (b *Book) Hash() [32]byte { return sha256.Sum256(b.Encode()) }

func (b *Book) encodeBudgets(w *writer) {
	w.uint(uint64(len(b.budgets)))
	for _, id := range slices.Sorted(maps.Keys(b.budgets)) {
		bu := b.budgets[id]
		w.int(id)
		w.uint(uint64(bu.unit))
		w.uint(uint64(bu.window.Every))
		w.string(bu.window.Zone)
		w.int(int64(bu.window.Rolling))
		w.int(bu.version)
		w.int(bu.limit)
		w.int(bu.maxValues)
		w.int(bu.changed)
	}
}

// encodeMeters also numbers the meters, so that leases name them by number.
func (b *Book) encodeMeters(w *writer) map[*meter]uint64 {
	all := slices.SortedFunc(maps.Values(b.meters), func(x, y *meter) int { return compareMeters(x.name, y.name) })
	numbers := make(map[*meter]uint64, len(all))
	w.uint(uint64(len(all)))
	for i, m := range all {
		numbers[m] = uint64(i)
		w.meter(m.name)
		w.int(m.outstanding)
		w.int(m.suspense)
		w.int(m.adjusted)
		w.int(m.changed)
		w.int(m.changedAt)
		m.tally.encode(w)
	}
	return numbers
}

func compareMeters(a, b journal.Meter) int {
	return cmp.Or(cmp.Compare(a.Budget, b.Budget), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Label, b.Label), cmp.Compare(a.Per, b.Per))
}

func (b *Book) encodeEpochs(w *writer, meters map[*meter]uint64) {
	w.uint(uint64(len(b.epochs)))
	for _, id := range slices.SortedFunc(maps.Keys(b.epochs), compareEpochs) {
		ep := b.epochs[id]
		w.bytes(id[:])
		w.uint(ep.lastAsk)
		w.bool(ep.ended)
		w.int(ep.changedAt)
		w.uint(uint64(len(ep.leases)))
		for _, n := range ep.leaseNumbers() {
			l := ep.leases[n]
			w.uint(n)
			w.int(int64(l.ttl))
			w.bool(l.closed)
			w.uint(uint64(len(l.draws)))
			for _, d := range l.draws {
				w.uint(meters[d.meter])
				for _, v := range [...]int64{d.granted, d.left, d.returned, d.suspense, d.suspendedAt} {
					w.int(v)
				}
			}
		}
		ep.settled.encode(w, meters)
	}
}

func compareEpochs(a, b journal.Epoch) int { return bytes.Compare(a[:], b[:]) }

func (s *settledSet) encode(w *writer, meters map[*meter]uint64) {
	w.uint(s.low)
	words := slices.Sorted(maps.Keys(s.bits))
	w.uint(uint64(len(words)))
	for _, n := range words {
		w.uint(n)
		w.uint(s.bits[n])
	}
	w.uint(uint64(len(s.provisional)))
	for _, n := range slices.Sorted(maps.Keys(s.provisional)) {
		p := s.provisional[n]
		w.uint(n)
		w.uint(uint64(p.rank))
		w.int(p.offset)
		w.int(p.since)
		w.uint(uint64(len(p.charges)))
		for _, c := range p.charges {
			w.uint(meters[c.meter])
			w.int(c.amount)
			w.int(c.at)
		}
	}
}

func (b *Book) encodeQueue(w *writer, meters map[*meter]uint64) {
	w.uint(uint64(len(b.queue)))
	for _, a := range b.queue {
		w.bytes(a.epoch.id[:])
		w.uint(a.n)
		w.int(int64(a.ttl))
		w.int(a.div)
		w.uint(uint64(len(a.lines)))
		for _, l := range a.lines {
			w.uint(meters[l.meter])
			w.int(l.least)
			w.int(l.want)
		}
	}
}

func (b *Book) encodeNames(w *writer) {
	w.uint(uint64(len(b.adjusted)))
	for _, id := range slices.Sorted(maps.Keys(b.adjusted)) {
		w.string(id)
		w.meter(b.adjusted[id])
	}
	w.uint(uint64(len(b.forgotten)))
	for _, id := range slices.SortedFunc(maps.Keys(b.forgotten), compareEpochs) {
		w.bytes(id[:])
		w.int(b.forgotten[id])
	}
}

// DecodeBook reads what Encode wrote.
func DecodeBook(data []byte) (*Book, error) {
	r := &reader{rest: data}
	if v := r.uint(); v != bookFormat && r.err == nil {
		return nil, fmt.Errorf("book: format %d, want %d", v, bookFormat)
	}
	b := NewBook(r.string())
	b.offset, b.now, b.folded, b.nextMark = r.int(), r.int(), r.int(), r.int()
	b.decodeBudgets(r)
	meters := b.decodeMeters(r)
	b.decodeEpochs(r, meters)
	b.decodeQueue(r, meters)
	b.decodeNames(r)
	b.recallAging()
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("bytes are left over")
	}
	if r.err != nil {
		return nil, fmt.Errorf("book %q: %w", b.key, r.err)
	}
	return b, nil
}

func (b *Book) decodeBudgets(r *reader) {
	for range r.count() {
		bu := &budget{id: r.int(), values: map[string]int64{}}
		bu.unit = journal.Unit(r.uint())
		bu.window.Every = journal.Every(r.uint())
		bu.window.Zone = r.string()
		bu.window.Rolling = time.Duration(r.int())
		bu.version, bu.limit, bu.maxValues, bu.changed = r.int(), r.int(), r.int(), r.int()
		b.budgets[bu.id] = bu
	}
}

func (b *Book) decodeMeters(r *reader) []*meter {
	all := make([]*meter, 0, r.count())
	for range cap(all) {
		name := r.meter()
		if r.err == nil && b.budgets[name.Budget] == nil {
			r.err = fmt.Errorf("a meter of the unknown budget %d", name.Budget)
		}
		if r.err != nil {
			return nil
		}
		m := b.meter(name)
		m.outstanding, m.suspense, m.adjusted, m.changed, m.changedAt = r.int(), r.int(), r.int(), r.int(), r.int()
		m.tally.decode(r)
		all = append(all, m)
	}
	return all
}

func (b *Book) decodeEpochs(r *reader, meters []*meter) {
	for range r.count() {
		ep := &epoch{id: r.epoch(), lastAsk: r.uint(), ended: r.bool(), changedAt: r.int(), leases: map[uint64]*lease{}}
		for range r.count() {
			l := &lease{n: r.uint(), ttl: time.Duration(r.int()), closed: r.bool()}
			l.draws = make([]draw, r.count())
			for i := range l.draws {
				l.draws[i] = draw{meter: r.meterOf(meters), granted: r.int(), left: r.int(), returned: r.int(), suspense: r.int(), suspendedAt: r.int()}
			}
			ep.leases[l.n] = l
		}
		ep.settled.decode(r, meters)
		b.epochs[ep.id] = ep
	}
}

func (s *settledSet) decode(r *reader, meters []*meter) {
	s.low = r.uint()
	s.bits = map[uint64]uint64{}
	for range r.count() {
		n := r.uint()
		s.bits[n] = r.uint()
	}
	s.provisional = map[uint64]provisional{}
	for range r.count() {
		n := r.uint()
		p := provisional{rank: journal.Rank(r.uint()), offset: r.int(), since: r.int()}
		for range r.count() {
			p.charges = append(p.charges, charged{meter: r.meterOf(meters), amount: r.int(), at: r.int()})
		}
		s.provisional[n] = p
	}
}

func (b *Book) decodeQueue(r *reader, meters []*meter) {
	for range r.count() {
		ep := b.epochs[r.epoch()]
		if ep == nil {
			r.fail("an ask of an unknown epoch")
			return
		}
		a := &ask{epoch: ep, n: r.uint(), ttl: time.Duration(r.int()), div: r.int()}
		for range r.count() {
			a.lines = append(a.lines, line{meter: r.meterOf(meters), least: r.int(), want: r.int()})
		}
		ep.queued = a
		b.queue = append(b.queue, a)
	}
}

func (b *Book) decodeNames(r *reader) {
	for range r.count() {
		id := r.string()
		b.adjusted[id] = r.meter()
	}
	for range r.count() {
		id := r.epoch()
		b.forgotten[id] = r.int()
	}
}

func (c *counter) encode(w *writer) { w.int(c.sum) }
func (c *counter) decode(r *reader) { c.sum = r.int() }

func (gauge) encode(*writer) {}
func (gauge) decode(*reader) {}

func (s *slide) encode(w *writer) {
	w.int(s.newest)
	for _, v := range s.buckets {
		w.int(v)
	}
}

func (s *slide) decode(r *reader) {
	if s.newest = r.int(); s.newest < 0 {
		r.fail("a bucket before time")
		s.newest = 0
	}
	for i := range s.buckets {
		s.buckets[i] = r.int()
	}
}
