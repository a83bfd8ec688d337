package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Mode is what the keeper does while the journal cannot be reached.
type Mode string

const (
	ModeLease  Mode = "lease"  // serve while leases in hand last
	ModeClosed Mode = "closed" // refuse at once
)

// Config is what an operator may set, and what cmd gives from other rooms.
type Config struct {
	Dir       string // for the hold log and the snapshot, made if missing; the caller holds its lock; "": in memory only
	Epoch     journal.Epoch
	LeaseWait time.Duration // how long a call waits for a lease from the journal
	HoldWait  time.Duration // how much longer it waits for money that others hold
	HoldTTL   time.Duration // after which a hold is settled by rule; the longest call
	LeaseTTL  time.Duration // after which nothing is held from a lease
	IdleAfter time.Duration // after which money in hand that nobody asks for is returned
	Mode      Mode
	Sync      bool // fsync each hold before its answer leaves
	// Spool takes settlements when the journal does not answer within SettleWait.
	Spool      Spooler
	SettleWait time.Duration
	// Drain returns when everything that the spool held from before this start is
	// in the journal. Only then may the epoch before this one be ended.
	Drain func(ctx context.Context) error
	// BootID names one start of the machine; "": the operating system's.
	BootID string
}

// withDefaults fills in what nobody set.
func (c Config) withDefaults() Config {
	for field, value := range map[*time.Duration]time.Duration{
		&c.LeaseWait: 50 * time.Millisecond, &c.HoldTTL: 15 * time.Minute, &c.LeaseTTL: time.Minute,
		&c.IdleAfter: 10 * time.Second, &c.SettleWait: 2 * time.Second,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if c.Mode == "" {
		c.Mode = ModeLease
	}
	return c
}

// waitersMost bounds the calls that wait for money; more are refused at once.
const waitersMost = 4096

// waitersOfOne bounds those of one tenant, so that it cannot keep out the others.
const waitersOfOne = 1024

// foldBatch is how many entries are folded under one lock, so that a hold in
// hand never waits for a long tail.
const foldBatch = 64

// Keeper holds money for one replica's calls. It is safe for concurrent use.
//
// One short lock guards the books and what is in hand, so that all meters of a
// call are held in one step. Nothing is waited for under it: entries are appended
// by the flusher, and calls that must wait do so on a channel of their own.
type Keeper struct {
	cfg     Config
	journal Journal
	limits  Limits
	now     func() time.Time
	log     *slog.Logger
	disk    *holdLog

	mu         sync.Mutex
	purses     map[string]*purse
	partitions []partition
	waiters    []*waiter       // first come, first served
	lined      map[*purse]bool // with calls in line
	arrivals   uint64          // calls that ever waited
	again      rescans         // lines that have to look again
	looked     []*waiter       // in vain, in this turn
	turn       uint64
	sights     []sight // of the candidate looked at last
	open       map[holdKey]*openHold
	settled    settledMemory
	span       time.Duration // how long holds last, smoothed
	fatal      error
	kick       chan struct{} // cap 1: there is something to append
	counts     struct{ acknowledged, spooled int64 }
	flying     map[*purse]bool          // with an ask in flight
	foreign    map[foreignKey]time.Time // first seen, by our clock
	left       []*leftBehind            // by earlier epochs in this folder
	begun      struct{ wall, own time.Time }
}

// partition is how far one partition of the log is folded.
type partition struct {
	next    int64 // offset
	want    int64 // the log's end when we began: ready at or after it
	stopped error
}

type holdKey struct {
	key  string
	hold journal.HoldID
}

// NewKeeper makes a keeper that has read nothing yet: call Run.
func NewKeeper(cfg Config, j Journal, limits Limits, now func() time.Time, log *slog.Logger) (*Keeper, error) {
	cfg = cfg.withDefaults()
	if cfg.Epoch.IsZero() {
		return nil, errors.New("ledger: an epoch is needed")
	}
	k := &Keeper{
		cfg: cfg, journal: j, limits: limits, now: now, log: log,
		purses: map[string]*purse{}, open: map[holdKey]*openHold{}, kick: make(chan struct{}, 1),
		partitions: make([]partition, j.Partitions(journal.TopicLedger)),
		foreign:    map[foreignKey]time.Time{}, flying: map[*purse]bool{}, lined: map[*purse]bool{},
	}
	for i := range k.partitions {
		k.partitions[i].want = -1
	}
	k.begun.wall, k.begun.own = now(), time.Now()
	k.settled.init()
	if err := k.openDisk(); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := k.loadSnapshot(); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return k, nil
}

// Run folds the log, appends what the keeper has to say, and sweeps. It returns
// when ctx ends, or with an error that no retry mends. Afterwards Shutdown.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.bounds(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers sync.WaitGroup
	for p := range k.partitions {
		workers.Go(func() { k.followPartition(ctx, int32(p), stop) })
	}
	workers.Go(func() { k.flusher(ctx) })
	workers.Go(func() { k.sweeper(ctx, stop) })
	workers.Go(func() { k.inherit(ctx) })
	workers.Go(func() { k.snapshotter(ctx) })
	<-ctx.Done()
	workers.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dismissAll(ErrJournalUnavailable)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// bounds learns where the log ends now, which is where the keeper becomes ready,
// and refuses a log that no longer holds what a snapshot needs.
func (k *Keeper) bounds(ctx context.Context) error {
	ends, err := k.journal.Ends(ctx, journal.TopicLedger)
	if err != nil {
		return fmt.Errorf("ledger: find the log's end: %w", err)
	}
	starts, err := k.journal.Starts(ctx, journal.TopicLedger)
	if err != nil {
		return fmt.Errorf("ledger: find the log's start: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.partitions {
		p := &k.partitions[i]
		p.want = ends[int32(i)]
		if p.next < starts[int32(i)] || p.next > p.want {
			return fmt.Errorf("ledger: %w", &journal.GapError{Topic: journal.TopicLedger, Partition: int32(i), Want: p.next, Have: -1, Start: starts[int32(i)], End: p.want})
		}
	}
	return nil
}

// followPartition folds one partition. A fold that stops puts the keys of that
// partition in their failure mode, and not the process.
func (k *Keeper) followPartition(ctx context.Context, p int32, stop context.CancelCauseFunc) {
	for ctx.Err() == nil {
		k.mu.Lock()
		from := k.partitions[p].next
		k.mu.Unlock()
		err := k.journal.Follow(ctx, journal.TopicLedger, p, from, func(entries []journal.Entry) error {
			return k.fold(p, entries)
		})
		var stopped *StoppedError
		var gap *journal.GapError
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrEpochEnded):
			stop(err)
			return
		case errors.As(err, &stopped), errors.As(err, &gap):
			k.log.Error("the ledger's fold stopped", "partition", p, "error", err)
			k.mu.Lock()
			k.partitions[p].stopped = err
			k.dismissAll(nil)
			k.mu.Unlock()
			return
		}
		k.log.Warn("reading the ledger's log failed; trying again", "partition", p, "error", err)
		if !pause(ctx, followRetry) {
			return
		}
	}
}

const followRetry = 200 * time.Millisecond

// pause waits, and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// fold applies entries and lets the calls that wait look again.
func (k *Keeper) fold(p int32, entries []journal.Entry) error {
	for len(entries) > 0 {
		n := min(len(entries), foldBatch)
		if err := k.foldSome(p, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func (k *Keeper) foldSome(p int32, entries []journal.Entry) error {
	settled, err := k.foldLocked(p, entries)
	k.markSettled(settled)
	return err
}

// foldLocked also gives back the holds of ours that others settled, to be marked
// on disk when the lock is free.
func (k *Keeper) foldLocked(p int32, entries []journal.Entry) (settled []journal.HeldOn, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	touched := map[*purse]bool{}
	for _, e := range entries {
		if e.Offset < k.partitions[p].next {
			continue // Redelivered.
		}
		pu := k.purse(e.Key)
		if err := pu.book.Apply(e); err != nil {
			return settled, err
		}
		k.partitions[p].next = e.Offset + 1
		if k.readBack(pu, e.Event) {
			k.fatal = fmt.Errorf("ledger: offset %d of partition %d: %w", e.Offset, p, ErrEpochEnded)
			k.dismissAll(k.fatal)
			return settled, k.fatal
		}
		if ev, ok := e.Event.(journal.Settled); ok {
			k.settled.learn(holdKey{e.Key, ev.Hold}, ev, e.At, now)
			if part, mark := k.settledElsewhere(e.Key, ev); mark {
				settled = append(settled, part)
			}
		}
		touched[pu] = true
	}
	for pu := range touched {
		k.checkFlight(pu)
	}
	k.serve(touched, now)
	for pu := range touched {
		k.yieldContended(pu)
	}
	return settled, nil
}

// Ready is nil when everything that stood in the log at the start is folded.
func (k *Keeper) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fatal != nil {
		return k.fatal
	}
	for i := range k.partitions {
		if err := k.readyOn(int32(i)); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) readyOn(p int32) error {
	switch part := &k.partitions[p]; {
	case part.stopped != nil:
		return part.stopped
	case part.want < 0:
		return fmt.Errorf("%w: the log was not reached yet", ErrJournalUnavailable)
	case part.next < part.want:
		return fmt.Errorf("%w: partition %d is folded to offset %d of %d", ErrJournalUnavailable, p, part.next, part.want)
	}
	return nil
}

// wake tells the flusher that there is something to append.
func (k *Keeper) wake() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}
