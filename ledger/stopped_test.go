package ledger_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// A fold that stopped at an entry must stop at it again after a restart: a
// snapshot of its book would have counted the entry as read.
func TestAStoppedFoldStaysStoppedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		cfg := w.config()
		cfg.Dir = t.TempDir()
		k, stop := w.start(cfg)
		pay(t, k, hold(t, k, demand(b, "", 10)), 4)
		if err := w.journal.Append(t.Context(), journal.Record{Topic: journal.TopicLedger, Key: "acme", Event: journal.Unreadable{Why: "rules 9"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		if err := k.Shutdown(t.Context()); err == nil {
			t.Error("the snapshot of a stopped fold was saved without a word")
		}
		again := w.config()
		again.Dir = cfg.Dir
		k, err := ledger.NewKeeper(again, w.journal, w, time.Now, discard)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(time.Second)
		var stopped *ledger.StoppedError
		if err := k.Ready(); !errors.As(err, &stopped) || stopped.Why == "" {
			t.Errorf("after the restart the keeper says %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A long-lived process saves snapshots by itself: its next start must not need
// what the log's retention has dropped.
func TestSnapshotsAreSavedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		cfg := w.config()
		cfg.Dir = t.TempDir()
		k, kill := w.start(cfg)
		pay(t, k, hold(t, k, demand(b, "", 10)), 4)
		time.Sleep(11 * time.Minute)
		kill()
		ends, err := w.journal.Ends(t.Context(), journal.TopicLedger)
		if err != nil {
			t.Fatal(err)
		}
		memory := w.journal.(*journal.Memory)
		for partition, end := range ends {
			memory.Trim(journal.TopicLedger, partition, end)
		}
		again := w.config()
		again.Dir = cfg.Dir
		k, _ = w.start(again)
		if got := balance(t, k, b.Incarnation); got.Spent != 4 {
			t.Errorf("after the log was trimmed to its end: %+v", got)
		}
	})
}
