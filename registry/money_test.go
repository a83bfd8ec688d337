package registry_test

import (
	"math"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestUSD(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "5000": 5000e9, "0.01234": 12_340_000, "2.50": 2_500_000_000, "0.000000001": 1, "007": 7e9,
		"9223372036.854775807": math.MaxInt64, "9223372036": 9223372036e9,
	} {
		if got, err := registry.ParseUSD(text); err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1E3", "1,000", "1_000", " 1", "1 ", "0x1", "1.0000000000", "９",
		"9223372036.854775808", "9223372037", "99999999999999999999", "1.2.3", "NaN", "Inf", "$1"} {
		if got, err := registry.ParseUSD(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	for nano, want := range map[int64]string{0: "0", 1: "0.000000001", -1: "-0.000000001", 5000e9: "5000", 12_340_000: "0.01234",
		math.MaxInt64: "9223372036.854775807", math.MinInt64: "-9223372036.854775808"} {
		if got := registry.FormatUSD(nano); got != want {
			t.Errorf("%d: %s, want %s", nano, got, want)
		}
	}
	if got := registry.FormatAmount(journal.UnitTokens, 60000); got != "60000" {
		t.Error(got)
	}
}

func TestUSDThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "nano")
		if got, err := registry.ParseUSD(registry.FormatUSD(n)); err != nil || got != n {
			t.Fatalf("%d → %s → %d %v", n, registry.FormatUSD(n), got, err)
		}
	})
}

// Cost is the exact sum, rounded up once, or an error: compared with arithmetic
// that has no bound.
func TestCost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]int64{10, 1e6, 1e12, math.MaxInt64}).Draw(t, "most")
		n := rapid.Int64Range(0, most)
		r := registry.Rates{Input: n.Draw(t, "a"), CachedInput: n.Draw(t, "b"), CacheWrite: n.Draw(t, "c"), CacheWriteLong: n.Draw(t, "d"), Output: n.Draw(t, "e")}
		part := rapid.Int64Range(0, most/8)
		plain := part.Draw(t, "plain")
		u := journal.Tokens{Cached: part.Draw(t, "cached"), CacheWrite: part.Draw(t, "write"), CacheWriteLong: part.Draw(t, "long"), Output: part.Draw(t, "output")}
		u.Input = plain + u.Cached + u.CacheWrite + u.CacheWriteLong
		sum := new(big.Int)
		for _, p := range [][2]int64{{plain, r.Input}, {u.Cached, r.CachedInput}, {u.CacheWrite, r.CacheWrite}, {u.CacheWriteLong, r.CacheWriteLong}, {u.Output, r.Output}} {
			sum.Add(sum, new(big.Int).Mul(big.NewInt(p[0]), big.NewInt(p[1])))
		}
		want := new(big.Int).Div(sum.Add(sum, big.NewInt(999_999)), big.NewInt(1_000_000))
		got, err := r.Cost(u)
		if want.IsInt64() != (err == nil) || err == nil && got != want.Int64() {
			t.Fatalf("%d %v, want %s", got, err, want)
		}
	})
	for _, u := range []journal.Tokens{{Input: 1, Cached: 2}, {Input: -1}, {Output: -1}, {Input: 5, Cached: -1}} {
		if _, err := (registry.Rates{}).Cost(u); err == nil {
			t.Errorf("%+v adds up", u)
		}
	}
}

// A price's cost is that of the tokens and each use's fee, exactly, or an error. Uses
// of what has no fee cost nothing: what was written down before fees were known is
// priced as it was.
func TestCostWithFees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(0, 1e9), rapid.SampledFrom([]int64{math.MaxInt64 / 3, math.MaxInt64}))
		p := registry.Price{Rates: registry.Rates{Input: rapid.Int64Range(0, 1e12).Draw(t, "rate")}}
		u := journal.Tokens{Input: rapid.Int64Range(0, 1e9).Draw(t, "input"), Other: map[string]int64{"web_search_requests": 3}}
		tokens, err := p.Rates.Cost(u)
		if err != nil {
			t.Fatal(err)
		}
		want := big.NewInt(tokens)
		for _, tool := range []string{registry.ToolWebSearch, registry.ToolWebFetch, registry.ToolFileSearch, registry.ToolCodeInterpreter} {
			uses, fee := n.Draw(t, "uses"), n.Draw(t, "fee")
			if rapid.Bool().Draw(t, "used") {
				u.Other[tool] = uses
			}
			if !rapid.Bool().Draw(t, "priced") {
				continue
			}
			if p.Tools == nil {
				p.Tools = map[string]int64{}
			}
			p.Tools[tool] = fee
			want.Add(want, new(big.Int).Mul(big.NewInt(u.Other[tool]), big.NewInt(fee)))
		}
		got, err := p.Cost(u, "")
		if want.IsInt64() != (err == nil) || err == nil && got != want.Int64() {
			t.Fatalf("%d %v, want %s", got, err, want)
		}
	})
	p := registry.Price{Tools: map[string]int64{registry.ToolWebSearch: 1}}
	if _, err := p.Cost(journal.Tokens{Other: map[string]int64{registry.ToolWebSearch: -1}}, ""); err == nil {
		t.Error("less than no use has a cost")
	}
	if _, err := p.Cost(journal.Tokens{Input: -1}, ""); err == nil {
		t.Error("less than no token has a cost")
	}
}

// Fees stand in a price as the file says them, change like any field of it, and are
// remembered as of each version.
func TestFeesOfTools(t *testing.T) {
	b := newBench(t)
	price := func(more string) string {
		return edit(twoTenants, `input: "1", output: "2"}]`, `input: "1", output: "2"`+more+`}]`)
	}
	b.apply(price(""))
	before := b.Snapshot().Version
	d := b.apply(price(`, tools: {web_search: "0.010", web_fetch: "0"}`))
	if want := []registry.FieldChange{{Field: "tools.web_fetch", To: "0"}, {Field: "tools.web_search", To: "0.01"}}; len(d.Changes) != 1 || !slices.Equal(d.Changes[0].Fields, want) {
		t.Errorf("changed: %s", d.String())
	}
	if d := b.apply(price(`, tools: {web_fetch: "0.0", web_search: "0.01"}`)); !d.Empty() {
		t.Errorf("the same in another spelling: %s", d.String())
	}
	p, _ := b.Snapshot().Price("mini", b.clock.at)
	for tool, want := range map[string]int64{registry.ToolWebSearch: 10_000_000, registry.ToolWebFetch: 0} {
		if fee, ok := p.Fee(tool); !ok || fee != want {
			t.Errorf("%s: %d %v, want %d", tool, fee, ok, want)
		}
	}
	if _, ok := p.Fee(registry.ToolFileSearch); ok {
		t.Error("a tool that nobody spoke of has a fee")
	}
	cost, err := p.Cost(journal.Tokens{Input: 3, Other: map[string]int64{registry.ToolWebSearch: 2, registry.ToolFileSearch: 9}}, "")
	if err != nil || registry.FormatUSD(cost) != "0.020003" {
		t.Errorf("%s %v, want 0.020003", registry.FormatUSD(cost), err)
	}
	if was, ok := b.Snapshot().PriceAsOf("mini", b.clock.at, before); !ok || was.Tools != nil {
		t.Errorf("before: %+v", was)
	}
	if again, _ := b.open(testHasher).Snapshot().Price("mini", b.clock.at); !reflect.DeepEqual(again, p) {
		t.Errorf("another replica has %+v, want %+v", again, p)
	}
}

// What was written before there were fees, and a limit of calls, is what it was, byte
// for byte: it would be a change otherwise, and each apply would make it again.
func TestBodiesWithoutFeesAreAsTheyWere(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	want := map[string]string{
		"price": `{"deployment":"mini","from":"2026-01-01T00:00:00Z","input":"1","cached_input":"1","cache_write":"1","cache_write_long":"1","output":"2"}`,
		"model": `{"name":"gpt-4o","dialect":"openai","context":1000,"max_output":100}`,
	}
	for _, e := range b.events() {
		ev := e.Event.(journal.RegistryChanged)
		if body, ok := want[ev.Kind]; ok {
			if string(ev.Body) != body {
				t.Errorf("%s: %s\nwant %s", ev.Kind, ev.Body, body)
			}
			delete(want, ev.Kind)
		}
	}
	if len(want) > 0 {
		t.Errorf("not written: %v", want)
	}
}

// The contract's example: 812 input tokens of which 512 cached, 120 output.
func TestContractsExampleCost(t *testing.T) {
	b := newBench(t)
	b.apply(example(t))
	p, _ := b.Snapshot().Price("gpt-4o-paygo", b.clock.at)
	cost, err := p.RatesFor(812, "").Cost(journal.Tokens{Input: 812, Cached: 512, Output: 120})
	if err != nil || registry.FormatUSD(cost) != "0.00259" {
		t.Errorf("%s %v, want 0.00259", registry.FormatUSD(cost), err)
	}
}

func TestTiers(t *testing.T) {
	b := newBench(t)
	b.apply(edit(twoTenants, `input: "1", output: "2"}]`, `input: "1", cached_input: "0.1", output: "2", tiers: [
		{above: 200, input: "2", output: "4"}, {above: 100, input: "1.5"},
		{service_tier: priority, input: "10"}, {service_tier: priority, above: 200, input: "20"}, {service_tier: flex, input: "0.5"}]}]`))
	p, ok := b.Snapshot().Price("mini", b.clock.at)
	if !ok || len(p.Tiers) != 5 {
		t.Fatalf("%+v", p)
	}
	usd := func(s string) int64 {
		n, err := registry.ParseUSD(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		input         int64
		tier          string
		want, dearest string // input's rates
	}{
		{50, "", "1", "10"},
		{100, "", "1", "10"},
		{101, "", "1.5", "10"},
		{201, "", "2", "20"},
		{50, "flex", "0.5", "1"}, // dearest: the provider may serve it as a plain call
		{201, "flex", "0.5", "2"},
		{50, "priority", "10", "10"},
		{201, "priority", "20", "20"},
		{201, "batch", "2", "2"},
	} {
		if got := p.RatesFor(c.input, c.tier).Input; got != usd(c.want) {
			t.Errorf("%d tokens, tier %q: %s, want %s", c.input, c.tier, registry.FormatUSD(got), c.want)
		}
		if got := p.Dearest(c.input, c.tier).Input; got != usd(c.dearest) {
			t.Errorf("%d tokens, tier %q at most: %s, want %s", c.input, c.tier, registry.FormatUSD(got), c.dearest)
		}
	}
	if got := p.RatesFor(201, "").CachedInput; got != usd("0.1") {
		t.Errorf("what a tier does not say is not the price's: %d", got)
	}
}

// Dearest is never under what is paid in the end.
func TestDearestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1000)
		rates := rapid.Custom(func(t *rapid.T) registry.Rates {
			return registry.Rates{Input: n.Draw(t, "a"), CachedInput: n.Draw(t, "b"), CacheWrite: n.Draw(t, "c"), CacheWriteLong: n.Draw(t, "d"), Output: n.Draw(t, "e")}
		})
		tier := rapid.SampledFrom([]string{"", "flex", "priority"})
		p := registry.Price{Rates: rates.Draw(t, "base")}
		for range rapid.IntRange(0, 5).Draw(t, "tiers") {
			p.Tiers = append(p.Tiers, registry.Tier{Above: n.Draw(t, "above"), ServiceTier: tier.Draw(t, "tier"), Rates: rates.Draw(t, "rates")})
		}
		bound, asked, billed := n.Draw(t, "bound"), tier.Draw(t, "asked"), ""
		if asked == "" {
			billed = tier.Draw(t, "billed")
		} else if rapid.Bool().Draw(t, "kept") {
			billed = asked
		}
		paid := p.RatesFor(rapid.Int64Range(0, bound).Draw(t, "input"), billed)
		most := p.Dearest(bound, asked)
		if paid.Input > most.Input || paid.CachedInput > most.CachedInput || paid.CacheWrite > most.CacheWrite || paid.CacheWriteLong > most.CacheWriteLong || paid.Output > most.Output {
			t.Fatalf("paid %+v, held %+v", paid, most)
		}
	})
}

// Prices against the plainest reading of the rule.
func TestPriceInForce(t *testing.T) {
	b := newBench(t)
	text := "prices:\n"
	for _, from := range []string{"2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z"} {
		text += "  - {deployment: mini, from: " + from + ", input: \"" + from[6:7] + "\", output: \"1\"}\n"
	}
	b.apply(edit(twoTenants, "prices: [{deployment: mini, from: 2026-01-01T00:00:00Z, input: \"1\", output: \"2\"}]\n", text))
	for _, c := range []struct {
		at   time.Time
		want int64
	}{
		{time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC), 0},
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 1},
		{time.Date(2026, 1, 31, 23, 59, 59, 999, time.UTC), 1},
		{time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), 2},
		{time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), 3},
	} {
		p, ok := b.Snapshot().Price("mini", c.at)
		if ok != (c.want > 0) || p.Input != c.want*1e9 {
			t.Errorf("%s: %d %v", c.at, p.Input, ok)
		}
	}
}
