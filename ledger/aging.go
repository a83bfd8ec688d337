package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Charges by rule or by estimate become final when no better word can come any
// more: reports' tokens and the log itself are younger. Until then they pin their
// meters, and a process that lives for months would keep them all.
const (
	finalAfter     = 8 * 24 * time.Hour
	finalMost      = 16   // an entry
	finalMostSwept = 1000 // a MetersForgotten
)

// aged is a provisional charge and when it was made.
type aged struct {
	hold   journal.HoldID
	offset int64
	since  int64
}

// aging are the provisional charges, oldest first. Those that were replaced since
// are still among them, until they are passed or are more than half.
type aging struct {
	all  []aged
	head int
}

func (a *aging) push(one aged) { a.all = append(a.all, one) }

// current finds an aged charge, unless it was replaced or forgotten.
func (b *Book) current(one aged) (*epoch, bool) {
	ep := b.epochs[one.hold.Epoch]
	if ep == nil {
		return nil, false
	}
	p, ok := ep.settled.provisional[one.hold.N]
	return ep, ok && p.offset == one.offset
}

// ripe reports whether a charge would be final at a time.
func (b *Book) ripe(now int64) bool {
	a := &b.aging
	return a.head < len(a.all) && now-a.all[a.head].since > int64(finalAfter)
}

// finish makes the oldest charges final that have had their time by log time, a
// bounded number with each entry. Replaced ones do not count: a book that was
// read from a snapshot does not have them.
func (b *Book) finish(ev journal.Event) {
	most := finalMost
	if _, swept := ev.(journal.MetersForgotten); swept {
		most = finalMostSwept
	}
	a := &b.aging
	for most > 0 && b.ripe(b.now) {
		one := a.all[a.head]
		a.head++
		ep, ok := b.current(one)
		if !ok {
			continue
		}
		for _, c := range ep.settled.provisional[one.hold.N].charges {
			c.meter.refs--
		}
		delete(ep.settled.provisional, one.hold.N)
		most--
	}
	if len(a.all) == cap(a.all) && len(a.all) > 1024 {
		b.thinAging()
	}
}

// thinAging drops those passed and replaced before the list would grow.
func (b *Book) thinAging() {
	a := &b.aging
	kept := make([]aged, 0, len(a.all)-a.head)
	for _, one := range a.all[a.head:] {
		if _, ok := b.current(one); ok {
			kept = append(kept, one)
		}
	}
	a.all, a.head = slices.Grow(kept, len(kept)+1024), 0
}

// recallAging makes the list of a book that was read.
func (b *Book) recallAging() {
	for id, ep := range b.epochs {
		for n, p := range ep.settled.provisional {
			b.aging.push(aged{journal.HoldID{Epoch: id, N: n}, p.offset, p.since})
		}
	}
	slices.SortFunc(b.aging.all, func(x, y aged) int { return cmp.Compare(x.offset, y.offset) })
}
