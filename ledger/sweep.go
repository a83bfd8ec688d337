package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// sweepEvery is how often the keeper looks at what only time changes.
const sweepEvery = 100 * time.Millisecond

// Others' asks and leases are given up for them when their process must be gone:
// an ask after the longest wait of a call and this much more, a lease after its
// ttl, the longest call and this much more.
const (
	askGrace   = 2 * time.Second
	leaseGrace = 30 * time.Second
)

// foreignKey is something of another epoch that we watch.
type foreignKey struct {
	key   string
	epoch journal.Epoch
	n     uint64
	ask   bool
}

// sweeper does what nobody calls for: it returns old and idle money, and gives up
// what dead processes left behind.
func (k *Keeper) sweeper(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.sweep()
		}
	}
}

func (k *Keeper) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	seen := map[foreignKey]bool{}
	for _, p := range k.purses {
		p.returnOld(now, k.cfg.IdleAfter)
		k.forgetLeases(p)
		k.askNextWindows(p, now)
		k.forgetOld(p, now)
		k.watchForeign(p, now, seen)
		if cp, ok := p.book.unsaid(); ok && now.Sub(p.checked) > checkpointEvery {
			p.checked = now
			p.outbox = append(p.outbox, cp)
		}
		if len(p.outbox) > 0 {
			k.wake()
		}
	}
	for key := range k.foreign {
		if !seen[key] {
			delete(k.foreign, key)
		}
	}
	k.serveWaiters() // Rolling windows move by time alone.
}

// checkpointEvery spaces a key's Checkpoint entries.
const checkpointEvery = 10 * time.Second

// returnOld returns what is in hand of leases past their ttl, and of meters that
// nobody asked for of late.
func (p *purse) returnOld(now time.Time, idleAfter time.Duration) {
	for _, h := range p.hands {
		idle := now.Sub(h.used) >= idleAfter && h.waiting == 0
		h.draws = slices.DeleteFunc(h.draws, func(d *ownDraw) bool {
			if idle || !now.Before(d.lease.expires) {
				p.giveBack(d)
			}
			return d.free == 0
		})
		if len(h.draws) == 0 && h.waiting == 0 && now.Sub(h.used) >= idleAfter {
			// What it remembers of a refusal goes too: else it and its meter would stay.
			delete(p.hands, h.meter)
		}
	}
}

// forgetLeases drops our record of leases that the book has done with.
func (k *Keeper) forgetLeases(p *purse) {
	ep := p.book.epochs[k.cfg.Epoch]
	for n, l := range p.leases {
		if ep != nil && ep.leases[n] != nil {
			continue
		}
		for i := range l.draws {
			d := &l.draws[i]
			d.free = 0
			d.hand.draws = slices.DeleteFunc(d.hand.draws, func(o *ownDraw) bool { return o == d })
		}
		delete(p.leases, n)
	}
}

// watchForeign gives up, after their time, asks and leases of other epochs. The
// time is our own monotonic clock's since we first saw them, and each replica's
// grace is a little different, so that one of them speaks first.
func (k *Keeper) watchForeign(p *purse, now time.Time, seen map[foreignKey]bool) {
	jitter := time.Duration(k.cfg.Epoch[0]) * 20 * time.Millisecond
	overdue := func(key foreignKey, after time.Duration) bool {
		seen[key] = true
		since, known := k.foreign[key]
		if !known {
			k.foreign[key] = now
			return false
		}
		if now.Sub(since) < after+jitter {
			return false
		}
		k.foreign[key] = now // Said once; again only after as long.
		return true
	}
	for id, ep := range p.book.epochs {
		if id == k.cfg.Epoch {
			continue
		}
		if a := ep.queued; a != nil && overdue(foreignKey{p.key, id, a.n, true}, k.cfg.LeaseWait+k.cfg.HoldWait+askGrace) {
			p.outbox = append(p.outbox, journal.AskCancelled{Epoch: id, N: a.n})
		}
		var closed []uint64
		for n, l := range ep.leases {
			if !l.closed && overdue(foreignKey{p.key, id, n, false}, l.ttl+k.cfg.HoldTTL+leaseGrace) {
				closed = append(closed, n)
			}
		}
		if len(closed) > 0 {
			slices.Sort(closed)
			p.outbox = append(p.outbox, journal.Closed{Epoch: id, N: closed})
		}
	}
}

const (
	forgetEvery   = time.Minute
	forgetMost    = 500    // meters an entry
	forgetBatch   = 20     // entries a time
	forgetScanned = 20_000 // meters a time
)

// forgetOld says what the book may forget. It looks at a bounded part of the
// meters each time; which part is the map's chance. It says nothing when the clock
// jumped, and what it says the book believes by log time only.
func (k *Keeper) forgetOld(p *purse, now time.Time) {
	if now.Sub(p.forgot) < forgetEvery {
		return
	}
	p.forgot = now
	if !k.steady(now) {
		return
	}
	var old []journal.Meter
	scanned := 0
	for name, m := range p.book.meters {
		if scanned++; scanned > forgetScanned || len(old) == forgetMost*forgetBatch {
			break
		}
		if m.refs == 0 && p.hands[name] == nil && m.forgettable(now.UnixNano()) {
			old = append(old, name)
		}
	}
	slices.SortFunc(old, compareMeters)
	for meters := range slices.Chunk(old, forgetMost) {
		p.outbox = append(p.outbox, journal.MetersForgotten{Meters: meters, Offset: p.book.offset})
	}
	if len(old) == 0 && p.book.ripe(now.UnixNano()) {
		// It names none, but moves log time where nobody calls any more, so that
		// charges become final and their meters may be named the next time.
		p.outbox = append(p.outbox, journal.MetersForgotten{Offset: p.book.offset})
	}
	for id, ep := range p.book.epochs {
		if ep.ended && len(ep.leases) == 0 && now.UnixNano()-ep.changedAt > int64(forgetEpochs) {
			p.outbox = append(p.outbox, journal.EpochForgotten{Epoch: id})
		}
	}
}

// Shutdown returns what is in hand and writes the snapshot. Run must have ended.
func (k *Keeper) Shutdown(ctx context.Context) error {
	k.mu.Lock()
	for _, p := range k.purses {
		for _, h := range p.hands {
			p.giveUp(h)
		}
		p.giveUpFlight()
	}
	k.mu.Unlock()
	flushed := k.flush(ctx)
	if err := k.saveSnapshot(); err != nil {
		return err
	}
	if err := k.disk.close(); err != nil {
		return err
	}
	return flushed
}

// giveUpFlight returns what an ask on its way may still be granted: nobody is
// there to read it back, and without a word it would stay out until its ttl and
// then be charged. Nothing was held from it, so all of it goes back; an ask that
// is not in the log yet is kept from entering.
func (p *purse) giveUpFlight() {
	if p.flight == nil {
		return
	}
	p.outbox = append(p.outbox, journal.AskCancelled{N: p.flight.n})
	for _, line := range p.flight.lines {
		p.outbox = append(p.outbox, journal.Returned{N: p.flight.n, Meter: line.Meter, Total: amountMost})
	}
	p.flight = nil
}
