package decision_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// feesOfTools are prices that know what tools cost, each in its own way.
const feesOfTools = `
models:
  - {name: hunter, dialect: openai, context: 100000, max_output: 50, default_max_tool_calls: 3}
  - {name: seeker, dialect: anthropic, context: 100000, max_output: 50, default_max_tool_calls: 3}
deployments:
  - {name: dear-search, provider: azure, model: hunter, kind: paygo, region: eu}
  - {name: dear-code, provider: azure, model: hunter, kind: paygo, region: eu}
  - {name: seeker, provider: anthropic, model: seeker, kind: paygo, region: eu}
prices:
  - {deployment: dear-search, from: 2026-01-01T00:00:00Z, input: "0.0123", output: "0.987654321", tools: {web_search: "0.03", file_search: "0.000000001", code_interpreter: "0"}}
  - {deployment: dear-code, from: 2026-01-01T00:00:00Z, input: "0.0124", output: "0.5", tools: {web_search: "0", file_search: "0.01", code_interpreter: "0.48"}}
  - {deployment: seeker, from: 2026-01-01T00:00:00Z, input: "0.0123", output: "0.987654321", tools: {web_search: "0.01", web_fetch: "0.000000007"}}
`

// Whatever tools a call asks for, however often it may use them and whatever it is
// told of that: what is charged is what it cost, or more where nobody said, and never
// above the hold.
func TestTheHoldBoundsEveryUse(t *testing.T) {
	st := setStage(t, story{World: feesOfTools}, "", ready)
	rapid.Check(t, func(t *rapid.T) {
		model, path, shared := "hunter", "/v1/responses", rapid.Bool().Draw(t, "responses")
		kinds := []string{"web_search", "file_search", "code_interpreter"}
		if !shared {
			model, path, kinds = "seeker", "/v1/messages", []string{"web_search_20250305", "web_fetch_20250910"}
		}
		asked := rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 1, len(kinds), rapid.ID).Draw(t, "tools")
		limit := func(label string) (int64, string) {
			n := rapid.Int64Range(0, 4).Draw(t, label)
			if n == 0 {
				return 3, "null"
			}
			return n, fmt.Sprint(n)
		}
		together, callsText := limit("calls")
		uses, left, runs := map[string]int64{}, together, together+1
		if !shared {
			runs = 1
		}
		var tools []string
		for _, kind := range asked {
			tool := `{"type":"` + kind + `"}`
			most := left
			if !shared {
				n, text := limit("uses of " + kind)
				most, runs, tool = n, runs+n, `{"type":"`+kind+`","max_uses":`+text+`}`
			}
			name, _, _ := strings.Cut(kind, "_20")
			uses[name] = rapid.OneOf(rapid.Just(most), rapid.Int64Range(0, most)).Draw(t, "used "+kind)
			left, tools = left-uses[name], append(tools, tool)
		}
		body := fmt.Sprintf(`{"model":"hunter","input":"x","max_output_tokens":50,"max_tool_calls":%s,"tools":[%s]}`, callsText, strings.Join(tools, ","))
		if !shared {
			body = fmt.Sprintf(`{"model":%q,"messages":[],"max_tokens":50,"tools":[%s]}`, model, strings.Join(tools, ","))
		}
		a, err := st.service.Decide(t.Context(), st.request(question{Key: "silent", Path: path, Body: body}))
		if err != nil || a.Plan == nil {
			t.Fatalf("%s: %v %+v", body, err, a.Refusal)
		}
		upTo := func(most int64) *rapid.Generator[int64] {
			return rapid.OneOf(rapid.Just(most), rapid.Int64Range(0, most))
		}
		const first = 1000 // far below what is bounded of tools' own prompts
		truth := journal.Tokens{Input: upTo(first+100_000*(runs-1)).Draw(t, "input"), Output: upTo(50*runs).Draw(t, "output"), Other: maps.Clone(uses)}
		told := truth
		told.Other = maps.Clone(uses)
		maps.DeleteFunc(told.Other, func(name string, _ int64) bool { return rapid.Bool().Draw(t, "nothing is said of "+name) })
		where := rapid.SampledFrom(a.Plan.Deployments).Draw(t, "where").Name
		price, _ := st.registry.Snapshot().Price(where, beginning)
		cost, err := price.Cost(truth, "")
		if err != nil {
			t.Fatal(err)
		}
		r := decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeCompleted, Deployment: where, SeenOutputTokens: -1}
		if rapid.Bool().Draw(t, "reported") {
			r.Usage = &told
		}
		s, err := st.service.Settle(t.Context(), r)
		if err != nil || s.OverHold || s.ChargedNanoUSD > a.Plan.Hold.NanoUSD || s.ChargedNanoUSD < cost {
			t.Fatalf("%s: %v: charged %d of %d, and it cost %d", body, err, s.ChargedNanoUSD, a.Plan.Hold.NanoUSD, cost)
		}
		if r.Usage != nil && len(told.Other) == len(uses) && s.ChargedNanoUSD != cost {
			t.Fatalf("%s: all was said, and charged %d for %d", body, s.ChargedNanoUSD, cost)
		}
	})
}

// Every tool that a body can name has a name that prices know.
func TestPricesKnowEveryToolByItsName(t *testing.T) {
	for _, tool := range []string{llm.WebSearch, llm.WebFetch, llm.FileSearch, llm.CodeInterpreter} {
		st := setStage(t, story{World: strings.Replace(oddPrices, `output: "0.987654321"}`, `output: "1", tools: {`+tool+`: "0.01"}}`, 1)}, "", ready)
		price, _ := st.registry.Snapshot().Price("odd", beginning)
		if fee, ok := price.Fee(tool); !ok || fee != 10_000_000 {
			t.Errorf("%s: %d %v", tool, fee, ok)
		}
	}
}

// A report of less than nothing is refused, whatever it counts.
func TestUsesThatCannotBe(t *testing.T) {
	st := setStage(t, story{World: feesOfTools}, "", ready)
	a, err := st.service.Decide(t.Context(), st.request(question{Key: "silent", Path: "/v1/responses", Body: `{"model":"hunter","input":"x","tools":[{"type":"web_search"}]}`}))
	if err != nil || a.Plan == nil {
		t.Fatal(err, a.Refusal)
	}
	for _, n := range []int64{-1, 1 << 41} {
		r := decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeCompleted, Usage: &journal.Tokens{Other: map[string]int64{"web_search": n}}, SeenOutputTokens: -1}
		if s, err := st.service.Settle(t.Context(), r); err == nil {
			t.Errorf("%d searches: %+v", n, s)
		}
	}
}
