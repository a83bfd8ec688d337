package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/signalbox-dev/signalbox/journal"
)

// maxTries is how often a change is made anew because another got in between.
const maxTries = 8

// author is who changes something, and why.
type author struct{ by, why string }

// ErrBusy is returned when others changed the registry each time before a change
// of ours was read. Nothing was written.
var ErrBusy = errors.New("the registry was changed by others at the same time; nothing was written, try again")

// write makes a change of the newest snapshot and waits until it is folded. Where
// another replica's change got in between, ours does not count, and plan is asked
// again with what the registry says now. No records are no change.
func (r *Registry) write(ctx context.Context, who author, plan func(s *Snapshot) ([]journal.RegistryChanged, error)) (*Snapshot, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	for range maxTries {
		s := r.Snapshot()
		changes, err := plan(s)
		if err != nil || len(changes) == 0 {
			return s, err
		}
		counted, err := r.append(ctx, s.Version, who, changes)
		if err != nil {
			return nil, err
		}
		if counted {
			return r.Snapshot(), nil
		}
	}
	return nil, ErrBusy
}

// append writes one transaction and reads on until the fold has said whether it
// counts. An acknowledgement alone says nothing.
func (r *Registry) append(ctx context.Context, base int64, who author, changes []journal.RegistryChanged) (bool, error) {
	if len(changes) > maxTxn {
		return false, fmt.Errorf("%d objects change at once: apply them in parts of up to %d", len(changes), maxTxn)
	}
	txn := txnOf(randomText(base62, 16), base)
	at := r.now().UTC()
	records := make([]journal.Record, len(changes))
	for i, c := range changes {
		c.Txn, c.Index, c.Count, c.At, c.By, c.Why = txn, i, len(changes), at, who.by, who.why
		records[i] = journal.Record{Topic: journal.TopicRegistry, Event: c}
	}
	outcome, next, err := r.watch(txn)
	if err != nil {
		return false, err
	}
	defer r.unwatch(txn)
	if err := r.journal.Append(ctx, records...); err != nil {
		return false, fmt.Errorf("write to the registry (it may yet take effect: look before trying again): %w", err)
	}
	return r.await(ctx, outcome, next)
}

// watch has the fold tell how a transaction ends. The place to read on from is
// taken before it is written, so that reading on from there meets its records.
func (r *Registry) watch(txn string) (<-chan bool, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return nil, 0, r.broken
	}
	outcome := make(chan bool, 1)
	r.fold.watched[txn] = outcome
	return outcome, r.fold.next, nil
}

func (r *Registry) unwatch(txn string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.fold.watched, txn)
}

// await reads on from a place until the outcome is there. Run may have read it by
// then, or read it meanwhile: an entry read twice is folded once.
func (r *Registry) await(ctx context.Context, outcome <-chan bool, from int64) (counted bool, err error) {
	err = r.journal.Follow(ctx, journal.TopicRegistry, 0, from, func(batch []journal.Entry) error {
		if err := r.take(batch, true); err != nil {
			return err
		}
		select {
		case counted = <-outcome:
			return errEnough
		default:
			return nil
		}
	})
	if errors.Is(err, errEnough) {
		return counted, nil
	}
	return false, fmt.Errorf("read back what was written to the registry (it may yet take effect: look before trying again): %w", err)
}
