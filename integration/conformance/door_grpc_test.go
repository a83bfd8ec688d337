package conformance_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/signalbox-dev/signalbox/adapters/door"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

// overGRPC asks signalbox.decision.v1.Decisions.
type overGRPC struct{ client decisionv1.DecisionsClient }

func throughGRPC(t *testing.T, w *world) asking {
	t.Helper()
	return overGRPC{decisionv1.NewDecisionsClient(w.dial(t))}
}

func (w *world) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(w.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (g overGRPC) decide(ctx context.Context, t *testing.T, c *call, body string, complete bool) *door.Answer {
	t.Helper()
	m, err := g.client.Decide(ctx, &decisionv1.DecideRequest{Request: &decisionv1.CallerRequest{
		Method: c.method, Path: c.path, Headers: c.header, Body: []byte(body), BodyComplete: &complete}})
	if err != nil {
		t.Fatal(err)
	}
	a := &door.Answer{Changes: m.GetChanges(), ReportToken: m.GetReportToken(), CallerHeaders: m.GetCallerHeaders(), ModelSpan: span(m.GetModelSpan())}
	for _, d := range m.GetDeployments() {
		a.Deployments = append(a.Deployments, door.Deployment{Name: d.GetName(), Path: d.GetPath(), UpstreamModel: d.GetUpstreamModel()})
	}
	if r := m.GetRequest(); r != nil {
		a.Request = &door.Replaced{Text: door.NewText(r.GetBody()), ModelSpan: span(r.GetModelSpan())}
	}
	if r := m.GetResponse(); r != nil {
		a.Response = &door.Response{Status: int(r.GetStatus()), Headers: r.GetHeaders(), Text: door.NewText(r.GetBody())}
	}
	return a
}

func span(m *decisionv1.Span) *[2]int {
	if m == nil {
		return nil
	}
	return &[2]int{int(m.GetStart()), int(m.GetEnd())}
}

func (g overGRPC) report(ctx context.Context, t *testing.T, r *door.Report) {
	t.Helper()
	m := &decisionv1.ReportRequest{ReportToken: r.ReportToken, Outcome: r.Outcome, Deployment: r.Deployment, Status: int32(r.Status),
		ServiceTier: r.ServiceTier, Source: r.Source, LatencyMs: r.LatencyMS, SeenOutputTokens: r.SeenOutputTokens}
	for _, a := range r.Attempts {
		m.Attempts = append(m.Attempts, &decisionv1.Attempt{Deployment: a.Deployment, Status: int32(a.Status), Outcome: a.Outcome})
	}
	if u := r.Usage; u != nil {
		m.Usage = &decisionv1.Usage{InputTokens: u.InputTokens, CachedInputTokens: u.CachedInputTokens, CacheWriteTokens: u.CacheWriteTokens,
			CacheWriteLongTokens: u.CacheWriteLongTokens, OutputTokens: u.OutputTokens, ReasoningTokens: u.ReasoningTokens, Other: u.Other}
	}
	got, err := g.client.Report(ctx, m)
	if err != nil || !got.GetSettled() || got.GetRepeated() {
		t.Errorf("the report was taken as %v: %v", got, err)
	}
}
