package decision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// leastOutput is the floor of a clamp: an answer of fewer tokens than this (or
// than was asked, if that is less) is not worth its prompt.
const leastOutput = 256

// reserve is the first write: it holds what the call can cost on every meter it
// counts on, for the first candidate that has room, or says why it cannot.
func (s *Service) reserve(ctx context.Context, c *Case) (ledger.Held, error) {
	if c.Ask.Free {
		return ledger.Held{}, nil
	}
	want, err := outputWanted(c)
	if err != nil {
		return ledger.Held{}, err
	}
	req := ledger.HoldRequest{
		At: c.At, CallID: c.callID(), Key: c.tenant(), TTL: s.config.HoldTTL,
		Want: want, Floor: floor(c, want),
		Candidates: make([]ledger.Candidate, len(c.Candidates)),
	}
	for i, k := range c.Candidates {
		req.Candidates[i].Demands = k.Demands
	}
	held, short, err := s.ledger.Hold(ctx, &req)
	switch {
	case errors.Is(err, ledger.ErrJournalUnavailable) && s.config.FailureMode == FailOpen:
		c.Unmetered = true
		return ledger.Held{Output: want, ExpiresAt: c.At.Add(s.config.HoldTTL)}, nil
	case err != nil:
		return held, fmt.Errorf("hold: %w", err)
	case len(short) > 0:
		return held, c.cannotBeLess(refusedBy(short), want)
	}
	return held, nil
}

// outputWanted is the output limit the call would go out with if money were no
// object: the caller's own, or the default of its app or model; never more than
// the model can write nor than policy allows.
func outputWanted(c *Case) (int64, error) {
	if c.Ask.NoOutput {
		return 0, nil
	}
	if c.Request.Fixed {
		return outputFixed(c)
	}
	model := c.model()
	want := c.Ask.MaxOutput
	if want == 0 {
		want = firstOf(c.Caller.App.DefaultMaxOutput, model.DefaultMaxOutput, model.MaxOutput)
	}
	for _, most := range [...]int64{model.MaxOutput, c.Verdict.MaxOutput} {
		if most > 0 && most < want {
			want = most
		}
	}
	if want < c.Ask.MinOutput {
		return 0, refuse(PolicyDenied, "the body needs an output limit of at least %d tokens, and at most %d are allowed", c.Ask.MinOutput, want)
	}
	return want, nil
}

// model is the one that will answer: the asked one, or what policy put in its place.
func (c *Case) model() *registry.Model { return c.Candidates[0].Deployments[0].ModelRef }

// floor is the least output the call may be clamped to.
func floor(c *Case, want int64) int64 {
	if !c.Verdict.AllowClamp || c.Request.Fixed {
		return want
	}
	return max(min(want, leastOutput), min(c.Ask.MinOutput, want))
}

func firstOf(values ...int64) int64 {
	for _, v := range values {
		if v > 0 {
			return v
		}
	}
	return 0
}

// refusedBy makes a refusal of what is short. The order is declared, so that a
// call with two faults always gets the same first reason.
func refusedBy(short []ledger.Shortage) *Refusal {
	r := &Refusal{}
	for _, sh := range short {
		reason := shortReason(sh)
		if slices.ContainsFunc(r.Reasons, func(o Reason) bool { return o.Budget == reason.Budget && o.Code == reason.Code }) {
			continue
		}
		r.Reasons = append(r.Reasons, reason)
		r.RetryAfter = max(r.RetryAfter, sh.RetryAfter)
		if reason.Code == RateLimited && neverFits(sh) {
			r.RetryAfter = max(r.RetryAfter, neverRetry)
		}
	}
	slices.SortStableFunc(r.Reasons, func(a, b Reason) int { return precedence(a.Code) - precedence(b.Code) })
	if first := r.Reasons[0].Code; first.Status() != 429 {
		r.RetryAfter = 0
	} else if r.RetryAfter <= 0 {
		r.RetryAfter = time.Second
	}
	return r
}

// neverRetry is what a call is told that asks for more than a rate ever allows: as
// long as the longest rate lasts, which is beyond the patience of every SDK, so that
// none tries again what cannot come right by waiting.
const neverRetry = time.Hour

// neverFits: the call needs more than the whole limit.
func neverFits(sh ledger.Shortage) bool { return sh.Asked > sh.Limit }

var shortageOrder = []Code{Killed, BudgetExhausted, RateLimited, Concurrency, BudgetHeld, CapacityExhausted}

func precedence(c Code) int { return slices.Index(shortageOrder, c) }

func shortReason(sh ledger.Shortage) Reason {
	b := sh.Demand.Budget
	code := shortCode(sh)
	return Reason{
		Code: code, Message: shortMessage(code, b, sh), Budget: b.Name, Unit: b.Unit,
		Limit: sh.Limit, Spent: sh.Spent, Held: sh.Held, Asked: sh.Asked, ResetsAt: sh.ResetsAt,
	}
}

// shortCode is the contract's table: money that is spent is a 402, money that is
// only held is not, rates are 429.
func shortCode(sh ledger.Shortage) Code {
	b := sh.Demand.Budget
	switch {
	case sh.Late:
		return BudgetHeld // Not spent, and not known to be over any rate.
	case b.Capacity:
		return CapacityExhausted
	case b.Unit == journal.UnitConcurrent:
		return Concurrency
	case b.Unit == journal.UnitRequests && sh.Limit == 0:
		return Killed
	case b.Unit != journal.UnitUSD && short(b.Window):
		return RateLimited
	case sh.Exhausted:
		return BudgetExhausted
	}
	return BudgetHeld
}

// short windows are rates: they refill while a caller waits.
func short(w journal.Window) bool {
	return w.Every == journal.EveryHour || (w.Rolling > 0 && w.Rolling <= time.Hour)
}

func shortMessage(code Code, b *registry.Budget, sh ledger.Shortage) string {
	amount := func(n int64) string { return registry.FormatAmount(b.Unit, n) }
	if sh.Late {
		return fmt.Sprintf("budget %q: the ledger did not grant %s in time; try again", b.Name, amount(sh.Asked))
	}
	switch code {
	case Killed:
		return fmt.Sprintf("budget %q stops these calls", b.Name)
	case Concurrency:
		return fmt.Sprintf("budget %q allows %s calls at once, and as many are in flight", b.Name, amount(sh.Limit))
	case BudgetHeld:
		return fmt.Sprintf("budget %q: what is left is held by calls in flight; this one needs %s", b.Name, amount(sh.Asked))
	}
	if code == RateLimited && neverFits(sh) {
		return fmt.Sprintf("budget %q allows %s %s at a time, and this call needs %s: it can never fit; ask for less output, or have the budget raised",
			b.Name, amount(sh.Limit), b.Unit, amount(sh.Asked))
	}
	return fmt.Sprintf("budget %q: %s of %s %s spent, %s held; this call needs %s",
		b.Name, amount(sh.Spent), amount(sh.Limit), b.Unit, amount(sh.Held), amount(sh.Asked))
}
