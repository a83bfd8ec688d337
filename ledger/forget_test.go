package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// jumpyClock is a wall clock that somebody sets.
type jumpyClock struct {
	mu   sync.Mutex
	jump time.Duration
}

func (c *jumpyClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.jump)
}

func (c *jumpyClock) set(jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jump = jump
}

// A clock that jumps forward and comes back, the replica's own or the one that
// the journal in its process shares, does not let a budget be spent twice.
func TestClockThatJumpsForgetsNothingThatCounts(t *testing.T) {
	windows := map[string]journal.Window{"month": {Every: journal.EveryMonth}, "total": {}}
	for name, window := range windows {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", shared with the journal ", shared), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { tellOfAJump(t, window, shared) })
			})
		}
	}
}

func tellOfAJump(t *testing.T, window journal.Window, shared bool) {
	w, clock := newWorld(t), &jumpyClock{}
	if shared {
		w.journal = journal.NewMemory(2, clock.now)
	}
	k, err := ledger.NewKeeper(w.config(), w.journal, w, clock.now, discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	synctest.Wait()
	b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100, Window: window, Per: []string{"session"}})
	other := w.budget(registry.Budget{Name: "other", Unit: journal.UnitUSD, Amount: 100})
	pay(t, k, hold(t, k, demand(b, "s", 100)), 100)
	time.Sleep(15 * time.Second) // Nothing is in hand any more.
	pay(t, k, hold(t, k, demand(other, "", 1)), 1)
	time.Sleep(15 * time.Second)
	clock.set(40 * 24 * time.Hour)
	time.Sleep(2 * time.Minute)
	clock.set(0)
	time.Sleep(2 * time.Minute)
	if short := refuse(t, k, request(demand(b, "s", 100))); !exhausted(short) {
		t.Errorf("100 of 100 were spent, and the fold says %+v", short)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whoever says it, the fold forgets a meter only when log time has passed its
// window's end wherever on earth that is.
func TestFoldForgetsByLogTimeOnly(t *testing.T) {
	start := time.Date(2026, time.March, 2, 0, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		label, per  string
		window      journal.Window
		kept, after time.Duration
	}{
		{"2026-03-02T00Z", "", journal.Window{Every: journal.EveryHour}, 80 * time.Minute, 100 * time.Minute},
		{"2026-03-02T00:30Z", "", journal.Window{Every: journal.EveryHour}, 110 * time.Minute, 130 * time.Minute},
		{"2026-03-02", "", journal.Window{Every: journal.EveryDay}, 50 * time.Hour, 51 * time.Hour},
		{"2026-W10", "", journal.Window{Every: journal.EveryWeek}, 7 * 24 * time.Hour, 12 * 24 * time.Hour},
		{"2026-03", "", journal.Window{Every: journal.EveryMonth}, 30 * 24 * time.Hour, 32 * 24 * time.Hour},
		{"2026-Q1", "", journal.Window{Every: journal.EveryQuarter}, 30 * 24 * time.Hour, 32 * 24 * time.Hour},
		{"2026", "", journal.Window{Every: journal.EveryYear}, 304 * 24 * time.Hour, 308 * 24 * time.Hour},
		{"total", "s", journal.Window{}, 29 * 24 * time.Hour, 31 * 24 * time.Hour},
		{"total", "", journal.Window{}, 900 * 24 * time.Hour, 0},
		{"nonsense", "", journal.Window{Every: journal.EveryDay}, 900 * 24 * time.Hour, 0},
	} {
		t.Run(c.label+c.per, func(t *testing.T) {
			b := ledger.NewBook("acme")
			apply := func(after time.Duration, ev journal.Event) {
				e := journal.Entry{Offset: b.Offset(), At: start.Add(after), Record: journal.Record{Topic: journal.TopicLedger, Key: "acme", Event: ev}}
				if err := b.Apply(e); err != nil {
					t.Fatal(err)
				}
			}
			m := journal.Meter{Budget: 1, Unit: journal.UnitUSD, Per: c.per, Label: c.label}
			apply(0, journal.LimitSet{Budget: 1, Version: 1, Unit: journal.UnitUSD, Window: c.window, Amount: 10})
			apply(0, journal.Adjusted{ID: "a", Meter: m, Amount: -5})
			apply(c.kept, journal.MetersForgotten{Meters: []journal.Meter{m}, Offset: 99})
			if _, ok := b.Meter(m); !ok {
				t.Errorf("gone after %s", c.kept)
			}
			if c.after == 0 {
				return
			}
			apply(c.after, journal.MetersForgotten{Meters: []journal.Meter{m}, Offset: 99})
			if _, ok := b.Meter(m); ok {
				t.Errorf("still there after %s", c.after)
			}
		})
	}
}

// Days after the last call nothing is left of sessions: not of those that were
// refused, not of those charged by estimate, and not of very many.
func TestNothingIsKeptOfSessionsLongOver(t *testing.T) {
	hourly := journal.Window{Every: journal.EveryHour}
	t.Run("refused", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
			b := w.budget(registry.Budget{Name: "session", Unit: journal.UnitUSD, Amount: 10, Per: []string{"session"}, Window: hourly, MaxValues: 20})
			for i := range 20 {
				held := hold(t, k, demand(b, fmt.Sprint("s", i), 6))
				refuse(t, k, request(demand(b, fmt.Sprint("s", i), 6)))
				pay(t, k, held, 6)
			}
			nothingIsLeft(t, k, 4*time.Hour)
		})
	})
	t.Run("charged by estimate", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
			b := w.budget(registry.Budget{Name: "session", Unit: journal.UnitUSD, Amount: 1000, Per: []string{"session"}, Window: hourly})
			for i := range 50 {
				held := hold(t, k, demand(b, fmt.Sprint("s", i), 6))
				s := ledger.Settlement{Parts: held.Parts, Rank: journal.RankEstimate, Outcome: journal.OutcomeFailed}
				if _, err := k.Settle(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			nothingIsLeft(t, k, 9*24*time.Hour)
		})
	})
	t.Run("very many", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
			b := w.budget(registry.Budget{Name: "session", Unit: journal.UnitUSD, Amount: 1000, Per: []string{"session"}, Window: hourly})
			for i := range 3000 {
				pay(t, k, hold(t, k, demand(b, fmt.Sprint("s", i), 1)), 1)
			}
			nothingIsLeft(t, k, 2*time.Hour+5*time.Minute)
		})
	})
}

func nothingIsLeft(t *testing.T, k *ledger.Keeper, after time.Duration) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if n := k.Stats().Meters; n != 0 {
		t.Errorf("%s later there are %d meters", after, n)
	}
}

// One partition's fold stopped, at an entry of another tenant: what a dead process
// had in leases comes back on the others all the same.
func TestStoppedPartitionDoesNotKeepOthersMoney(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.Dir = t.TempDir()
		k, stop := w.start(c)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		hold(t, k, demand(b, "", 30)) // Never kept: its answer never left.
		stop()                        // Killed.
		stranger := "globex"
		for w.journal.PartitionFor(journal.TopicLedger, stranger) == w.journal.PartitionFor(journal.TopicLedger, "acme") {
			stranger += "x"
		}
		poison := journal.Record{Topic: journal.TopicLedger, Key: stranger, Event: journal.Unreadable{Why: "rules 9"}}
		if err := w.journal.Append(t.Context(), poison); err != nil {
			t.Fatal(err)
		}
		again := w.config()
		again.Dir = c.Dir
		k, err := ledger.NewKeeper(again, w.journal, w, time.Now, discard)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(10 * time.Second)
		if got := balance(t, k, b.Incarnation); got.Outstanding != 0 || got.Suspense != 0 || got.Spent != 0 {
			t.Errorf("ten seconds later: %+v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
