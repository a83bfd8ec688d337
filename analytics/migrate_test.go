package analytics

import (
	"os"
	"testing"

	"github.com/signalbox-dev/signalbox/journal"
)

// made makes a schema of our own files' texts, as a program that has them does.
func made(t *testing.T, s *Store, files ...string) {
	t.Helper()
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range statements(string(text)) {
			if err := s.exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// A folder that the version before prices knew fees has made: its rows stay, fees are
// there from the first copy on, and the version before can still read it.
func TestAFolderFromBeforePricesKnewFees(t *testing.T) {
	const pricesBefore = `INSERT INTO signalbox.prices_log (deployment, valid_from, recorded_at, version, removed, input_nano_usd_per_mtok,
		cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok, cache_write_long_nano_usd_per_mtok, output_nano_usd_per_mtok, tiers)
		VALUES ('paygo', '2026-03-01 00:00:00', '2026-03-01 00:00:00', 3, false, 1000000, 1000000, 1000000, 1000000, 1000000, [])`
	dir := t.TempDir()
	engine := startEngine(t, dir)
	before, err := Open(t.Context(), Config{DSN: engine.DSN(), Ready: engine.Err}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := before.exec(t.Context(), "CREATE DATABASE IF NOT EXISTS "+database); err != nil {
		t.Fatal(err)
	}
	made(t, before, "schema/001_tables.sql", "testdata/views-before-tools.sql")
	if err := before.exec(t.Context(), pricesBefore); err != nil {
		t.Fatal(err)
	}
	j := newJournal()
	put(t, j, settled("acme", epoch(1), 1, journal.RankExact, attempt("paygo", 20, 5, 25)))
	first := PriceVersion{Deployment: "paygo", ValidFrom: morning.AddDate(0, 0, -28), RecordedAt: morning, Version: 3,
		Input: 1_000_000, CachedInput: 1_000_000, CacheWrite: 1_000_000, CacheWriteLong: 1_000_000, Output: 1_000_000}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}

	store := openStore(t, startEngine(t, dir))
	if got := one(t, store, "SELECT count(), sum(length(tools_nano_usd_per_use)) FROM prices"); got != `"1","0"` {
		t.Errorf("the price from before: %s", got)
	}
	copyOnce(t, store, j, registryOf(first))()
	if got := one(t, store, "SELECT cost_nano_usd, other FROM costs"); got != `"25",{"web_search":"1"}` {
		t.Errorf("before there is a fee: %s", got)
	}
	second := first
	second.Version, second.RecordedAt, second.Tools = 4, morning, map[string]int64{"web_search": 10_000_000}
	copyOnce(t, store, j, registryOf(first, second))()
	if got := one(t, store, "SELECT cost_nano_usd FROM costs"); got != `"10000025"` {
		t.Errorf("with a fee: %s", got)
	}
	if got := one(t, store, "SELECT tools_nano_usd_per_use FROM prices WHERE version = 4"); got != `{"web_search":"10000000"}` {
		t.Errorf("the price: %s", got)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Errorf("a second start: %v", err)
	}
	made(t, store, "schema/001_tables.sql", "testdata/views-before-tools.sql")
	if err := store.exec(t.Context(), pricesBefore); err != nil {
		t.Errorf("the version before writes a price: %v", err)
	}
	if got := one(t, store, "SELECT count(), sum(cost_nano_usd) FROM costs"); got != `"1","25"` {
		t.Errorf("the version before reads: %s", got)
	}
}
