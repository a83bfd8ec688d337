package ledger

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// keepHolds puts holds from..to into a hold log.
func keepHolds(t *testing.T, l *holdLog, from, to uint64) {
	t.Helper()
	for n := from; n <= to; n++ {
		o := &openHold{callID: "c", heldAt: time.Unix(1_800_000_000, 0), expiresAt: time.Unix(1_800_000_900, 0),
			parts: []journal.HeldOn{{Key: "acme", Hold: journal.HoldID{Epoch: journal.Epoch{1}, N: n},
				Charges: []journal.Charge{{Meter: journal.Meter{Budget: 1, Unit: journal.UnitUSD, Label: LabelTotal}, Lease: 1, Held: 10}}}}}
		if err := l.held(o.key(), o.frame()); err != nil {
			t.Fatal(err)
		}
	}
}

// successorFinds is how many open holds a successor reads in the folder.
func successorFinds(t *testing.T, dir string) int {
	t.Helper()
	left, err := readHoldLogs(dir)
	if err != nil || len(left) != 1 || left[0].damaged != nil || left[0].torn != 0 {
		t.Fatalf("the successor reads %d logs: %+v, %v", len(left), left, err)
	}
	return len(left[0].open)
}

func newHoldLog(t *testing.T, dir string) *holdLog {
	t.Helper()
	l, err := openHoldLog(dir, journal.Epoch{1}, "boot", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// The disk is full when the log is written anew: the old one stays, and goes on.
func TestCompactionOnAFullDiskLeavesTheLogInItsPlace(t *testing.T) {
	dir := t.TempDir()
	l := newHoldLog(t, dir)
	keepHolds(t, l, 1, 3)
	if err := os.Symlink("/dev/full", l.path+unfinished); err != nil {
		t.Fatal(err)
	}
	if err := l.compact(); err == nil {
		t.Error("a compaction that no disk took is called done")
	}
	keepHolds(t, l, 4, 4)
	if n := successorFinds(t, dir); n != 4 {
		t.Errorf("of 4 open holds the successor finds %d", n)
	}
	if _, err := os.Lstat(l.path + unfinished); !os.IsNotExist(err) {
		t.Error("the unfinished file is left behind:", err)
	}
	if err := l.compact(); err != nil {
		t.Error("with room again:", err)
	}
	if n := successorFinds(t, dir); n != 4 {
		t.Errorf("compacted with room again: of 4 open holds the successor finds %d", n)
	}
}

// Holds and settlements that come while the log is written anew stand in the new one.
func TestWhatComesDuringACompactionIsInTheNewLog(t *testing.T) {
	dir := t.TempDir()
	l := newHoldLog(t, dir)
	keepHolds(t, l, 1, 5)
	frames, begun := l.beginCompaction()
	if !begun {
		t.Fatal("not begun")
	}
	keepHolds(t, l, 6, 7)
	if err := l.settled(journal.HeldOn{Key: "acme", Hold: journal.HoldID{Epoch: journal.Epoch{1}, N: 2}}); err != nil {
		t.Fatal(err)
	}
	next, err := os.Create(l.path + unfinished)
	if err != nil {
		t.Fatal(err)
	}
	size, err := writeFrames(next, frames)
	if err := l.endCompaction(next, size, err); err != nil {
		t.Fatal(err)
	}
	keepHolds(t, l, 8, 8)
	if n := successorFinds(t, dir); n != 7 {
		t.Errorf("of 7 open holds the successor finds %d", n)
	}
	if info, err := os.Stat(l.path); err != nil || info.Size() != l.size {
		t.Errorf("the log counts %d bytes: %v, %v", l.size, info.Size(), err)
	}
}

// A process that was killed while it compacted leaves half a file that nobody needs.
func TestUnfinishedCompactionIsRemovedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	stale := holdLogPath(dir, journal.Epoch{7}) + unfinished
	if err := os.WriteFile(stale, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	newHoldLog(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || strings.HasSuffix(entries[0].Name(), unfinished) {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
}
