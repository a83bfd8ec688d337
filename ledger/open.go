package ledger

import (
	"cmp"
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
