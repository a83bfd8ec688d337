package decision_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// What was asked for at a dearer price than the standard is charged at it, also
// where the report, or the provider, does not call it a service tier.
func TestTheTierHeldIsTheTierCharged(t *testing.T) {
	const world = `
models:
  - {name: opus, dialect: anthropic, context: 200000, max_output: 8192, default_max_output: 1024, output_limit: max_tokens, tokenizer: claude}
deployments:
  - {name: opus-eu, provider: anthropic, model: opus, upstream_model: claude-opus, kind: paygo, region: eu}
prices:
  - {deployment: opus-eu, from: 2026-01-01T00:00:00Z, input: "5", output: "25", tiers: [{service_tier: fast, input: "30", output: "150"}, {service_tier: inference_geo_us, input: "5.5", output: "27.5"}]}
apps:
  - {tenant: acme, team: support, name: fast, models: [opus]}
`
	usage := &journal.Tokens{Input: 100, Output: 1000}
	for name, c := range map[string]struct {
		field, provider string
		want            int64 // nano-USD
	}{
		"nothing dearer asked":          {field: `"top_k":5`, want: 100*5_000 + 1000*25_000},
		"fast, told by tokens alone":    {field: `"speed":"fast"`, want: 100*30_000 + 1000*150_000},
		"fast, told by the provider":    {field: `"speed":"fast"`, provider: `{"input_tokens":100,"output_tokens":1000,"service_tier":"standard","speed":"fast"}`, want: 100*30_000 + 1000*150_000},
		"fast, the provider is silent":  {field: `"speed":"fast"`, provider: `{"input_tokens":100,"output_tokens":1000,"service_tier":"standard"}`, want: 100*30_000 + 1000*150_000},
		"a region, told by tokens":      {field: `"inference_geo":"us"`, want: 100*5_500 + 1000*27_500},
		"a region, the provider silent": {field: `"inference_geo":"us"`, provider: `{"input_tokens":100,"output_tokens":1000,"service_tier":"standard"}`, want: 100*5_500 + 1000*27_500},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t, story{World: world})
				a, err := st.service.Decide(t.Context(), st.request(question{Key: "fast", Path: "/v1/messages", Body: `{"model":"opus","max_tokens":1000,` + c.field + `,"messages":[]}`}))
				if err != nil || a.Plan == nil {
					t.Fatalf("%+v %v", a.Refusal, err)
				}
				r := decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeCompleted, Usage: usage, SeenOutputTokens: -1}
				if c.provider != "" {
					r.Usage, r.ProviderUsage = nil, []byte(c.provider)
				}
				s, err := st.service.Settle(t.Context(), r)
				if err != nil || s.ChargedNanoUSD != c.want || s.OverHold {
					t.Errorf("charged %d, over hold %v, %v; want %d", s.ChargedNanoUSD, s.OverHold, err, c.want)
				}
			})
		})
	}
}

// What nobody knows is not zero: a stream that broke after its 200, and a try that
// timed out before the one that answered.
func TestWhatNobodyKnowsIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		ask := func() *decision.Plan {
			a, err := st.service.Decide(t.Context(), st.request(question{Key: "helpdesk", Body: `{"model":"mini","max_tokens":1000,"messages":[]}`}))
			if err != nil || a.Plan == nil {
				t.Fatal(err, a.Refusal)
			}
			return a.Plan
		}
		broken := ask()
		s, err := st.service.Settle(t.Context(), decision.Report{Token: broken.ReportToken, Outcome: journal.OutcomeFailed, Status: 200, LatencyMS: 30_000, SeenOutputTokens: -1})
		if err != nil || s.ChargedNanoUSD != broken.Hold.NanoUSD {
			t.Errorf("a stream that broke after its 200: charged %d of %d held, %v", s.ChargedNanoUSD, broken.Hold.NanoUSD, err)
		}
		for outcome, free := range map[journal.Outcome]bool{journal.OutcomeFailed: true, journal.OutcomeNotSent: true, journal.OutcomeAborted: false} {
			plan := ask()
			s, err := st.service.Settle(t.Context(), decision.Report{Token: plan.ReportToken, Outcome: journal.OutcomeCompleted, Usage: &journal.Tokens{Input: 10, Output: 10}, SeenOutputTokens: -1,
				Attempts: []decision.ReportedAttempt{{Deployment: "small", Outcome: outcome, LatencyMS: 60_000}}})
			if err != nil || (s.ChargedNanoUSD < plan.Hold.NanoUSD) != free {
				t.Errorf("a try before that was %s: charged %d with %d held for one, %v", outcome, s.ChargedNanoUSD, plan.Hold.NanoUSD, err)
			}
		}
	})
}

// A report that names a call nobody has answered yet finds none: taken, it would
// settle nothing, and the hold that follows would be nobody's.
func TestAReportBeforeTheAnswerFindsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		st := newStage(t, story{}, func(_ *decision.Config, p *decision.Parts) { p.Policy = slow{p.Policy, gate} })
		answered := make(chan decision.Answer)
		go func() {
			a, err := st.service.Decide(t.Context(), st.request(question{Key: "helpdesk", CallID: "c-1", Body: `{"model":"mini","max_tokens":100,"messages":[]}`}))
			if err != nil {
				t.Error(err)
			}
			answered <- a
		}()
		synctest.Wait()
		if s, err := st.service.Settle(t.Context(), decision.Report{CallID: "c-1", Outcome: journal.OutcomeNotSent, SeenOutputTokens: -1}); err == nil {
			t.Errorf("the early report was taken: %+v", s)
		}
		close(gate)
		a := <-answered
		s, err := st.service.Settle(t.Context(), decision.Report{Token: a.Plan.ReportToken, CallID: "c-1", Outcome: journal.OutcomeCompleted, Usage: &journal.Tokens{Input: 100, Output: 100}, SeenOutputTokens: -1})
		if err != nil || s.Repeated || s.ChargedNanoUSD == 0 || len(st.keeper.Open()) != 0 {
			t.Errorf("the true report: %+v %v, %d holds open", s, err, len(st.keeper.Open()))
		}
	})
}

// slow is a policy that answers when it is let go.
type slow struct {
	decision.Policy
	gate chan struct{}
}

func (p slow) Evaluate(ctx context.Context, facts *decision.Facts) (decision.Verdict, error) {
	<-p.gate
	return p.Policy.Evaluate(ctx, facts)
}
