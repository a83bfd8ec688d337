package conformance_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// The provider's credentials. Gateways have them from somewhere else; the proxy has them
// from its environment.
const (
	openaiCredential    = "sk-provider-openai-77aa01c2"
	anthropicCredential = "sk-ant-provider-0c51e9d4"
	azureCredential     = "azure-provider-bb20f3a8"
)

// largest is the largest body that is judged here.
const largest = 64 << 10

// rules are the operators' own policy in this world.
const rules = `package signalbox.decision.custom

import rego.v1

deny contains {"code": "finance_freeze", "message": "finance froze this app"} if input.principal.app == "frozen"

redact contains "email" if input.principal.app == "masked"
`

// world is one box with a provider behind it.
type world struct {
	*rig.Box
	provider *upstream.Provider
	address  string // the provider's
	keys     map[string]string
}

func open(t *testing.T, doors []way) *world {
	t.Helper()
	w := &world{provider: upstream.New(map[string]bool{"Bearer " + openaiCredential: true, anthropicCredential: true, azureCredential: true}), keys: map[string]string{}}
	server := httptest.NewServer(w.provider)
	t.Cleanup(server.Close)
	w.address = strings.TrimPrefix(server.URL, "http://")
	policies := t.TempDir()
	if err := os.WriteFile(filepath.Join(policies, "custom.rego"), []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Box = rigtest.Start(t, rig.Config{
		Extra: fmt.Sprintf("policy: {dir: %s}\nlimits: {body: %d}\n", policies, largest),
		Env: []string{
			"SIGNALBOX_CREDENTIAL_OPENAI=" + openaiCredential, "SIGNALBOX_CREDENTIAL_ANTHROPIC=" + anthropicCredential, "SIGNALBOX_CREDENTIAL_AZURE=" + azureCredential,
		},
	}, registry(server.URL, doors), openaiCredential, anthropicCredential, azureCredential)
	for _, app := range apps {
		key, err := w.CreateKey(within(t), "lab/"+app)
		if err != nil {
			t.Fatal(err)
		}
		w.keys[app] = key
	}
	return w
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// apps are who calls. Each call is a session of its own, and each session has a budget
// of its own, so that no story is about what another left.
var apps = []string{"everybody", "brief", "frugal", "poor", "once", "masked", "frozen", "narrow"}

func registry(providerURL string, doors []way) string {
	var w strings.Builder
	fmt.Fprintf(&w, `
tenants: [{name: lab}]
teams: [{tenant: lab, name: research}]
apps:
  - {tenant: lab, team: research, name: everybody, assert: [session]}
  - {tenant: lab, team: research, name: brief, default_max_output: 64, assert: [session]}
  - {tenant: lab, team: research, name: frugal, assert: [session]}
  - {tenant: lab, team: research, name: poor, assert: [session]}
  - {tenant: lab, team: research, name: once, assert: [session]}
  - {tenant: lab, team: research, name: masked, assert: [session]}
  - {tenant: lab, team: research, name: frozen, assert: [session]}
  - {tenant: lab, team: research, name: narrow, models: [embed], assert: [session]}
budgets:
  - {name: all, match: {tenant: lab}, per: [session], unit: usd, amount: "1", window: total}
  - {name: frugal, match: {tenant: lab, app: frugal}, per: [session], unit: usd, amount: "0.01", window: total}
  - {name: poor, match: {tenant: lab, app: poor}, per: [session], unit: usd, amount: "0.000000001", window: total}
  - {name: once, match: {tenant: lab, app: once}, per: [session], unit: requests, amount: "1", window: {rolling: 1h}}
providers:
  - {name: openai, kind: openai, base_url: "%[1]s/v1", credential: openai, on_abort: seen}
  - {name: anthropic, kind: anthropic, base_url: "%[1]s", credential: anthropic, on_abort: seen}
  - {name: azure, kind: azure-openai, base_url: "%[1]s", api_version: "2024-10-21", credential: azure, on_abort: seen}
`, providerURL)
	var models, deployments, prices strings.Builder
	model := func(name, dialect string) {
		fmt.Fprintf(&models, "  - {name: %s, dialect: %s, context: 128000, tokenizer: o200k_base, max_output: 4096, default_max_output: 1024, output_limit: max_tokens}\n", name, dialect)
	}
	deployment := func(name, provider, model, upstream string) {
		fmt.Fprintf(&deployments, "  - {name: %s, provider: %s, model: %s, upstream_model: %s, kind: paygo, region: eu}\n", name, provider, model, upstream)
		fmt.Fprintf(&prices, "  - {deployment: %s, from: 2024-01-01T00:00:00Z, input: \"2.50\", cached_input: \"1.25\", cache_write: \"3.125\", cache_write_long: \"5.00\", output: \"10.00\"}\n", name)
	}
	model("gpt", "openai")
	deployment("gpt-one", "openai", "gpt", "gpt")
	model("renamed", "openai")
	deployment("renamed", "openai", "renamed", "gpt-4o-2024-11-20")
	model("claude", "anthropic")
	deployment("claude-one", "anthropic", "claude", "claude")
	model("azured", "openai")
	deployment("azured", "azure", "azured", "gpt-at-azure")
	model("embed", "openai")
	deployment("embed", "openai", "embed", "embed")
	for _, d := range doors {
		// Two places, of which the provider lets the first fail, and one that nobody helps.
		model("flaky."+d.name(), "openai")
		deployment("first."+d.name(), "openai", "flaky."+d.name(), "flaky."+d.name())
		deployment("second."+d.name(), "azure", "flaky."+d.name(), "second")
		for _, trouble := range []string{"limited", "broken"} {
			model(trouble+"."+d.name(), "openai")
			deployment(trouble+"."+d.name(), "openai", trouble+"."+d.name(), trouble+"."+d.name())
		}
	}
	return w.String() + "models:\n" + models.String() + "deployments:\n" + deployments.String() + "prices:\n" + prices.String()
}
