package analytics

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/analytics/embedded"
	"github.com/signalbox-dev/signalbox/journal"
)

func TestEntriesBecomeRows(t *testing.T) {
	store, j := newStore(t), newJournal()
	catalog := registryOf(PriceVersion{Deployment: "paygo", ValidFrom: morning.Add(-time.Hour), RecordedAt: morning, Version: 3, Input: 2_500_000_000, CachedInput: 1_250_000_000, CacheWrite: 2_500_000_000, CacheWriteLong: 2_500_000_000, Output: 10_000_000_000})
	put(t, j,
		journal.Record{Topic: journal.TopicNames, Key: "acme", Name: "p-alice", Event: journal.Named{Kind: "user", Pseudonym: "p-alice", Name: "alice"}},
		decided("acme", epoch(1), 1), decided("acme", epoch(1), 2), decided("globex", epoch(1), 3),
		settled("acme", epoch(1), 1, journal.RankExact, attempt("ptu", 800, 0, 0), attempt("paygo", 812, 120, 3_230_000)),
	)
	sink := running(t, store, j, catalog, SinkConfig{})
	caughtUp(t, sink)
	for sql, want := range map[string]string{
		"SELECT count(), uniqExact(chain_hash) FROM decisions":                                                             `"3","3"`,
		"SELECT user, tags, deployments, latency_us, at FROM decisions WHERE call_id = 'c-1'":                              `"alice",{"env":"prod"},["ptu","paygo"],"42","2026-03-29 08:30:01.123456"`,
		"SELECT attempt, deployment, user, input_tokens, charged_nano_usd, latency_ms, cache FROM usage WHERE attempt = 2": `2,"paygo","alice","812","3230000","912","none"`,
		"SELECT sum(charged_nano_usd), sum(cost_nano_usd), count() FROM costs":                                             `"3230000","3230000","2"`,
		"SELECT price_recorded_at FROM costs WHERE deployment = 'ptu'":                                                     `null`,
		"SELECT tenant, team, deployment, hour, calls, tokens, cost_nano_usd FROM spend_hourly WHERE cost_nano_usd > 0":    `"acme","support","paygo","2026-03-29 08:00:00.000000","1","932","3230000"`,
		"SELECT budget, unit, per, window_start, kind, amount, held, call_id FROM ledger":                                  `"acme-month","usd",{"user":"alice"},"2026-02-28 23:00:00.000000","settled","3230000","5000","c-1"`,
		"SELECT deployment, version, output_nano_usd_per_mtok, tiers FROM prices":                                          `"paygo","3","10000000000",[]`,
	} {
		if got := one(t, store, sql); got != want {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
}

func TestNamesAreShownUntilForgotten(t *testing.T) {
	store, j := newStore(t), newJournal()
	put(t, j, decided("acme", epoch(1), 1), decided("globex", epoch(1), 2))
	sink := running(t, store, j, registryOf(), small)
	users := func() string {
		caughtUp(t, sink)
		return one(t, store, "SELECT groupArray((tenant, user)) FROM (SELECT tenant, user FROM decisions ORDER BY tenant)")
	}
	show := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	unknown := users()
	put(t, j, named("acme", "p-alice", "alice")) // after the decision, and of one tenant only
	known := users()
	if unknown == known || !strings.Contains(known, "alice") {
		t.Errorf("before %s, after %s", unknown, known)
	}
	put(t, j, named("acme", "p-alice", "Alice B."))
	show(one(t, store, "SELECT count() FROM names"), `"1"`)
	if got := users(); !strings.Contains(got, "Alice B.") {
		t.Errorf("got %s", got)
	}
	put(t, j, journal.Record{Topic: journal.TopicNames, Key: "acme", Name: "p-alice"})
	show(users(), unknown)
	show(one(t, store, "SELECT count() FROM names"), `"0"`)
	show(one(t, store, "SELECT count() FROM names_log WHERE name != ''"), `"0"`) // not only hidden
	show(one(t, store, "SELECT count() FROM names_lookup"), `"0"`)
}

func TestAnEntryThatCannotBeReadStopsItsPartitionOnly(t *testing.T) {
	store, j := newStore(t), newJournal()
	// Two tenants of different partitions.
	var stuck, free string
	for i := 0; stuck == "" || free == ""; i++ {
		tenant := string(rune('a' + i))
		if j.PartitionFor(journal.TopicDecisions, tenant) == 0 {
			stuck = tenant
		} else {
			free = tenant
		}
	}
	put(t, j, decided(stuck, epoch(1), 1),
		journal.Record{Topic: journal.TopicDecisions, Key: stuck, Event: journal.Unreadable{Why: "rules 2 are above 1"}},
		decided(stuck, epoch(1), 2), decided(free, epoch(1), 3))
	sink := running(t, store, j, registryOf(), small)
	err := sink.CaughtUp(t.Context())
	var stopped *StoppedError
	if !errors.As(err, &stopped) || stopped.Partition != 0 || stopped.Offset != 1 || !strings.Contains(err.Error(), "rules 2 are above 1") {
		t.Fatalf("got %v", err)
	}
	if got := sink.Err(); got == nil || !strings.Contains(got.Error(), "rules 2 are above 1") {
		t.Errorf("health says %v", got)
	}
	for _, lag := range sink.Lag() {
		if want := lag.Topic == journal.TopicDecisions && lag.Partition == 0; (lag.Err != nil) != want {
			t.Errorf("%s/%d: %v", lag.Topic, lag.Partition, lag.Err)
		}
	}
	put(t, j, decided(free, epoch(1), 4))
	end := time.Now().Add(time.Minute)
	for one(t, store, "SELECT count() FROM decisions") != `"3"` { // the one before it, and the other partition's
		if time.Now().After(end) {
			t.Fatalf("rows: %s", one(t, store, "SELECT count() FROM decisions"))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAnEngineThatComesLaterIsCaughtUpWith(t *testing.T) {
	startEngine(t, t.TempDir()) // to have the library
	library, err := embedded.Find("")
	if err != nil {
		t.Fatal(err)
	}
	place := t.TempDir()
	engine, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{Dir: t.TempDir(), EnginePath: place, Poll: 10 * time.Millisecond}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	_ = engine.WaitReady(t.Context()) // until it is known to be missing
	store, err := Open(t.Context(), Config{DSN: engine.DSN(), Ready: engine.Err}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	j := newJournal()
	put(t, j, decided("acme", epoch(1), 1))
	sink := running(t, store, j, registryOf(), small)
	for sink.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	const hint = "run: signalbox engine install"
	if err := sink.Err(); !strings.Contains(err.Error(), hint) {
		t.Errorf("the sink says %v", err)
	}
	if _, err := store.Query(t.Context(), "SELECT 1"); err == nil || !strings.Contains(err.Error(), hint) {
		t.Errorf("a query says %v", err)
	}
	put(t, j, decided("acme", epoch(1), 2))
	if err := os.Symlink(library, filepath.Join(place, "libchdb.so")); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, sink)
	if got := one(t, store, "SELECT count() FROM decisions"); got != `"2"` || sink.Err() != nil {
		t.Errorf("%s rows, %v", got, sink.Err())
	}
}

func TestASinkNeedsAnEncoder(t *testing.T) {
	if err := NewSink(nil, newJournal(), registryOf(), SinkConfig{}, quiet()).Run(t.Context()); err != errNoEncode {
		t.Errorf("got %v", err)
	}
}

func TestWindowStart(t *testing.T) {
	for _, c := range []struct{ label, zone, want string }{
		{"2026-03-29T22Z", "Europe/Berlin", "2026-03-29T22:00:00Z"},
		{"2026-03-29T22:30Z", "Asia/Kolkata", "2026-03-29T22:30:00Z"},
		{"2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z"},
		{"2026-03-30", "Europe/Berlin", "2026-03-29T22:00:00Z"},
		{"2026-03", "UTC", "2026-03-01T00:00:00Z"},
		{"2026", "America/New_York", "2026-01-01T05:00:00Z"},
		{"2026-Q2", "", "2026-04-01T00:00:00Z"},
		{"2026-W01", "UTC", "2025-12-29T00:00:00Z"},
		{"2026-W53", "UTC", "2026-12-28T00:00:00Z"},
		{"total", "UTC", ""}, {"rolling", "", ""}, {"now", "", ""}, {"", "", ""}, {"2026-Q5", "", ""}, {"2026-W54", "", ""},
	} {
		got, ok := windowStart(c.label, c.zone)
		if s := got.Format(time.RFC3339); ok != (c.want != "") || ok && s != c.want {
			t.Errorf("%s in %q starts %s (%t), want %q", c.label, c.zone, s, ok, c.want)
		}
	}
}
