package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Meters lists a key's meters as its book has them.
func (k *Keeper) Meters(key string) []MeterView {
	views := k.copyMeters(key)
	slices.SortFunc(views, func(a, b MeterView) int { return compareMeters(a.Meter, b.Meter) })
	return views
}

func (k *Keeper) copyMeters(key string) []MeterView {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.purses[key]
	if p == nil {
		return nil
	}
	now := max(p.book.now, k.now().UnixNano())
	views := make([]MeterView, 0, len(p.book.meters))
	for _, m := range p.book.meters {
		balance := m.balance(now)
		if h := p.hands[m.name]; h != nil {
			balance.InHand = h.free()
		}
		views = append(views, MeterView{Key: key, Meter: m.name, Balance: balance, ChangedAt: time.Unix(0, m.changedAt).UTC()})
	}
	return views
}

// Keys lists the ledger keys that have a book.
func (k *Keeper) Keys() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.purses))
}

// Adjust gives a meter more to spend, or less, by an operator's word; it returns
// when the fold has it. The same id adjusts once.
func (k *Keeper) Adjust(ctx context.Context, key string, a journal.Adjusted) error {
	if a.ID == "" || a.Amount > amountMost || a.Amount < -amountMost {
		return errors.New("adjust: an id and an amount that can be counted are needed")
	}
	records := []journal.Record{{Topic: journal.TopicLedger, Key: key, Event: a}}
	if k.limits != nil {
		if b, ok := k.limits.BudgetByIncarnation(a.Meter.Budget); ok {
			limit := journal.LimitSet{Budget: b.Incarnation, Version: b.Version, Unit: b.Unit, Window: b.Window, MaxValues: b.MaxValues, Amount: b.Amount}
			records = slices.Insert(records, 0, journal.Record{Topic: journal.TopicLedger, Key: key, Event: limit})
		}
	}
	return k.say(ctx, "adjust", records)
}

// ReleaseEpoch frees all that an epoch had in leases and in suspense, by an
// operator's word: its process is dead and its calls are over.
func (k *Keeper) ReleaseEpoch(ctx context.Context, epoch journal.Epoch, by, why string) error {
	if epoch == k.cfg.Epoch {
		return fmt.Errorf("release epoch %s: it is this process's own", epoch)
	}
	k.mu.Lock()
	var records []journal.Record
	for _, key := range slices.Sorted(maps.Keys(k.purses)) {
		if ep := k.purses[key].book.epochs[epoch]; ep != nil && (len(ep.leases) > 0 || ep.queued != nil) {
			records = append(records, journal.Record{Topic: journal.TopicLedger, Key: key, Event: journal.EpochEnded{Epoch: epoch, By: by, Why: why}})
		}
	}
	k.mu.Unlock()
	if len(records) == 0 {
		return fmt.Errorf("release epoch %s: it has nothing in leases", epoch)
	}
	return k.say(ctx, "release epoch "+epoch.String(), records)
}

// say appends and waits until the fold has it.
func (k *Keeper) say(ctx context.Context, what string, records []journal.Record) error {
	if err := k.journal.Append(ctx, records...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := k.foldTo(ctx); err != nil {
		return fmt.Errorf("%s: it is in the log, but not folded yet: %w", what, err)
	}
	return nil
}

// statsPatience is how long gauges wait for the journal to say where it ends.
const statsPatience = time.Second

// Stats are the keeper's gauges.
func (k *Keeper) Stats() Stats {
	ctx, cancel := context.WithTimeout(context.Background(), statsPatience)
	defer cancel()
	ends, err := k.journal.Ends(ctx, journal.TopicLedger)
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Stats{Waiting: len(k.waiters), Acknowledged: k.counts.acknowledged, Spooled: k.counts.spooled,
		FoldLag: map[int32]int64{}, Suspense: map[string]int64{}}
	for key, o := range k.open {
		if key == o.key() {
			s.HoldsOpen++
		}
	}
	for key, p := range k.purses {
		s.Leases += len(p.leases)
		s.Meters += len(p.book.meters)
		s.Queued += len(p.book.queue)
		for _, m := range p.book.meters {
			if m.suspense != 0 && m.name.Unit == journal.UnitUSD {
				s.Suspense[key] += m.suspense
			}
		}
	}
	for i := range k.partitions {
		if k.partitions[i].stopped != nil {
			s.Stopped = append(s.Stopped, int32(i))
		}
		if err == nil {
			s.FoldLag[int32(i)] = max(ends[int32(i)]-k.partitions[i].next, 0)
		}
	}
	return s
}

// Charges gives back the hold that a token names: from our own open holds, or
// from the leases in the books, whichever replica's they are.
func (k *Keeper) Charges(t Token) ([]journal.HeldOn, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(t.Parts) == 0 {
		return nil, ErrHoldUnknown
	}
	if o := k.open[holdKey{t.Parts[0].Key, t.Parts[0].Hold}]; o != nil {
		return cloneParts(o.parts), nil
	}
	parts := make([]journal.HeldOn, 0, len(t.Parts))
	for _, part := range t.Parts {
		charges, err := k.chargesOf(part)
		if err != nil {
			return nil, fmt.Errorf("hold %d of epoch %s on key %q: %w", part.Hold.N, part.Hold.Epoch, part.Key, err)
		}
		parts = append(parts, journal.HeldOn{Key: part.Key, Hold: part.Hold, Charges: charges})
	}
	return parts, nil
}

func cloneParts(parts []journal.HeldOn) []journal.HeldOn {
	parts = slices.Clone(parts)
	for i := range parts {
		parts[i].Charges = slices.Clone(parts[i].Charges)
	}
	return parts
}

func (k *Keeper) chargesOf(part TokenPart) ([]journal.Charge, error) {
	if s, ok := k.settled.get(holdKey{part.Key, part.Hold}); ok {
		return slices.Clone(s.Charges), nil
	}
	p := k.purses[part.Key]
	if p == nil {
		return nil, ErrHoldUnknown
	}
	ep := p.book.epochs[part.Hold.Epoch]
	charges := make([]journal.Charge, 0, len(part.Draws))
	for _, d := range part.Draws {
		if d.Lease == 0 {
			charges = append(charges, journal.Charge{Meter: d.Meter, Held: d.Held})
			continue
		}
		if ep == nil || ep.leases[d.Lease] == nil || d.Position >= len(ep.leases[d.Lease].draws) {
			return provisionalCharges(ep, part)
		}
		charges = append(charges, journal.Charge{Meter: ep.leases[d.Lease].draws[d.Position].meter.name, Lease: d.Lease, Held: d.Held})
	}
	return charges, nil
}

// provisionalCharges is what a hold whose leases are gone was charged, if that may
// still be corrected.
func provisionalCharges(ep *epoch, part TokenPart) ([]journal.Charge, error) {
	if ep == nil {
		return nil, ErrHoldUnknown
	}
	p, ok := ep.settled.provisional[part.Hold.N]
	if !ok {
		if _, settled := ep.settled.rank(part.Hold.N); settled {
			return nil, ErrHoldSettled
		}
		return nil, ErrHoldUnknown
	}
	var charges []journal.Charge
	for _, c := range p.charges {
		charges = append(charges, journal.Charge{Meter: c.meter.name, Actual: c.amount})
	}
	return charges, nil
}
