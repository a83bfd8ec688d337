package analytics

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// historyOf plays the registry's rule over a history, slowly and plainly: what a
// moment's price is, by the latest word on each beginning.
func priceIn(history []PriceVersion, deployment string, at time.Time) (registry.Price, bool) {
	latest := map[time.Time]PriceVersion{}
	for _, p := range history {
		if p.Deployment == deployment && p.Version > latest[p.ValidFrom].Version {
			latest[p.ValidFrom] = p
		}
	}
	var best *PriceVersion
	for _, p := range latest {
		if !p.Removed && !p.ValidFrom.After(at) && (best == nil || p.ValidFrom.After(best.ValidFrom)) {
			best = &p
		}
	}
	if best == nil {
		return registry.Price{}, false
	}
	return registry.Price{Deployment: deployment, From: best.ValidFrom, RecordedAt: best.RecordedAt, Tools: best.Tools, Tiers: best.Tiers,
		Rates: registry.Rates{Input: best.Input, CachedInput: best.CachedInput, CacheWrite: best.CacheWrite, CacheWriteLong: best.CacheWriteLong, Output: best.Output}}, true
}

// amounts are small, usual, and at the edges where rounding and overflow live.
func amounts(t *rapid.T, label string) int64 {
	return rapid.OneOf(
		rapid.Int64Range(0, 3), rapid.Int64Range(0, 200_000), rapid.Int64Range(999_999, 1_000_001),
		rapid.SampledFrom([]int64{math.MaxInt32, math.MaxInt64 / 5, math.MaxInt64}),
	).Draw(t, label)
}

func rates(t *rapid.T) registry.Rates {
	r := func(label string) int64 {
		return rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 75_000_000_000), rapid.Just(int64(math.MaxInt64))).Draw(t, label)
	}
	return registry.Rates{Input: r("input rate"), CachedInput: r("cached rate"), CacheWrite: r("write rate"), CacheWriteLong: r("long rate"), Output: r("output rate")}
}

// tokensOf mostly add up; the parts of an input never pass 63 bits together.
func tokensOf(t *rapid.T) journal.Tokens {
	part := func(label string) int64 { return min(amounts(t, label), math.MaxInt64/5) }
	cached, write, long := part("cached"), part("write"), part("long")
	input := amounts(t, "input")
	if sum := cached + write + long; rapid.IntRange(0, 9).Draw(t, "adds up") > 0 && sum <= math.MaxInt64-input {
		input += sum
	}
	return journal.Tokens{Input: input, Cached: cached, CacheWrite: write, CacheWriteLong: long, Output: amounts(t, "output")}
}

// tools are names with fees, and one that entries from before fees were known have.
func tools(t *rapid.T, label string) map[string]int64 {
	n := rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 40_000_000), rapid.SampledFrom([]int64{-1, math.MaxInt32, math.MaxInt64}))
	name := rapid.SampledFrom([]string{"web_search", "web_fetch", "file_search", "web_search_requests"})
	return rapid.MapOfN(name, n, 0, 3).Draw(t, label)
}

// TestCostsAreTheSameInGoAndSQL draws histories of prices (corrections, removals,
// tiers, fees) and attempts at the edges of time, length and 64 bits, and compares
// the view with registry.Price, which decisions are made with.
func TestCostsAreTheSameInGoAndSQL(t *testing.T) {
	store := newStore(t)
	few(t, 15)
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		must(t, store.exec(ctx, "TRUNCATE TABLE signalbox.prices_log"))
		must(t, store.exec(ctx, "TRUNCATE TABLE signalbox.usage_log"))
		var history []PriceVersion
		var priceRows []any
		for v := range rapid.IntRange(0, 12).Draw(t, "versions") {
			p := PriceVersion{Deployment: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "priced"), Version: int64(v + 1),
				ValidFrom:  morning.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "from")) * time.Hour),
				RecordedAt: morning.Add(time.Duration(v) * time.Minute), Removed: rapid.IntRange(0, 5).Draw(t, "removed") == 0}
			r := rates(t)
			p.Input, p.CachedInput, p.CacheWrite, p.CacheWriteLong, p.Output = r.Input, r.CachedInput, r.CacheWrite, r.CacheWriteLong, r.Output
			if rapid.Bool().Draw(t, "with fees") {
				p.Tools = tools(t, "fees")
				maps.DeleteFunc(p.Tools, func(_ string, fee int64) bool { return fee < 0 })
			}
			seen := map[string]bool{}
			for range rapid.IntRange(0, 4).Draw(t, "tiers") {
				tier := registry.Tier{Above: rapid.SampledFrom([]int64{0, 1000, 200_000}).Draw(t, "above"),
					ServiceTier: rapid.SampledFrom([]string{"", "priority", "flex"}).Draw(t, "tier"), Rates: rates(t)}
				if id := fmt.Sprint(tier.Above, tier.ServiceTier); !seen[id] && (tier.Above > 0 || tier.ServiceTier != "") {
					seen[id] = true
					p.Tiers = append(p.Tiers, tier)
				}
			}
			// As the registry keeps them.
			slices.SortFunc(p.Tiers, func(a, b registry.Tier) int {
				return cmp.Or(cmp.Compare(a.ServiceTier, b.ServiceTier), cmp.Compare(a.Above, b.Above))
			})
			history = append(history, p)
			priceRows = append(priceRows, priceOf(&p))
		}
		must(t, store.insert(ctx, "prices_log", priceRows))
		var usageRows []any
		var want []string
		for i := range 60 {
			tokens := tokensOf(t)
			if rapid.Bool().Draw(t, "uses tools") {
				tokens.Other = tools(t, "uses")
			}
			a := journal.Attempt{Deployment: rapid.SampledFrom([]string{"a", "b", "ptu"}).Draw(t, "deployment"), Tokens: tokens,
				ServiceTier: rapid.SampledFrom([]string{"", "default", "priority"}).Draw(t, "service tier"), ChargedNanoUSD: int64(i) + 7}
			at := morning.Add(time.Duration(rapid.IntRange(-1, 9).Draw(t, "at")) * 30 * time.Minute)
			if rapid.Bool().Draw(t, "a microsecond before") {
				at = at.Add(-time.Microsecond)
			}
			e := journal.Entry{Record: journal.Record{Key: "acme"}, Offset: int64(i)}
			usageRows = append(usageRows, usageOf(&e, &journal.Settled{Hold: journal.HoldID{N: uint64(i)}, Rank: journal.RankExact,
				DecisionID: fmt.Sprintf("%03d", i), Usage: &journal.Usage{At: at, Attempts: []journal.Attempt{a}}}))
			cost := int64(0)
			if price, ok := priceIn(history, a.Deployment, at); ok {
				var err error
				if cost, err = price.Cost(tokens, a.ServiceTier); err != nil {
					cost = a.ChargedNanoUSD // what cannot be computed costs what was charged
				}
			}
			want = append(want, strconv.FormatInt(cost, 10))
		}
		must(t, store.insert(ctx, "usage_log", usageRows))
		result, err := store.Query(ctx, "SELECT cost_nano_usd FROM costs ORDER BY decision_id")
		must(t, err)
		var got []string
		for _, row := range result.Rows {
			got = append(got, Text(row[0]))
		}
		if !slices.Equal(got, want) {
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Fatalf("attempt %d: SQL %v, Go %s: %+v with %+v", i, got[min(i, len(got)-1)], want[i], usageRows[i], history)
				}
			}
			t.Fatalf("%d costs, want %d", len(got), len(want))
		}
	})
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// few makes a property, each try of which asks the real engine, try fewer times
// than rapid would by itself.
func few(t *testing.T, checks int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return // asked for on the command line
	}
	if err := f.Value.Set(strconv.Itoa(checks)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}
