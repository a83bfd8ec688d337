// Package whole_test runs the real binary and speaks to it as gateways and
// operators do. Each file is one promise of the product.
package whole_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

// start runs a box on a registry, and stops it with the test.
func start(t *testing.T, world string, extra string) *rig.Box {
	t.Helper()
	return startOf(t, world, rig.Config{Extra: extra})
}

func startOf(t *testing.T, world string, c rig.Config) *rig.Box {
	t.Helper()
	return rigtest.Start(t, c, world)
}

func newBox(t *testing.T, extra string) *rig.Box {
	t.Helper()
	return rigtest.New(t, rig.Config{Extra: extra})
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return c
}

func key(t *testing.T, box *rig.Box, app string) string {
	t.Helper()
	k, err := box.CreateKey(ctx(t), app)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// spent is what a budget's meters have together, in nano-USD or its own unit.
func spent(t *testing.T, box *rig.Box, name string) (spent, held int64) {
	t.Helper()
	rows, err := box.Budgets(ctx(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range rows {
		if b.Budget == name {
			spent += nano(t, b.Spent)
			held += nano(t, b.Held)
		}
	}
	return spent, held
}

// balanced waits until a budget holds nothing and has spent exactly this: what
// was leased and not used comes back some seconds after the last call.
func balanced(t *testing.T, box *rig.Box, name string, want int64) {
	t.Helper()
	rigtest.Eventually(t, "the books of "+name, func() error {
		if got, held := spent(t, box, name); got != want || held != 0 {
			return fmt.Errorf("%d nano-USD are spent and %d held; want %d and 0", got, held, want)
		}
		return nil
	})
}

// sqlSays waits until ClickHouse, which follows the journal, answers one row whose
// columns a, b, c… have these values.
func sqlSays(t *testing.T, box *rig.Box, query string, want ...any) {
	t.Helper()
	rigtest.Eventually(t, query, func() error {
		rows, err := box.SQL(ctx(t), query)
		if err != nil {
			return err
		}
		if len(rows) != 1 {
			return fmt.Errorf("%d rows", len(rows))
		}
		for i, w := range want {
			if got := rows[0][string(rune('a'+i))]; fmt.Sprint(got) != fmt.Sprint(w) {
				return fmt.Errorf("it says %v; want %v", rows[0], want)
			}
		}
		return nil
	})
}

func nano(t *testing.T, usd string) int64 {
	t.Helper()
	n, err := registry.ParseUSD(usd)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// people is the world most tests need; budgets are added to it.
const people = `
tenants: [{name: acme, regions: [eu]}, {name: globex}]
teams: [{tenant: acme, name: support}, {tenant: globex, name: research}]
apps:
  - {tenant: acme, team: support, name: helpdesk, models: [gpt-4o, claude], assert: [user, session, tags.feature]}
  - {tenant: globex, team: research, name: notebook, assert: [user, session]}
providers:
  - {name: openai, kind: openai, base_url: "https://api.openai.com/v1", credential: openai}
  - {name: anthropic, kind: anthropic, base_url: "https://api.anthropic.com", credential: anthropic}
models:
  - {name: gpt-4o, dialect: openai, context: 128000, max_output: 16384, default_max_output: 1024, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: gpt-4o-us, dialect: openai, context: 128000, max_output: 16384, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: secret-model, dialect: openai, context: 128000, max_output: 16384, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: claude, dialect: anthropic, context: 200000, max_output: 8192, default_max_output: 1024, output_limit: max_tokens, tokenizer: claude}
deployments:
  - {name: paygo, provider: openai, model: gpt-4o, upstream_model: gpt-4o-2024-11-20, kind: paygo, region: eu}
  - {name: us, provider: openai, model: gpt-4o-us, upstream_model: gpt-4o, kind: paygo, region: us}
  - {name: secret, provider: openai, model: secret-model, upstream_model: gpt-4o, kind: paygo, region: eu}
  - {name: claude-eu, provider: anthropic, model: claude, upstream_model: claude-sonnet-4, kind: paygo, region: eu}
prices:
  - {deployment: paygo, from: 2024-01-01T00:00:00Z, input: "2.50", cached_input: "1.25", output: "10.00"}
  - {deployment: us, from: 2024-01-01T00:00:00Z, input: "2.50", cached_input: "1.25", output: "10.00"}
  - {deployment: secret, from: 2024-01-01T00:00:00Z, input: "2.50", cached_input: "1.25", output: "10.00"}
  - {deployment: claude-eu, from: 2024-01-01T00:00:00Z, input: "3.00", cached_input: "0.30", cache_write: "3.75", cache_write_long: "6.00", output: "15.00"}
`

// completed reports a call with its usage.
func completed(a *rig.Answer, input, output int64) rig.Report {
	return rig.Report{ReportToken: a.ReportToken, Outcome: "completed", Status: 200,
		Usage: map[string]int64{"input_tokens": input, "output_tokens": output}}
}

// open asks about a call of globex that must be let out.
func open(t *testing.T, box *rig.Box, secret, callID string) *rig.Answer {
	t.Helper()
	a, err := box.Decide(ctx(t), rig.Question{CallID: callID, Request: chat(secret, hello)})
	if err != nil || a.Denied() != "" {
		t.Fatalf("the call was not let out: %v %+v", err, a)
	}
	return a
}

const hello = `{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}`
