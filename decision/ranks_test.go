package decision_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// Two stand beside a call through an Envoy and speak of it: the filter that saw the
// answer go by, and the access log afterwards, which saw what Envoy noted of it. A word
// is what one of them may say of a call that went to paygo after ptu had turned it away.
type word struct {
	name   string
	rank   journal.Rank
	nano   int64 // that it charges; -1: what was held for one try
	report decision.Report
}

// nobody speaks until the hold's time is over.
const nobody = "nobody, in time"

func sayings() []word {
	seen := &journal.Tokens{Input: 90}
	exact := func(input, output int64) *journal.Tokens { return &journal.Tokens{Input: input, Output: output} }
	stream, log := journal.SourceStream, journal.SourceAccessLog
	all := []word{
		{"the filter, exact", journal.RankExact, 100*2_500 + 50*10_000, decision.Report{Source: stream, Outcome: journal.OutcomeCompleted, Status: 200, Usage: exact(100, 50), SeenOutputTokens: -1}},
		{"the filter, broke off", journal.RankEstimate, 90*2_500 + 7*10_000, decision.Report{Source: stream, Outcome: journal.OutcomeAborted, Status: 200, TTFTMS: 9, SeenInput: seen, SeenOutputTokens: 7}},
		{"the filter, without usage", journal.RankRule, -1, decision.Report{Source: stream, Outcome: journal.OutcomeCompleted, Status: 200, SeenOutputTokens: -1}},
		{"the log, exact", journal.RankExact, 101*2_500 + 51*10_000, decision.Report{Source: log, Rank: journal.RankExact, Outcome: journal.OutcomeCompleted, Status: 200, Usage: exact(101, 51), SeenOutputTokens: -1}},
		{"the log, without usage", journal.RankRule, -1, decision.Report{Source: log, Rank: journal.RankRule, Outcome: journal.OutcomeCompleted, Status: 200, SeenOutputTokens: -1}},
		{"the log, half of the usage", journal.RankRule, 80*2_500 + 10_000, decision.Report{Source: log, Rank: journal.RankEstimate, Outcome: journal.OutcomeAborted, Status: 200, Usage: exact(80, 1), SeenOutputTokens: -1}},
		{"the log, broke off", journal.RankRule, 90*2_500 + 3*10_000, decision.Report{Source: log, Outcome: journal.OutcomeAborted, Status: 200, TTFTMS: 9, SeenInput: seen, SeenOutputTokens: 3}},
		{"the log, failed", journal.RankRule, 0, decision.Report{Source: log, Outcome: journal.OutcomeFailed, Status: 503, SeenOutputTokens: -1}},
		{"the log, not sent", journal.RankRule, 0, decision.Report{Source: log, Rank: journal.RankExact, Outcome: journal.OutcomeNotSent, SeenOutputTokens: -1}},
	}
	all = append(all, word{name: nobody, rank: journal.RankRule, nano: -1})
	for i := range all {
		all[i].report.Deployment = "paygo"
		all[i].report.Attempts = []decision.ReportedAttempt{{Deployment: "ptu", Status: 429, Outcome: journal.OutcomeFailed}}
	}
	return all
}

const capped = `budgets: [{name: cap, match: {tenant: acme}, unit: usd, amount: "1", window: total}]`

// saying is one of them speaking, at one of the two replicas.
type saying struct {
	word, at int
	wait     bool // until it is known everywhere
}

// In whatever order they speak, however often, at once or not, and at whichever
// replica: the call is charged once, by the best word of all.
func TestTheBestWordStands(t *testing.T) {
	most := len(sayings()) - 1
	rapid.Check(t, func(rt *rapid.T) {
		said := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) saying {
			return saying{rapid.IntRange(0, most).Draw(t, "word"), rapid.IntRange(0, 1).Draw(t, "at"), rapid.Bool().Draw(t, "wait")}
		}), 1, 8).Draw(rt, "said")
		var wrong []string
		synctest.Test(t, func(t *testing.T) { wrong = hearAll(t, said) })
		if len(wrong) > 0 {
			for _, s := range said {
				rt.Logf("%+v %s", s, sayings()[s.word].name)
			}
			rt.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// hearAll plays one call of which this is said, and says what is wrong in the end.
func hearAll(t *testing.T, said []saying) (wrong []string) {
	all, best := sayings(), journal.Rank(0)
	st := newStage(t, story{World: capped})
	replicas := []*stage{st, st.twin(t, story{})}
	st.decide(t, question{Key: "silent", Body: `{"model":"gpt-4o","max_tokens":100,"messages":[]}`})
	plan := st.answers[0].Plan
	synctest.Wait()
	tell := func(s saying) decision.Settled {
		r := all[s.word].report
		r.Token = plan.ReportToken
		if all[s.word].name == nobody {
			time.Sleep(plan.Hold.ExpiresAt.Sub(st.now()) + 2*time.Second)
			return decision.Settled{}
		}
		settled, err := replicas[s.at].service.Settle(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", all[s.word].name, err)
		}
		return settled
	}
	var telling sync.WaitGroup
	for _, s := range said {
		best = max(best, all[s.word].rank)
		telling.Go(func() { tell(s) })
		if s.wait {
			telling.Wait()
			synctest.Wait()
		}
	}
	telling.Wait()
	synctest.Wait()

	charged := st.charged(t)
	// Of words that are equally good any may be the first, and each replica answers
	// with the one it heard first.
	may := func(nano int64) bool {
		return slices.ContainsFunc(said, func(s saying) bool {
			w := all[s.word]
			return w.rank == best && (w.nano == nano || w.nano < 0 && nano == plan.Hold.NanoUSD)
		})
	}
	if !may(charged) {
		wrong = append(wrong, fmt.Sprintf("charged %d, which is no word of rank %d", charged, best))
	}
	for i, r := range replicas {
		if spent := r.spent("acme"); spent != charged {
			wrong = append(wrong, fmt.Sprintf("replica %d has %d spent; the call was charged %d", i, spent, charged))
		}
		if open := r.keeper.Stats().HoldsOpen; open != 0 {
			wrong = append(wrong, fmt.Sprintf("%d holds are open at replica %d", open, i))
		}
		for _, s := range said {
			if all[s.word].name == nobody {
				continue
			}
			if again := tell(saying{word: s.word, at: i}); !again.Repeated || !may(again.ChargedNanoUSD) {
				wrong = append(wrong, fmt.Sprintf("told again at replica %d, %s is answered with %+v; it was charged %d", i, all[s.word].name, again, charged))
			}
		}
	}
	return wrong
}

// charged is what the call's usage says: the settlement of the highest rank, and of
// equal ones the first.
func (st *stage) charged(t *testing.T) int64 {
	t.Helper()
	var stands journal.Settled
	for _, e := range st.entries(t, journal.TopicLedger) {
		if s, ok := e.Event.(journal.Settled); ok && s.Usage != nil && s.Rank > stands.Rank {
			stands = s
		}
	}
	if stands.Usage == nil {
		t.Fatal("nothing was settled")
	}
	tries := ""
	for _, a := range stands.Usage.Attempts {
		tries += fmt.Sprintf("%s %d %s;", a.Deployment, a.Status, a.Outcome)
	}
	if stands.Outcome == journal.OutcomeUnknown {
		return stands.Usage.ChargedNanoUSD // Nobody said how often it was tried.
	}
	if len(stands.Usage.Attempts) != 2 || stands.Usage.Attempts[0].Deployment != "ptu" || stands.Usage.Attempts[0].ChargedNanoUSD != 0 {
		t.Errorf("its tries: %s", tries)
	}
	return stands.Usage.ChargedNanoUSD
}

// spent is a key's money.
func (st *stage) spent(key string) (nano int64) {
	for _, m := range st.keeper.Meters(key) {
		if m.Meter.Unit == journal.UnitUSD {
			nano += m.Balance.Spent
		}
	}
	return nano
}

// Whatever an access log says without the whole usage gives way to whoever saw the
// answer go by, and stands where nobody did.
func TestWhatAnAccessLogGuesses(t *testing.T) {
	for _, w := range sayings() {
		if w.report.Source != journal.SourceAccessLog || w.rank == journal.RankExact {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t, story{World: capped})
				st.decide(t, question{Key: "silent", Body: `{"model":"gpt-4o","max_tokens":100,"messages":[]}`})
				settle := func(r decision.Report) decision.Settled {
					r.Token = st.answers[0].Plan.ReportToken
					settled, err := st.service.Settle(t.Context(), r)
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					return settled
				}
				want := w.nano
				if want < 0 {
					want = st.answers[0].Plan.Hold.NanoUSD
				}
				if got := settle(w.report); got.ChargedNanoUSD != want || got.Repeated {
					t.Errorf("alone: %+v, want %d", got, want)
				}
				broke := sayings()[1]
				if got := settle(broke.report); got.ChargedNanoUSD != broke.nano || got.Repeated {
					t.Errorf("the filter's word after it: %+v, want %d", got, broke.nano)
				}
				if got := settle(w.report); got.ChargedNanoUSD != broke.nano || !got.Repeated {
					t.Errorf("and it again: %+v", got)
				}
			})
		})
	}
}
