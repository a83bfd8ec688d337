package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/sdk"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// The ways to a Signalbox: its own proxy, and Envoys that ask it. Each is given a box,
// and gives the address that applications call.
var ways = []struct {
	name string
	to   func(t *testing.T, box *rig.Box) string
	rows func() []row
}{
	{"the proxy", func(_ *testing.T, box *rig.Box) string { return box.URL() }, whole},
	{"Envoy with ext_proc", throughEnvoy("ext_proc"), whole},
	{"Envoy with ext_authz", throughEnvoy("ext_authz"), unseen},
}

// throughEnvoy puts an Envoy before the box that knows nothing but what the box tells it.
func throughEnvoy(mode string) func(t *testing.T, box *rig.Box) string {
	return func(t *testing.T, box *rig.Box) string {
		t.Helper()
		flags := []string{"--mode", mode, "--body", "64KiB"}
		return envoytest.Before(t, box, flags, openaiCredential, anthropicCredential, azureCredential).URL()
	}
}

// whole is the whole table.
func whole() []row {
	return append(append(append(answered(), failing()...), decided()...), refused()...)
}

// unseen are the rows that need nobody who sees the answer: behind ext_authz nothing is
// taken out of it, what broke off is charged as held, and searches are counted by nobody.
func unseen() []row { return slices.DeleteFunc(whole(), func(r row) bool { return r.seen }) }

// throughSignalbox plays the table through the real binary, and then reads in
// ClickHouse what was written down.
func throughSignalbox(t *testing.T, drivers map[string]*sdk.Driver, way func(*testing.T, *rig.Box) string, rows []row) {
	p, gates, url := provider(t)
	box := startBox(t, url)
	s := newStage(t, drivers, way(t, box), gates)
	s.through = true
	keys := keysOf(t, box)
	s.key = func(one *play) string {
		if one.row.key != "" {
			return keys[one.row.key]
		}
		if one.row.app == "" {
			return keys["everybody"]
		}
		return keys[one.row.app]
	}
	s.before = func(ctx context.Context, one *play) (func() error, error) { return letOut(ctx, box, one, s.key(one)) }
	all := s.playAll(t.Context(), rows)
	collect(t, p, all)
	judge(t, all)
	t.Run("what was written down", func(t *testing.T) { writtenDown(t, box, p, all) })
	t.Run("who saw which key", func(t *testing.T) { keysStay(t, box, p, all, drivers) })
}

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

func startBox(t *testing.T, providerURL string) *rig.Box {
	t.Helper()
	policies := t.TempDir()
	if err := os.WriteFile(filepath.Join(policies, "custom.rego"), []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	return rigtest.Start(t, rig.Config{
		Extra: fmt.Sprintf("policy: {dir: %s}\nlimits: {body: 64KiB}\n", policies),
		Env: []string{
			"SIGNALBOX_CREDENTIAL_OPENAI=" + openaiCredential, "SIGNALBOX_CREDENTIAL_ANTHROPIC=" + anthropicCredential,
			"SIGNALBOX_CREDENTIAL_AZURE=" + azureCredential, "SIGNALBOX_LEDGER_LEASE_WAIT=1s",
		},
	}, world(providerURL), openaiCredential, anthropicCredential, azureCredential)
}

// keysOf makes a key for each app, and those that are no good.
func keysOf(t *testing.T, box *rig.Box) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	keys := map[string]string{"unknown": "sbx_nobodyhasthiskey"}
	for _, app := range []string{"lab/everybody", "lab/defaults", "lab/masked", "lab/poor", "lab/daily", "lab/killed", "crowd/hourly", "crowd/wide", "crowd/busy", "euro/narrow"} {
		secret, err := box.CreateKey(ctx, app)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(app, "/")
		keys[name] = secret
	}
	for name, command := range map[string][]string{"revoked": {"revoke", "", "--yes"}, "expired": {"rotate", "", "--overlap", "0s"}} {
		id, secret, err := box.NewKey(ctx, "lab/everybody")
		if err != nil {
			t.Fatal(err)
		}
		command[1] = id
		if _, err := box.Run(ctx, append([]string{"keys"}, command...)...); err != nil {
			t.Fatal(err)
		}
		keys[name] = secret
	}
	return keys
}

// letOut asks about the same call as a gateway would, and leaves it open: it holds
// what the SDK's call then wants.
func letOut(ctx context.Context, box *rig.Box, p *play, key string) (undo func() error, err error) {
	path := map[string]string{"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}[p.op]
	headers := map[string]string{"authorization": "Bearer " + key, "content-type": "application/json"}
	for name, value := range p.row.headersOf(p.player) {
		headers[name] = value
	}
	question := rig.Question{Request: rig.Request{Method: "POST", Path: path, Headers: headers,
		Body: string(p.row.ask.params(p.op, p.player)), BodyComplete: true}}
	answer, err := box.Decide(ctx, question)
	// The calls of other players wait for money of the same tenant, and this one may be
	// told to come again behind them.
	for tries := 0; err == nil && slices.Contains([]string{"budget_held", "concurrency"}, answer.Denied()) && tries < 100; tries++ {
		time.Sleep(100 * time.Millisecond)
		answer, err = box.Decide(ctx, question)
	}
	switch {
	case err != nil:
		return nil, err
	case answer.Denied() != "":
		return nil, fmt.Errorf("the call before was refused: %+v", answer.Reasons)
	}
	settle := func(report rig.Report) error {
		report.ReportToken = answer.ReportToken
		_, err := box.Settle(ctx, report)
		return err
	}
	if p.row.spent {
		return func() error { return nil }, settle(rig.Report{Outcome: "completed", Status: 200,
			Usage: map[string]int64{"input_tokens": 400, "output_tokens": 50}})
	}
	return func() error { return settle(rig.Report{Outcome: "not_sent"}) }, nil
}

// decided are the rows where Signalbox has a part in the answer.
func decided() []row {
	const text = "Where is the train?"
	status := func(code string) map[string]string { return map[string]string{upstream.HeaderStatus: code} }
	long := map[string]string{upstream.HeaderOutput: "5000"}
	return []row{
		{name: "clamped", ops: generating, ask: ask{model: "%-short", text: text, max: 2000}, steer: long,
			want: want{finish: "length", also: providerSawLimit(40)}},
		{name: "clamped, streamed", ops: generating, how: "stream", ask: ask{model: "%-short", text: text, max: 2000}, steer: long,
			want: want{finish: "length", also: providerSawLimit(40)}},
		{name: "the default limit written", ops: []string{"chat", "responses"}, app: "defaults", ask: ask{text: text}, steer: long,
			want: want{finish: "length", also: providerSawLimit(64)}},
		{name: "the model's limit of searches written", ops: searching, ask: ask{model: "%-search", text: text, max: 100, web: true}, steer: searches(5),
			want: want{finish: "stop", also: limitedTo(2)}},
		{name: "redacted", ops: generating, app: "masked", ask: ask{text: "Write to bob@example.com", max: 100},
			steer: map[string]string{upstream.HeaderOutput: "12"}, want: want{finish: "stop", also: withoutAddress}},
		{name: "another deployment when one fails", ops: everybody, ask: ask{model: "flaky-*", text: text, max: 100},
			steer: map[string]string{upstream.HeaderOutput: "12", upstream.HeaderStatus: "500", upstream.HeaderOnly: "first"},
			want:  want{calls: 2, finish: "stop"}},
		{name: "provider's 500", ask: ask{model: "broken-*", text: text, max: 100}, steer: status("500"),
			want: want{status: 500, attempts: 3, calls: 3, also: providersWords}},
		{name: "provider's 529", ask: ask{model: "overloaded-*", text: text, max: 100}, steer: status("529"),
			want: want{status: 529, attempts: 3, calls: 3}},
		{name: "provider's 429", ask: ask{model: "limited-*", text: text, max: 100}, steer: status("429"),
			want: want{status: 429, attempts: 3, calls: 3, also: toldWhen}},
		{name: "provider's 401", seen: true, ask: ask{model: "cut-*", text: text, max: 100}, steer: status("401"),
			want: want{status: 502, attempts: 3, calls: 3, also: ourCode("upstream_unavailable")}},
		{name: "no provider there", seen: true, ask: ask{model: "%-nowhere", text: text, max: 100},
			want: want{status: 502, attempts: 3, calls: -1, also: ourCode("upstream_unavailable")}},
	}
}

// refused are the rows of the status table that the real binary can be brought to;
// every one of them is in reasons_test.go.
func refused() []row {
	hello := ask{text: "Hello", max: 200}
	with := func(change func(*ask)) ask {
		a := hello
		change(&a)
		return a
	}
	model := func(name string) ask { return with(func(a *ask) { a.model = name }) }
	more := func(name string, value any) ask {
		return with(func(a *ask) { a.more = map[string]any{name: value} })
	}
	session := map[string]string{"x-signalbox-session": "*"}
	search := []any{map[string]any{"type": "web_search_20250305", "name": "web_search"}}
	feature := func(name string) map[string]string {
		return map[string]string{"x-signalbox-tag-feature": name, "x-signalbox-session": "0"}
	}
	return []row{
		{name: "malformed", ask: more("max_tokens", -5), want: want{refused: "malformed", status: 400}},
		{name: "dialect_mismatch", ask: model("^"), want: want{refused: "dialect_mismatch", status: 400}},
		{name: "key_unknown", ops: append([]string{"embeddings", "count_tokens", "models"}, generating...), key: "unknown", ask: hello,
			want: want{refused: "key_unknown", status: 401}},
		{name: "key_revoked", key: "revoked", ask: hello, want: want{refused: "key_revoked", status: 401}},
		{name: "key_expired", key: "expired", ask: hello, want: want{refused: "key_expired", status: 401}},
		{name: "budget_exhausted", ops: generating, app: "poor", ask: hello, want: want{refused: "budget_exhausted", status: 402}},
		{name: "budget_exhausted, streamed", ops: generating, how: "helper", app: "poor", ask: hello, want: want{refused: "budget_exhausted", status: 402}},
		{name: "budget_exhausted for the day", app: "daily", ask: hello, want: want{refused: "budget_exhausted", status: 402}},
		{name: "budget_exhausted, Azure's client", languages: []string{"python", "node"}, azure: "deployments", ops: []string{"chat"}, app: "poor",
			ask: model("azured"), want: want{refused: "budget_exhausted", status: 402}},
		{name: "model_not_allowed", app: "narrow", ask: model("%-secret"), want: want{refused: "model_not_allowed", status: 403}},
		{name: "policy_denied", app: "narrow", headers: feature("frozen"), ask: hello, want: want{refused: "policy_denied", status: 403}},
		{name: "policy_error", app: "narrow", headers: feature("broken"), ask: hello, want: want{refused: "policy_error", status: 403}},
		{name: "residency", app: "narrow", ask: model("%-us"), want: want{refused: "residency", status: 403}},
		{name: "unpriced", ops: []string{"chat"}, ask: more("web_search_options", map[string]any{"search_context_size": "low"}), want: want{refused: "unpriced", status: 403}},
		{name: "unpriced", ops: []string{"messages"}, ask: more("tools", search), want: want{refused: "unpriced", status: 403}},
		{name: "unpriced for want of a fee", ops: searching, ask: with(func(a *ask) { a.web, a.uses = true, 2 }),
			want: want{refused: "unpriced", status: 403, also: namesTheTool}},
		{name: "killed", app: "killed", ask: hello, want: want{refused: "killed", status: 403}},
		{name: "model_unknown", ops: generating, ask: model("gpt-nine"), want: want{refused: "model_unknown", status: 404}},
		{name: "path_unknown", ops: []string{"elsewhere"}, want: want{refused: "path_unknown", status: 404}},
		{name: "too_large", ask: with(func(a *ask) { a.text = strings.Repeat("Hello ", 20_000) }), want: want{refused: "too_large", status: 413}},
		{name: "rate_limited for longer than a minute", app: "hourly", headers: session, before: true, spent: true, ask: hello,
			want: want{refused: "rate_limited", status: 429}},
		{name: "capacity_exhausted for longer than a minute", before: true, spent: true, ask: model("ptu-*"), want: want{refused: "capacity_exhausted", status: 429}},
		{name: "budget_held", app: "busy", headers: session, before: true, ask: hello,
			want: want{refused: "budget_held", status: 429, attempts: 3, waits: true}},
		{name: "concurrency, and free again when it is tried again", app: "wide", headers: session, before: true, released: true, ask: hello,
			steer: map[string]string{upstream.HeaderOutput: "12"}, want: want{attempts: 2, atMost: 3, finish: "stop", waits: true}},
	}
}

// limitedTo: the limit that the provider saw is the model's, and it kept to it.
func limitedTo(most int) func(*testing.T, *play) {
	return func(t *testing.T, p *play) {
		field := map[string]string{"responses": "max_tool_calls", "messages": "max_uses"}[p.op]
		if sent := p.calls[0].Body; !strings.Contains(sent, fmt.Sprintf("%q:%d", field, most)) {
			t.Errorf("the provider saw %s, want %s of %d in it", sent, field, most)
		}
		searched(most)(t, p)
	}
}

// namesTheTool: whoever reads the exception knows what is missing, and where.
func namesTheTool(t *testing.T, p *play) {
	if said := p.got.Error.Message; !strings.Contains(said, "has no fee for the tool web_search") || !strings.Contains(said, "tools: {web_search:") {
		t.Errorf("the exception says %q", said)
	}
}

func withoutAddress(t *testing.T, p *play) {
	for _, c := range p.calls {
		if strings.Contains(c.Body, "bob@") || !strings.Contains(c.Body, "[email]") {
			t.Errorf("the provider saw %s", c.Body)
		}
	}
}

// toldWhen: the provider's word about when to come back is passed on.
func toldWhen(t *testing.T, p *play) {
	if after := p.attempts[0].Header.Get("Retry-After"); after != "1" {
		t.Errorf("the application was told to come back after %q s, want the provider's 1", after)
	}
}

// ourCode: the exception is about us, and names the decision.
func ourCode(code string) func(*testing.T, *play) {
	return func(t *testing.T, p *play) {
		raw, err := json.Marshal(p.got.Error.Body)
		if err != nil {
			t.Fatal(err)
		}
		if p.got.Error.Code != code || p.got.Error.RequestID == "" {
			t.Errorf("the exception's code is %q and its request id %q, want %s and the decision: %s", p.got.Error.Code, p.got.Error.RequestID, code, raw)
		}
	}
}
