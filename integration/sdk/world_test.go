package sdk_test

import (
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// world is the registry of the table: an app for each thing that can be wrong, and
// deployments of each player's own where one player's trouble would be another's,
// because a provider's refusals are learned. Apps whose calls wait for each other
// have a tenant of their own: who waits in line for one budget holds up those who
// come behind on every other.
func world(providerURL string) string {
	var w strings.Builder
	fmt.Fprintf(&w, `
tenants: [{name: lab}, {name: crowd}, {name: euro, regions: [eu]}]
gateways: [{name: edge}]
teams: [{tenant: lab, name: research}, {tenant: crowd, name: research}, {tenant: euro, name: support}]
apps:
  - {tenant: lab, team: research, name: everybody, assert: [session]}
  - {tenant: lab, team: research, name: defaults, default_max_output: 64}
  - {tenant: lab, team: research, name: masked}
  - {tenant: lab, team: research, name: poor}
  - {tenant: lab, team: research, name: daily}
  - {tenant: lab, team: research, name: killed}
  - {tenant: crowd, team: research, name: hourly, assert: [session]}
  - {tenant: crowd, team: research, name: wide, assert: [session]}
  - {tenant: crowd, team: research, name: busy, assert: [session]}
  - {tenant: euro, team: support, name: narrow, models: [gpt, claude, gpt-us, claude-us], assert: [session, tags.feature]}
providers:
  - {name: openai, kind: openai, base_url: "%[1]s/v1", credential: openai, on_abort: seen}
  - {name: anthropic, kind: anthropic, base_url: "%[1]s", credential: anthropic, on_abort: seen}
  - {name: azure, kind: azure-openai, base_url: "%[1]s", api_version: "2024-10-21", credential: azure, on_abort: seen}
  - {name: nowhere, kind: openai, base_url: "http://127.0.0.1:9/v1", credential: openai, on_abort: seen}
  - {name: nowhere-else, kind: anthropic, base_url: "http://127.0.0.1:9", credential: anthropic, on_abort: seen}
budgets:
  - {name: all, match: {tenant: lab}, unit: usd, amount: "1000", window: total}
  - {name: poor, match: {tenant: lab, app: poor}, unit: usd, amount: "0.000000001", window: total}
  - {name: daily, match: {tenant: lab, app: daily}, unit: tokens, amount: "3", window: {every: day, zone: UTC}}
  - {name: stop, match: {tenant: lab, app: killed}, unit: requests, amount: "0", window: total}
  - {name: hourly, match: {tenant: crowd, app: hourly}, per: [session], unit: requests, amount: "1", window: {rolling: 1h}}
  - {name: wide, match: {tenant: crowd, app: wide}, per: [session], unit: concurrent, amount: "1"}
  - {name: busy, match: {tenant: crowd, app: busy}, per: [session], unit: usd, amount: "0.003", window: total}
`, providerURL)
	models, deployments, prices := places()
	return w.String() + "models:\n" + models + "deployments:\n" + deployments + "prices:\n" + prices
}

// places are the models, where they are served and at what price.
func places() (models, deployments, prices string) {
	var m, d, p strings.Builder
	model := func(name, dialect, more string) {
		fmt.Fprintf(&m, "  - {name: %s, dialect: %s, context: 128000, tokenizer: o200k_base, %s}\n", name, dialect, more)
	}
	priced := func(name, provider, model, upstream, more, fees string) {
		fmt.Fprintf(&d, "  - {name: %s, provider: %s, model: %s, upstream_model: %s, %s}\n", name, provider, model, upstream, more)
		fmt.Fprintf(&p, "  - {deployment: %s, from: 2024-01-01T00:00:00Z, input: \"2.50\", cached_input: \"1.25\", cache_write: \"3.125\", cache_write_long: \"5.00\", output: \"10.00\"%s}\n", name, fees)
	}
	deployment := func(name, provider, model, upstream, more string) { priced(name, provider, model, upstream, more, "") }
	const usual, paygo = "max_output: 4096, default_max_output: 1024, output_limit: max_tokens", "kind: paygo, region: eu"
	for family, dialect := range map[string]string{"gpt": "openai", "claude": "anthropic"} {
		model(family, dialect, usual)
		deployment(family+"-one", dialect, family, family+"-upstream", paygo)
		model(family+"-short", dialect, "max_output: 40, output_limit: max_tokens")
		deployment(family+"-short", dialect, family+"-short", family+"-upstream", paygo)
		model(family+"-search", dialect, usual+", default_max_tool_calls: 2")
		priced(family+"-search", dialect, family+"-search", family+"-upstream", paygo, ", tools: {web_search: \"0.01\"}")
		model(family+"-us", dialect, usual)
		deployment(family+"-us", dialect, family+"-us", family+"-upstream", "kind: paygo, region: us")
		model(family+"-secret", dialect, usual)
		deployment(family+"-secret", dialect, family+"-secret", family+"-upstream", paygo)
		model(family+"-nowhere", dialect, usual)
		deployment(family+"-nowhere", map[string]string{"openai": "nowhere", "anthropic": "nowhere-else"}[dialect], family+"-nowhere", "x", paygo)
	}
	model("reasoner", "openai", "max_output: 4096, output_limit: max_completion_tokens")
	deployment("reasoner", "openai", "reasoner", "gpt-5-mini", paygo)
	model("embed", "openai", "max_output: 1, output_limit: max_tokens")
	deployment("embed", "openai", "embed", "text-embedding-3-small", paygo)
	model("azured", "openai", usual)
	deployment("azured", "azure", "azured", "gpt-at-azure", paygo)
	model("azure-embed", "openai", "max_output: 1, output_limit: max_tokens")
	deployment("azure-embed", "azure", "azure-embed", "embeddings-at-azure", paygo)
	for _, player := range players() {
		name := player.name()
		// Two places, of which the provider lets the first fail.
		model("flaky-"+name, player.sdk, usual)
		deployment("flaky-a-"+name, player.sdk, "flaky-"+name, "first", paygo)
		deployment("flaky-b-"+name, player.sdk, "flaky-"+name, "second", paygo)
		for _, trouble := range []string{"broken", "limited", "overloaded", "cut"} {
			model(trouble+"-"+name, player.sdk, usual)
			deployment(trouble+"-"+name, player.sdk, trouble+"-"+name, trouble, paygo)
		}
		model("ptu-"+name, player.sdk, usual)
		fmt.Fprintf(&d, "  - {name: ptu-%s, provider: %s, model: ptu-%[1]s, upstream_model: ptu, kind: provisioned, region: eu, hourly_usd: \"98.00\", capacity: {unit: tokens, amount: \"500\", window: {rolling: 2h}}}\n", name, player.sdk)
	}
	return m.String(), d.String(), p.String()
}

// costs is what tokens and searches are charged at the prices of this world, which
// are all whole nano-dollars.
func costs(t journal.Tokens) int64 {
	plain := t.Input - t.Cached - t.CacheWrite - t.CacheWriteLong
	return 2_500*plain + 1_250*t.Cached + 3_125*t.CacheWrite + 5_000*t.CacheWriteLong + 10_000*t.Output + 10_000_000*t.Other["web_search"]
}

// rules are the operators' own policy in this world.
const rules = `package signalbox.decision.custom

import rego.v1

deny contains {"code": "finance_freeze", "message": "finance froze this feature"} if input.principal.tags.feature == "frozen"

deny contains {"code": "broken", "message": "never"} if {
	input.principal.tags.feature == "broken"
	1 / to_number(input.principal.session) > 0
}

redact contains "email" if input.principal.app == "masked"
`
