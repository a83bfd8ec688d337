package door

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// decider and settler are what a door needs of the decision; each door names
// them for itself.
type decider interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
}

type settler interface {
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// withdrawTime bounds the settlement of a question that nobody waits for.
const withdrawTime = 10 * time.Second

// Decide takes one question through the decision.
func Decide(ctx context.Context, d decider, s settler, who Who, q Question) (*Answer, *Problem) {
	gateway, p := who.Name(q.Gateway)
	if p != nil {
		return nil, p
	}
	req, p := q.Request(gateway)
	if p != nil {
		return nil, p
	}
	answer, err := d.Decide(ctx, req)
	if err != nil {
		return nil, FromDecide(&req, err)
	}
	if ctx.Err() != nil {
		withdraw(ctx, s, &req, &answer)
		return nil, fromAny(ctx.Err())
	}
	out := Render(&req, &answer)
	return &out, nil
}

// withdraw gives back what was held for an answer that nobody waits for any
// more. It is safe only before the first byte is written: afterwards the gateway
// may have read the answer and sent the call. A question with a call id of the
// gateway's own may have been asked again meanwhile and have the same answer, so
// its hold stays until somebody reports or its time is over.
func withdraw(ctx context.Context, s settler, req *decision.Request, a *decision.Answer) {
	if req.CallID != "" || a.Plan == nil || a.Plan.ReportToken == "" {
		return
	}
	// The question's own context has ended, which is why we are here.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	// A failure leaves the hold to its time limit, which settles it by rule: more
	// is charged, never less.
	_, _ = s.Settle(ctx, decision.Report{
		Token: a.Plan.ReportToken, Gateway: req.Gateway, Outcome: journal.OutcomeNotSent, SeenOutputTokens: -1,
	})
}

// Settle takes one report through the decision.
func Settle(ctx context.Context, s settler, who Who, r Report) (*Receipt, *Problem) {
	gateway, p := who.Name(r.Gateway)
	if p != nil {
		return nil, p
	}
	report, p := r.Settlement(gateway)
	if p != nil {
		return nil, p
	}
	settled, err := s.Settle(ctx, report)
	if err != nil {
		return nil, FromSettle(err)
	}
	receipt := NewReceipt(settled)
	return &receipt, nil
}
