package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal/kafka"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// embedded is a world over the Kafka that runs inside the process.
func embedded(t testing.TB) *world {
	t.Helper()
	j, err := kafka.OpenEmbedded(context.Background(), t.TempDir(), kafka.EmbeddedConfig{}, discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &world{t: t, journal: j, budgets: map[int64]*registry.Budget{}}
}

// The dollar again, over the log that a single machine runs on, with real
// goroutines and a disk.
func TestThreeHundredCallersOverTheEmbeddedJournal(t *testing.T) {
	w := embedded(t)
	threeHundred(t, w, 16, 4096, 100_000*1_000_000)
}

// A restart over the embedded journal: every settlement that was acknowledged is
// in the books, from the snapshot and from the whole log.
func TestRestartOverTheEmbeddedJournal(t *testing.T) {
	w := embedded(t)
	b := w.budget(registry.Budget{Name: "b", Unit: 1, Amount: dollar})
	dir := t.TempDir()
	for life := range 3 {
		c := w.config()
		c.Dir, c.LeaseWait = dir, 10*time.Second // over a real journal, on a machine that may be busy
		k, stop := w.start(c)
		for range 20 {
			held := hold(t, k, demand(b, "", 1000))
			if err := k.Keep(held, "c", nil); err != nil {
				t.Fatal(err)
			}
			pay(t, k, held, 100)
		}
		stop()
		if life == 0 {
			continue // Killed: no snapshot.
		}
		if err := k.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// In the same folder: a life may have ended before it had ended the one before.
	c := w.config()
	c.Dir = dir
	k, stop := w.start(c)
	for deadline := time.Now().Add(10 * time.Second); ; {
		got := balance(t, k, b.Incarnation)
		if got.Spent == 60*100 && got.Outstanding == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", got)
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
}

var _ ledger.Journal = (*kafka.Journal)(nil)
