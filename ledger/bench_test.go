package ledger_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// sink is a journal that takes settlements at no cost, so that a benchmark shows
// the ledger's own.
type sink struct{ ledger.Journal }

func (s sink) Append(ctx context.Context, recs ...journal.Record) error {
	if _, ok := recs[0].Event.(journal.Settled); ok {
		return nil
	}
	return s.Journal.Append(ctx, recs...)
}

// BenchmarkHoldAndSettle is a call on five meters whose leases are in hand.
func BenchmarkHoldAndSettle(b *testing.B) {
	w := newWorld(b)
	w.journal = struct {
		ledger.Journal
		closer
	}{sink{w.journal}, closer{}}
	var demands []ledger.Demand
	for i, unit := range []journal.Unit{journal.UnitUSD, journal.UnitUSD, journal.UnitTokens, journal.UnitRequests, journal.UnitUSD} {
		budget := w.budget(registry.Budget{Name: fmt.Sprint(i), Unit: unit, Amount: 1 << 60, Per: []string{"user"}})
		demands = append(demands, demand(budget, "user-0123456789abcdef", 1))
	}
	c := w.config()
	c.LeaseTTL, c.IdleAfter = time.Hour, time.Hour
	k, stop := w.start(c)
	defer stop()
	big := request(demands...)
	for i := range big.Candidates[0].Demands {
		big.Candidates[0].Demands[i].Base = 1 << 40 // The lease of it stays in hand.
	}
	first, _, err := k.Hold(b.Context(), big)
	if err != nil {
		b.Fatal(err)
	}
	ledger.Refill(k, first)
	req := request(demands...)
	for i := range req.Candidates[0].Demands {
		req.Candidates[0].Demands[i].Base = 1
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		held, short, err := k.Hold(b.Context(), req)
		if err != nil || len(short) > 0 {
			b.Fatal(short, err)
		}
		if _, err := k.Settle(b.Context(), ledger.Settlement{Parts: held.Parts, Rank: journal.RankExact}); err != nil {
			b.Fatal(err)
		}
	}
}

type closer struct{}

func (closer) Close(context.Context) error { return nil }

// BenchmarkFold is the books' speed: asks and settlements of five meters, as a
// day's log has them.
func BenchmarkFold(b *testing.B) {
	const calls = 10_000
	entries := make([]journal.Entry, 0, calls+calls/20+5)
	say := func(ev journal.Event) {
		entries = append(entries, journal.Entry{Record: journal.Record{Event: ev}, Offset: int64(len(entries)), At: time.Unix(6e9, int64(len(entries))*1e6)})
	}
	meters := make([]journal.Meter, 5)
	for i := range meters {
		meters[i] = journal.Meter{Budget: int64(i + 1), Unit: journal.UnitTokens, Per: fmt.Sprint("user-", i), Label: "total"}
		ls := journal.LimitSet{Budget: int64(i + 1), Unit: journal.UnitTokens, Amount: 1 << 60}
		if i == 4 {
			ls.Window.Rolling, meters[i].Label = time.Minute, "rolling"
		}
		say(ls)
	}
	epoch := journal.Epoch{1}
	lease := uint64(0)
	for n := range uint64(calls) {
		if n%20 == 0 {
			lease++
			ev := journal.Asked{Epoch: epoch, N: lease, Div: 2}
			for _, m := range meters {
				ev.Asks = append(ev.Asks, journal.Ask{Meter: m, Least: 2000, Want: 2000})
			}
			say(ev)
		}
		ev := journal.Settled{Hold: journal.HoldID{Epoch: epoch, N: n + 1}, Rank: journal.RankExact}
		for _, m := range meters {
			ev.Charges = append(ev.Charges, journal.Charge{Meter: m, Lease: lease, Held: 100, Actual: 30})
		}
		say(ev)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		book := ledger.NewBook("acme")
		for _, e := range entries {
			if err := book.Apply(e); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(entries))/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkMeterMemory is what one live meter of a user takes.
func BenchmarkMeterMemory(b *testing.B) {
	const meters = 100_000
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		book := ledger.NewBook("acme")
		apply := func(offset int64, ev journal.Event) {
			if err := book.Apply(journal.Entry{Record: journal.Record{Event: ev}, Offset: offset}); err != nil {
				b.Fatal(err)
			}
		}
		apply(0, journal.LimitSet{Budget: 1, Unit: journal.UnitUSD, Amount: 1 << 60})
		for i := range int64(meters) {
			m := journal.Meter{Budget: 1, Unit: journal.UnitUSD, Per: fmt.Sprintf("%016d", i), Label: "2026-03"}
			apply(i+1, journal.Settled{Hold: journal.HoldID{N: uint64(i + 1)}, Rank: journal.RankExact, Charges: []journal.Charge{{Meter: m, Actual: 1}}})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/meters, "B/meter")
		runtime.KeepAlive(book)
	}
}
