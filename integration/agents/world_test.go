package agents_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/agents"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/sdk"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

// The apps: one that may do what it likes, one whose agent repeats itself, one that
// has no money, one that may call once an hour, one whose models are others, and
// one with too little for a long answer. %[1]s is the provider, %[2]s what a session
// of the repeating one may cost, %[3]s what little is left to the last.
const registry = `
tenants: [{name: acme}]
teams: [{tenant: acme, name: platform}]
apps:
  - {tenant: acme, team: platform, name: coding, models: [claude-opus-5-5, gpt-5.1-codex, gpt-6.1-sol], assert: [user, session, agent, tags.repo]}
  - {tenant: acme, team: platform, name: broke, models: [claude-opus-5-5, gpt-5.1-codex]}
  - {tenant: acme, team: platform, name: hourly, models: [claude-opus-5-5, gpt-5.1-codex]}
  - {tenant: acme, team: platform, name: narrow, models: [gpt-4o-mini]}
  - {tenant: acme, team: platform, name: looping, models: [claude-opus-5-5, gpt-5.1-codex], assert: [session]}
  - {tenant: acme, team: platform, name: thrifty, models: [claude-opus-5-5, gpt-5.1-codex]}
providers:
  - {name: openai, kind: openai, base_url: "%[1]s/v1", credential: openai}
  - {name: anthropic, kind: anthropic, base_url: "%[1]s", credential: anthropic}
models:
  - {name: claude-opus-5-5, dialect: anthropic, context: 1000000, max_output: 128000}
  - {name: gpt-5.1-codex, dialect: openai, context: 400000, max_output: 128000, default_max_output: 8192, default_max_tool_calls: 2}
  - {name: gpt-6.1-sol, dialect: openai, context: 400000, max_output: 128000, default_max_output: 8192}
  - {name: gpt-4o-mini, dialect: openai, context: 128000, max_output: 16384}
deployments:
  - {name: opus, provider: anthropic, model: claude-opus-5-5, upstream_model: claude-opus-5-5, kind: paygo, region: us}
  - {name: codex, provider: openai, model: gpt-5.1-codex, upstream_model: gpt-5.1-codex, kind: paygo, region: us}
  - {name: sol, provider: openai, model: gpt-6.1-sol, upstream_model: gpt-6.1-sol, kind: paygo, region: us}
  - {name: mini, provider: openai, model: gpt-4o-mini, upstream_model: gpt-4o-mini, kind: paygo, region: us}
prices:
  - {deployment: opus, from: 2026-01-01T00:00:00Z, input: "4", cached_input: "0.40", cache_write: "5", cache_write_long: "8", output: "20"}
  - {deployment: codex, from: 2026-01-01T00:00:00Z, input: "1.25", cached_input: "0.125", output: "10", tools: {web_search: "0.01"}}
  - {deployment: sol, from: 2026-01-01T00:00:00Z, input: "2", cached_input: "0.20", output: "16"}
  - {deployment: mini, from: 2026-01-01T00:00:00Z, input: "0.15", cached_input: "0.075", output: "0.60"}
budgets:
  - {name: coding-month, match: {tenant: acme, app: coding}, unit: usd, amount: "1000", window: {every: month, zone: UTC}}
  - {name: looping-session, match: {tenant: acme, app: looping}, per: [session], unit: usd, amount: "%[2]s", window: total}
  - {name: broke-month, match: {tenant: acme, app: broke}, unit: usd, amount: "0.000001", window: {every: month, zone: UTC}}
  - {name: hourly-calls, match: {tenant: acme, app: hourly}, unit: requests, amount: "1", window: {rolling: 1h}}
  - {name: thrifty-month, match: {tenant: acme, app: thrifty}, unit: usd, amount: "%[3]s", window: {every: month, zone: UTC}}
`

// The providers' credentials, which nobody but them may see.
const (
	openaiKey    = "sk-proj-the-operators-own-0123456789"
	anthropicKey = "sk-ant-the-operators-own-0123456789"
)

// world is Signalbox with a provider behind it, and users in front of it.
type world struct {
	kit      *agents.Kit
	box      *rig.Box
	provider *upstream.Provider
	front    *sdk.Front
	frontURL string
	border   *agents.Border
}

func newWorld(t *testing.T, session, thrift string) *world {
	t.Helper()
	kit, err := agents.Install(ctx(t), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{kit: kit, border: agents.NewBorder(), provider: upstream.New(map[string]bool{"Bearer " + openaiKey: true, anthropicKey: true})}
	t.Cleanup(w.border.Close)
	provider := httptest.NewServer(w.provider)
	t.Cleanup(provider.Close)
	w.box = rigtest.Start(t, rig.Config{Env: []string{"SIGNALBOX_CREDENTIAL_OPENAI=" + openaiKey, "SIGNALBOX_CREDENTIAL_ANTHROPIC=" + anthropicKey}},
		fmt.Sprintf(registry, provider.URL, session, thrift), openaiKey, anthropicKey)
	target, err := url.Parse(w.box.URL())
	if err != nil {
		t.Fatal(err)
	}
	w.front = sdk.NewFront(target)
	front := httptest.NewServer(w.front)
	t.Cleanup(front.Close)
	w.frontURL = front.URL
	return w
}

// scene is a user at work: whose key it is, and what came of each request.
type scene struct {
	*sdk.Scene
	user *agents.User
	key  string
	base string // the base URL that the user's agent is given
}

func (w *world) scene(t *testing.T, app string) *scene {
	t.Helper()
	user, err := agents.NewUser(t.TempDir(), w.border)
	if err != nil {
		t.Fatal(err)
	}
	key, err := w.box.CreateKey(ctx(t), "acme/"+app)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{Scene: &sdk.Scene{Name: strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())}, user: user, key: key}
	s.base = w.frontURL + w.front.Open(s.Scene)
	return s
}

// judged are a scene's requests that were answered as calls; an agent also asks
// whether anybody is there.
func (s *scene) judged() []sdk.Attempt {
	var calls []sdk.Attempt
	for _, a := range s.Attempts() {
		if strings.HasPrefix(a.Path, "/v1/") {
			calls = append(calls, a)
		}
	}
	return calls
}

// row is one decision, as SQL has it.
type row struct {
	App, Model, Session, Action, Reason string
	Clamped                             bool
}

// decisions are those of an app, when as many as there should be have been copied.
func (w *world) decisions(t *testing.T, app string, want int) []row {
	t.Helper()
	var rows []row
	rigtest.Eventually(t, fmt.Sprintf("%d decisions of %s", want, app), func() error {
		raw, err := w.box.SQL(ctx(t), "SELECT app, model, session, action, reason, has(changes, 'clamped') AS clamped FROM decisions WHERE app = '"+app+"' ORDER BY at")
		if err != nil {
			return err
		}
		if len(raw) != want || raw[0]["app"] == nil {
			return fmt.Errorf("%d rows: %v", len(raw), raw)
		}
		rows = nil
		for _, r := range raw {
			said := func(column string) string { return fmt.Sprint(r[column]) }
			rows = append(rows, row{said("app"), said("model"), said("session"), said("action"), said("reason"), said("clamped") == "1"})
		}
		return nil
	})
	return rows
}

// named is the last decision of an app under the session's readable name, which
// is kept apart from the decision and comes a little after it.
func (w *world) named(t *testing.T, app string, want int, session string) row {
	t.Helper()
	var last row
	rigtest.Eventually(t, "the session "+session, func() error {
		rows := w.decisions(t, app, want)
		if last = rows[want-1]; last.Session != session {
			return fmt.Errorf("the decision: %+v", last)
		}
		return nil
	})
	return last
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return c
}

// noSecretCrossed says that no caller's key reached the provider, and no
// provider's key an agent.
func (w *world) noSecretCrossed(t *testing.T, scenes ...*scene) {
	t.Helper()
	calls := w.provider.Calls()
	if len(calls) == 0 {
		t.Error("the provider was never called")
	}
	for _, c := range calls {
		if all := fmt.Sprint(c.Header, c.Query, c.Body); strings.Contains(all, "sbx_") {
			t.Errorf("a caller's key reached the provider in %s %s", c.Method, c.Path)
		}
	}
	for _, s := range scenes {
		for _, a := range s.Attempts() {
			if all := fmt.Sprint(a.Header, string(a.Body)); strings.Contains(all, openaiKey) || strings.Contains(all, anthropicKey) {
				t.Errorf("%s: a provider's key reached the agent", s.Name)
			}
		}
	}
}

// loopWasEnded says that an agent went round and round until it was refused once,
// and that its session cost no more than it may.
func (w *world) loopWasEnded(t *testing.T, calls []sdk.Attempt) {
	t.Helper()
	if len(calls) < 2 {
		t.Fatalf("only %d calls", len(calls))
	}
	for i, a := range calls {
		want := 200
		if i == len(calls)-1 {
			want = 402
		}
		if a.Status != want {
			t.Errorf("call %d of %d was answered %d: %s", i+1, len(calls), a.Status, a.Body)
		}
	}
	budgets, err := w.box.Budgets(ctx(t), "budget=looping-session")
	if err != nil || len(budgets) != 1 {
		t.Fatalf("%+v, %v", budgets, err)
	}
	if b := budgets[0]; b.Held != "0" || strings.HasPrefix(b.Left, "-") || b.Spent == "0" {
		t.Errorf("the session's budget: %+v", b)
	}
}
