package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// shareOf is the largest part of what is available that one ask takes beyond its
// least: a half, so that two replicas that ask at once both get some.
const shareOf = 2

// aheadFor is for how long what is asked ahead should last, at the rate of late.
const aheadFor = 2 * time.Second

// linesMost bounds the meters of one ask.
const linesMost = 256

// askForWaiters asks the log for what the calls in line miss: for the first, what
// it must have; for the others what they would like, on meters that can give it.
// One ask is in flight for each key. Of a call's keys the tenant's comes first, so
// that nothing shared is tied up by a call that its tenant cannot pay.
//
// It looks at the calls in the lines of these purses, and at those that have just
// looked in vain; who stands behind one that cannot be asked for is passed over.
func (k *Keeper) askForWaiters(purses map[*purse]bool, now time.Time) {
	asks := map[*purse]*asking{}
	for p := range purses {
		if p.flight != nil {
			continue
		}
		seen := 0
		for _, w := range p.line {
			if w.sought == k.turn || w.stuck(k.turn) {
				continue
			}
			if seen++; seen > callersMost {
				break
			}
			k.askFor(w, asks, now)
		}
	}
	for _, w := range k.looked {
		if w.queued && w.sought != k.turn {
			k.askFor(w, asks, now)
		}
	}
	for p, a := range asks { // Each purse by itself: the order does not matter.
		k.sendAsk(p, a, now)
	}
}

// callersMost bounds the calls that one ask is for: those behind them ask when it
// has landed.
const callersMost = 256

// askFor adds what one call misses to the asks.
func (k *Keeper) askFor(w *waiter, asks map[*purse]*asking, now time.Time) {
	w.sought = k.turn
	p, missing, exact := k.missing(w, now)
	switch {
	case p == nil && len(missing) == 0: // It stands behind somebody.
		for _, h := range w.wants {
			h.stuck = k.turn
		}
		return
	case p == nil || p.flight != nil:
		for _, m := range missing {
			if p == nil || p.flight.queued {
				m.hand.stuck = k.turn
			}
		}
		return
	}
	a := asks[p]
	if a == nil {
		a = &asking{alone: exact}
		asks[p] = a
	} else if p.alone {
		missing = a.shared(missing)
	}
	for _, m := range missing {
		a.add(p, m)
	}
	a.callers++
	w.asked = true
}

// stuck: in this turn somebody before the call could not be asked for.
func (w *waiter) stuck(turn uint64) bool {
	return slices.ContainsFunc(w.wants, func(h *hand) bool { return h.stuck == turn })
}

// asking is an ask in the making.
type asking struct {
	lines   []journal.Ask
	callers int
	alone   bool // for the first call only, and its least is its floor
}

// shared keeps of what a later call lacks the meters that the first asks for
// anyway.
func (a *asking) shared(missing []lack) []lack {
	return slices.DeleteFunc(missing, func(m lack) bool { return a.line(m.hand.meter) < 0 })
}

func (a *asking) line(name journal.Meter) int {
	return slices.IndexFunc(a.lines, func(l journal.Ask) bool { return l.Meter == name })
}

// add asks for a meter, or for more of it.
func (a *asking) add(p *purse, m lack) {
	if i := a.line(m.hand.meter); i >= 0 {
		a.lines[i].Want = saturate(a.lines[i].Want, m.want)
		return
	}
	if a.callers > 0 {
		if len(a.lines) >= linesMost || p.poor(m) {
			return
		}
		a.alone = false
	}
	a.lines = append(a.lines, journal.Ask{Meter: m.hand.meter, Least: m.least, Want: m.want})
}

// lack is what a call misses on one meter.
type lack struct {
	hand  *hand
	least int64
	want  int64
}

// missing is what a call misses on the first of its keys where it misses
// anything; nothing when an ask for it would be refused as the last one was. It
// is exact when the least is what the call's floor costs. Without a purse it is
// where such an ask was refused.
func (k *Keeper) missing(w *waiter, now time.Time) (*purse, []lack, bool) {
	_, output := k.lookAt(w.req, w.prefer, now, stance{waits: true})
	if output < w.req.Floor || k.lonely(w) {
		output = w.req.Floor
	}
	demands := w.req.Candidates[w.prefer].Demands
	for _, shared := range [...]bool{false, true} {
		var p *purse
		var lacks []lack
		for j := range demands {
			d := &demands[j]
			if !d.enforced() || (d.Key == journal.SharedKey) != shared {
				continue
			}
			least, _ := d.Amount(output)
			most, _ := d.Amount(w.req.Want)
			p = k.purse(d.Key)
			h := p.at(d.Meter)
			// A limit that is on its way stands in the log before the ask.
			if _, known := k.limit(p, d); known {
				if least == 0 || h.pick(least, now) != nil {
					continue
				}
				unspent, _ := k.balance(p, h, d, now)
				if p.refused(h, least, unspent) {
					return nil, []lack{{hand: h}}, false
				}
			}
			lacks = append(lacks, lack{hand: h, least: least, want: max(least, most)})
		}
		if len(lacks) > 0 {
			return p, lacks, output == w.req.Floor
		}
	}
	return nil, nil, false
}

// lonely: the last ask for one of the call's keys had to queue, so this one asks
// for no more than it must.
func (k *Keeper) lonely(w *waiter) bool {
	return slices.ContainsFunc(w.req.Candidates[w.prefer].Demands, func(d Demand) bool { return k.purse(d.Key).alone })
}

// poor reports whether a meter may not be able to give what a call behind the
// first one lacks: then the first must not be made to wait for it.
func (p *purse) poor(m lack) bool {
	if entry := p.entry(m.hand); entry != nil {
		return entry.available(p.book.now) < m.least
	}
	bu := p.book.budgets[m.hand.meter.Budget]
	return !bu.told() || bu.limit < m.least
}

// sendAsk puts an ask on its way. What is in hand of its meters is too little for
// one hold, and goes back first, in the same breath: a hold on one meter is from
// one lease.
func (k *Keeper) sendAsk(p *purse, a *asking, now time.Time) {
	for i, line := range a.lines {
		h := p.hand(line.Meter)
		p.giveUp(h)
		if !p.contended(line.Meter) && !p.alone {
			a.lines[i].Want = saturate(line.Want, h.rate.expect(aheadFor, now))
		}
	}
	k.ask(p, a.lines, a.alone, now)
}

// ask puts an ask on its way; until it is read back there is no other.
func (k *Keeper) ask(p *purse, lines []journal.Ask, alone bool, now time.Time) {
	p.lastAsk++
	p.flight = &flight{n: p.lastAsk, lines: lines, since: now, alone: alone}
	k.flying[p] = true
	p.outbox = append(p.outbox, journal.Asked{N: p.lastAsk, TTL: k.cfg.LeaseTTL, Div: shareOf, Asks: lines})
	k.wake()
}

// landed ends an ask's flight.
func (k *Keeper) landed(p *purse) {
	p.flight = nil
	delete(k.flying, p)
}

// askAhead asks for more before what is in hand is used up, at the rate of late.
func (k *Keeper) askAhead(p *purse, h *hand, d *Demand, now time.Time) {
	if p.flight != nil || len(p.line) > 0 {
		return
	}
	expect := h.rate.expect(aheadFor, now)
	if expect == 0 || h.free() > expect/2 || p.contended(h.meter) {
		return
	}
	_, pool := k.balance(p, h, d, now)
	if pool < expect/2 {
		return // Near the end of a budget nothing is taken for later.
	}
	k.ask(p, []journal.Ask{{Meter: h.meter, Least: 0, Want: expect}}, true, now)
}

// aheadOfWindow is how long before a calendar window begins its leases are asked
// for.
const aheadOfWindow = 3 * time.Second

// askNextWindows asks for what will be needed when a calendar window ends, so that
// its first calls need not wait.
func (k *Keeper) askNextWindows(p *purse, now time.Time) {
	if p.flight != nil || len(p.line) > 0 {
		return
	}
	var lines []journal.Ask
	for m, h := range p.hands {
		bu := p.book.budgets[m.Budget]
		expect := h.rate.expect(aheadFor, now)
		if !bu.told() || bu.window.Every == 0 || expect == 0 || len(lines) == linesMost {
			continue
		}
		label, _, end, err := Label(bu.window, bu.unit, now)
		if err != nil || label != m.Label || end.Sub(now) > aheadOfWindow {
			continue
		}
		next := m
		if next.Label, _, _, err = Label(bu.window, bu.unit, end); err != nil {
			continue
		}
		if p.hands[next] == nil && !p.book.Full(next) {
			lines = append(lines, journal.Ask{Meter: next, Least: 0, Want: expect})
		}
	}
	if len(lines) == 0 {
		return
	}
	for _, line := range lines {
		p.hand(line.Meter).used = now
	}
	k.ask(p, lines, true, now)
}

// contended: somebody waits for the meter in the book.
func (p *purse) contended(name journal.Meter) bool {
	for _, a := range p.book.queue {
		if slices.ContainsFunc(a.lines, func(l line) bool { return l.meter.name == name }) {
			return true
		}
	}
	return false
}

// yieldContended returns what is in hand of meters that somebody waits for. The
// calls of ours that could use it have been served before.
func (k *Keeper) yieldContended(p *purse) {
	for _, a := range p.book.queue {
		for _, l := range a.lines {
			if h := p.hands[l.meter.name]; h != nil && len(h.draws) > 0 {
				p.giveUp(h)
				k.wake()
			}
		}
	}
}

// cancelUnwanted takes our ask out of the queue when no call waits for it.
func (k *Keeper) cancelUnwanted() {
	for p := range k.flying {
		if f := p.flight; !f.queued || f.givenUp || p.wanted(f) {
			continue
		}
		p.rememberRefusal(p.flight)
		k.abandon(p)
	}
}

// wanted: there may be a call that waits for all of what an ask is for. With a
// meter in it that nobody waits for, it was for one that has gone.
func (p *purse) wanted(f *flight) bool {
	return !slices.ContainsFunc(f.lines, func(l journal.Ask) bool { return p.hand(l.Meter).waiting == 0 })
}

// flushRetry is the pause after an append that failed.
const flushRetry = 100 * time.Millisecond

// flusher appends what the purses have to say. It is one goroutine, so what one
// key says stays in order; what failed is said again, the same entries. It does
// not linger: what comes while an append is under way goes with the next one.
func (k *Keeper) flusher(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.kick:
		}
		if err := k.flush(ctx); err != nil {
			if ctx.Err() == nil {
				k.log.Warn("appending to the ledger's log failed; trying again", "error", err)
			}
			if !pause(ctx, flushRetry) {
				return
			}
			k.wake()
		}
	}
}

// flush appends the outboxes.
func (k *Keeper) flush(ctx context.Context) error {
	k.mu.Lock()
	records, from := k.gather()
	k.mu.Unlock()
	if len(records) == 0 {
		return nil
	}
	err := k.journal.Append(ctx, records...)
	if err == nil {
		return nil
	}
	// Not to know is to say it again: every entry is known by what it carries.
	k.mu.Lock()
	defer k.mu.Unlock()
	for p, n := range from {
		var again []journal.Event
		for _, r := range records {
			if r.Key == p.key && len(again) < n {
				again = append(again, r.Event)
			}
		}
		p.outbox = append(again, p.outbox...)
	}
	return err
}

// gather empties the outboxes into records of ours.
func (k *Keeper) gather() ([]journal.Record, map[*purse]int) {
	var records []journal.Record
	from := map[*purse]int{}
	keys := make([]string, 0, len(k.purses))
	for key, p := range k.purses {
		if len(p.outbox) > 0 {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		p := k.purses[key]
		if !p.started {
			p.started = true
			p.outbox = append([]journal.Event{journal.EpochStarted{}}, p.outbox...)
		}
		for _, ev := range p.outbox {
			records = append(records, journal.Record{Topic: journal.TopicLedger, Key: key, Event: k.signed(ev)})
		}
		from[p] = len(p.outbox)
		p.outbox = nil
	}
	return records, from
}

// signed fills in our epoch where an entry of ours has none yet.
func (k *Keeper) signed(ev journal.Event) journal.Event {
	us := k.cfg.Epoch
	switch ev := ev.(type) {
	case journal.EpochStarted:
		ev.Epoch = us
		return ev
	case journal.Asked:
		ev.Epoch = us
		return ev
	case journal.AskCancelled:
		if ev.Epoch.IsZero() {
			ev.Epoch = us
		}
		return ev
	case journal.Returned:
		ev.Epoch = us
		return ev
	}
	return ev
}
