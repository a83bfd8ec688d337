package ledger

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// bootFile is where Linux names one start of the machine.
const bootFile = "/proc/sys/kernel/random/boot_id"

// bootID names this start of the machine; "" where the system does not say.
func bootID() string {
	id, err := os.ReadFile(bootFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// openDisk takes over what earlier epochs left in our folder, and begins our own
// hold log with it: from here on one file says all that is open.
func (k *Keeper) openDisk() error {
	if k.cfg.BootID == "" {
		k.cfg.BootID = bootID()
	}
	if k.cfg.Dir != "" {
		if err := os.MkdirAll(k.cfg.Dir, 0o700); err != nil {
			return fmt.Errorf("make the ledger's folder: %w", err)
		}
	}
	left, err := readHoldLogs(k.cfg.Dir)
	if err != nil {
		return err
	}
	if k.disk, err = openHoldLog(k.cfg.Dir, k.cfg.Epoch, k.cfg.BootID, k.cfg.Sync); err != nil {
		return err
	}
	settled := map[holdKey]bool{}
	for _, lb := range left {
		maps.Copy(settled, lb.settled) // Settled in a later file may be open in an earlier one.
	}
	for _, lb := range left {
		if lb.torn > 0 {
			k.log.Warn("the end of a hold log was cut off; no answer left for what it held", "file", lb.path, "bytes", lb.torn)
		}
		for _, key := range slices.SortedFunc(maps.Keys(lb.open), compareHolds) {
			o := lb.open[key]
			if settled[key] || k.open[key] != nil {
				continue
			}
			k.remember(o)
			if err := k.disk.held(key, o.frame()); err != nil {
				return fmt.Errorf("carry over open holds: %w", err)
			}
		}
	}
	k.left = left
	return nil
}

func compareHolds(a, b holdKey) int {
	if c := strings.Compare(a.key, b.key); c != 0 {
		return c
	}
	if c := compareEpochs(a.hold.Epoch, b.hold.Epoch); c != 0 {
		return c
	}
	return int(int64(a.hold.N) - int64(b.hold.N))
}

// openMost bounds the open holds that one EpochEnded names, so that it fits a
// record. Where there are more, the epoch ends when enough of them are settled.
const openMost = 2000

const inheritRetry = 500 * time.Millisecond

// inherit ends the epochs that were before us in this folder: their leases go
// back to the pool at once, except what their open holds have. It waits until the
// books are read and the spool has sent what they wrote, because their holds'
// settlements must stand in the log before the money is given to others.
func (k *Keeper) inherit(ctx context.Context) {
	for !k.readyToInherit() {
		if !pause(ctx, readyPoll) {
			return
		}
	}
	k.forgetSettled()
	if k.cfg.Drain != nil && len(k.left) > 0 {
		for err := k.cfg.Drain(ctx); err != nil; err = k.cfg.Drain(ctx) {
			k.log.Warn("sending on what the last process had spooled failed; trying again", "error", err)
			if !pause(ctx, inheritRetry) {
				return
			}
		}
		if k.foldTo(ctx) != nil {
			return
		}
	}
	for _, lb := range k.left {
		for {
			done, err := k.endEpoch(ctx, lb)
			if done {
				break
			}
			if err != nil {
				k.log.Warn("ending the epoch before this one failed; trying again", "epoch", lb.epoch, "error", err)
			}
			if !pause(ctx, inheritRetry) {
				return
			}
		}
	}
}

// readyToInherit is when all is folded that can be: a partition whose fold stopped
// must not keep the others' money from coming back.
func (k *Keeper) readyToInherit() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fatal != nil {
		return false
	}
	for i := range k.partitions {
		if k.partitions[i].stopped == nil && k.readyOn(int32(i)) != nil {
			return false
		}
	}
	return true
}

// forgetSettled drops inherited holds that the books know as settled: another
// replica did it while nobody was here.
func (k *Keeper) forgetSettled() {
	k.mu.Lock()
	var marks []journal.HeldOn
	for key, o := range k.open {
		if key == o.key() && k.settledOnAll(o) {
			k.forget(o)
			marks = append(marks, o.parts[0])
		}
	}
	k.mu.Unlock()
	k.markSettled(marks)
}

const readyPoll = 5 * time.Millisecond

// foldTo waits until everything that is in the log now is folded.
func (k *Keeper) foldTo(ctx context.Context) error {
	ends, err := k.journal.Ends(ctx, journal.TopicLedger)
	if err != nil {
		return err
	}
	for {
		k.mu.Lock()
		behind := false
		for i := range k.partitions {
			part := &k.partitions[i]
			behind = behind || part.stopped == nil && part.next < ends[int32(i)]
		}
		k.mu.Unlock()
		if !behind {
			return nil
		}
		if !pause(ctx, readyPoll) {
			return ctx.Err()
		}
	}
}

// endEpoch says EpochEnded on each key where the epoch has anything.
func (k *Keeper) endEpoch(ctx context.Context, lb *leftBehind) (done bool, err error) {
	if why := k.mayNotEnd(lb); why != "" {
		k.log.Warn("the epoch before this one is not ended from its folder; its leases stay charged until its holds are settled or an operator releases it",
			"epoch", lb.epoch, "why", why)
		return true, k.discard(lb)
	}
	records, ok := k.endings(lb)
	if !ok {
		return false, nil
	}
	if len(records) > 0 {
		if err := k.journal.Append(ctx, records...); err != nil {
			return false, err
		}
	}
	if k.anyStopped() {
		return true, nil // The file stays, for the start that can end the rest.
	}
	return true, k.discard(lb)
}

func (k *Keeper) anyStopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.partitions, func(p partition) bool { return p.stopped != nil })
}

// mayNotEnd says why what is on disk does not prove that nothing else is open.
func (k *Keeper) mayNotEnd(lb *leftBehind) string {
	switch {
	case lb.damaged != nil:
		return lb.damaged.Error()
	case lb.synced:
		return ""
	case lb.boot == "" || lb.boot != k.cfg.BootID:
		return "the machine was started anew, and holds were not written through to disk"
	}
	return ""
}

func (k *Keeper) endings(lb *leftBehind) ([]journal.Record, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	byKey := map[string][]journal.OpenHold{}
	for _, hold := range slices.SortedFunc(maps.Keys(lb.open), compareHolds) {
		for _, part := range lb.open[hold].parts {
			if part.Hold.Epoch != lb.epoch {
				continue
			}
			if p := k.purses[part.Key]; p != nil {
				if ep := p.book.epochs[lb.epoch]; ep != nil {
					if _, settled := ep.settled.rank(part.Hold.N); settled {
						continue
					}
				}
			}
			byKey[part.Key] = append(byKey[part.Key], journal.OpenHold{N: part.Hold.N, Charges: part.Charges})
		}
	}
	var records []journal.Record
	for _, key := range slices.Sorted(maps.Keys(k.purses)) {
		p := k.purses[key]
		ep := p.book.epochs[lb.epoch]
		if k.partitions[p.partition].stopped != nil {
			continue // It is ended when its partition is folded again.
		}
		if ep == nil || ep.ended || ep.queued == nil && len(ep.leases) == 0 {
			continue
		}
		if len(byKey[key]) > openMost {
			return nil, false
		}
		records = append(records, journal.Record{Topic: journal.TopicLedger, Key: key, Event: journal.EpochEnded{Epoch: lb.epoch, Open: byKey[key]}})
	}
	return records, true
}

// discard removes a file whose holds stand in ours.
func (k *Keeper) discard(lb *leftBehind) error {
	if lb.damaged != nil {
		return os.Rename(lb.path, lb.path+".damaged")
	}
	return os.Remove(lb.path)
}
