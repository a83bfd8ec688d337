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
	settledMost = 100_000
	settledFor  = 24 * time.Hour
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

func (m *settledMemory) get(key holdKey) (journal.Settled, bool) {
	if h := m.byHold[key]; h != nil {
		return h.settled, true
	}
	return journal.Settled{}, false
}

// Lookup is how a hold was settled, if it was in the last 24 hours and by this
// replica.
func (k *Keeper) Lookup(hold journal.HoldID, key string) (journal.Settled, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled.get(holdKey{key, hold})
}
