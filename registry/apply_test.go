package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// two tenants, and what both use.
const twoTenants = `
tenants: [{name: acme}, {name: globex}]
apps: [{tenant: acme, name: helpdesk}, {tenant: globex, name: bot}]
providers: [{name: openai, kind: openai, base_url: "https://api.openai.com/v1"}]
models: [{name: gpt-4o, dialect: openai, context: 1000, max_output: 100}]
deployments: [{name: mini, provider: openai, model: gpt-4o, kind: paygo, capacity: {unit: tokens, amount: "100", window: {rolling: 1m}}}]
prices: [{deployment: mini, from: 2026-01-01T00:00:00Z, input: "1", output: "2"}]
budgets:
  - {name: month, match: {tenant: acme}, unit: usd, amount: "100", window: {every: month}}
  - {name: month, match: {tenant: globex}, unit: usd, amount: "100", window: {every: month}}
  - {name: all, global: true, unit: requests, amount: "1000", window: {rolling: 1m}}
gateways: [{name: edge-1}]
`

func edit(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

func mustBudget(t *testing.T, s *registry.Snapshot, tenant, name string) *registry.Budget {
	t.Helper()
	for _, b := range s.AllBudgets(tenant) {
		if b.Name == name {
			return b
		}
	}
	t.Fatalf("no budget %s/%s", tenant, name)
	return nil
}

// What a difference says, change by change.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name  string
		file  string
		prune bool
		want  string
		asks  bool
	}{
		{"nothing", twoTenants, true, "0 added, 0 changed, 0 removed, 12 unchanged\n", false},
		{"another spelling of the same", edit(twoTenants, `"100", window: {every: month}`, `"100.00", mode: enforce, window: {zone: UTC, every: month}`), true,
			"0 added, 0 changed, 0 removed, 12 unchanged\n", false},
		{"an amount", edit(twoTenants, `{tenant: acme}, unit: usd, amount: "100"`, `{tenant: acme}, unit: usd, amount: "250.5"`), true,
			"~ budget acme/month\n    amount: 100 → 250.5\n0 added, 1 changed, 0 removed, 11 unchanged\n", false},
		{"a mode", edit(twoTenants, `name: all, global: true`, `name: all, mode: warn, global: true`), true,
			"~ budget all\n    mode: (none) → warn\n0 added, 1 changed, 0 removed, 11 unchanged\n", false},
		{"a window", edit(twoTenants, `{tenant: acme}, unit: usd, amount: "100", window: {every: month}`, `{tenant: acme}, unit: usd, amount: "100", window: {every: week}`), true,
			"~ budget acme/month\n    window.every: month → week\n    ! it starts at zero: window changed\n0 added, 1 changed, 0 removed, 11 unchanged\n", true},
		{"match and per", edit(twoTenants, `{name: month, match: {tenant: acme},`, `{name: month, match: {tenant: acme, app: helpdesk}, per: [user],`), true,
			"~ budget acme/month\n    match.app: (none) → helpdesk\n    per: (none) → [\"user\"]\n    ! it starts at zero: match, per changed\n0 added, 1 changed, 0 removed, 11 unchanged\n", true},
		{"a capacity's amount", edit(twoTenants, `amount: "100", window: {rolling: 1m}}}`, `amount: "200", window: {rolling: 1m}}}`), true,
			"~ deployment mini\n    capacity.amount: 100 → 200\n0 added, 1 changed, 0 removed, 11 unchanged\n", false},
		{"a capacity's unit", edit(twoTenants, `{unit: tokens, amount: "100", window: {rolling: 1m}}}`, `{unit: requests, amount: "100", window: {rolling: 1m}}}`), true,
			"~ deployment mini\n    capacity.unit: tokens → requests\n    ! its capacity starts at zero: unit changed\n0 added, 1 changed, 0 removed, 11 unchanged\n", true},
		{"no capacity", edit(twoTenants, `, capacity: {unit: tokens, amount: "100", window: {rolling: 1m}}}`, `}`), true,
			"~ deployment mini\n    capacity.amount: 100 → (none)\n    capacity.unit: tokens → (none)\n    capacity.window.rolling: 1m → (none)\n    ! its capacity is no longer limited\n0 added, 1 changed, 0 removed, 11 unchanged\n", true},
		{"a team", edit(twoTenants, `apps:`, "teams: [{tenant: acme, name: ops}]\napps:"), false,
			"+ team acme/ops\n1 added, 0 changed, 0 removed, 12 unchanged\n", false},
		{"less, without pruning", "tenants: [{name: acme}]", false, "0 added, 0 changed, 0 removed, 1 unchanged\n", false},
		{"one tenant's file, pruned", "tenants: [{name: acme}]", true,
			"- app acme/helpdesk\n- budget acme/month\n    ! what was spent is kept, should it come back with the same match, per, unit and window\n0 added, 0 changed, 2 removed, 1 unchanged\n", true},
		{"every tenant, no section for what is shared", "tenants: [{name: acme}, {name: globex}]\napps: [{tenant: acme, name: helpdesk}, {tenant: globex, name: bot}]", true,
			"- budget acme/month\n    ! what was spent is kept, should it come back with the same match, per, unit and window\n- budget globex/month\n    ! what was spent is kept, should it come back with the same match, per, unit and window\n0 added, 0 changed, 2 removed, 4 unchanged\n", true},
		{"every tenant, and an empty section", edit(twoTenants, "gateways: [{name: edge-1}]", "gateways: []"), true,
			"- gateway edge-1\n0 added, 0 changed, 1 removed, 11 unchanged\n", true},
		{"a tenant's word on what is shared", "tenants: [{name: acme}]\ngateways: []", true,
			"- app acme/helpdesk\n- budget acme/month\n    ! what was spent is kept, should it come back with the same match, per, unit and window\n0 added, 0 changed, 2 removed, 1 unchanged\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.apply(twoTenants)
			written := len(b.events())
			ctx := context.Background()
			dry, err := b.Apply(ctx, file(c.file), registry.ApplyOptions{DryRun: true, Prune: c.prune})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, dry.String()); diff != "" {
				t.Error(diff)
			}
			if len(b.events()) != written {
				t.Error("a dry run wrote")
			}
			_, err = b.Apply(ctx, file(c.file), registry.ApplyOptions{Prune: c.prune})
			var ask *registry.ConfirmationNeeded
			if errors.As(err, &ask) != c.asks || err != nil && !c.asks {
				t.Errorf("without a yes: %v, want to be asked: %v", err, c.asks)
			}
			if c.asks && len(b.events()) != written {
				t.Error("it asked and wrote")
			}
			done, err := b.Apply(ctx, file(c.file), registry.ApplyOptions{Prune: c.prune, Confirmed: true})
			if err != nil {
				t.Fatal(err)
			}
			if c.asks && done.String() != dry.String() {
				t.Errorf("done: %s", done.String())
			}
			again, err := b.Apply(ctx, file(c.file), registry.ApplyOptions{Prune: c.prune})
			if err != nil || !again.Empty() {
				t.Errorf("a second time: %v %s", err, again.String())
			}
		})
	}
}

// A budget keeps its incarnation, and so what is spent, while its shape stays,
// and finds it again when it comes back; another shape is another budget.
func TestIncarnations(t *testing.T) {
	b := newBench(t)
	const budget = `{name: month, match: {tenant: acme}, unit: usd, amount: "100", window: {every: month}}`
	at := func(replacement string) int64 {
		t.Helper()
		b.apply(edit(twoTenants, budget, replacement))
		return mustBudget(t, b.Snapshot(), "acme", "month").Incarnation
	}
	first := at(budget)
	other := at(`{name: month, match: {tenant: acme}, unit: tokens, amount: "100", window: {every: month}}`)
	same := map[string]string{
		"amount":     `{name: month, match: {tenant: acme}, unit: usd, amount: "1", window: {every: month}}`,
		"mode":       `{name: month, match: {tenant: acme}, unit: usd, amount: "1", window: {every: month}, mode: shadow}`,
		"hold":       `{name: month, match: {tenant: acme}, unit: usd, amount: "1", window: {every: month}, hold: expected}`,
		"max_values": `{name: month, match: {tenant: acme}, unit: usd, amount: "1", window: {every: month}, max_values: 5}`,
	}
	for name, text := range same {
		if got := at(text); got != first {
			t.Errorf("%s: incarnation %d, want %d", name, got, first)
		}
	}
	for name, text := range map[string]string{
		"unit":   `{name: month, match: {tenant: acme}, unit: requests, amount: "1", window: {every: month}}`,
		"window": `{name: month, match: {tenant: acme}, unit: usd, amount: "1", window: {every: month, zone: Europe/Berlin}}`,
		"per":    `{name: month, match: {tenant: acme}, per: [user], unit: usd, amount: "1", window: {every: month}}`,
		"match":  `{name: month, match: {tenant: acme, user: x}, unit: usd, amount: "1", window: {every: month}}`,
	} {
		if got := at(text); got == first || got == other {
			t.Errorf("%s: incarnation %d is an older one", name, got)
		}
	}
	if got := at(budget); got != first {
		t.Errorf("back in its first shape: incarnation %d, want %d", got, first)
	}

	// Removed, it is still known by what names its meters.
	ctx := context.Background()
	less := edit(twoTenants, "  - "+budget+"\n", "")
	if _, err := b.Apply(ctx, file(less), registry.ApplyOptions{Prune: true, Confirmed: true}); err != nil {
		t.Fatal(err)
	}
	old, ok := b.Snapshot().BudgetByIncarnation(first)
	if !ok || !old.Removed || old.Name != "month" {
		t.Errorf("a removed budget: %+v %v", old, ok)
	}
	d, err := b.Apply(ctx, file(twoTenants), registry.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "it was there before, and keeps what was spent then"; len(d.Changes) != 1 || len(d.Changes[0].Consequences) != 1 || d.Changes[0].Consequences[0] != want {
		t.Errorf("made again: %+v", d.Changes)
	}
	if again := mustBudget(t, b.Snapshot(), "acme", "month"); again.Incarnation != first || again.Removed {
		t.Errorf("made again: %+v", again)
	}
}

// Files are checked together with the registry, not alone.
func TestReferencesIntoTheRegistry(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	ctx := context.Background()
	if _, err := b.Apply(ctx, file("apps: [{tenant: acme, name: second, models: [gpt-4o]}]"), registry.ApplyOptions{}); err != nil {
		t.Errorf("an app of a tenant of the registry: %v", err)
	}
	// What pruning would take away and something else still needs is said.
	_, err := b.Apply(ctx, file(edit(twoTenants, "gateways: [{name: edge-1}]", "", `models: [{name: gpt-4o, dialect: openai, context: 1000, max_output: 100}]`, "models: []")),
		registry.ApplyOptions{Prune: true, Confirmed: true})
	if err == nil || !strings.Contains(err.Error(), `model "gpt-4o" is not known`) {
		t.Errorf("a model that is needed was pruned: %v", err)
	}
	_, err = b.Apply(ctx, file(edit(twoTenants, `prices: [{deployment: mini, from: 2026-01-01T00:00:00Z, input: "1", output: "2"}]`, "prices: []")),
		registry.ApplyOptions{Prune: true, Confirmed: true})
	if err == nil || !strings.Contains(err.Error(), `deployment "mini" has no price, and budget acme/month and 1 more usd budgets can reach it`) {
		t.Errorf("a price that is needed was pruned: %v", err)
	}
	_, err = b.Apply(ctx, file("budgets: [{name: x, match: {tenant: acme}, unit: usd, amount: \"1\", window: total}]\ndeployments: [{name: other, provider: openai, model: gpt-4o, kind: paygo}]"), registry.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), `registry.yaml:2:15: deployment "other" has no price`) {
		t.Errorf("a deployment without a price: %v", err)
	}
}

// Of two replicas that change the same thing at once, the log takes one; the
// other makes its change anew of what the registry says then.
func TestAppliesThatRace(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	other := b.open(testHasher) // does not follow: it reads on only when it writes
	b.apply(edit(twoTenants, `{tenant: acme}, unit: usd, amount: "100"`, `{tenant: acme}, unit: usd, amount: "111"`))
	ctx := context.Background()
	d, err := other.Apply(ctx, file(edit(twoTenants, `{tenant: globex}, unit: usd, amount: "100"`, `{tenant: globex}, unit: usd, amount: "222"`)), registry.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The second file says 100 for acme, and was applied last, on top of the first.
	want := "~ budget acme/month\n    amount: 111 → 100\n~ budget globex/month\n    amount: 100 → 222\n"
	if !strings.HasPrefix(d.String(), want) {
		t.Errorf("got\n%swant\n%s", d.String(), want)
	}
	// A yes that was given for another difference is none.
	b.readOn()
	third := b.open(testHasher)
	b.apply(twoTenants)
	reset := edit(twoTenants, `{tenant: acme}, unit: usd`, `{tenant: acme}, unit: requests`)
	if _, err := third.Apply(ctx, file(reset), registry.ApplyOptions{Confirmed: true}); !errors.Is(err, registry.ErrMoved) {
		t.Errorf("a yes for what was there before: %v", err)
	}
	if _, err := third.Apply(ctx, file(reset), registry.ApplyOptions{Confirmed: true, IfVersion: 1}); !errors.Is(err, registry.ErrMoved) {
		t.Errorf("a yes for version 1: %v", err)
	}
	if _, err := third.Apply(ctx, file(reset), registry.ApplyOptions{Confirmed: true, IfVersion: third.Snapshot().Version}); err != nil {
		t.Error(err)
	}
}

// readOn brings the bench's own registry up to date by an apply of nothing new.
func (b *bench) readOn() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	version := b.open(testHasher).Snapshot().Version
	go func() { done <- b.Run(ctx) }()
	<-b.Changed(version - 1)
	cancel()
	if err := <-done; err != nil {
		b.t.Fatal(err)
	}
}

// A price is corrected by recording it again; what was decided before is settled
// by what was known then.
func TestPriceHistory(t *testing.T) {
	b := newBench(t)
	price := func(input string) string {
		return edit(twoTenants, `input: "1", output: "2"}]`, `input: "`+input+`", output: "2"}, {deployment: mini, from: 2026-03-01T00:00:00Z, input: "3", output: "4"}]`)
	}
	b.apply(price("1"))
	before := b.Snapshot()
	b.clock.at = b.clock.at.Add(time.Hour)
	b.apply(price("9"))
	now := b.Snapshot()
	feb, apr := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		at   time.Time
		as   int64
		want int64
	}{
		{"february as first recorded", feb, before.Version, 1_000_000_000},
		{"february as corrected", feb, now.Version, 9_000_000_000},
		{"april: the correction of january's says nothing of march's", apr, now.Version, 3_000_000_000},
	} {
		p, ok := now.PriceAsOf("mini", c.at, c.as)
		if !ok || p.Input != c.want {
			t.Errorf("%s: %v %v", c.name, p.Input, ok)
		}
	}
	if p, _ := now.Price("mini", feb); p.Input != 9_000_000_000 || p.RecordedAt != b.clock.at || p.Version != now.Version {
		t.Errorf("corrected price %+v", p)
	}
	if _, ok := now.PriceAsOf("mini", feb, 0); ok {
		t.Error("a price before any was recorded")
	}

	// Pruned, it is in force no more, and still what those calls paid.
	less := edit(twoTenants, `from: 2026-01-01T00:00:00Z`, `from: 2026-03-01T00:00:00Z`, `input: "1", output: "2"`, `input: "3", output: "4"`)
	if _, err := b.Apply(context.Background(), file(less), registry.ApplyOptions{Prune: true, Confirmed: true}); err != nil {
		t.Fatal(err)
	}
	s := b.Snapshot()
	if p, ok := s.Price("mini", feb); ok {
		t.Errorf("a removed price is in force: %+v", p)
	}
	if p, ok := s.PriceAsOf("mini", feb, now.Version); !ok || p.Input != 9_000_000_000 {
		t.Errorf("a removed price as it was known: %+v", p)
	}
	h := s.PriceHistory()
	if len(h) != 4 || !h[3].Removed || h[3].Input != 9_000_000_000 {
		t.Errorf("history %+v", h)
	}
}

// Each record says who, why and when, and all of one apply are one transaction.
func TestRecords(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(context.Background(), file(twoTenants), registry.ApplyOptions{By: "alice", Why: "the first"}); err != nil {
		t.Fatal(err)
	}
	entries := b.events()
	for i, e := range entries {
		ev := e.Event.(journal.RegistryChanged)
		if ev.Index != i || ev.Count != len(entries) || ev.Txn != entries[0].Event.(journal.RegistryChanged).Txn || ev.By != "alice" || ev.Why != "the first" || !ev.At.Equal(b.clock.at) {
			t.Errorf("record %d: %+v", i, ev)
		}
	}
	first := entries[0].Event.(journal.RegistryChanged)
	if first.Kind != "tenant" || first.Name != "acme" || string(first.Body) != `{"name":"acme"}` {
		t.Errorf("%+v %s", first, first.Body)
	}
	for _, e := range entries {
		if ev := e.Event.(journal.RegistryChanged); ev.Kind == "price" {
			want := `{"deployment":"mini","from":"2026-01-01T00:00:00Z","input":"1","cached_input":"1","cache_write":"1","cache_write_long":"1","output":"2"}`
			if string(ev.Body) != want || ev.Name != "mini@2026-01-01T00:00:00Z" {
				t.Errorf("price %s %s", ev.Name, ev.Body)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	b := newBench(t)
	d := b.apply(`
tenants: [{name: acme, regions: [eu]}]
providers: [{name: claude, kind: anthropic, base_url: "https://api.anthropic.com"}]
models: [{name: sonnet, dialect: anthropic, context: 1000, max_output: 100}]
deployments: [{name: sonnet-us, provider: claude, model: sonnet, kind: paygo}]
prices: [{deployment: sonnet-us, from: 2026-01-01T00:00:00Z, input: "3", output: "15"}]
budgets: [{name: soft, match: {tenant: acme}, unit: tokens, amount: "9", window: {rolling: 1m}, hold: expected}]
`)
	want := []string{
		"deployment sonnet-us has no region, so it is refused to tenants that have regions: acme",
		"price sonnet-us@2026-01-01T00:00:00Z charges cache writes as plain input; Anthropic bills 1.25 times that for five minutes and twice for an hour: write cache_write and cache_write_long",
		"budget soft holds at its ceiling: hold: expected is not learned yet, and the ceiling is the stricter of the two",
	}
	if diff := cmp.Diff(want, d.Warnings); diff != "" {
		t.Error(diff)
	}
}
