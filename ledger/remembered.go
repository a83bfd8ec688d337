package ledger

import (
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// settledMemory is what was settled of late, so that a repeat gets the first
// charge again. It is bounded; the oldest leave first.
type settledMemory struct {
	byHold map[holdKey]*settledHold
	order  []*settledHold // oldest first, from head on
	head   int
}

type settledHold struct {
	key     holdKey
	settled journal.Settled // of its usage, the sums
	at      time.Time
}

const (
	settledMost  = 100_000
	settledSaved = 20_000 // of them in a snapshot
	settledFor   = 24 * time.Hour
)

func (m *settledMemory) init() { m.byHold = map[holdKey]*settledHold{} }

func (m *settledMemory) put(key holdKey, s journal.Settled, at time.Time) {
	if u := s.Usage; u != nil {
		s.Usage = &journal.Usage{At: u.At, RegistryVersion: u.RegistryVersion, OverHold: u.OverHold, ChargedNanoUSD: u.ChargedNanoUSD}
	}
	h := &settledHold{key, s, at}
	m.byHold[key] = h
	m.order = append(m.order, h)
	for m.head < len(m.order) {
		oldest := m.order[m.head]
		if len(m.order)-m.head <= settledMost && at.Sub(oldest.at) < settledFor {
			break
		}
		if m.byHold[oldest.key] == oldest { // It may have been settled anew, better.
			delete(m.byHold, oldest.key)
		}
		m.order[m.head] = nil
		m.head++
	}
	if m.head > len(m.order)/2 && m.head > 1024 {
		m.order = slices.Delete(m.order, 0, m.head)
		m.head = 0
	}
}

// learn remembers a settlement that the log tells of, whoever wrote it: a repeat
// may come here after a restart, or although another replica settled the call.
func (m *settledMemory) learn(key holdKey, s journal.Settled, at, now time.Time) {
	if now.Sub(at) >= settledFor {
		return
	}
	if known := m.byHold[key]; known != nil && known.settled.Rank >= s.Rank {
		return
	}
	m.put(key, s, at)
}

func (m *settledMemory) get(key holdKey) (journal.Settled, bool) {
	if h := m.byHold[key]; h != nil {
		return h.settled, true
	}
	return journal.Settled{}, false
}

// Lookup is how a hold was settled, if it was in the last 24 hours; of the usage
// there are the sums.
func (k *Keeper) Lookup(hold journal.HoldID, key string) (journal.Settled, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled.get(holdKey{key, hold})
}

// encode writes the newest of what is remembered.
func (m *settledMemory) encode(w *writer) {
	saved := m.order[max(m.head, len(m.order)-settledSaved):]
	w.uint(uint64(len(saved)))
	for _, h := range saved {
		s := &h.settled
		w.hold(journal.HeldOn{Key: h.key.key, Hold: h.key.hold})
		w.int(h.at.UnixNano())
		w.string(s.CallID)
		w.string(s.DecisionID)
		w.uint(uint64(s.Rank))
		w.string(string(s.Outcome))
		w.uint(uint64(len(s.Charges)))
		for _, c := range s.Charges {
			w.meter(c.Meter)
			w.uint(c.Lease)
			w.int(c.Held)
			w.int(c.Actual)
		}
		w.bool(s.Usage != nil)
		if u := s.Usage; u != nil {
			w.int(u.At.UnixNano())
			w.int(u.RegistryVersion)
			w.bool(u.OverHold)
			w.int(u.ChargedNanoUSD)
		}
	}
}

func (m *settledMemory) decode(r *reader) {
	for range r.count() {
		key := r.hold()
		at := time.Unix(0, r.int()).UTC()
		s := journal.Settled{Hold: key.hold, CallID: r.string(), DecisionID: r.string(), Rank: journal.Rank(r.uint()), Outcome: journal.Outcome(r.string())}
		s.Charges = make([]journal.Charge, r.count())
		for i := range s.Charges {
			s.Charges[i] = journal.Charge{Meter: r.meter(), Lease: r.uint(), Held: r.int(), Actual: r.int()}
		}
		if r.bool() {
			s.Usage = &journal.Usage{At: time.Unix(0, r.int()).UTC(), RegistryVersion: r.int(), OverHold: r.bool(), ChargedNanoUSD: r.int()}
		}
		if r.err != nil {
			return
		}
		m.put(key, s, at)
	}
}
