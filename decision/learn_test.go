package decision_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
)

// heard is what was said of deployments, in order.
type heard []string

func (h *heard) Learn(deployment string, s health.Sign) {
	*h = append(*h, fmt.Sprintf("%s %d failed=%t begun=%t whole=%t", deployment, s.Status, s.Failed, !s.Began.IsZero(), s.Whole))
}

// What a gateway reports of its tries, others learn; what it cannot know of a
// deployment, nobody does.
func TestWhatReportsSayOfDeployments(t *testing.T) {
	tried := func(deployment string, status int, outcome journal.Outcome) decision.ReportedAttempt {
		return decision.ReportedAttempt{Deployment: deployment, Status: status, Outcome: outcome}
	}
	for name, c := range map[string]struct {
		report decision.Report
		want   []string
	}{
		"it went well":       {decision.Report{Outcome: journal.OutcomeCompleted, Status: 200}, []string{"ptu 200 failed=false begun=true whole=true"}},
		"it went well, says": {decision.Report{Outcome: journal.OutcomeCompleted, Deployment: "paygo"}, []string{"paygo 200 failed=false begun=true whole=true"}},
		"one was full": {decision.Report{Outcome: journal.OutcomeCompleted, Status: 200, Deployment: "paygo", Attempts: []decision.ReportedAttempt{tried("ptu", 429, journal.OutcomeFailed)}},
			[]string{"ptu 429 failed=false begun=true whole=false", "paygo 200 failed=false begun=true whole=true"}},
		"none connected": {decision.Report{Outcome: journal.OutcomeFailed, Deployment: "paygo", Attempts: []decision.ReportedAttempt{tried("ptu", 0, journal.OutcomeNotSent)}},
			[]string{"ptu 0 failed=true begun=true whole=false", "paygo 0 failed=true begun=true whole=false"}},
		"one timed out": {decision.Report{Outcome: journal.OutcomeCompleted, Status: 200, Deployment: "paygo", Attempts: []decision.ReportedAttempt{tried("ptu", 0, journal.OutcomeAborted)}},
			[]string{"ptu 0 failed=true begun=true whole=false", "paygo 200 failed=false begun=true whole=true"}},
		"it broke off":                 {decision.Report{Outcome: journal.OutcomeFailed, Status: 200, TTFTMS: 9}, []string{"ptu 200 failed=true begun=true whole=false"}},
		"the body was bad":             {decision.Report{Outcome: journal.OutcomeFailed, Status: 400}, []string{"ptu 400 failed=false begun=true whole=false"}},
		"the caller hung up":           {decision.Report{Outcome: journal.OutcomeAborted, Status: 200}, nil},
		"it was not sent":              {decision.Report{Outcome: journal.OutcomeNotSent}, nil},
		"a log says it, minutes later": {decision.Report{Outcome: journal.OutcomeFailed, Status: 500, Source: journal.SourceAccessLog}, nil},
		"who reports has told already": {decision.Report{Outcome: journal.OutcomeFailed, Status: 500, Learnt: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said heard
				st := newStage(t, story{}, func(_ *decision.Config, p *decision.Parts) { p.Learn = &said })
				st.decide(t, question{Key: "silent", Body: `{"model":"gpt-4o","max_tokens":100,"messages":[]}`})
				c.report.Token, c.report.SeenOutputTokens = st.answers[0].Plan.ReportToken, -1
				for range 2 { // a repeat is no news
					if _, err := st.service.Settle(t.Context(), c.report); err != nil {
						t.Fatal(err)
					}
				}
				if !slices.Equal(said, c.want) {
					t.Errorf("got %q, want %q", said, c.want)
				}
			})
		})
	}
}

// A report that is refused teaches nothing.
func TestNobodyLearnsFromAReportThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said heard
		st := newStage(t, story{}, func(_ *decision.Config, p *decision.Parts) { p.Learn = &said })
		st.decide(t, question{Key: "silent", Body: `{"model":"gpt-4o","max_tokens":100,"messages":[]}`})
		if _, err := st.service.Settle(t.Context(), decision.Report{Token: st.answers[0].Plan.ReportToken, Outcome: journal.OutcomeFailed, Deployment: "small", Status: 500}); err == nil {
			t.Error("it was taken")
		}
		if len(said) > 0 {
			t.Errorf("learnt %q", said)
		}
	})
}
