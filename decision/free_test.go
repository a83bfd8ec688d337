package decision_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/ledger"
)

// meeting is a policy that judges nobody until so many calls are before it.
type meeting struct {
	decision.Policy
	missing *atomic.Int64
	all     chan struct{}
}

func (m meeting) Evaluate(ctx context.Context, facts *decision.Facts) (decision.Verdict, error) {
	if m.missing.Add(-1) == 0 {
		close(m.all)
	}
	select {
	case <-m.all:
		return m.Policy.Evaluate(ctx, facts)
	case <-ctx.Done():
		return decision.Verdict{}, ctx.Err()
	}
}

// untouched is a ledger that nobody should ask to hold anything.
type untouched struct {
	decision.Ledger
	t *testing.T
}

func (u untouched) Hold(ctx context.Context, req *ledger.HoldRequest) (ledger.Held, []ledger.Shortage, error) {
	u.t.Error("a free call asked for a hold")
	return u.Ledger.Hold(ctx, req)
}

// Claude Code counts 28 texts at once to draw one picture. They are judged side by
// side, and neither a spent budget nor one that counts calls in flight is asked.
func TestFreeCallsWaitForNobody(t *testing.T) {
	const many = 28
	synctest.Test(t, func(t *testing.T) {
		var missing atomic.Int64
		missing.Store(many)
		st := newStage(t, story{World: `
budgets:
  - {name: spent, match: {tenant: acme}, unit: usd, amount: "0", window: total}
  - {name: alone, match: {tenant: acme}, unit: concurrent, amount: "1"}`}, func(_ *decision.Config, p *decision.Parts) {
			p.Policy = meeting{p.Policy, &missing, make(chan struct{})}
			p.Ledger = untouched{p.Ledger, t}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var calls sync.WaitGroup
		for range many {
			calls.Go(func() {
				a, err := st.service.Decide(ctx, st.request(question{Key: "helpdesk", Path: "/v1/messages/count_tokens?beta=true",
					Headers: map[string]string{"x-claude-code-session-id": "s-1"}, Body: `{"model":"claude","messages":[{"role":"user","content":"a"}],"tools":[]}`}))
				if err != nil || a.Plan == nil || !a.Plan.Free {
					t.Errorf("%v %+v", err, a.Refusal)
				}
			})
		}
		calls.Wait()
	})
}
