package ledger

import (
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// shortages lists what a refused call lacks, each meter once. While one candidate
// is only held by others, or the log was late with it, only such candidates are
// named: what is spent on another one is not why the call cannot be had, and a
// caller told so would give up where it need only wait. When all are hopeless,
// all that is lacking on any of them is.
func (k *Keeper) shortages(req *HoldRequest, now time.Time) []Shortage {
	var short []Shortage
	hopeless := true
	seen := map[journal.Meter]bool{}
	for i := range req.Candidates {
		lacking, spent := k.lacking(req, &req.Candidates[i], now)
		if spent && !hopeless {
			continue
		}
		if !spent && hopeless {
			hopeless, short = false, nil
			clear(seen)
		}
		for _, sh := range lacking {
			if !seen[sh.Demand.Meter] {
				seen[sh.Demand.Meter] = true
				short = append(short, sh)
			}
		}
	}
	return short
}

// lacking lists what a call lacks on one candidate, and reports whether any of it
// is spent. A candidate that lacks nothing could have been had, had the log
// answered in time: its first meter is named, so that the caller is told of the
// place it could have gone and not only of those that are full.
func (k *Keeper) lacking(req *HoldRequest, c *Candidate, now time.Time) (short []Shortage, spent bool) {
	for j := range c.Demands {
		if d := &c.Demands[j]; d.enforced() {
			if sh, lacks := k.shortage(req, d, now); lacks {
				short = append(short, sh)
				spent = spent || sh.Exhausted
			}
		}
	}
	if first := c.firstEnforced(); len(short) == 0 && first != nil {
		sh := k.describe(first, req.Floor, now)
		sh.Late, sh.RetryAfter = true, k.retryHeld()
		short = append(short, sh)
	}
	return short, spent
}

func (c *Candidate) firstEnforced() *Demand {
	for j := range c.Demands {
		if d := &c.Demands[j]; d.enforced() {
			return d
		}
	}
	return nil
}

func (k *Keeper) shortage(req *HoldRequest, d *Demand, now time.Time) (Shortage, bool) {
	s, _ := k.lookOn(req, d, k.sight(d), now, newcomer)
	sh := k.describe(d, req.Floor, now)
	switch s {
	case spent:
		sh.Exhausted = true
		sh.RetryAfter = k.retrySpent(d, sh, now)
		return sh, true
	case heldByOthers:
		sh.RetryAfter = k.retryHeld()
		return sh, true
	}
	return sh, false
}

// describe is how a demand's meter stands.
func (k *Keeper) describe(d *Demand, output int64, now time.Time) Shortage {
	sh := Shortage{Demand: *d}
	sh.Asked, _ = d.Amount(output)
	p := k.purse(d.Key)
	sh.Limit, _ = k.limit(p, d)
	if m := p.entry(p.at(d.Meter)); m != nil {
		at := p.book.now
		if d.Budget.Window.Rolling > 0 {
			at = max(at, now.UnixNano())
		}
		sh.Spent, sh.Held = m.tally.spent(at), m.outstanding
		if h := p.hands[m.name]; h != nil {
			sh.Held -= h.free() // In hand is nobody's yet.
		}
	}
	if _, _, end, err := Label(d.Budget.Window, d.Budget.Unit, now); err == nil {
		sh.ResetsAt = end
	}
	return sh
}

// retryHeldLeast and retryHeldMost bound what a refused call is told to wait.
const (
	retryHeldLeast = 50 * time.Millisecond
	retryHeldMost  = time.Minute
)

// retryHeld is how long holds last, smoothed: about then some of them are settled.
func (k *Keeper) retryHeld() time.Duration {
	if k.span == 0 {
		return time.Second
	}
	return min(max(k.span, retryHeldLeast), retryHeldMost)
}

// retrySpent is when enough of a rolling window has left, or a calendar's window
// ends; 0 where waiting does not help.
func (k *Keeper) retrySpent(d *Demand, sh Shortage, now time.Time) time.Duration {
	if !sh.ResetsAt.IsZero() {
		return max(sh.ResetsAt.Sub(now), 0)
	}
	p := k.purse(d.Key)
	m := p.entry(p.at(d.Meter))
	if m == nil {
		return 0
	}
	s, rolling := m.tally.(*slide)
	if !rolling || sh.Asked > sh.Limit {
		return 0
	}
	at := max(p.book.now, now.UnixNano())
	for m.budget.limit-s.spent(at) < sh.Asked {
		leaves, _, ok := s.leaves(at)
		if !ok || leaves <= at {
			break
		}
		at = leaves
	}
	return time.Duration(max(at-now.UnixNano(), 0))
}

// warn notes a warn or shadow budget that this call would pass.
func (h *Held) warn(k *Keeper, p *purse, d *Demand, amount int64, now time.Time) {
	limit, known := k.limit(p, d)
	left := limit
	if known {
		left, _ = k.balance(p, p.at(d.Meter), d, now)
	}
	if amount <= left {
		return
	}
	sh := k.describe(d, h.Output, now)
	sh.Exhausted = true
	h.Warnings = append(h.Warnings, sh)
}

// tightest is the enforced usd meter with the least left.
func (k *Keeper) tightest(demands []Demand, sights []sight) *Shortage {
	var tight Shortage
	found := -1
	for j := range demands {
		d := &demands[j]
		if !d.enforced() || d.Budget.Unit != journal.UnitUSD {
			continue
		}
		p, h := sights[j].purse, sights[j].hand
		limit, _ := k.limit(p, d)
		var spent, held int64
		if m := p.entry(h); m != nil {
			spent = m.tally.spent(p.book.now)
			held = m.outstanding - h.free() // What is in hand of ours is nobody's yet.
		}
		if found < 0 || limit-spent-held < tight.Limit-tight.Spent-tight.Held {
			found, tight.Limit, tight.Spent, tight.Held = j, limit, spent, held
		}
	}
	if found < 0 {
		return nil
	}
	return &Shortage{Demand: demands[found], Limit: tight.Limit, Spent: tight.Spent, Held: tight.Held}
}
