package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// openHold is a hold of ours that nobody has settled, with what its token needs.
type openHold struct {
	parts     []journal.HeldOn
	drawn     []drawn
	callID    string
	note      []byte
	heldAt    time.Time
	expiresAt time.Time
	inherited bool
	kept      bool // on disk
	settling  bool
	settled   chan struct{} // of those who wait until the one who settles is done

	// Most holds stand on two keys and few meters: room for them in one piece.
	roomForParts [2]journal.HeldOn
	roomForDrawn [6]drawn
}

// drawn is where in its lease's ask the meter of one charge stands.
type drawn struct{ part, charge, position int32 }

func (o *openHold) position(part, charge int) int {
	for _, d := range o.drawn {
		if int(d.part) == part && int(d.charge) == charge {
			return int(d.position)
		}
	}
	return 0
}

func (o *openHold) key() holdKey { return holdKey{o.parts[0].Key, o.parts[0].Hold} }

// remember keeps a hold under each of its parts.
func (k *Keeper) remember(o *openHold) {
	for _, part := range o.parts {
		k.open[holdKey{part.Key, part.Hold}] = o
	}
}

func (k *Keeper) forget(o *openHold) {
	for _, part := range o.parts {
		delete(k.open, holdKey{part.Key, part.Hold})
	}
}

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

// Settle says what a call cost: one entry for each key, in the journal or, when
// that does not answer, all of them in the spool as one. It may be said again:
// the same rank or a lower one changes nothing.
func (k *Keeper) Settle(ctx context.Context, s Settlement) (Outcome, error) {
	if err := checkSettlement(s); err != nil {
		return Outcome{}, err
	}
	records := s.records()
	first := holdKey{s.Parts[0].Key, s.Parts[0].Hold}
	o, repeated, err := k.beginSettle(ctx, s, first)
	if err != nil || repeated {
		return Outcome{Acknowledged: repeated && k.inJournal(first), Repeated: repeated}, err
	}
	acknowledged, err := k.write(ctx, records)
	k.endSettle(s, records, o, err == nil, acknowledged)
	if err != nil {
		return Outcome{}, fmt.Errorf("settle call %q: %w", s.CallID, err)
	}
	return Outcome{Acknowledged: acknowledged}, nil
}

func checkSettlement(s Settlement) error {
	if len(s.Parts) == 0 {
		return fmt.Errorf("settle call %q: no hold is named", s.CallID)
	}
	for _, part := range s.Parts {
		if err := checkSettled(journal.Settled{Hold: part.Hold, Rank: s.Rank, Charges: part.Charges}); err != nil {
			return fmt.Errorf("settle call %q on key %q: %w", s.CallID, part.Key, err)
		}
	}
	return nil
}

// records are the settlement's entries. Slots are never charged: a call in flight
// is not spent when it ends.
func (s *Settlement) records() []journal.Record {
	carrier := slices.IndexFunc(s.Parts, func(p journal.HeldOn) bool { return p.Key != journal.SharedKey })
	if carrier < 0 {
		carrier = 0
	}
	records := make([]journal.Record, len(s.Parts))
	for i, part := range s.Parts {
		ev := journal.Settled{Hold: part.Hold, CallID: s.CallID, DecisionID: s.DecisionID, Rank: s.Rank, Outcome: s.Outcome,
			Charges: slices.Clone(part.Charges)}
		for j := range ev.Charges {
			ev.Charges[j].Kept = 0
			if ev.Charges[j].Meter.Unit == journal.UnitConcurrent {
				ev.Charges[j].Actual = 0
			}
		}
		if i == carrier {
			ev.Usage = s.Usage
		}
		records[i] = journal.Record{Topic: journal.TopicLedger, Key: part.Key, Event: ev}
	}
	return records
}

// beginSettle finds a repeat, and lets one settlement of a hold go at a time. It
// returns the hold if it is one of ours.
func (k *Keeper) beginSettle(ctx context.Context, s Settlement, first holdKey) (o *openHold, repeated bool, err error) {
	k.mu.Lock()
	for {
		if known, ok := k.rankOf(first); ok && s.Rank <= known {
			if o = k.open[first]; o != nil && !o.settling && k.settledOnAll(o) {
				k.forget(o)
			}
			k.mu.Unlock()
			return nil, true, nil
		}
		if o = k.open[first]; o == nil || !o.settling {
			break
		}
		if o.settled == nil {
			o.settled = make(chan struct{})
		}
		busy := o.settled
		k.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		k.mu.Lock()
	}
	if o != nil {
		o.settling = true
	}
	k.mu.Unlock()
	return o, false, nil
}

// rankOf is how well a hold's cost is known already, by us or by the books.
func (k *Keeper) rankOf(key holdKey) (journal.Rank, bool) {
	var best journal.Rank
	if s, ok := k.settled.get(key); ok {
		best = s.Rank
	}
	if p := k.purses[key.key]; p != nil {
		if ep := p.book.epochs[key.hold.Epoch]; ep != nil {
			if rank, ok := ep.settled.rank(key.hold.N); ok {
				best = max(best, rank)
			}
		}
	}
	return best, best > 0
}

// inJournal reports whether the books have a hold's settlement, or will soon.
func (k *Keeper) inJournal(key holdKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.isSettled(key)
}

func (k *Keeper) isSettled(key holdKey) bool {
	p := k.purses[key.key]
	if p == nil || p.book.epochs[key.hold.Epoch] == nil {
		return false
	}
	_, settled := p.book.epochs[key.hold.Epoch].settled.rank(key.hold.N)
	return settled
}

// settledElsewhere closes a hold of ours that another replica settled, when the
// books have it on all its keys. It reports whether the hold must be marked on
// disk.
func (k *Keeper) settledElsewhere(key string, ev journal.Settled) (part journal.HeldOn, mark bool) {
	o := k.open[holdKey{key, ev.Hold}]
	if o == nil || o.settling {
		return part, false
	}
	k.settled.put(holdKey{key, ev.Hold}, ev, k.now())
	if !k.settledOnAll(o) {
		return part, false
	}
	k.forget(o)
	return o.parts[0], o.kept
}

// settledOnAll reports whether the books have a hold's settlement on all its keys.
func (k *Keeper) settledOnAll(o *openHold) bool {
	return !slices.ContainsFunc(o.parts, func(part journal.HeldOn) bool { return !k.isSettled(holdKey{part.Key, part.Hold}) })
}

// markSettled marks holds on disk. Where a mark is lost, the successor settles by
// rule what the journal, which has the cost, takes for a duplicate.
func (k *Keeper) markSettled(parts []journal.HeldOn) {
	for _, part := range parts {
		if err := k.disk.settled(part); err != nil {
			k.log.Warn("marking a hold settled on disk failed", "error", err)
		}
	}
}

// write puts records into the journal, or, when it does not answer, into the
// spool, all or none. A journal that took them after all makes duplicates, which
// the fold knows.
func (k *Keeper) write(ctx context.Context, records []journal.Record) (acknowledged bool, err error) {
	if k.journal.Healthy() == nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.cfg.SettleWait)
		err = k.journal.Append(bounded, records...)
		cancel()
		if err == nil {
			return true, nil
		}
	} else {
		err = ErrJournalUnavailable
	}
	if k.cfg.Spool == nil {
		return false, err
	}
	if spoolErr := k.cfg.Spool.Put(records...); spoolErr != nil {
		return false, fmt.Errorf("the journal: %w; the spool: %w", err, spoolErr)
	}
	return false, nil
}

// endSettle closes the hold, if the settlement was written anywhere.
func (k *Keeper) endSettle(s Settlement, records []journal.Record, o *openHold, written, acknowledged bool) {
	k.mu.Lock()
	now := k.now()
	if o != nil {
		o.settling = false
		if o.settled != nil {
			close(o.settled)
			o.settled = nil
		}
	}
	if !written {
		k.mu.Unlock()
		return
	}
	for i, part := range s.Parts {
		k.settled.put(holdKey{part.Key, part.Hold}, records[i].Event.(journal.Settled), now)
	}
	if acknowledged {
		k.counts.acknowledged++
	} else {
		k.counts.spooled++
	}
	if o != nil {
		k.forget(o)
		if !o.inherited {
			k.smooth(now.Sub(o.heldAt))
		}
	}
	kept := o != nil && o.kept
	k.mu.Unlock()
	if kept {
		k.markSettled(o.parts[:1])
	}
}

// smooth takes one more hold's duration into the average.
func (k *Keeper) smooth(d time.Duration) {
	if k.span == 0 {
		k.span = d
	}
	k.span += (d - k.span) / 8
}

// Keep writes a hold to disk, with the caller's note, before the answer that it
// stands behind leaves. It survives the end of the process, and with Sync of the
// machine.
func (k *Keeper) Keep(held Held, callID string, note []byte) error {
	o := held.open
	if o == nil || len(o.parts) == 0 {
		return nil
	}
	if len(note) > noteMost {
		return fmt.Errorf("keep the hold of call %q: a note of %d bytes, at most %d", callID, len(note), noteMost)
	}
	k.mu.Lock()
	o.callID, o.note, o.kept = callID, slices.Clone(note), true
	frame := o.frame()
	k.mu.Unlock()
	if err := k.disk.held(o.key(), frame); err != nil {
		return fmt.Errorf("keep the hold of call %q: %w", callID, err)
	}
	return nil
}

// Renew moves the time at which a hold is settled by rule: somebody holds the
// call's stream open.
func (k *Keeper) Renew(held Held, until time.Time) error {
	k.mu.Lock()
	o := held.open
	if o == nil || k.open[o.key()] != o || !until.After(o.expiresAt) {
		k.mu.Unlock()
		return nil
	}
	o.expiresAt = until
	kept := o.kept
	k.mu.Unlock()
	if !kept {
		return nil
	}
	return k.disk.renewed(o.parts[0], until)
}

// Release gives up a hold whose answer never left.
func (k *Keeper) Release(held Held) {
	k.mu.Lock()
	kept := k.releaseLocked(held)
	k.mu.Unlock()
	if kept {
		k.markSettled(held.open.parts[:1])
	}
}

// releaseLocked reports whether the hold is on disk, where it must be marked.
func (k *Keeper) releaseLocked(held Held) (kept bool) {
	o := held.open
	if o == nil || len(o.parts) == 0 || k.open[o.key()] != o || o.settling {
		return false
	}
	k.forget(o)
	now := k.now()
	for _, part := range o.parts {
		ev := journal.Settled{Hold: part.Hold, CallID: o.callID, Rank: journal.RankExact, Outcome: journal.OutcomeNotSent,
			Charges: slices.Clone(part.Charges)}
		k.settled.put(holdKey{part.Key, part.Hold}, ev, now)
		p := k.purse(part.Key)
		p.outbox = append(p.outbox, ev)
	}
	k.wake()
	return o.kept
}

// Lookup is how a hold was settled, if it was in the last 24 hours and by this
// replica.
func (k *Keeper) Lookup(hold journal.HoldID, key string) (journal.Settled, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled.get(holdKey{key, hold})
}

// Open lists the holds that nobody has settled: this process's, and those an
// earlier one left in this folder.
func (k *Keeper) Open() []OpenHold { return k.holdsWhere(func(*openHold) bool { return true }) }

// Overdue lists the open holds to be settled by rule by now.
func (k *Keeper) Overdue(at time.Time) []OpenHold {
	return k.holdsWhere(func(o *openHold) bool { return !o.settling && !at.Before(o.expiresAt) })
}

func (k *Keeper) holdsWhere(want func(*openHold) bool) []OpenHold {
	k.mu.Lock()
	defer k.mu.Unlock()
	var holds []OpenHold
	for key, o := range k.open {
		if key == o.key() && want(o) {
			holds = append(holds, OpenHold{Parts: cloneParts(o.parts), CallID: o.callID, Note: o.note, HeldAt: o.heldAt, ExpiresAt: o.expiresAt, Inherited: o.inherited})
		}
	}
	slices.SortFunc(holds, func(a, b OpenHold) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), compareHolds(holdKey{a.Parts[0].Key, a.Parts[0].Hold}, holdKey{b.Parts[0].Key, b.Parts[0].Hold}))
	})
	return holds
}
