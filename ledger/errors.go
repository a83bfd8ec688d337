package ledger

import (
	"errors"
	"fmt"
)

// ErrJournalUnavailable says that no decision can be made because the journal
// cannot be reached, or its fold stopped, and leases in hand do not suffice.
// Whether a call then goes out is decision's to say, not ours.
var ErrJournalUnavailable = errors.New("the journal is unavailable")

// ErrEpochEnded says that somebody ended this process's epoch while it was
// alive. What it held may be granted to others, so it must not hold any more.
var ErrEpochEnded = errors.New("this process's epoch was ended by another")

// ErrHoldUnknown says that neither this replica nor the books know the hold.
var ErrHoldUnknown = errors.New("the hold is unknown")

// ErrHoldSettled says that the hold is settled and its leases are gone.
var ErrHoldSettled = errors.New("the hold is settled")

// StoppedError says that the fold of a partition stopped at an entry. Nothing on
// that partition can be decided until an operator has looked at it.
type StoppedError struct {
	Partition int32
	Offset    int64
	Key       string
	Why       string
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("ledger: the fold stopped at partition %d offset %d (key %q): %s", e.Partition, e.Offset, e.Key, e.Why)
}

// Unwrap makes a stopped fold a journal that is unavailable, for the tenants of
// that partition.
func (e *StoppedError) Unwrap() error { return ErrJournalUnavailable }
