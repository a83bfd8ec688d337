package ledger

import (
	"math"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// enforced: warn and shadow budgets take no lease; they count settlements.
func (d *Demand) enforced() bool {
	return d.Budget.Capacity || d.Budget.Mode == registry.Enforce || d.Budget.Mode == ""
}

// view is what a call would get now.
type view struct {
	candidate int
	fits      bool
	output    int64
	hopeless  bool // on every candidate something is spent
}

// stance is how a call stands to those that wait.
type stance struct {
	waits bool   // it is one of them
	asked bool   // it asked for more once, and takes what there is
	n     uint64 // its place: meters that earlier ones wait for are not for it
	last  bool   // its wait is over: what could still come does not help it
}

// newcomer is a call that does not wait yet: it passes nobody who does.
var newcomer = stance{}

// look finds the first candidate that fits what is in hand. One that does not,
// but could be asked for, is waited for rather than passed over: a lease that is
// not in hand yet is no reason to leave provisioned capacity idle.
func (k *Keeper) look(req *HoldRequest, now time.Time, st stance) view {
	v := view{candidate: -1, hopeless: true}
	held := -1
	for i := range req.Candidates {
		switch state, output := k.lookAt(req, i, now, st); state {
		case inHand:
			return view{candidate: i, fits: true, output: output}
		case askable:
			if !st.last {
				return view{candidate: i}
			}
		case heldByOthers:
			if held < 0 {
				held = i
			}
		}
	}
	if held >= 0 {
		return view{candidate: held}
	}
	return v
}

// state is how a candidate, or one demand, stands.
type state uint8

const (
	inHand       state = iota
	askable            // the book has it, or its limit is on the way
	heldByOthers       // limit − spent has it, but it is out in holds and leases
	spent              // limit − spent has not
)

// sight is where a demand counts: found once for each look.
type sight struct {
	purse *purse
	hand  *hand
}

func (k *Keeper) sight(d *Demand) sight {
	p := k.purse(d.Key)
	return sight{p, p.at(d.Meter)}
}

// lookAt judges one candidate: the worst of its demands, and the largest output
// that all of them can reach.
func (k *Keeper) lookAt(req *HoldRequest, i int, now time.Time, st stance) (state, int64) {
	demands := req.Candidates[i].Demands
	k.sights = k.sights[:0]
	for j := range demands {
		k.sights = append(k.sights, k.sight(&demands[j]))
	}
	worst, output := inHand, req.Want
	for j := range demands {
		d := &demands[j]
		if !d.enforced() {
			continue
		}
		s, reach := k.lookOn(req, d, k.sights[j], now, st)
		worst = max(worst, s)
		output = min(output, d.outputWithin(reach, req.Want))
	}
	if worst > inHand || output < req.Floor {
		return max(worst, askable), output
	}
	for j := range demands {
		d := &demands[j]
		if !d.enforced() {
			continue
		}
		amount, _ := d.Amount(output)
		if amount > 0 && k.sights[j].hand.pick(amount, now) == nil {
			return askable, output
		}
	}
	return inHand, output
}

// lookOn judges one demand: whether its floor can be had, and how much the call
// may reach for. Calls that wait for the same meter share what is there, each
// with its floor at least.
func (k *Keeper) lookOn(req *HoldRequest, d *Demand, at sight, now time.Time, st stance) (state, int64) {
	p, h := at.purse, at.hand
	least, ok := d.Amount(req.Floor)
	if !ok {
		return spent, 0
	}
	limit, known := k.limit(p, d)
	switch {
	case limit == 0 && least > 0:
		return spent, 0 // A kill switch waits for nobody.
	case !known && least > limit:
		return spent, 0
	case !known:
		return askable, limit
	case least == 0 && d.PerMTok == 0:
		return inHand, 0
	}
	unspent, pool := k.balance(p, h, d, now)
	if least > unspent {
		return spent, 0
	}
	wish, ok := d.Amount(req.Want)
	if !ok {
		wish = math.MaxInt64
	}
	reach := k.reach(p, h, least, wish, pool, now, st)
	switch {
	case reach < least:
		return heldByOthers, reach
	case h.heldUp(st.n), !st.waits && h.waiting > 0:
		return askable, reach // There may be enough, but somebody came before.
	}
	return inHand, reach // Or askable: lookAt knows, by the output.
}

// reach is how much of a meter a call may hope for. One that has asked takes what
// that brought, and shares it with those in line: near the end of a budget it must
// not chase every settlement. But where the budget has all that everybody in line
// may wish, there is nothing to share: the first lease of a meter is for its first
// caller, and those who came in the same moment would be cut short by the smallness
// of a lease instead of a budget.
func (k *Keeper) reach(p *purse, h *hand, least, wish, pool int64, now time.Time, st stance) int64 {
	var most int64
	if best := h.most(now); best != nil {
		most = best.free
	}
	sharing := int64(h.waiting)
	if !st.waits {
		sharing++
	}
	pool = saturate(max(pool, 0), h.free())
	plenty := !st.last && pool/sharing >= wish
	if st.asked && most >= least && !plenty || p.queuedByOthers(h.meter, k.cfg.Epoch) {
		pool = 0
	}
	all := max(most, pool)
	return max(all/sharing, min(least, all))
}

// balance is a meter's limit − spent, and what of it is not out in leases. Log
// time only moves with entries; where a rolling window's money comes back by time
// alone, our clock says when to ask, and the fold what to grant.
func (k *Keeper) balance(p *purse, h *hand, d *Demand, now time.Time) (unspent, pool int64) {
	m := p.entry(h)
	if m == nil {
		limit := p.book.budgets[h.meter.Budget].limit
		return limit, limit
	}
	at := p.book.now
	if d.Budget.Window.Rolling > 0 {
		at = max(at, now.UnixNano())
	}
	return m.unspent(at), m.available(at)
}

func (p *purse) queuedByOthers(name journal.Meter, us journal.Epoch) bool {
	for _, a := range p.book.queue {
		if a.epoch.id == us {
			continue
		}
		if slices.ContainsFunc(a.lines, func(l line) bool { return l.meter.name == name }) {
			return true
		}
	}
	return false
}
