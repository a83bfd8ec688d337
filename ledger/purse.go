package ledger

import (
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// purse is one key as this replica knows it: its book, and what is in hand.
type purse struct {
	key       string
	partition int32
	book      *Book
	started   bool // EpochStarted is appended, or on its way
	lastAsk   uint64
	lastHold  uint64
	leases    map[uint64]*ownLease
	hands     map[journal.Meter]*hand
	flight    *flight
	alone     bool           // the next ask is for the first waiter only
	line      []*waiter      // with a demand here, first come first
	lined     map[*hand]bool // with calls in line
	callers   int            // that wait and have their home here
	outbox    []journal.Event
	told      map[int64]int64 // budget → version of the LimitSet that is on its way
	checked   time.Time       // when we last appended a Checkpoint
	forgot    time.Time       // when we last looked for what to forget
}

// ownLease is a lease of ours.
type ownLease struct {
	n       uint64
	expires time.Time // nothing is held from it afterwards
	draws   []ownDraw // in the ask's order
}

// ownDraw is a lease's money on one meter, as its holder counts it.
type ownDraw struct {
	lease    *ownLease
	position int
	hand     *hand
	free     int64 // in hand: neither held nor returned
	returned int64 // running total
}

// hand is what we have of one meter, in all leases.
type hand struct {
	meter   journal.Meter
	entry   *meter     // the book's; nil until somebody looked it up there
	draws   []*ownDraw // with anything free, oldest first
	used    time.Time
	rate    rate
	refusal refusal

	waiting  int       // calls that wait for it, or would take it
	line     []*waiter // those, first come first
	wanted   []*waiter // of those, the ones that wait for a candidate that needs it
	choosers int       // of those, the ones with another candidate
	sample   *Demand   // of one of them
	largest  int64     // no less than any of them needs at least
	seen     print     // when they last looked
	again    *rescan   // they are looking again
	stuck    uint64    // the turn in which it could not be asked for
}

// refusal is what is remembered of a no, until the fold changes the meter: a
// budget with nothing to give costs no log entries.
type refusal struct {
	least   int64 // asks for as much or more would be refused again
	changed int64 // of the meter, then
	unspent int64 // of the meter, then: time alone changes it in a rolling window
	limited int64 // of the budget, then
}

// flight is the ask that is on its way: appended and not read back, or queued.
type flight struct {
	n       uint64
	lines   []journal.Ask
	since   time.Time // before it was appended
	alone   bool      // it asks for one call only
	queued  bool      // read back, and waiting in the book
	givenUp bool      // its AskCancelled is on its way
}

// purse finds a key's purse or begins it.
func (k *Keeper) purse(key string) *purse {
	p := k.purses[key]
	if p == nil {
		p = newPurse(key, k.journal.PartitionFor(journal.TopicLedger, key), NewBook(key))
		k.purses[key] = p
	}
	return p
}

func newPurse(key string, partition int32, book *Book) *purse {
	return &purse{key: key, partition: partition, book: book,
		leases: map[uint64]*ownLease{}, hands: map[journal.Meter]*hand{}, lined: map[*hand]bool{}, told: map[int64]int64{}}
}

func (p *purse) hand(m journal.Meter) *hand {
	h := p.hands[m]
	if h == nil {
		h = &hand{meter: m}
		p.hands[m] = h
	}
	return h
}

// at is the hand that a demand on a meter counts on: its own, or the one that
// values over max_values share.
func (p *purse) at(m journal.Meter) *hand {
	if h := p.hands[m]; h != nil && p.entry(h) != nil {
		return h
	}
	if p.book.Full(m) {
		m.Per = OthersPer
	}
	return p.hand(m)
}

// entry is the book's meter behind a hand; nil while nothing was said of it.
func (p *purse) entry(h *hand) *meter {
	if h.entry == nil || h.entry.gone {
		h.entry = p.book.meters[h.meter]
	}
	return h.entry
}

// most is the draw with the most in hand, among leases that may be held from.
func (h *hand) most(now time.Time) *ownDraw {
	var best *ownDraw
	for _, d := range h.draws {
		if d.free > 0 && now.Before(d.lease.expires) && (best == nil || d.free > best.free) {
			best = d
		}
	}
	return best
}

// pick is the oldest draw that an amount can be held from.
func (h *hand) pick(amount int64, now time.Time) *ownDraw {
	for _, d := range h.draws {
		if d.free >= amount && now.Before(d.lease.expires) {
			return d
		}
	}
	return nil
}

// free is all that is in hand, whatever its lease's age.
func (h *hand) free() (sum int64) {
	for _, d := range h.draws {
		sum = saturate(sum, d.free)
	}
	return sum
}

// giveUp returns everything that is in hand of a meter.
func (p *purse) giveUp(h *hand) {
	for _, d := range h.draws {
		p.giveBack(d)
	}
	h.draws = nil
}

// giveBack returns what is free of one draw.
func (p *purse) giveBack(d *ownDraw) {
	if d.free == 0 {
		return
	}
	d.returned += d.free
	d.free = 0
	p.outbox = append(p.outbox, journal.Returned{N: d.lease.n, Meter: d.hand.meter, Total: d.returned})
}

// limit brings the book's limit of a budget up to what the registry says now. It
// returns that amount and whether the book has it. A lowered amount takes effect
// before anything else is held on the budget: what is in hand goes back.
func (k *Keeper) limit(p *purse, d *Demand) (amount int64, known bool) {
	newest := d.Budget
	if k.limits != nil {
		if b, ok := k.limits.BudgetByIncarnation(d.Budget.Incarnation); ok && b.Version >= newest.Version {
			newest = b
		}
	}
	bu := p.book.budgets[newest.Incarnation]
	if bu.told() && (bu.version >= newest.Version || (bu.limit == newest.Amount && bu.maxValues == newest.MaxValues)) {
		return bu.limit, true
	}
	if bu.told() && newest.Amount < bu.limit {
		p.giveUpBudget(newest.Incarnation)
	}
	p.tell(newest)
	k.wake()
	return newest.Amount, false
}

// tell appends a budget's limit for the book, once for each version.
func (p *purse) tell(b *registry.Budget) {
	if version, onItsWay := p.told[b.Incarnation]; onItsWay && version >= b.Version {
		return
	}
	p.told[b.Incarnation] = b.Version
	p.outbox = append(p.outbox, journal.LimitSet{Budget: b.Incarnation, Version: b.Version, Unit: b.Unit, Window: b.Window,
		MaxValues: b.MaxValues, Amount: b.Amount})
}

func (p *purse) giveUpBudget(incarnation int64) {
	var held []*hand
	for m, h := range p.hands {
		if m.Budget == incarnation && len(h.draws) > 0 {
			held = append(held, h)
		}
	}
	slices.SortFunc(held, func(a, b *hand) int { return compareMeters(a.meter, b.meter) })
	for _, h := range held {
		p.giveUp(h)
	}
}

// readBack acts on our own entries as the log has them: only then are they true.
// It reports whether our epoch was ended by somebody else.
func (k *Keeper) readBack(p *purse, ev journal.Event) (ended bool) {
	switch ev := ev.(type) {
	case journal.Asked:
		if ev.Epoch == k.cfg.Epoch {
			k.install(p, ev.N)
		}
	case journal.Closed:
		if ev.Epoch == k.cfg.Epoch {
			// Others took us for dead. What was held stays held; what is free goes
			// back, out of suspense.
			for _, n := range ev.N {
				if l := p.leases[n]; l != nil {
					l.expires = time.Time{}
					p.giveBackLease(l)
				}
			}
		}
	case journal.EpochEnded:
		return ev.Epoch == k.cfg.Epoch
	case journal.LimitSet:
		delete(p.told, ev.Budget)
	}
	return false
}

func (p *purse) giveBackLease(l *ownLease) {
	for i := range l.draws {
		d := &l.draws[i]
		p.giveBack(d)
		d.hand.draws = slices.DeleteFunc(d.hand.draws, func(o *ownDraw) bool { return o == d })
	}
}

// install takes a lease in hand that the fold granted. One that is read back when
// it is not expected any more, or too late, is returned at once.
func (k *Keeper) install(p *purse, n uint64) {
	ep := p.book.epochs[k.cfg.Epoch]
	if ep == nil || ep.leases[n] == nil || p.leases[n] != nil {
		return
	}
	granted := ep.leases[n]
	l := &ownLease{n: n, draws: make([]ownDraw, len(granted.draws))}
	if f := p.flight; f != nil && f.n == n {
		l.expires = f.since.Add(k.cfg.LeaseTTL)
		k.landed(p)
		if f.alone && !f.queued {
			p.alone = false // The meters are not fought over any more.
		}
	}
	p.leases[n] = l
	for i := range granted.draws {
		h := p.hand(granted.draws[i].meter.name)
		l.draws[i] = ownDraw{lease: l, position: i, hand: h, free: granted.draws[i].left}
		if !granted.closed && l.draws[i].free > 0 {
			h.draws = append(h.draws, &l.draws[i])
		}
	}
	if granted.closed {
		for i := range granted.draws {
			l.draws[i].free = granted.draws[i].suspense
		}
	}
	if granted.closed || !k.now().Before(l.expires) {
		p.giveBackLease(l)
	}
}

// checkFlight learns what became of our ask.
func (k *Keeper) checkFlight(p *purse) {
	f := p.flight
	if f == nil {
		return
	}
	ep := p.book.epochs[k.cfg.Epoch]
	switch {
	case ep == nil || ep.lastAsk < f.n:
		return // Not read back yet.
	case ep.queued != nil && ep.queued.n == f.n:
		// Nobody but the first waits well in a queue: what is for others would
		// keep its turn from coming.
		if f.queued = true; !f.alone && !f.givenUp {
			k.abandon(p)
			p.alone = true
		}
	case ep.leases[f.n] != nil:
		k.install(p, f.n) // Granted later, by an entry that freed money.
	default:
		k.landed(p)
		p.alone = p.alone || !f.alone
		if !f.givenUp && f.alone {
			p.rememberRefusal(f)
		}
	}
}

// abandon cancels the ask in flight; it stays in flight until that is read back.
func (k *Keeper) abandon(p *purse) {
	p.flight.givenUp = true
	p.outbox = append(p.outbox, journal.AskCancelled{N: p.flight.n})
	k.wake()
}

// rememberRefusal remembers which of an ask's meters could not give their least.
func (p *purse) rememberRefusal(f *flight) {
	for _, line := range f.lines {
		m := p.book.meters[line.Meter]
		bu := p.book.budgets[line.Meter.Budget]
		if m == nil || line.Least <= m.available(p.book.now) {
			continue // It was another meter's fault.
		}
		p.hand(line.Meter).refusal = refusal{least: line.Least, changed: m.changed, limited: bu.changed}
	}
}

// refused reports whether an ask for this much was refused, and nothing changed
// on the meter since.
func (p *purse) refused(h *hand, least, unspent int64) bool {
	r := &h.refusal
	if r.least == 0 || least < r.least {
		return false
	}
	var changed, limited int64
	if m := p.entry(h); m != nil {
		changed = m.changed
	}
	if bu := p.book.budgets[h.meter.Budget]; bu != nil {
		limited = bu.changed
	}
	if r.unspent == 0 {
		r.unspent = unspent
	}
	if changed != r.changed || limited != r.limited || unspent != r.unspent {
		h.refusal = refusal{}
		return false
	}
	return true
}
