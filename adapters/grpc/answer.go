package grpc

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

// answer spells an answer in protobuf.
func answer(a *door.Answer) *decisionv1.DecideResponse {
	m := &decisionv1.DecideResponse{
		DecisionId: a.DecisionID, CallId: a.CallID, Action: a.Action, Changes: a.Changes,
		Reasons: reasons(a.Reasons), Warnings: reasons(a.Warnings), ReportToken: a.ReportToken,
		PolicyRevision: a.PolicyRevision, RegistryVersion: a.RegistryVersion,
		CallerHeaders: a.CallerHeaders, ModelSpan: span(a.ModelSpan),
	}
	for _, d := range a.Deployments {
		m.Deployments = append(m.Deployments, &decisionv1.Deployment{
			Name: d.Name, Provider: d.Provider, Kind: d.Kind, Host: d.Host, Path: d.Path,
			UpstreamModel: d.UpstreamModel, Scheme: d.Scheme,
		})
	}
	for _, f := range a.Findings {
		m.Findings = append(m.Findings, &decisionv1.Finding{Kind: f.Kind, At: span(&f.At), Where: f.Where})
	}
	if r := a.Request; r != nil {
		m.Request = &decisionv1.ReplacedRequest{Body: r.Bytes(), ModelSpan: span(r.ModelSpan)}
	}
	if r := a.Response; r != nil {
		m.Response = &decisionv1.CallerResponse{Status: int32(r.Status), Headers: r.Headers, Body: r.Bytes()}
	}
	if h := a.Hold; h != nil {
		m.Hold = &decisionv1.Hold{Usd: h.USD, Tokens: h.Tokens, MaxOutputTokens: h.MaxOutputTokens, ExpiresAt: at(h.ExpiresAt), Attempts: int32(h.Attempts)}
	}
	return m
}

func reasons(rs []door.Reason) []*decisionv1.Reason {
	var out []*decisionv1.Reason
	for _, r := range rs {
		out = append(out, &decisionv1.Reason{
			Code: r.Code, Message: r.Message, Budget: r.Budget, Unit: r.Unit,
			Limit: r.Limit, Spent: r.Spent, Held: r.Held, Asked: r.Asked, ResetsAt: at(r.ResetsAt),
		})
	}
	return out
}

func span(at *[2]int) *decisionv1.Span {
	if at == nil {
		return nil
	}
	return &decisionv1.Span{Start: int64(at[0]), End: int64(at[1])}
}

// at leaves the zero time unset: never.
func at(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func receipt(r *door.Receipt) *decisionv1.ReportResponse {
	return &decisionv1.ReportResponse{
		Settled: r.Settled, Repeated: r.Repeated, OverHold: r.OverHold,
		Charged: &decisionv1.Money{Usd: r.Charged.USD}, Released: &decisionv1.Money{Usd: r.Released.USD},
	}
}
