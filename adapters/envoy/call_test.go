package envoy_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// applied makes edits one after another, as the filter at each try does.
func applied(body []byte, edits []llm.Edit) string {
	for _, e := range edits {
		body = append(append(append([]byte{}, body[:e.At[0]]...), e.Text...), body[e.At[1]:]...)
	}
	return string(body)
}

// Whatever the providers call the model, in the body or in the path, and whether or not a
// filter has changed the body before: what each deployment is sent is what the
// proxy would send it.
func TestEachTryGetsItsOwnModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		named := rapid.Bool().Draw(rt, "the body names the model")
		const rest = `"messages":[{"role":"user","content":"hé"}],"max_tokens":9`
		path, body, span := "/openai/deployments/gpt/chat/completions?api-version=2024-10-21", `{`+rest+`}`, [2]int{}
		if named {
			path, body, span = "/v1/chat/completions", `{"model":"gpt",`+rest+`}`, [2]int{10, 13}
		}
		req := decision.Request{Method: "POST", Path: path, Body: []byte(body), BodyComplete: true}
		plan := &decision.Plan{ModelSpan: span}
		if rapid.Bool().Draw(rt, "the plan edits") {
			at := len(body) - 2
			plan.Edits = rapid.Permutation([]llm.Edit{{At: [2]int{at, at + 1}, Text: []byte("7")}, {At: [2]int{1, 1}, Text: []byte(`"stream":true,`)},
				{At: [2]int{1, 1}, Text: []byte(`"n":1,`)}}).Draw(rt, "edits, as the stages made them")
			var problem, moved error
			plan.Body, problem = llm.Apply(req.Body, plan.Edits)
			if plan.ModelSpan, moved = llm.Carry(span, plan.Edits); problem != nil || moved != nil {
				rt.Fatal(problem, moved)
			}
		}
		var order []string
		for i := range rapid.IntRange(1, 4).Draw(rt, "deployments") {
			p := &registry.Provider{Name: "p", Kind: registry.ProviderOpenAI, BaseURL: "https://p.test/v1"}
			if rapid.Bool().Draw(rt, "azure") {
				p = &registry.Provider{Name: "p", Kind: registry.ProviderAzureOpenAI, BaseURL: "https://p.test", APIVersion: "2024-10-21"}
			}
			d := &registry.Deployment{Name: fmt.Sprint("d", i), ProviderRef: p, UpstreamModel: rapid.SampledFrom([]string{"gpt", "up", `a "longer" name`}).Draw(rt, "upstream model")}
			plan.Deployments = append(plan.Deployments, d)
			if rapid.Bool().Draw(rt, "usable") || i == 0 {
				order = append(order, d.Name)
			}
		}
		answer := decision.Answer{DecisionID: "d-1", Plan: plan}
		told := door.Render(&req, &answer)
		edited := rapid.Bool().Draw(rt, "the filter changes the body")
		call, err := envoy.NewCall(&req, &answer, &told, order, edited)
		if err != nil {
			rt.Fatal(err)
		}
		leaves := req.Body
		if edited {
			changed, err := envoy.OutgoingBody(&req, plan, order[0])
			if err != nil {
				rt.Fatal(err)
			}
			if changed != nil {
				leaves = changed
			}
			if len(call.Tries[order[0]].Edits) > 0 {
				rt.Fatalf("the first try still needs %+v", call.Tries[order[0]].Edits)
			}
		}
		judged := req.Body
		if plan.Body != nil {
			judged = plan.Body
		}
		for _, d := range plan.Deployments {
			try, ok := call.Tries[d.Name]
			if !ok {
				continue
			}
			model, err := door.ModelEdit(d, llm.ChatCompletions, judged, plan.ModelSpan)
			if err != nil {
				rt.Fatal(err)
			}
			want := string(judged)
			if model.Text != nil {
				want = applied(judged, []llm.Edit{model})
			}
			if got := applied(leaves, try.Edits); got != want {
				rt.Fatalf("%s would get %s, want %s", d.Name, got, want)
			}
		}
	})
}
