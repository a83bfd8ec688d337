package ledger

import (
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// OthersPer is the per value of the meter that new values share once a budget has
// as many as its max_values. No attribute's value holds control characters.
const OthersPer = "\x1e"

// budget is what the log says of one incarnation.
type budget struct {
	id        int64
	unit      journal.Unit
	window    journal.Window
	version   int64 // of the registry, of the newest amount
	limit     int64
	maxValues int64            // 0: no bound
	values    map[string]int64 // meters by label
	changed   int64            // offset of the entry that changed the amount
}

// untold is the version of a budget of which only a settlement was read.
const untold = -1

func (bu *budget) told() bool { return bu != nil && bu.version != untold }

// recount moves what was charged before the window was told to the tallies of
// that window.
func (b *Book) recount(bu *budget) error {
	for _, m := range b.meters { // Each by itself: the map's order does not matter.
		if m.budget != bu {
			continue
		}
		sum := m.tally.spent(b.now)
		m.tally = newTally(bu.unit, bu.window)
		if err := m.tally.charge(sum, b.now); err != nil {
			return err
		}
	}
	return nil
}

// meter is one counter's money: what is spent, and what is out in leases.
type meter struct {
	name        journal.Meter
	budget      *budget
	tally       tally
	outstanding int64
	suspense    int64 // part of what is spent
	adjusted    int64
	changed     int64 // the book's offset after the last entry that moved it
	changedAt   int64 // log time of that entry
	refs        int   // asks, leases and provisional charges that name it
	blockedIn   uint64
	gone        bool // removed from the book; for those who remember where it stood
}

func (m *meter) available(now int64) int64 { return m.unspent(now) - m.outstanding }

// unspent is limit − spent: what an ask may hope for, however much is held.
func (m *meter) unspent(now int64) int64 { return m.budget.limit - m.tally.spent(now) }

func (m *meter) balance(now int64) Balance {
	return Balance{Limit: m.budget.limit, Spent: m.tally.spent(now), Outstanding: m.outstanding, Suspense: m.suspense, Adjusted: m.adjusted}
}

// meter finds a meter or begins it: a value seen for the first time has spent
// nothing, and has its budget's limit.
func (b *Book) meter(name journal.Meter) *meter {
	if m := b.meters[name]; m != nil {
		return m
	}
	bu := b.budgets[name.Budget]
	if bu == nil {
		// A settlement of a budget whose limit was not told yet: what is spent must
		// not be lost, and limit 0 grants nothing.
		bu = &budget{id: name.Budget, unit: name.Unit, version: untold, values: map[string]int64{}}
		b.budgets[name.Budget] = bu
	}
	m := &meter{name: name, budget: bu, tally: newTally(name.Unit, bu.window)}
	b.meters[name] = m
	if name.Per != OthersPer {
		bu.values[name.Label]++
	}
	return m
}

// Full reports whether a meter would be one value more than its budget may have;
// its calls then share the meter of OthersPer.
func (b *Book) Full(name journal.Meter) bool {
	if name.Per == "" || name.Per == OthersPer || b.meters[name] != nil {
		return false
	}
	bu := b.budgets[name.Budget]
	return bu != nil && bu.maxValues > 0 && bu.values[name.Label] >= bu.maxValues
}

// payer is the meter that a charge goes to: the one it names, or the shared one
// where that would be a value too many. A charge is never refused.
func (b *Book) payer(name journal.Meter) *meter {
	if m := b.meters[name]; m != nil {
		return m
	}
	if b.Full(name) {
		name.Per = OthersPer
	}
	return b.meter(name)
}

func (b *Book) removeMeter(m *meter) {
	delete(b.meters, m.name)
	m.gone = true
	if m.name.Per == OthersPer {
		return
	}
	if m.budget.values[m.name.Label]--; m.budget.values[m.name.Label] == 0 {
		delete(m.budget.values, m.name.Label)
	}
}

// ask is one Asked that waits for money.
type ask struct {
	epoch *epoch
	n     uint64
	ttl   time.Duration
	div   int64
	lines []line
}

type line struct {
	meter       *meter
	least, want int64
}

// hopeless: not all the money that is held could pay for it, if it came back.
func (a *ask) hopeless(now int64) bool {
	return slices.ContainsFunc(a.lines, func(l line) bool { return l.least > l.meter.unspent(now) })
}

func (a *ask) affordable(now int64) bool {
	return !slices.ContainsFunc(a.lines, func(l line) bool { return l.least > l.meter.available(now) })
}

func (a *ask) blocked(turn uint64) bool {
	return slices.ContainsFunc(a.lines, func(l line) bool { return l.meter.blockedIn == turn })
}

func (a *ask) block(turn uint64) {
	for _, l := range a.lines {
		l.meter.blockedIn = turn
	}
}

// leaveQueue takes an epoch's ask out of the queue, ungranted.
func (b *Book) leaveQueue(ep *epoch) {
	a := ep.queued
	if a == nil {
		return
	}
	b.queue = slices.DeleteFunc(b.queue, func(o *ask) bool { return o == a })
	b.drop(a)
}

// drop lets go of an ask's meters. One that was begun for it and on which nothing
// ever moved is as if never seen.
func (b *Book) drop(a *ask) {
	a.epoch.queued = nil
	for _, l := range a.lines {
		l.meter.refs--
		if l.meter.refs == 0 && l.meter.changed == 0 {
			b.removeMeter(l.meter)
		}
	}
}
