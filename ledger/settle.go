package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

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
		// While ours was under way the fold may have read a better one of another
		// replica's: that one stands.
		if known, ok := k.settled.get(holdKey{part.Key, part.Hold}); !ok || known.Rank < s.Rank {
			k.settled.put(holdKey{part.Key, part.Hold}, records[i].Event.(journal.Settled), now)
		}
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
