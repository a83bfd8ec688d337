package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/registry"
)

// drawFile is a registry file that is right, with references, prices and all.
func drawFile(t *rapid.T) string {
	var b strings.Builder
	pick := func(name string, options ...string) string { return rapid.SampledFrom(options).Draw(t, name) }
	count := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	tenants := 1 + count("tenants", 2)
	b.WriteString("tenants:\n")
	for i := range tenants {
		fmt.Fprintf(&b, "  - {name: t%d%s}\n", i, pick("tenant", "", ", regions: [eu]", ", tags: {a: b}", ", regions: [us, eu], tags: {a: \"1\", b: x}"))
	}
	b.WriteString("models:\n  - {name: m0, dialect: openai, context: 1000, max_output: 100}\n  - {name: m1, dialect: openai, context: 10, max_output: 10, default_max_output: 5, tokenizer: o200k_base" + pick("calls", "", ", default_max_tool_calls: 4", ", default_max_tool_calls: 128") + "}\n")
	b.WriteString("providers:\n  - {name: p, kind: openai, base_url: \"https://p.example" + pick("slash", "", "/", "/v1") + "\"" +
		pick("auth", "", ", credential: c", ", credential: c, auth_header: X-Key", ", credential: c, auth_header: authorization, auth_prefix: \"Bearer \"") + "}\n")
	b.WriteString("apps:\n")
	for i := range tenants {
		for j := range count("apps", 2) {
			fmt.Fprintf(&b, "  - {tenant: t%d, name: a%d%s}\n", i, j, pick("app", "", ", models: [m1, m0]", ", assert: [user, tags.x]", ", tags: {z: y}", ", default_max_output: 5"))
		}
	}
	deployments := count("deployments", 3)
	b.WriteString("deployments:\n")
	for i := range deployments {
		fmt.Fprintf(&b, "  - {name: d%d, provider: p, model: m%d, kind: %s%s}\n", i, i%2, pick("kind", "paygo", "provisioned", "self-hosted"),
			pick("more", "", ", region: eu", ", capacity: {unit: tokens, amount: \"5\", window: {rolling: 1m}}", ", capacity: {unit: concurrent, amount: \"9\"}"))
	}
	b.WriteString("prices:\n")
	for i := range deployments {
		fmt.Fprintf(&b, "  - {deployment: d%d, from: 2026-01-01T00:00:00Z, input: \"%d.%d\", output: \"1\"%s}\n", i, count("usd", 9), count("cents", 9),
			pick("tools", "", ", tools: {web_search: \"0.01\"}", ", tools: {web_fetch: \"0\", code_interpreter: \"0.030\"}")+pick("tiers", "", ", cached_input: \"0.1\"", ", tiers: [{above: 5, input: \"3\"}, {service_tier: flex, output: \"0.5\"}]"))
	}
	b.WriteString("budgets:\n")
	for i := range tenants {
		for j := range count("budgets", 3) {
			unit := pick("unit", "usd", "tokens", "requests", "concurrent")
			window := ", window: " + pick("window", "total", "{every: day}", "{every: month, zone: Europe/Berlin}", "{rolling: 60s}", "{rolling: 1m}")
			if unit == "concurrent" {
				window = ""
			}
			fmt.Fprintf(&b, "  - {name: b%d, match: {tenant: t%d%s}, unit: %s, amount: \"%d\"%s%s%s}\n", j, i, pick("match", "", ", user: x", ", model: [m1, m0]"),
				unit, count("amount", 3), window, pick("per", "", ", per: [user]", ", per: [session, user]"), pick("mode", "", ", mode: shadow", ", mode: enforce"))
		}
	}
	if rapid.Bool().Draw(t, "gateway") {
		b.WriteString("gateways: [{name: edge-1}]\n")
	}
	return b.String()
}

// Whatever was applied before: after a file is applied with pruning, applying it
// again changes nothing; the dry run said what would be done; a replica that
// starts now has the same registry; and every budget is found by what names its
// meters, no two of them by the same.
func TestApplyIsConvergent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		ctx := context.Background()
		yes := registry.ApplyOptions{Prune: true, Confirmed: true}
		ever := map[int64]string{} // incarnation → what it stands for
		for range rapid.IntRange(1, 4).Draw(rt, "applies") {
			text := drawFile(rt)
			dry, err := b.Apply(ctx, file(text), registry.ApplyOptions{Prune: true, DryRun: true})
			if err != nil {
				rt.Fatalf("%v\n%s", err, text)
			}
			done, err := b.Apply(ctx, file(text), yes)
			if err != nil {
				rt.Fatalf("%v\n%s", err, text)
			}
			if dry.String() != done.String() {
				rt.Fatalf("the dry run said\n%sand done was\n%s", dry.String(), done.String())
			}
			again, err := b.Apply(ctx, file(text), registry.ApplyOptions{Prune: true})
			if err != nil || !again.Empty() || again.Version != done.Version {
				rt.Fatalf("again: %v\n%s\n%s", err, again.String(), text)
			}
			live := map[int64]bool{}
			for _, l := range b.Snapshot().Limits() {
				found, ok := b.Snapshot().BudgetByIncarnation(l.Incarnation)
				if !ok || found != l || live[l.Incarnation] {
					rt.Fatalf("budget %s/%s is not found by its incarnation %d, or another is", l.Tenant, l.Name, l.Incarnation)
				}
				live[l.Incarnation] = true
				shape := fmt.Sprint(l.Tenant, l.Name, l.Match, l.Per, l.Unit, l.Window)
				if was, ok := ever[l.Incarnation]; ok && was != shape {
					rt.Fatalf("incarnation %d was %s and is %s", l.Incarnation, was, shape)
				}
				ever[l.Incarnation] = shape
			}
			shapes := map[string]bool{}
			for _, shape := range ever {
				if shapes[shape] {
					rt.Fatalf("two incarnations for %s: what was spent is forgotten", shape)
				}
				shapes[shape] = true
			}
		}
		if got, want := describe(b.open(testHasher).Snapshot()), describe(b.Snapshot()); got != want {
			rt.Fatalf("a replica that starts now has\n%s\nwant\n%s", got, want)
		}
	})
}

// A file may be cut into documents and files anywhere between its sections.
func TestCutFilesAreTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := drawFile(rt)
		var files []registry.File
		var part strings.Builder
		flush := func() {
			if strings.Contains(part.String(), "{") {
				files = append(files, registry.File{Name: fmt.Sprintf("%d.yaml", len(files)), Data: []byte(part.String())})
			}
			part.Reset()
		}
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, " ") {
				switch rapid.IntRange(0, 2).Draw(rt, "cut") {
				case 0:
					flush()
				case 1:
					part.WriteString("---\n")
				}
			}
			part.WriteString(line)
		}
		flush()
		whole, cut := newBench(t), newBench(t)
		a := whole.apply(text)
		b, err := cut.Apply(context.Background(), files, registry.ApplyOptions{})
		if err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
		if a.String() != b.String() || describe(whole.Snapshot()) != describe(cut.Snapshot()) {
			rt.Fatalf("whole\n%s\ncut\n%s", a.String(), b.String())
		}
	})
}
