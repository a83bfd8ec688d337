package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// The example file is the contract's, and everything in it is found again.
func TestExampleFile(t *testing.T) {
	b := newBench(t)
	d := b.apply(example(t))
	if got := d.Count(registry.Added); got != len(d.Changes) || got != 19 {
		t.Errorf("added %d of %d:\n%s", got, len(d.Changes), d.String())
	}
	if len(d.Warnings) != 0 {
		t.Errorf("warnings %q", d.Warnings)
	}
	s := b.Snapshot()
	if s.Version != d.Version || s.Version != 19 {
		t.Errorf("version %d, the difference says %d, want 19 (the offset behind the last of 19 records)", s.Version, d.Version)
	}

	app, ok := s.App("acme", "helpdesk")
	if !ok {
		t.Fatal("no app")
	}
	if diff := cmp.Diff(map[string]string{"cost_center": "4711", "env": "prod"}, app.Tags); diff != "" {
		t.Errorf("tags are not the tenant's with the app's own over them: %s", diff)
	}
	for name, want := range map[string]bool{"user": true, "tags.feature": true, "tags.cost_center": false, "team": false} {
		if app.MayAssert(name) != want {
			t.Errorf("may assert %s: %v", name, !want)
		}
	}
	if byID, ok := s.AppByIdentity(registry.IdentityAPIM, "helpdesk-prod"); !ok || byID != app {
		t.Error("the app is not found by its subscription")
	}
	if m, _ := s.Model("gpt-4o-mini"); m.DefaultMaxOutput != 16384 || m.OutputLimit != "max_tokens" {
		t.Errorf("what the file leaves out of a model is not resolved: %+v", m)
	}
	ds := s.Deployments("gpt-4o")
	if len(ds) != 2 || ds[0].Name != "gpt-4o-paygo" || ds[1].ProviderRef.APIVersion != "2024-10-21" || ds[1].ModelRef.Name != "gpt-4o" {
		t.Errorf("deployments %+v", ds)
	}
	c := ds[1].Capacity
	if c == nil || !c.Capacity || c.Amount != 300000 || c.Window.Rolling != time.Minute || c.LedgerKey() != journal.SharedKey {
		t.Errorf("capacity %+v", c)
	}
	if back, ok := s.BudgetByIncarnation(c.Incarnation); !ok || back != c {
		t.Error("the capacity is not found by its incarnation")
	}
	p, ok := s.Price("mini", time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	if want := (registry.Rates{Input: 150_000_000, CachedInput: 75_000_000, CacheWrite: 150_000_000, CacheWriteLong: 150_000_000, Output: 600_000_000}); !ok || p.Rates != want {
		t.Errorf("price %+v", p)
	}
	if _, ok := s.Price("mini", time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)); ok {
		t.Error("a price before it begins")
	}
}

func TestBudgetsOfACall(t *testing.T) {
	b := newBench(t)
	b.apply(`
tenants: [{name: acme}, {name: globex}]
teams: [{tenant: acme, name: ops}]
apps: [{tenant: acme, name: a, team: ops}, {tenant: acme, name: b}, {tenant: globex, name: a}]
budgets:
  - {name: z-all, global: true, unit: requests, amount: "9", window: total}
  - {name: b-global, match: {global: true, tenant: [globex]}, unit: requests, amount: "9", window: total}
  - {name: tagged, match: {tenant: acme, tags.env: [prod, test]}, unit: requests, amount: "9", window: total}
  - {name: only-a, match: {tenant: acme, app: a}, unit: requests, amount: "9", window: total}
  - {name: any, match: {tenant: acme}, unit: requests, amount: "9", window: total}
  - {name: any, match: {tenant: globex}, unit: requests, amount: "9", window: total}
  - {name: alice, match: {tenant: acme, user: alice, app: [a, b]}, unit: requests, amount: "9", window: total}
`)
	s := b.Snapshot()
	for _, c := range []struct {
		name string
		call registry.Attributes
		want []string
	}{
		{"app a", registry.Attributes{Tenant: "acme", App: "a"}, []string{"z-all", "any", "only-a"}},
		{"app b, a user", registry.Attributes{Tenant: "acme", App: "b", User: "alice"}, []string{"z-all", "alice", "any"}},
		{"a user whose meters have a pseudonym", registry.Attributes{Tenant: "acme", App: "b", User: "5f2c", UserName: "alice"}, []string{"z-all", "alice", "any"}},
		{"a pseudonym that is somebody's name", registry.Attributes{Tenant: "acme", App: "b", User: "alice", UserName: "mallory"}, []string{"z-all", "any"}},
		{"an app that no budget names", registry.Attributes{Tenant: "acme", App: "c", User: "alice"}, []string{"z-all", "any"}},
		{"a tag", registry.Attributes{Tenant: "acme", App: "a", Tags: map[string]string{"env": "test"}}, []string{"z-all", "any", "only-a", "tagged"}},
		{"another tag", registry.Attributes{Tenant: "acme", App: "a", Tags: map[string]string{"env": "dev"}}, []string{"z-all", "any", "only-a"}},
		{"another tenant", registry.Attributes{Tenant: "globex", App: "a", User: "alice"}, []string{"b-global", "z-all", "any"}},
		{"an unknown tenant", registry.Attributes{Tenant: "nobody"}, []string{"z-all"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, b := range s.Budgets(&c.call) {
				got = append(got, b.Name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAttributes(t *testing.T) {
	a := registry.Attributes{Tenant: "1", Team: "2", App: "3", Key: "4", User: "5", Session: "6", Agent: "7", Model: "8", Deployment: "9",
		Provider: "10", Region: "11", Gateway: "12", Dialect: "13", PromptHash: "14", Tags: map[string]string{"x.y": "15"}}
	want := map[string]string{"tenant": "1", "team": "2", "app": "3", "key": "4", "user": "5", "session": "6", "agent": "7", "model": "8",
		"deployment": "9", "provider": "10", "region": "11", "gateway": "12", "dialect": "13", "prompt_hash": "14", "tags.x.y": "15",
		"tags.other": "", "nothing": "", "tags.": ""}
	for name, v := range want {
		if got := a.Get(name); got != v {
			t.Errorf("%s: %q, want %q", name, got, v)
		}
	}
}

func TestUnmeteredPaths(t *testing.T) {
	b := newBench(t)
	b.apply(`
paths:
  - {path: /v1/files, methods: [GET], unmetered: true}
  - {path: /v1/batches/*, unmetered: true}
`)
	s := b.Snapshot()
	for _, c := range []struct {
		method, path string
		want         bool
	}{
		{"GET", "/v1/files", true},
		{"POST", "/v1/files", false},
		{"GET", "/v1/files/1", false},
		{"GET", "/v1/batches", false},
		{"DELETE", "/v1/batches/1/cancel", true},
		{"GET", "/v1/batchesX", false},
		{"POST", "/v1/batches/../chat/completions", false},
		{"POST", "/v1/batches/%2e%2e/chat/completions", false},
		{"POST", "/v1/batches//x", false},
		{"POST", `/v1/batches/..\x`, false},
		{"POST", "/v1/batches/./x", false},
		{"GET", "/v1/files?limit=10&after=/../x", true},
		{"POST", "/v1/batches/x?y", true},
		{"POST", "/v1/batchesX?/v1/batches/x", false},
		{"POST", "/v1/batches/..?x", false},
		{"POST", "", false},
	} {
		if got := s.UnmeteredPath(c.method, c.path); got != c.want {
			t.Errorf("%s %s: %v", c.method, c.path, got)
		}
	}
}

// A thousand budgets over two hundred tenants: what a decision pays to find its own.
func BenchmarkBudgets(b *testing.B) {
	x := newBench(b)
	text := "tenants:\n"
	for i := range 200 {
		text += "  - {name: t" + itoa(i) + "}\n"
	}
	text += "apps:\n"
	for i := range 200 {
		text += "  - {tenant: t" + itoa(i) + ", name: app}\n"
	}
	text += "budgets:\n"
	for i := range 200 {
		for j := range 5 {
			text += "  - {name: b" + itoa(j) + ", match: {tenant: t" + itoa(i) + ", app: app}, per: [user], unit: tokens, amount: \"5\", window: {rolling: 1m}}\n"
		}
	}
	x.apply(text)
	s := x.Snapshot()
	call := registry.Attributes{Tenant: "t77", App: "app", User: "u", Model: "gpt-4o"}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(s.Budgets(&call)) != 5 {
				b.Fatal("not 5")
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var into []*registry.Budget
		for b.Loop() {
			if into = s.AppendBudgets(into[:0], &call); len(into) != 5 {
				b.Fatal("not 5")
			}
		}
	})
}
