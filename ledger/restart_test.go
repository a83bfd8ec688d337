package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// hold is a call that must be let out.
func hold(t *testing.T, k *ledger.Keeper, demands ...ledger.Demand) ledger.Held {
	t.Helper()
	held, short, err := k.Hold(t.Context(), request(demands...))
	if err != nil || len(short) > 0 {
		t.Fatalf("refused: %+v, %v", short, err)
	}
	return held
}

func balance(t *testing.T, k *ledger.Keeper, budget int64) ledger.Balance {
	t.Helper()
	for _, v := range k.Meters("acme") {
		if v.Meter.Budget == budget {
			return v.Balance
		}
	}
	t.Fatalf("budget %d has no meter", budget)
	return ledger.Balance{}
}

// crashed is a world in which a process died with two calls open of three, one
// lease's rest in hand.
func crashed(t *testing.T, dir string, cfg func(*ledger.Config)) (*world, *registry.Budget) {
	t.Helper()
	w := newWorld(t)
	b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
	c := w.config()
	c.Dir = dir
	if cfg != nil {
		cfg(&c)
	}
	k, kill := w.start(c)
	for i, id := range []string{"settled", "open-1", "open-2"} {
		held := hold(t, k, demand(b, "", 10))
		if err := k.Keep(held, id, []byte("note of "+id)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			pay(t, k, held, 4)
		}
	}
	hold(t, k, demand(b, "", 10)) // Its answer never left: it is not on disk.
	synctest.Wait()
	kill()
	return w, b
}

// A process that comes back to its folder ends the dead one's epoch: in a moment
// all its money is there again except what its open calls hold.
func TestTheSuccessorEndsTheEpochFromItsFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := crashed(t, t.TempDir(), nil)
		c := w.config()
		c.Dir = w.dir(t)
		k, stop := w.start(c)
		time.Sleep(100 * time.Millisecond)
		if got := balance(t, k, b.Incarnation); got.Spent != 4 || got.Outstanding != 20 || got.Suspense != 0 {
			t.Errorf("after the restart: %+v", got)
		}
		open := k.Open()
		if len(open) != 2 || open[0].CallID != "open-1" || string(open[1].Note) != "note of open-2" || !open[0].Inherited {
			t.Fatalf("open: %+v", open)
		}
		if due := k.Overdue(time.Now()); len(due) != 0 {
			t.Errorf("overdue at once: %+v", due)
		}
		time.Sleep(15 * time.Minute)
		for _, o := range k.Overdue(time.Now()) {
			o.Parts[0].Charges[0].Actual = o.Parts[0].Charges[0].Held
			if _, err := k.Settle(t.Context(), ledger.Settlement{Parts: o.Parts, CallID: o.CallID, Rank: journal.RankRule, Outcome: journal.OutcomeUnknown}); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if got := balance(t, k, b.Incarnation); got.Spent != 24 || got.Outstanding != 0 {
			t.Errorf("settled by rule: %+v", got)
		}
		stop()
		// Nothing is left for a third process.
		if err := k.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		c = w.config()
		c.Dir = w.dir(t)
		third, stop := w.start(c)
		if open := third.Open(); len(open) != 0 {
			t.Errorf("the third process finds %+v", open)
		}
		if got := balance(t, third, b.Incarnation); got.Spent != 24 {
			t.Errorf("from the snapshot: %+v", got)
		}
		stop()
	})
}

// What is on disk proves nothing after a power cut, nor when the file is damaged:
// then the epoch is not ended, and its money waits for its holds' word.
func TestWithoutProofTheEpochIsNotEnded(t *testing.T) {
	damage := func(t *testing.T, dir string) {
		file := holdLogs(t, dir)[0]
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 0xff
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name  string
		sync  bool
		boot  string
		after func(*testing.T, string)
		ended bool
	}{
		{name: "the same boot", boot: "boot", ended: true},
		{name: "another boot", boot: "later"},
		{name: "another boot, but every hold was synced", sync: true, boot: "later", ended: true},
		{name: "a damaged file", boot: "boot", after: damage},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, b := crashed(t, t.TempDir(), func(c *ledger.Config) { c.Sync = row.sync })
				if row.after != nil {
					row.after(t, w.dir(t))
				}
				c := w.config()
				c.Dir, c.BootID = w.dir(t), row.boot
				k, stop := w.start(c)
				time.Sleep(time.Second)
				out := balance(t, k, b.Incarnation).Outstanding
				if ended := out == 20; ended != row.ended {
					t.Errorf("outstanding %d; ended should be %v", out, row.ended)
				}
				stop()
			})
		})
	}
}

// A record that was cut off in the middle of its write is a hold whose answer
// never left; those before it stand.
func TestTornTailIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := crashed(t, t.TempDir(), nil)
		file := holdLogs(t, w.dir(t))[0]
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data[:len(data)-3], 0o600); err != nil {
			t.Fatal(err)
		}
		c := w.config()
		c.Dir = w.dir(t)
		k, stop := w.start(c)
		time.Sleep(time.Second)
		if open := k.Open(); len(open) != 1 || open[0].CallID != "open-1" {
			t.Errorf("open: %+v", open)
		}
		if got := balance(t, k, b.Incarnation); got.Outstanding != 10 {
			t.Errorf("outstanding %d, want 10", got.Outstanding)
		}
		stop()
	})
}

// The dead process's spool goes first: money may be given to others only when
// what its calls cost stands in the log.
func TestTheEpochIsNotEndedBeforeTheSpoolIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := crashed(t, t.TempDir(), nil)
		sent := make(chan struct{})
		c := w.config()
		c.Dir = w.dir(t)
		c.Drain = func(ctx context.Context) error {
			select {
			case <-sent:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		k, stop := w.start(c)
		time.Sleep(time.Second)
		if out := balance(t, k, b.Incarnation).Outstanding; out == 20 {
			t.Error("the epoch is ended while the spool is full")
		}
		close(sent)
		time.Sleep(time.Second)
		if out := balance(t, k, b.Incarnation).Outstanding; out != 20 {
			t.Errorf("outstanding %d, want 20", out)
		}
		stop()
	})
}

// A dead process whose disk is lost: its leases are closed after their ttl and
// the longest call, and what was in them stays charged until an operator says.
func TestALostDiskIsChargedUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := crashed(t, t.TempDir(), nil)
		k, stop := w.start(w.config())
		time.Sleep(10 * time.Minute)
		out := balance(t, k, b.Incarnation).Outstanding
		if out == 0 {
			t.Fatal("closed too early")
		}
		time.Sleep(10 * time.Minute)
		got := balance(t, k, b.Incarnation)
		if got.Outstanding != 0 || got.Suspense != out || got.Spent != 4+out {
			t.Errorf("after closing: %+v; was outstanding %d", got, out)
		}
		if err := k.ReleaseEpoch(t.Context(), journal.Epoch{1}, "ops", "the disk is gone"); err != nil {
			t.Fatal(err)
		}
		if got := balance(t, k, b.Incarnation); got.Spent != 4 || got.Suspense != 0 {
			t.Errorf("after the release: %+v", got)
		}
		if err := k.ReleaseEpoch(t.Context(), journal.Epoch{99}, "ops", ""); err == nil {
			t.Error("an epoch nobody knows is released")
		}
		stop()
	})
}

// A process that is ended while it lives must not hold any more: what it had may
// be others' by now.
func TestAnEpochEndedByOthersHoldsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		k, err := ledger.NewKeeper(w.config(), w.journal, w, time.Now, discard)
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan error, 1)
		go func() { ran <- k.Run(t.Context()) }()
		synctest.Wait()
		hold(t, k, demand(b, "", 10))
		ended := journal.Record{Topic: journal.TopicLedger, Key: "acme", Event: journal.EpochEnded{Epoch: journal.Epoch{1}, By: "ops"}}
		if err := w.journal.Append(t.Context(), ended); err != nil {
			t.Fatal(err)
		}
		if err := <-ran; !errors.Is(err, ledger.ErrEpochEnded) {
			t.Errorf("run ends with %v", err)
		}
		if _, _, err := k.Hold(t.Context(), request(demand(b, "", 1))); !errors.Is(err, ledger.ErrEpochEnded) {
			t.Errorf("hold: %v", err)
		}
	})
}

// A settlement goes to the spool, whole, when the journal does not answer, and is
// repeated by nobody.
func TestSettlementsAreSpooledWhenTheJournalIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		c := w.config()
		spooled := &spool{}
		c.Spool = spooled
		k, stop := w.start(c)
		held, later := hold(t, k, demand(b, "", 10)), hold(t, k, demand(b, "", 10))
		if out := pay(t, k, held, 3); !out.Acknowledged || out.Repeated {
			t.Errorf("with the journal there: %+v", out)
		}
		if err := w.journal.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out := pay(t, k, later, 5); out.Acknowledged || len(spooled.records) != 1 {
			t.Errorf("with the journal gone: %+v, %d spooled", out, len(spooled.records))
		}
		if out := pay(t, k, later, 5); !out.Repeated || len(spooled.records) != 1 {
			t.Errorf("again: %+v, %d spooled", out, len(spooled.records))
		}
		if s, ok := k.Lookup(held.Parts[0].Hold, "acme"); !ok || s.Charges[0].Actual != 3 {
			t.Errorf("lookup: %+v, %v", s, ok)
		}
		if _, _, err := k.Hold(t.Context(), request(demand(b, "", 90))); !errors.Is(err, ledger.ErrJournalUnavailable) {
			t.Errorf("a hold that needs the journal: %v", err)
		}
		stop()
	})
}

type spool struct{ records []journal.Record }

func (s *spool) Put(recs ...journal.Record) error {
	s.records = append(s.records, recs...)
	return nil
}

func holdLogs(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.holds"))
	if err != nil || len(files) == 0 {
		t.Fatal("no hold log", err)
	}
	return files
}

// The hold log does not grow for ever: what is settled is left out when it is
// written anew.
func TestHoldLogIsCompacted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 1000})
		c := w.config()
		c.Dir = dir
		k, stop := w.start(c)
		open := hold(t, k, demand(b, "", 10))
		if err := k.Keep(open, "open", nil); err != nil {
			t.Fatal(err)
		}
		note := []byte(strings.Repeat("n", 1500))
		for range 7000 {
			held := hold(t, k, demand(b, "", 10))
			if err := k.Keep(held, "c", note); err != nil {
				t.Fatal(err)
			}
			pay(t, k, held, 0)
		}
		stop()
		info, err := os.Stat(holdLogs(t, dir)[0])
		if err != nil || info.Size() > 6<<20 {
			t.Errorf("%d bytes, %v", info.Size(), err)
		}
		c = w.config()
		c.Dir = dir
		k, stop = w.start(c)
		if open := k.Open(); len(open) != 1 || open[0].CallID != "open" {
			t.Errorf("open: %d", len(open))
		}
		stop()
	})
}

// A report that comes again after a restart gets the first charge again, whether
// the process was killed or shut down.
func TestRepeatAfterARestartGetsTheFirstCharge(t *testing.T) {
	for name, graceful := range map[string]bool{"killed": false, "shut down": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
				c := w.config()
				c.Dir = t.TempDir()
				k, stop := w.start(c)
				held := hold(t, k, demand(b, "", 10))
				token := held.Token(nil)
				held.Parts[0].Charges[0].Actual = 4
				said := ledger.Settlement{Parts: held.Parts, Rank: journal.RankExact, Usage: &journal.Usage{ChargedNanoUSD: 4}}
				if _, err := k.Settle(t.Context(), said); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				stop()
				if graceful {
					if err := k.Shutdown(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				c2 := w.config()
				c2.Dir = c.Dir
				k, stop = w.start(c2)
				parts, err := k.Charges(token)
				if err != nil || parts[0].Charges[0].Actual != 4 {
					t.Errorf("charges: %+v, %v", parts, err)
				}
				if out, err := k.Settle(t.Context(), said); err != nil || !out.Repeated || !out.Acknowledged {
					t.Errorf("again: %+v, %v", out, err)
				}
				if first, ok := k.Lookup(held.Parts[0].Hold, "acme"); !ok || first.Usage == nil || first.Usage.ChargedNanoUSD != 4 {
					t.Errorf("lookup: %+v, %v", first, ok)
				}
				stop()
			})
		})
	}
}
