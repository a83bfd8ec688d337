package authz

import (
	"context"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	doorgrpc "github.com/signalbox-dev/signalbox/adapters/grpc"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// Authorizer is envoy.service.auth.v3.Authorization. It is safe for concurrent use.
type Authorizer struct {
	authv3.UnimplementedAuthorizationServer
	Parts
}

// New puts an Authorizer together.
func New(parts Parts) *Authorizer { return &Authorizer{Parts: parts.orDefaults()} }

// Register adds it to a server.
func (a *Authorizer) Register(r grpc.ServiceRegistrar) { authv3.RegisterAuthorizationServer(r, a) }

// Check answers one question of a filter.
func (a *Authorizer) Check(ctx context.Context, m *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	began := a.Now()
	gateway, p := a.Admit(ctx)
	if p != nil {
		a.Observe.Checked(Unknown, a.Now().Sub(began))
		return nil, doorgrpc.Refused(p)
	}
	profile := envoy.ProfileHeader
	if said := metadata.ValueFromIncomingContext(ctx, envoy.HeaderProfile); len(said) > 0 {
		profile = envoy.Profile(said[0])
	}
	question, p := a.fromCheck(m, gateway, profile)
	v := a.answer(ctx, &question, p)
	a.Observe.Checked(v.how, a.Now().Sub(began))
	return v.response(), nil
}

// answer decides a question, or tells the caller why it could not be read.
func (a *Authorizer) answer(ctx context.Context, q *asked, unread *door.Problem) verdict {
	if unread != nil {
		return failed(door.Failed{Status: 400, Code: string(decision.Malformed), Message: unread.Error()})
	}
	if isEncoded(q.request.Headers) {
		return failed(door.Failed{Dialect: dialectOf(&q.request), Status: 400, Code: string(decision.Malformed),
			Message: "the body is encoded by content-encoding; send it as it is"})
	}
	asked, cancel := context.WithTimeout(ctx, a.Limits.Decide)
	defer cancel()
	answer, err := a.Decider.Decide(asked, q.request)
	if err != nil {
		return a.undecided(ctx, &q.request, err)
	}
	if ctx.Err() != nil {
		a.withdraw(ctx, q, &answer)
		return verdict{how: Withdrawn}
	}
	v, err := a.verdictOf(q, &answer)
	if err != nil {
		a.withdraw(ctx, q, &answer)
		a.Log.ErrorContext(ctx, "an allowed call could not be described to Envoy", "decision", answer.DecisionID, "err", err)
		return failed(door.Failed{Dialect: answer.Dialect, DecisionID: answer.DecisionID, Status: 500, Code: "internal",
			Message: "something broke here; the operators' log says what"})
	}
	return v
}

// undecided answers where there is no decision.
func (a *Authorizer) undecided(ctx context.Context, req *decision.Request, err error) verdict {
	p := door.FromDecide(req, err)
	if ctx.Err() != nil {
		return verdict{how: Withdrawn}
	}
	a.Log.ErrorContext(ctx, "no decision could be made", "door", "ext_authz", "cause", p.Cause)
	switch {
	case p.Answer != nil && p.Answer.Response != nil:
		v := verdict{how: Failed, denied: p.Answer.Response}
		return v.about(p.Answer.DecisionID, string(decision.JournalUnavailable))
	case p.Kind == door.Withdrawn || p.Kind == door.Unavailable:
		return failed(door.Failed{Dialect: dialectOf(req), Status: 503, Code: door.Overloaded, RetryAfter: soon,
			Message: "no decision could be made in time; try again"})
	}
	return failed(door.Failed{Dialect: dialectOf(req), Status: 500, Code: "internal", Message: "something broke here; the operators' log says what"})
}

const (
	soon         = time.Second
	withdrawTime = 10 * time.Second
)

// withdraw gives back what was held for an answer that Envoy does not get, or does not
// wait for any more: it has refused the call by then, or let it pass unmetered.
func (a *Authorizer) withdraw(ctx context.Context, q *asked, answer *decision.Answer) {
	if answer.Plan == nil || answer.Plan.ReportToken == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	// Where this fails the hold's own time settles it by rule: more is charged, never less.
	_, err := a.Settler.Settle(ctx, decision.Report{Token: answer.Plan.ReportToken, Gateway: q.request.Gateway,
		Outcome: journal.OutcomeNotSent, SeenOutputTokens: -1})
	if err != nil {
		a.Log.ErrorContext(ctx, "a call that was not answered was not settled; it is charged by rule when its hold is over",
			"decision", answer.DecisionID, "err", err)
	}
}
