package decision_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

const small = `{"model":"mini","max_tokens":9,"messages":[]}`

// gate is a policy that judges nobody until it is opened.
type gate struct {
	decision.Policy
	open chan struct{}
}

func (g *gate) Evaluate(ctx context.Context, f *decision.Facts) (decision.Verdict, error) {
	select {
	case <-g.open:
		return g.Policy.Evaluate(ctx, f)
	case <-ctx.Done():
		return decision.Verdict{}, ctx.Err()
	}
}

func gated(g *gate) func(*decision.Config, *decision.Parts) {
	return func(_ *decision.Config, p *decision.Parts) {
		g.Policy, g.open = p.Policy, make(chan struct{})
		p.Policy = g
	}
}

// Questions under one id that come at once are one call: they wait for the first
// and get its answer, and one hold is taken.
func TestQuestionsUnderOneIDAreOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		st := newStage(t, story{}, gated(&g))
		req := st.request(question{Key: "helpdesk", CallID: "c-1", Body: small})
		var asking sync.WaitGroup
		answers := make([]decision.Answer, 20)
		for i := range answers {
			asking.Go(func() {
				var err error
				if answers[i], err = st.service.Decide(t.Context(), req); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(g.open)
		asking.Wait()
		for _, a := range answers {
			if a.DecisionID != answers[0].DecisionID || a.Plan == nil || a.Plan.ReportToken != answers[0].Plan.ReportToken {
				t.Fatalf("two answers to one question: %+v and %+v", a, answers[0])
			}
		}
		if open := st.keeper.Stats().HoldsOpen; open != 1 {
			t.Errorf("%d holds for one call", open)
		}
	})
}

// A repeat that is withdrawn takes nothing from the question it waited for.
func TestAWithdrawnRepeatLeavesTheFirstAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		st := newStage(t, story{}, gated(&g))
		req := st.request(question{Key: "helpdesk", CallID: "c-1", Body: small})
		first := make(chan decision.Answer, 1)
		go func() {
			a, err := st.service.Decide(t.Context(), req)
			if err != nil {
				t.Error(err)
			}
			first <- a
		}()
		synctest.Wait()
		if got := st.report(t, report{CallID: "c-1", Outcome: "completed"}); got["status"] != 404 {
			t.Errorf("want no call before its answer, got %v", got)
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := st.service.Decide(hasty, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("want the wait to end with the question, got %v", err)
		}
		close(g.open)
		a := <-first
		again, err := st.service.Decide(t.Context(), req)
		if err != nil || again.DecisionID != a.DecisionID {
			t.Errorf("the id was let go of: %v, %v and %v", err, again.DecisionID, a.DecisionID)
		}
		if open := st.keeper.Stats().HoldsOpen; open != 1 {
			t.Errorf("%d holds for one call", open)
		}
	})
}

// What is remembered of calls that hold nothing is bounded in number and in time.
func TestSettledCallsLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{}, func(c *decision.Config, _ *decision.Parts) { c.MaxCalls = 3 })
		for i := range 10 {
			id := fmt.Sprint("c-", i)
			st.decide(t, question{Key: "helpdesk", CallID: id, Body: small})
			st.report(t, report{CallID: id, Outcome: "completed", Usage: map[string]int64{"input": 1, "output": 1}})
		}
		if named, held, leaving := st.service.Remembered(); named != 3 || held != 3 || leaving != 3 {
			t.Errorf("want 3 calls, got %d by name, %d by hold, %d in line", named, held, leaving)
		}
		if got := st.report(t, report{CallID: "c-0", Outcome: "completed"}); got["status"] != 404 {
			t.Errorf("want 404 for a call that left, got %v", got)
		}
		// Its token still finds the first charge: the ledger knows the hold.
		if got := st.report(t, report{Of: 1, Outcome: "completed"}); got["repeated"] != true || got["charged"] != "0.000011" {
			t.Errorf("want the first charge, got %v", got)
		}
		time.Sleep(25 * time.Hour)
		st.decide(t, question{Key: "helpdesk", CallID: "c-new", Body: small})
		st.report(t, report{CallID: "c-new", Outcome: "not_sent"})
		if named, _, _ := st.service.Remembered(); named != 1 {
			t.Errorf("want yesterday's calls gone, got %d", named)
		}
	})
}

// Refused questions, and answers nobody may ask for again, leave nothing behind.
func TestNothingIsRememberedOfARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		for i, body := range []string{`{`, `{"model":"nobody","messages":[]}`, `{"model":"mini","messages":[],"web_search_options":{}}`} {
			st.decide(t, question{Key: "helpdesk", CallID: fmt.Sprint("c-", i), Body: body})
		}
		st.decide(t, question{Key: "helpdesk", CallID: "c-list", Method: "GET", Path: "/v1/models"})
		if named, held, leaving := st.service.Remembered(); named+held+leaving != 0 {
			t.Errorf("want nothing, got %d by name, %d by hold, %d in line", named, held, leaving)
		}
	})
}

// Many callers and reporters at once, for the race detector and for the sums.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{World: `budgets: [{name: cap, match: {tenant: acme}, unit: usd, amount: "1", window: total}]`})
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for i := range 25 {
					id := fmt.Sprintf("c-%d", caller%4*100+i) // each id twice, by two callers
					a, err := st.service.Decide(t.Context(), st.request(question{Key: "helpdesk", CallID: id, Body: small}))
					var settled *decision.Conflict
					if errors.As(err, &settled) {
						continue
					}
					if err != nil || a.Plan == nil {
						t.Errorf("%s: %v %+v", id, err, a.Refusal)
						continue
					}
					for range 2 {
						_, err := st.service.Settle(t.Context(), decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeCompleted,
							Usage: &journal.Tokens{Input: 10, Output: 9}})
						if err != nil {
							t.Errorf("%s: %v", id, err)
						}
					}
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		var charged int64
		for _, e := range st.entries(t, journal.TopicLedger) {
			if s, ok := e.Event.(journal.Settled); ok {
				charged += s.Usage.ChargedNanoUSD
			}
		}
		if want := int64(100 * 100_000); charged != want {
			t.Errorf("100 calls were charged %d nano-USD, want %d", charged, want)
		}
		if open := st.keeper.Stats().HoldsOpen; open != 0 {
			t.Errorf("%d holds are left open", open)
		}
	})
}
