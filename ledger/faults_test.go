package ledger_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/signalbox-dev/signalbox/journal"
)

// fault is a way to write this ledger wrongly. Each of them looks like a
// simplification; each must be caught.
type fault int

const (
	none        fault = iota
	reuse             // a settlement frees to the pool, and the holder holds from it again
	keptEarly         // the holder keeps what was not used, and uses it before reading that back
	differences       // returns say how much more, not how much in all
	closerFrees       // who closes a lease computes what of it to free
	shareAlone        // grants are a share of what is available, without the least
	rankIgnored       // the first word on a hold's cost stands
	newNumber         // an ask that may be lost is asked again under a new number
	twoRules          // one replica folds by other rules
	gapSkipped        // a reader that lost its place goes on from elsewhere
	singly            // of an ask's meters one is granted at a time
)

var faults = map[fault]string{
	reuse: "settle frees to the pool and the holder reuses", keptEarly: "kept money used before it is read back",
	differences: "returned as a difference, under duplicates", closerFrees: "a closer that computes amounts",
	rankIgnored: "rank ignored",
	newNumber:   "an ask retried under a new number", twoRules: "two versions of the rules side by side", gapSkipped: "a gap skipped",
}

// rewriter plants a fault between the log and those who read and write it.
type rewriter struct {
	sim *sim

	mu       sync.Mutex
	returned map[returnKey]int64 // differences: the last total each holder said
	sums     map[*process]map[returnKey]int64
	skipped  map[*process]bool
	ghosts   map[ghostKey]bool // newNumber: asks whose first number was given up unread
}

type ghostKey struct {
	epoch journal.Epoch
	n     uint64
}

type returnKey struct {
	epoch journal.Epoch
	n     uint64
	meter journal.Meter
}

func newRewriter(s *sim) *rewriter {
	return &rewriter{sim: s, returned: map[returnKey]int64{}, sums: map[*process]map[returnKey]int64{}, skipped: map[*process]bool{},
		ghosts: map[ghostKey]bool{}}
}

// sent rewrites what a process appends.
func (r *rewriter) sent(p *process, recs []journal.Record) []journal.Record {
	if r.sim.fault == none {
		return recs
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(recs), r.unknown)
	for i, rec := range out {
		switch ev := rec.Event.(type) {
		case journal.Returned:
			if r.sim.fault == differences {
				key := returnKey{ev.Epoch, ev.N, ev.Meter}
				total := ev.Total
				ev.Total = total - r.returned[key]
				r.returned[key] = total
				out[i].Event = ev
			}
		case journal.Asked:
			delete(r.ghosts, ghostKey{ev.Epoch, ev.N})
			if r.sim.fault == singly {
				ev.Asks = ev.Asks[:1]
				out[i].Event = ev
			}
		case journal.Closed:
			if r.sim.fault == closerFrees {
				out[i].Event = journal.EpochEnded{Epoch: ev.Epoch} // It found no open hold.
			}
		case journal.Settled:
			if r.sim.fault == keptEarly && ev.Rank == journal.RankExact {
				ev.Charges = append([]journal.Charge(nil), ev.Charges...)
				for j, c := range ev.Charges {
					if c.Lease != 0 && ev.Hold.Epoch == p.epoch() {
						ev.Charges[j].Kept = max(c.Held-c.Actual, 0)
					}
				}
				out[i].Event = ev
			}
		}
	}
	return out
}

// unknown: a holder that gave up a number does not know the lease that was
// granted under it, and returns nothing of it.
func (r *rewriter) unknown(rec journal.Record) bool {
	ev, ok := rec.Event.(journal.Returned)
	return ok && r.ghosts[ghostKey{ev.Epoch, ev.N}]
}

// again rewrites what a client sends again.
func (r *rewriter) again(recs []journal.Record) []journal.Record {
	if r.sim.fault != newNumber {
		return recs
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(recs)
	for i, rec := range out {
		if ev, ok := rec.Event.(journal.Asked); ok {
			ev.N++
			r.ghosts[ghostKey{ev.Epoch, ev.N}] = true
			out[i].Event = ev
		}
	}
	return out
}

// read rewrites what a process, or the one who watches (nil), reads.
func (r *rewriter) read(p *process, entries []journal.Entry) []journal.Entry {
	if r.sim.fault == none {
		return entries
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]journal.Entry, 0, len(entries))
	for _, e := range entries {
		switch ev := e.Event.(type) {
		case journal.Returned:
			if r.sim.fault == differences {
				sums := r.sums[p]
				if sums == nil {
					sums = map[returnKey]int64{}
					r.sums[p] = sums
				}
				key := returnKey{ev.Epoch, ev.N, ev.Meter}
				sums[key] += ev.Total
				ev.Total = sums[key]
				e.Event = ev
			}
		case journal.Settled:
			if r.sim.fault == rankIgnored {
				ev.Rank = journal.RankExact
				e.Event = ev
			}
			if r.sim.fault == gapSkipped && p != nil && p.slot == 0 && e.Offset > 20 && !r.skipped[p] {
				r.skipped[p] = true
				e.Event = journal.EpochStarted{Epoch: ev.Hold.Epoch}
			}
		case journal.Asked:
			if r.sim.fault == twoRules && p != nil && p.slot == 0 {
				ev.Div++
				e.Event = ev
			}
			if r.sim.fault == shareAlone {
				ev.Asks = append([]journal.Ask(nil), ev.Asks...)
				for i := range ev.Asks {
					ev.Asks[i].Least = 0
				}
				e.Event = ev
			}
		}
		out = append(out, e)
	}
	return out
}

// Each fault is caught by some seed. A simulation that passes whatever is planted
// proves nothing.
func TestPlantedFaultsAreCaught(t *testing.T) {
	const most = 60
	for f, name := range faults {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(most) {
				var broken map[string]int
				synctest.Test(t, func(t *testing.T) {
					broken = newSim(t, seed, f == closerFrees, f).run(2 + int(seed%2))
				})
				if len(broken) > 0 {
					t.Logf("caught by seed %d: %v", seed, broken)
					return
				}
			}
			t.Errorf("%d seeds did not catch it", most)
		})
	}
}
