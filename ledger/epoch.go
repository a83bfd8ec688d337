package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// epoch is one start of one process, as its entries on this key tell it.
type epoch struct {
	id      journal.Epoch
	lastAsk uint64
	queued  *ask
	ended   bool
	leases  map[uint64]*lease
	settled settledSet
	// changedAt is the log time of the last entry that named the epoch.
	changedAt int64
}

// lease is what one ask was granted, while any of it is left.
type lease struct {
	n      uint64
	ttl    time.Duration
	draws  []draw // in the ask's order
	closed bool
}

// draw is a lease's money on one meter.
type draw struct {
	meter       *meter
	granted     int64
	left        int64
	returned    int64 // running total
	suspense    int64
	suspendedAt int64 // log time
}

// leftOrSuspense is what a holder's word can still move.
func (d *draw) leftOrSuspense(l *lease) int64 {
	if l.closed {
		return d.suspense
	}
	return d.left
}

// epoch finds an epoch or begins it; nil when it was forgotten, so that an entry
// of it that comes late cannot bring it back with all its numbers unused.
func (b *Book) epoch(id journal.Epoch) *epoch {
	if ep := b.epochs[id]; ep != nil {
		ep.changedAt = b.now
		return ep
	}
	if _, gone := b.forgotten[id]; gone {
		return nil
	}
	ep := &epoch{id: id, leases: map[uint64]*lease{}, changedAt: b.now}
	b.epochs[id] = ep
	return ep
}

// draw finds a lease's money on a meter, looking first where it is likely to be.
func (ep *epoch) draw(n uint64, name *journal.Meter, likely int) (*lease, *draw) {
	l := ep.leases[n]
	if l == nil {
		return nil, nil
	}
	if likely < len(l.draws) && l.draws[likely].meter.name == *name {
		return l, &l.draws[likely]
	}
	for i := range l.draws {
		if l.draws[i].meter.name == *name {
			return l, &l.draws[i]
		}
	}
	return l, nil
}

// dropEmpty forgets a lease of which nothing is left to move.
func (b *Book) dropEmpty(ep *epoch, l *lease) {
	for i := range l.draws {
		if l.draws[i].left != 0 || l.draws[i].suspense != 0 {
			return
		}
	}
	if ep.leases[l.n] != l {
		return
	}
	delete(ep.leases, l.n)
	for i := range l.draws {
		l.draws[i].meter.refs--
	}
}

func (ep *epoch) leaseNumbers() []uint64 { return slices.Sorted(maps.Keys(ep.leases)) }

// idle: nothing is out in leases but what is in suspense.
func (ep *epoch) idle() bool {
	for _, l := range ep.leases {
		if !l.closed {
			return false
		}
	}
	return true
}

// drawKey names a lease's money on a meter within its epoch.
type drawKey struct {
	lease uint64
	meter journal.Meter
}

// openOf sums what an ended epoch's open holds have on each lease. Those that
// were settled in the meantime, by another replica, are not open.
func (ep *epoch) openOf(holds []journal.OpenHold) (map[drawKey]int64, error) {
	open := map[drawKey]int64{}
	for _, h := range holds {
		if _, settled := ep.settled.rank(h.N); settled {
			continue
		}
		for _, c := range h.Charges {
			if !valid(c.Held) {
				return nil, errAmount
			}
			k := drawKey{c.Lease, c.Meter}
			sum, err := add(open[k], c.Held)
			if err != nil {
				return nil, fmt.Errorf("open holds of epoch %s: %w", ep.id, err)
			}
			open[k] = sum
		}
	}
	return open, nil
}

// forgottenMost bounds the epochs remembered as forgotten: the oldest go first.
// Entries of an epoch cannot come once the log's retention has passed.
const forgottenMost = 4096

func (b *Book) forgetOldest() {
	for len(b.forgotten) > forgottenMost {
		var oldest journal.Epoch
		at := int64(-1)
		for id, offset := range b.forgotten {
			if at < 0 || offset < at {
				oldest, at = id, offset // Offsets differ: one entry forgets one epoch.
			}
		}
		delete(b.forgotten, oldest)
	}
}

// settledSet is which holds of an epoch are settled. Holds are numbered densely,
// so it is a low-water mark, bits above it, and the exceptions: what was charged
// by rule or by estimate, and may be corrected.
type settledSet struct {
	low         uint64            // all holds up to and including it are settled
	bits        map[uint64]uint64 // word number → bits, above low
	provisional map[uint64]provisional
}

type provisional struct {
	rank    journal.Rank
	charges []charged
	offset  int64 // of the book, when it was charged: no two have the same
	since   int64 // log time
}

// charged is what one meter was charged, and when.
type charged struct {
	meter  *meter
	amount int64
	at     int64
}

// take removes a meter's charge from those not yet replaced.
func (p *provisional) take(name journal.Meter) (charged, bool) {
	for i, c := range p.charges {
		if c.meter.name == name {
			p.charges = slices.Delete(p.charges, i, i+1)
			return c, true
		}
	}
	return charged{}, false
}

// rank is how well a hold's cost is known; false when it is not settled.
func (s *settledSet) rank(n uint64) (journal.Rank, bool) {
	if n > s.low && s.bits[n/64]&(1<<(n%64)) == 0 {
		return 0, false
	}
	if p, ok := s.provisional[n]; ok {
		return p.rank, true
	}
	return journal.RankExact, true
}

// put marks a hold settled.
func (s *settledSet) put(n uint64, p provisional) {
	if p.rank == journal.RankExact {
		delete(s.provisional, n)
	} else {
		if s.provisional == nil {
			s.provisional = map[uint64]provisional{}
		}
		for _, c := range p.charges {
			c.meter.refs++
		}
		s.provisional[n] = p
	}
	if n <= s.low {
		return
	}
	if s.bits == nil {
		s.bits = map[uint64]uint64{}
	}
	s.bits[n/64] |= 1 << (n % 64)
	for s.bits[(s.low+1)/64]&(1<<((s.low+1)%64)) != 0 {
		s.low++
		if s.low%64 == 63 {
			delete(s.bits, s.low/64)
		}
	}
}
