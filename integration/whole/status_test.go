package whole_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// Every row of the status table that the service can say today, asked of the
// real binary: the reason, its status, the retry headers and the body in the
// caller's dialect.
func TestStatusTable(t *testing.T) {
	policies := t.TempDir()
	rego := `package signalbox.decision.custom

import rego.v1

deny contains {"code": "finance_freeze", "message": "finance froze this feature"} if input.principal.tags.feature == "frozen"

deny contains {"code": "broken", "message": "never"} if {
	input.principal.tags.feature == "broken"
	1 / to_number(input.principal.session) > 0
}
`
	if err := os.WriteFile(filepath.Join(policies, "custom.rego"), []byte(rego), 0o644); err != nil {
		t.Fatal(err)
	}
	world := strings.Replace(people, "deployments:\n", `deployments:
  - {name: ptu, provider: openai, model: gpt-4o-ptu, upstream_model: gpt-4o, kind: provisioned, region: eu, capacity: {unit: tokens, amount: "500", window: {rolling: 1m}}, hourly_usd: "98.00"}
`, 1)
	world = strings.Replace(world, "models:\n", `models:
  - {name: gpt-4o-ptu, dialect: openai, context: 128000, max_output: 16384, output_limit: max_tokens, tokenizer: o200k_base}
`, 1)
	box := start(t, world+`budgets:
  - {name: spent, match: {tenant: globex, session: poor}, unit: usd, amount: "0.000000001", window: total}
  - {name: held, match: {tenant: globex, session: busy}, unit: usd, amount: "0.002", window: total}
  - {name: rate, match: {tenant: globex, session: fast}, unit: requests, amount: "1", window: {rolling: 1m}}
  - {name: daily, match: {tenant: globex, session: daily}, unit: tokens, amount: "3", window: {every: day, zone: UTC}}
  - {name: parallel, match: {tenant: globex, session: wide}, unit: concurrent, amount: "1"}
  - {name: stop, match: {tenant: globex, session: killed}, unit: requests, amount: "0", window: total}
`, fmt.Sprintf("policy: {dir: %s}\nlimits: {body: 64KiB}\nanalytics: {disabled: true}\n", policies))
	globex, acme := key(t, box, "globex/notebook"), key(t, box, "acme/helpdesk")
	revoked, expired := revokedKey(t, box), expiredKey(t, box)
	const ok = `{"model":"gpt-4o","max_tokens":150,"messages":[{"role":"user","content":"hi"}]}`
	for _, row := range []struct {
		code    string
		status  int
		request rig.Request
		before  int // calls that are let out first and stay open
	}{
		{code: "malformed", status: 400, request: chat(globex, `{"model":`)},
		{code: "dialect_mismatch", status: 400, request: chat(globex, strings.Replace(ok, "gpt-4o", "claude", 1))},
		{code: "key_missing", status: 401, request: chat("", ok)},
		{code: "key_unknown", status: 401, request: chat("sbx_nobodyhasthiskey", ok)},
		{code: "key_revoked", status: 401, request: chat(revoked, ok)},
		{code: "key_expired", status: 401, request: chat(expired, ok)},
		{code: "budget_exhausted", status: 402, request: session(globex, "poor", ok)},
		{code: "budget_exhausted", status: 402, request: session(globex, "daily", ok)},
		{code: "model_not_allowed", status: 403, request: chat(acme, strings.Replace(ok, "gpt-4o", "secret-model", 1))},
		{code: "policy_denied", status: 403, request: feature(acme, "frozen", ok)},
		{code: "policy_error", status: 403, request: feature(acme, "broken", ok)},
		{code: "unpriced", status: 403, request: chat(globex, strings.Replace(ok, `"max_tokens"`, `"web_search_options":{},"max_tokens"`, 1))},
		{code: "killed", status: 403, request: session(globex, "killed", ok)},
		{code: "model_unknown", status: 404, request: chat(globex, strings.Replace(ok, "gpt-4o", "gpt-nine", 1))},
		{code: "path_unknown", status: 404, request: rig.Request{Method: "POST", Path: "/v1/batches", Headers: bearer(globex), Body: ok, BodyComplete: true}},
		{code: "too_large", status: 413, request: rig.Request{Method: "POST", Path: "/v1/chat/completions", Headers: bearer(globex), Body: ok[:30]}},
		{code: "rate_limited", status: 429, request: session(globex, "fast", ok), before: 1},
		{code: "concurrency", status: 429, request: session(globex, "wide", ok), before: 1},
		{code: "capacity_exhausted", status: 429, request: chat(globex, strings.Replace(ok, "gpt-4o", "gpt-4o-ptu", 1)), before: 1},
		{code: "budget_held", status: 429, request: session(globex, "busy", ok), before: 1},
	} {
		t.Run(row.code, func(t *testing.T) {
			for range row.before {
				if a, err := box.Decide(ctx(t), rig.Question{Request: row.request}); err != nil || a.Denied() != "" {
					t.Fatalf("the call before: %v %+v", err, a)
				}
			}
			a, err := box.Decide(ctx(t), rig.Question{Request: row.request})
			if err != nil {
				t.Fatal(err)
			}
			if a.Denied() != row.code || a.Response == nil || a.Response.Status != row.status {
				t.Fatalf("answered %q with %+v; want %q with %d", a.Denied(), a.Response, row.code, row.status)
			}
			checkHeaders(t, a, row.status)
			checkBody(t, a, row.code)
		})
	}
	t.Run("residency", func(t *testing.T) {
		// acme's data stays in the eu; the only deployment of this model is not there.
		if err := box.Apply(ctx(t), strings.Replace(people, "models: [gpt-4o, claude]", "models: [gpt-4o, claude, gpt-4o-us]", 1)); err != nil {
			t.Fatal(err)
		}
		a, err := box.Decide(ctx(t), rig.Question{Request: chat(acme, strings.Replace(ok, "gpt-4o", "gpt-4o-us", 1))})
		if err != nil || a.Denied() != "residency" || a.Response.Status != 403 {
			t.Fatalf("%v %+v", err, a)
		}
	})
	t.Run("in Anthropic's dialect", func(t *testing.T) {
		a, err := box.Decide(ctx(t), rig.Question{Request: rig.Request{Method: "POST", Path: "/v1/messages", BodyComplete: true,
			Headers: map[string]string{"x-api-key": "sbx_nobodyhasthiskey"}, Body: `{"model":"claude","max_tokens":5,"messages":[]}`}})
		if err != nil || a.Denied() != "key_unknown" {
			t.Fatalf("%v %+v", err, a)
		}
		var body struct {
			Type, RequestID string
			Error           struct {
				Type    string
				Details struct {
					ErrorCode string `json:"error_code"`
				}
			}
		}
		if err := json.Unmarshal([]byte(a.Response.Body), &body); err != nil || body.Type != "error" || body.Error.Type != "authentication_error" || body.Error.Details.ErrorCode != "key_unknown" {
			t.Errorf("%v: %s", err, a.Response.Body)
		}
	})
}

func chat(key, body string) rig.Request {
	return rig.Request{Method: "POST", Path: "/v1/chat/completions", Headers: bearer(key), Body: body, BodyComplete: true}
}

func bearer(key string) map[string]string {
	if key == "" {
		return map[string]string{}
	}
	return map[string]string{"authorization": "Bearer " + key}
}

func session(key, session, body string) rig.Request {
	r := chat(key, body)
	r.Headers["x-signalbox-session"] = session
	return r
}

func feature(key, feature, body string) rig.Request {
	r := chat(key, body)
	r.Headers["x-signalbox-tag-feature"] = feature
	r.Headers["x-signalbox-session"] = "0"
	return r
}

func expiredKey(t *testing.T, box *rig.Box) string {
	t.Helper()
	id, secret, err := box.NewKey(ctx(t), "globex/notebook")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.Run(ctx(t), "keys", "rotate", id, "--overlap", "0s"); err != nil {
		t.Fatal(err)
	}
	return secret
}

func revokedKey(t *testing.T, box *rig.Box) string {
	t.Helper()
	id, secret, err := box.NewKey(ctx(t), "globex/notebook")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.Run(ctx(t), "keys", "revoke", id, "--yes"); err != nil {
		t.Fatal(err)
	}
	return secret
}

func checkHeaders(t *testing.T, a *rig.Answer, status int) {
	t.Helper()
	h := a.Response.Headers
	if h["x-signalbox-decision"] != a.DecisionID {
		t.Errorf("x-signalbox-decision is %q, the decision is %q", h["x-signalbox-decision"], a.DecisionID)
	}
	switch status {
	case 402:
		if h["x-should-retry"] != "false" || h["retry-after"] != "" {
			t.Errorf("a 402 must not be retried: %v", h)
		}
	case 429:
		if h["retry-after"] == "" || h["retry-after-ms"] == "" {
			t.Errorf("a 429 says when to come back: %v", h)
		}
	}
}

func checkBody(t *testing.T, a *rig.Answer, code string) {
	t.Helper()
	var body struct {
		Error struct {
			Message, Type, Code string
			Signalbox           map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.Response.Body), &body); err != nil {
		t.Fatalf("%v: %s", err, a.Response.Body)
	}
	if body.Error.Code != code || body.Error.Message == "" || body.Error.Type == "" || body.Error.Signalbox == nil {
		t.Errorf("body %s", a.Response.Body)
	}
}
