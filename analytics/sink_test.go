package analytics

import (
	"testing"
	"time"

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
