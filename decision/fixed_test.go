package decision_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

const fixedWorld = `
apps: [{tenant: acme, team: support, name: open, assert: [user]}]
models:
  - {name: hunter, dialect: openai, context: 100000, max_output: 1000, default_max_tool_calls: 3}
deployments:
  - {name: hunter-a, provider: drains, model: hunter, kind: paygo, region: eu}
  - {name: hunter-b, provider: drains, model: hunter, upstream_model: hunter-2, kind: paygo, region: eu}
prices:
  - {deployment: hunter-a, from: 2026-01-01T00:00:00Z, input: "1", output: "10", tools: {web_search: "0.01"}}
  - {deployment: hunter-b, from: 2026-01-01T00:00:00Z, input: "1", output: "10", tools: {web_search: "0.01"}}
`

const fixedPolicy = `package signalbox.decision.custom

redact contains "email" if input.principal.user == "redacted"

max_output contains 300 if input.principal.user == "brief"
`

// Whatever a body holds and policy says: nothing of it is to be changed, it goes only
// to who reads it as it is, and what it may write is held.
func TestAFixedBodyGoesOutAsItWasHeld(t *testing.T) {
	st := setStage(t, story{World: fixedWorld, Policy: fixedPolicy}, "", ready)
	most := map[string]int64{"mini": 2000, "gpt-4o": 16384, "hunter": 1000}
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.SampledFrom([]string{"mini", "gpt-4o", "hunter"}).Draw(t, "model")
		path := rapid.SampledFrom([]string{"/v1/chat/completions", "/v1/responses", "/openai/deployments/" + model + "/chat/completions?api-version=2024-10-21"}).Draw(t, "path")
		responses, named := path == "/v1/responses", !strings.Contains(path, model)
		asked := rapid.SampledFrom([]int64{0, 16, 100, 299, 301, 2000, 50_000}).Draw(t, "limit")
		text := rapid.SampledFrom([]string{"hello", "write to bob@example.com"}).Draw(t, "text")
		fields := []string{fmt.Sprintf(`"messages":[{"role":"user","content":%q}]`, text)}
		limit := "max_tokens"
		if responses {
			fields, limit = []string{fmt.Sprintf(`"input":%q`, text)}, "max_output_tokens"
			if rapid.Bool().Draw(t, "searches") {
				fields = append(fields, `"tools":[{"type":"web_search"}]`)
			}
		}
		if named {
			fields = append(fields, fmt.Sprintf(`"model":%q`, model))
		}
		if asked > 0 {
			fields = append(fields, fmt.Sprintf(`%q:%d`, limit, asked))
		}
		if rapid.Bool().Draw(t, "stream") {
			fields = append(fields, `"stream":true`)
		}
		user := rapid.SampledFrom([]string{"", "redacted", "brief"}).Draw(t, "user")
		body := "{" + strings.Join(rapid.Permutation(fields).Draw(t, "fields"), ",") + "}"
		a, err := st.service.Decide(t.Context(), st.request(question{Key: "open", Path: path, Fixed: true, Body: body, Headers: map[string]string{"x-signalbox-user": user}}))
		if err != nil {
			t.Fatal(err)
		}
		writes := most[model]
		if asked > 0 {
			writes = min(asked, writes)
		}
		redacted := user == "redacted" && text != "hello"
		p := a.Plan
		switch {
		case p == nil && (redacted || user == "brief" && writes > 300 || strings.Contains(body, "web_search")):
		case p == nil && (model == "gpt-4o" && responses || model != "gpt-4o" && !named): // nobody there knows it so
		case p == nil:
			t.Fatalf("%s was refused: %v", body, a.Refusal)
		case strings.Contains(body, "web_search"):
			t.Fatalf("%s was let out, and nothing bounds its searches", body)
		case redacted || len(p.Edits) > 0 || p.Body != nil || len(a.Changes) > 0:
			t.Fatalf("%s is to be changed: %+v, %v", body, p.Edits, a.Changes)
		case p.Hold.MaxOutputTokens != writes:
			t.Fatalf("%s: %d tokens of output are held, and it may write %d", body, p.Hold.MaxOutputTokens, writes)
		}
		if p == nil {
			return
		}
		endpoint := llm.ChatCompletions
		if responses {
			endpoint = llm.Responses
		}
		for _, d := range p.Deployments {
			if !decision.PathNamesModel(d.ProviderRef, endpoint) && !(named && d.UpstreamModel == model) {
				t.Fatalf("%s goes to %s, which knows the model as %s", body, d.Name, d.UpstreamModel)
			}
		}
		if slices.Contains(a.Changes, decision.UsageRequested) {
			t.Fatal("usage was asked for")
		}
	})
}
