package decision_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// oddPrices make a prompt of 128 tokens cost whole nano-dollars, and the output not.
const oddPrices = `
models: [{name: odd, dialect: openai, context: 128000, max_output: 2000, output_limit: max_tokens}]
deployments:
  - {name: odd, provider: azure, model: odd, upstream_model: odd, kind: paygo, region: eu}
  - {name: even, provider: azure, model: odd, upstream_model: odd, kind: paygo, region: eu}
prices:
  - {deployment: odd, from: 2026-01-01T00:00:00Z, input: "0.125", output: "0.987654321"}
  - {deployment: even, from: 2026-01-01T00:00:00Z, input: "0.125", output: "0.987654322"}
`

// However each of the tries that a hold pays for is used up to its bounds, and
// however their costs are rounded, the hold is not passed.
func TestTheHoldBoundsEveryTry(t *testing.T) {
	st := setStage(t, story{World: oddPrices, Policy: "package signalbox.decision.custom\n\nattempts contains input.request.max_output % 3 + 1\n"}, "", ready)
	rapid.Check(t, func(t *rapid.T) {
		asked := rapid.IntRange(1, 2000).Draw(t, "asked")
		a, err := st.service.Decide(t.Context(), st.request(question{Key: "silent", Body: fmt.Sprintf(`{"model":"odd","max_tokens":%d,"messages":[]}`, asked)}))
		if err != nil || a.Plan == nil || a.Plan.Hold.Attempts != asked%3+1 {
			t.Fatalf("%v %+v", err, a)
		}
		used := func(label string) *journal.Tokens {
			upTo := func(most int64) *rapid.Generator[int64] {
				return rapid.OneOf(rapid.Just(most), rapid.Int64Range(0, most))
			}
			return &journal.Tokens{Input: upTo(128).Draw(t, label+" input"), Output: upTo(int64(asked)).Draw(t, label+" output")}
		}
		r := decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeCompleted, Deployment: rapid.SampledFrom([]string{"odd", "even"}).Draw(t, "last"), SeenOutputTokens: -1}
		for i := range a.Plan.Hold.Attempts - 1 {
			try := decision.ReportedAttempt{Deployment: rapid.SampledFrom([]string{"odd", "even"}).Draw(t, "deployment"), Outcome: journal.OutcomeAborted}
			if rapid.Bool().Draw(t, "known") {
				try.Usage = used(fmt.Sprint(i))
			}
			r.Attempts = append(r.Attempts, try)
		}
		if rapid.Bool().Draw(t, "reported") {
			r.Usage = used("last")
		}
		settled, err := st.service.Settle(t.Context(), r)
		if err != nil || settled.OverHold || settled.ChargedNanoUSD > a.Plan.Hold.NanoUSD {
			t.Fatalf("%v: charged %d of %d", err, settled.ChargedNanoUSD, a.Plan.Hold.NanoUSD)
		}
	})
}
