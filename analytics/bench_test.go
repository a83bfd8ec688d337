package analytics

import (
	"context"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// BenchmarkSink copies decisions and settlements; BenchmarkInsert inserts the
// same rows and does nothing else: the floor.
func BenchmarkSink(b *testing.B) {
	store := newStore(b)
	j := journal.NewMemory(4, func() time.Time { return morning })
	for i := range b.N {
		n := uint64(i + 1)
		tenant := string(rune('a' + i%26))
		if err := j.Append(b.Context(), decided(tenant, epoch(1), n), settled(tenant, epoch(1), n, journal.RankExact, attempt("paygo", 812, 120, 3_230_000))); err != nil {
			b.Fatal(err)
		}
	}
	sink := newSink(store, j, registryOf(), SinkConfig{Encode: func(journal.Record) ([]byte, error) { return make([]byte, 500), nil }}, quiet())
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	b.ResetTimer()
	go func() { defer close(done); _ = sink.Run(ctx) }()
	if err := sink.CaughtUp(ctx); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	stop()
	<-done
	b.ReportMetric(float64(3*b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkInsert(b *testing.B) {
	store := newStore(b)
	var tables [3][]any
	for i := range b.N {
		n := uint64(i + 1)
		d := decided("a", epoch(1), n)
		s := settled("a", epoch(1), n, journal.RankExact, attempt("paygo", 812, 120, 3_230_000))
		e := journal.Entry{Record: d, Offset: int64(i)}
		event := d.Event.(journal.Decided)
		tables[0] = append(tables[0], decisionOf(&e, &event, chain{}.String()))
		e.Record = s
		settlement := s.Event.(journal.Settled)
		tables[1] = append(tables[1], usageOf(&e, &settlement))
		moved, err := movementsOf(&e, func(int64) (Budget, error) { return Budget{}, nil })
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range moved {
			tables[2] = append(tables[2], m)
		}
	}
	b.ResetTimer()
	for i, table := range []string{"decisions_log", "usage_log", "ledger_log"} {
		for rest := tables[i]; len(rest) > 0; {
			n := min(len(rest), 10_000)
			if err := store.insert(b.Context(), table, rest[:n]); err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
	b.ReportMetric(float64(3*b.N)/b.Elapsed().Seconds(), "rows/s")
}
