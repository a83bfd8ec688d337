package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Book is who has spent, holds and may still spend on the meters of one ledger
// key. It is the fold of that key's entries and of nothing else: no clock, no
// configuration, no randomness and no map's order reach it, so every reader of
// the log arrives at the same book.
//
// It is not safe for concurrent use; its keeper has the lock.
type Book struct {
	key     string
	offset  int64 // of the next entry to fold
	now     int64 // log time: the running maximum of append times, ns
	stopped error

	budgets   map[int64]*budget
	meters    map[journal.Meter]*meter
	epochs    map[journal.Epoch]*epoch
	forgotten map[journal.Epoch]int64 // epochs whose corrections ended → the offset that said so
	queue     []*ask                  // in log order
	adjusted  map[string]journal.Meter

	turn     uint64 // of serve, to mark blocked meters without a set
	aging    aging  // provisional charges, oldest first: known from the epochs
	folded   int64  // entries, to compare books at the same ones
	nextMark int64  // in entries folded
	marks    []mark // the last comparisons we can make; not part of the book
}

// NewBook is the book of a key of which nothing was ever said.
func NewBook(key string) *Book {
	return &Book{
		key: key, nextMark: markEvery, budgets: map[int64]*budget{}, meters: map[journal.Meter]*meter{},
		epochs: map[journal.Epoch]*epoch{}, forgotten: map[journal.Epoch]int64{}, adjusted: map[string]journal.Meter{},
	}
}

// Apply folds one entry. Money moves here and nowhere else. An entry that was
// folded before moves nothing; one that we cannot understand stops the book for
// good, because skipping it would make a book that differs from everyone else's.
func (b *Book) Apply(e journal.Entry) error {
	if b.stopped != nil {
		return b.stopped
	}
	if e.Offset < b.offset {
		return nil // Redelivered: the log is read at least once, the book counts once.
	}
	b.offset = e.Offset + 1
	b.now = max(b.now, e.At.UnixNano())

	err := b.fold(e)
	b.finish(e.Event)
	if err == nil {
		err = b.serve()
	}
	if err != nil {
		b.stopped = &StoppedError{Partition: e.Partition, Offset: e.Offset, Key: b.key, Why: err.Error()}
		return b.stopped
	}
	b.folded++
	b.mark()
	return nil
}

func (b *Book) fold(e journal.Entry) error {
	switch ev := e.Event.(type) {
	case journal.EpochStarted:
		b.epoch(ev.Epoch)
	case journal.Asked:
		b.ask(ev)
	case journal.AskCancelled:
		b.cancel(ev)
	case journal.Returned:
		return b.giveBack(ev)
	case journal.Settled:
		return b.settle(ev)
	case journal.Closed:
		return b.close(ev)
	case journal.EpochEnded:
		return b.endEpoch(ev)
	case journal.EpochForgotten:
		b.forgetEpoch(ev)
	case journal.LimitSet:
		return b.setLimit(ev)
	case journal.Adjusted:
		return b.adjust(ev)
	case journal.MetersForgotten:
		b.forgetMeters(ev)
	case journal.Checkpoint:
		return b.compare(ev)
	case journal.Reported:
		// Usage without a hold moves no money: the epoch that knows the call does.
	case journal.RulesRaised:
		if ev.Rules > journal.Rules {
			return fmt.Errorf("the log's rules were raised to %d and this program knows %d: run a newer one", ev.Rules, journal.Rules)
		}
	case journal.Unreadable:
		return fmt.Errorf("the entry cannot be read: %s", ev.Why)
	default:
		return fmt.Errorf("there is no rule for a %T", e.Event)
	}
	return nil
}

// ask puts an ask into the queue; serve grants it at once if it can. Asks are
// numbered by their epoch: one at or below the last seen is the same one again.
func (b *Book) ask(ev journal.Asked) {
	ep := b.epoch(ev.Epoch)
	if ep == nil || ep.ended || ev.N <= ep.lastAsk {
		return
	}
	ep.lastAsk = ev.N
	// One ask for each epoch and key: who asks anew has given up the last one.
	b.leaveQueue(ep)
	if !b.askable(ev) {
		return
	}
	a := &ask{epoch: ep, n: ev.N, ttl: ev.TTL, div: ev.Div, lines: make([]line, 0, len(ev.Asks))}
	for _, one := range ev.Asks {
		if b.Full(one.Meter) {
			b.drop(a) // A value too many. Its calls are to ask for the shared meter.
			return
		}
		m := b.meter(one.Meter)
		m.refs++
		a.lines = append(a.lines, line{meter: m, least: one.Least, want: max(one.Want, one.Least)})
	}
	ep.queued = a
	b.queue = append(b.queue, a)
}

// askable refuses, for good, what no fold could grant: amounts that are none, a
// meter asked twice, a budget nobody told us the limit of.
func (b *Book) askable(ev journal.Asked) bool {
	if len(ev.Asks) == 0 || ev.Div < 1 {
		return false
	}
	for i, one := range ev.Asks {
		if !valid(one.Least) || !valid(one.Want) || !b.budgets[one.Meter.Budget].told() {
			return false
		}
		for _, other := range ev.Asks[:i] {
			if other.Meter == one.Meter {
				return false
			}
		}
	}
	return true
}

// serve grants what the queue's asks can be granted, in log order, all meters of
// one ask or none. An ask that must wait blocks its meters for those behind it:
// without that, two asks for two meters each would starve each other.
func (b *Book) serve() error {
	if len(b.queue) == 0 {
		return nil
	}
	b.turn++
	waiting := b.queue[:0]
	for _, a := range b.queue {
		switch {
		case a.hopeless(b.now):
			b.drop(a)
		case a.blocked(b.turn) || !a.affordable(b.now):
			a.block(b.turn)
			waiting = append(waiting, a)
		default:
			if err := b.grant(a); err != nil {
				return err
			}
		}
	}
	clear(b.queue[len(waiting):])
	b.queue = waiting
	return nil
}

// grant makes a lease of an ask:
//
//	grant = max(least, min(want, ⌊available ÷ div⌋))   where available ≥ least
//
// A share alone, without least, would grant slices that pay for no call.
func (b *Book) grant(a *ask) error {
	l := &lease{n: a.n, ttl: a.ttl, draws: make([]draw, len(a.lines))}
	for i, one := range a.lines {
		amount := max(one.least, min(one.want, max(one.meter.available(b.now), 0)/a.div))
		l.draws[i] = draw{meter: one.meter, granted: amount, left: amount}
		if err := b.lend(one.meter, amount); err != nil {
			return err
		}
	}
	a.epoch.queued = nil
	a.epoch.leases[a.n] = l // The ask's references to its meters are the lease's now.
	b.dropEmpty(a.epoch, l)
	return nil
}

// cancel takes an ask out of the queue, or keeps one from entering it that is
// still on its way. Anyone may say it, so it never touches a lease: its holder
// may have spent it by now, and returns it by a word of its own.
func (b *Book) cancel(ev journal.AskCancelled) {
	ep := b.epoch(ev.Epoch)
	if ep == nil {
		return
	}
	if ep.queued != nil && ep.queued.n == ev.N {
		b.leaveQueue(ep)
	}
	ep.lastAsk = max(ep.lastAsk, ev.N)
}

// giveBack takes a holder's unused money back. Totals run, so that an entry that
// comes twice, or after a later one, moves nothing twice.
func (b *Book) giveBack(ev journal.Returned) error {
	ep := b.epochs[ev.Epoch]
	if ep == nil {
		return nil
	}
	l, d := ep.draw(ev.N, &ev.Meter, 0)
	if d == nil || ev.Total <= d.returned {
		return nil
	}
	if !valid(ev.Total) {
		return errAmount
	}
	amount := ev.Total - d.returned
	d.returned = ev.Total
	if err := b.release(l, d, amount); err != nil {
		return err
	}
	b.dropEmpty(ep, l)
	return nil
}

// settle replaces a hold by what the call cost.
func (b *Book) settle(ev journal.Settled) error {
	if err := checkSettled(ev); err != nil {
		return err
	}
	ep := b.epoch(ev.Hold.Epoch)
	if ep == nil {
		return nil // Forgotten: its corrections have ended.
	}
	known, settled := ep.settled.rank(ev.Hold.N)
	if settled && ev.Rank <= known {
		return nil
	}
	// By rule and by estimate we may learn better, so what was charged is kept.
	// For the provider's own figures one bit is enough.
	before := ep.settled.provisional[ev.Hold.N]
	var after []charged
	for i := range ev.Charges {
		done, err := b.settleCharge(ep, &ev.Charges[i], i, &before)
		if err != nil {
			return err
		}
		if ev.Rank < journal.RankExact {
			after = append(after, done)
		}
	}
	for _, old := range before.charges { // Meters that the better word does not name.
		if err := b.charge(old.meter, -old.amount, old.at); err != nil {
			return err
		}
		old.meter.refs--
	}
	ep.settled.put(ev.Hold.N, provisional{rank: ev.Rank, charges: after, offset: b.offset, since: b.now})
	if ev.Rank < journal.RankExact {
		b.aging.push(aged{ev.Hold, b.offset, b.now})
	}
	return nil
}

// settleCharge settles one meter of a hold. What was held goes back to the pool
// whatever the call cost; a cost above it is the meter's to bear and never another
// hold's. A charge that replaces a lower rank's moves only the difference, and
// counts when the first one did.
func (b *Book) settleCharge(ep *epoch, c *journal.Charge, i int, before *provisional) (charged, error) {
	if old, ok := before.take(c.Meter); ok {
		err := b.charge(old.meter, c.Actual-old.amount, old.at)
		old.meter.refs--
		old.amount = c.Actual
		return old, err
	}
	var m *meter
	at := b.now
	if l, d := ep.draw(c.Lease, &c.Meter, i); d == nil {
		m = b.payer(c.Meter)
	} else {
		m = d.meter
		freed := min(c.Held, d.leftOrSuspense(l))
		kept := min(c.Kept, max(freed-c.Actual, 0))
		if l.closed {
			kept = 0
			if c.Actual <= freed {
				// It replaces what counted since then. In a rolling window that may
				// have left, and been granted anew: to count it now would pass the limit.
				at = d.suspendedAt
			}
		}
		if err := b.release(l, d, freed-kept); err != nil {
			return charged{}, err
		}
		b.dropEmpty(ep, l)
	}
	return charged{meter: m, amount: c.Actual, at: at}, b.charge(m, c.Actual, at)
}

func checkSettled(ev journal.Settled) error {
	if ev.Rank < journal.RankRule || ev.Rank > journal.RankExact {
		return fmt.Errorf("there is no rank %d", ev.Rank)
	}
	if ev.Hold.N == 0 {
		return errors.New("a settlement names no hold")
	}
	for _, c := range ev.Charges {
		if !valid(c.Held) || !valid(c.Actual) || !valid(c.Kept) {
			return errAmount
		}
	}
	return nil
}

// close moves what is left of leases to suspense: charged by rule, until their
// holder's settlements take it out again. The entry carries no amounts, because a
// closer that computed them would free money that the holder, cut off or paused,
// has spent. Slots of a gauge are freed: a call charged by rule costs no slot.
func (b *Book) close(ev journal.Closed) error {
	ep := b.epochs[ev.Epoch]
	if ep == nil {
		return nil
	}
	for _, n := range ev.N {
		l := ep.leases[n]
		if l == nil || l.closed {
			continue
		}
		l.closed = true
		for i := range l.draws {
			if err := b.suspend(&l.draws[i]); err != nil {
				return err
			}
		}
		b.dropEmpty(ep, l)
	}
	return nil
}

// endEpoch frees all that an epoch had except its open holds. Who says it has
// read the epoch's own disk, or is an operator who answers for it.
func (b *Book) endEpoch(ev journal.EpochEnded) error {
	ep := b.epoch(ev.Epoch)
	if ep == nil {
		return nil
	}
	ep.ended = true
	b.leaveQueue(ep)
	open, err := ep.openOf(ev.Open)
	if err != nil {
		return err
	}
	for _, n := range ep.leaseNumbers() {
		l := ep.leases[n]
		for i := range l.draws {
			d := &l.draws[i]
			keep := min(open[drawKey{n, d.meter.name}], d.leftOrSuspense(l))
			if err := b.release(l, d, d.leftOrSuspense(l)-keep); err != nil {
				return err
			}
		}
		b.dropEmpty(ep, l)
	}
	return nil
}

// forgetEpoch ends the corrections of an epoch. What it still has in leases is
// charged for good.
func (b *Book) forgetEpoch(ev journal.EpochForgotten) {
	ep := b.epochs[ev.Epoch]
	if ep == nil || !ep.idle() || b.now-ep.changedAt <= int64(forgetEpochs) {
		return
	}
	b.leaveQueue(ep)
	for _, n := range ep.leaseNumbers() {
		l := ep.leases[n]
		for i := range l.draws {
			d := &l.draws[i]
			d.meter.suspense -= d.suspense
			d.suspense = 0
		}
		b.dropEmpty(ep, l)
	}
	for _, p := range ep.settled.provisional {
		for _, c := range p.charges {
			c.meter.refs--
		}
	}
	delete(b.epochs, ev.Epoch)
	b.forgotten[ev.Epoch] = b.offset
	b.forgetOldest()
}

// setLimit learns a budget's newest amount. Unit and window are the incarnation's
// and never change; the first word on them stands.
func (b *Book) setLimit(ev journal.LimitSet) error {
	if !valid(ev.Amount) {
		return errAmount
	}
	bu := b.budgets[ev.Budget]
	switch {
	case bu == nil:
		b.budgets[ev.Budget] = &budget{id: ev.Budget, unit: ev.Unit, window: ev.Window, version: ev.Version,
			limit: ev.Amount, maxValues: ev.MaxValues, values: map[string]int64{}, changed: b.offset}
	case !bu.told():
		bu.unit, bu.window, bu.version = ev.Unit, ev.Window, ev.Version
		bu.limit, bu.maxValues, bu.changed = ev.Amount, ev.MaxValues, b.offset
		return b.recount(bu)
	case ev.Version > bu.version && ev.Unit == bu.unit && ev.Window == bu.window:
		bu.version, bu.limit, bu.maxValues = ev.Version, ev.Amount, ev.MaxValues
		bu.changed = b.offset
	}
	return nil
}

// adjust moves what is spent on one meter by an operator's word, once for its id.
func (b *Book) adjust(ev journal.Adjusted) error {
	if _, again := b.adjusted[ev.ID]; again || !b.budgets[ev.Meter.Budget].told() {
		return nil
	}
	m := b.payer(ev.Meter)
	if err := b.charge(m, -ev.Amount, b.now); err != nil {
		return err
	}
	b.adjusted[ev.ID] = m.name
	m.adjusted = saturate(m.adjusted, ev.Amount)
	return nil
}

// forgetMeters drops meters that nothing was said of since an offset, and of
// which nothing can come any more, by log time.
func (b *Book) forgetMeters(ev journal.MetersForgotten) {
	for _, name := range ev.Meters {
		m := b.meters[name]
		if m == nil || m.changed >= ev.Offset || m.refs > 0 || m.outstanding != 0 || m.suspense != 0 || !m.forgettable(b.now) {
			continue
		}
		b.removeMeter(m)
		for id, adjusted := range b.adjusted {
			if adjusted == name {
				delete(b.adjusted, id)
			}
		}
	}
}

// The four moves. Every change of a meter's money is one of them.

// charge counts a cost, or takes it back when it is negative.
func (b *Book) charge(m *meter, amount, at int64) error {
	if err := m.tally.charge(amount, at); err != nil {
		return fmt.Errorf("charge meter of budget %d: %w", m.name.Budget, err)
	}
	b.touch(m)
	return nil
}

// lend adds to what is out in leases.
func (b *Book) lend(m *meter, amount int64) (err error) {
	b.touch(m)
	m.outstanding, err = add(m.outstanding, amount)
	return err
}

// release takes money out of a lease: back to the pool, or, when the lease was
// closed, out of suspense.
func (b *Book) release(l *lease, d *draw, amount int64) error {
	amount = min(amount, d.leftOrSuspense(l))
	if !l.closed {
		d.left -= amount
		return b.lend(d.meter, -amount)
	}
	d.suspense -= amount
	d.meter.suspense -= amount
	return b.charge(d.meter, -amount, d.suspendedAt)
}

// suspend charges what is left of a lease's draw by rule.
func (b *Book) suspend(d *draw) error {
	amount := d.left
	d.left = 0
	if err := b.lend(d.meter, -amount); err != nil {
		return err
	}
	if d.meter.name.Unit == journal.UnitConcurrent {
		return nil
	}
	d.suspense, d.suspendedAt = amount, b.now
	d.meter.suspense += amount
	return b.charge(d.meter, amount, b.now)
}

func (b *Book) touch(m *meter) { m.changed, m.changedAt = b.offset, b.now }

// Key is the ledger key whose book this is.
func (b *Book) Key() string { return b.key }

// Offset is that of the next entry to fold.
func (b *Book) Offset() int64 { return b.offset }

// LogTime is the running maximum of the append times folded.
func (b *Book) LogTime() time.Time { return time.Unix(0, b.now).UTC() }

// Meter is one meter's balance; false when nothing was ever said of it, which
// means that all of its budget's limit is there.
func (b *Book) Meter(name journal.Meter) (Balance, bool) {
	m := b.meters[name]
	if m == nil {
		return Balance{}, false
	}
	return m.balance(b.now), true
}
