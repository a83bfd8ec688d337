package grpc_test

import (
	"log/slog"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	grpcdoor "github.com/signalbox-dev/signalbox/adapters/grpc"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is the far end of the gRPC door.
type gateway struct{ client decisionv1.DecisionsClient }

func open(t *testing.T, h adaptertest.House) adaptertest.Door {
	return &gateway{client: decisionv1.NewDecisionsClient(dial(t, h))}
}

// dial serves the house on loopback and connects to it.
func dial(t *testing.T, h adaptertest.House) *grpc.ClientConn {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	server := grpc.NewServer(grpcdoor.Options(nil, 0, 0, log)...)
	grpcdoor.New(grpcdoor.Config{Decider: h.Decider, Settler: h.Settler, Guard: h.Guard, Log: log}).Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestConformance(t *testing.T) { adaptertest.Run(t, open) }

func (g *gateway) Decide(t *testing.T, token string, q door.Question) (*door.Answer, *adaptertest.Failure) {
	ctx := t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-signalbox-gateway-token", token)
	}
	m, err := g.client.Decide(ctx, &decisionv1.DecideRequest{
		CallId: q.CallID, Gateway: q.Gateway,
		Request: &decisionv1.CallerRequest{Method: q.Method, Path: q.Path, Headers: q.Headers, Body: q.Body, BodyComplete: q.BodyComplete},
	})
	if err != nil {
		return nil, failed(t, err)
	}
	return read(m), nil
}

func (g *gateway) Report(t *testing.T, token string, r door.Report) (*door.Receipt, *adaptertest.Failure) {
	ctx := t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-signalbox-gateway-token", token)
	}
	m := &decisionv1.ReportRequest{
		ReportToken: r.ReportToken, CallId: r.CallID, Gateway: r.Gateway, Outcome: r.Outcome, Deployment: r.Deployment,
		Status: int32(r.Status), Usage: spellUsage(r.Usage), ProviderUsage: r.ProviderUsage, SeenOutputTokens: r.SeenOutputTokens,
		ServiceTier: r.ServiceTier, Source: r.Source, LatencyMs: r.LatencyMS, TtftMs: r.TTFTMS,
	}
	for _, a := range r.Attempts {
		m.Attempts = append(m.Attempts, &decisionv1.Attempt{Deployment: a.Deployment, Status: int32(a.Status), Outcome: a.Outcome,
			LatencyMs: a.LatencyMS, Usage: spellUsage(a.Usage)})
	}
	got, err := g.client.Report(ctx, m)
	if err != nil {
		return nil, failed(t, err)
	}
	return &door.Receipt{Settled: got.GetSettled(), Repeated: got.GetRepeated(), OverHold: got.GetOverHold(),
		Charged: door.Money{USD: got.GetCharged().GetUsd()}, Released: door.Money{USD: got.GetReleased().GetUsd()}}, nil
}

func spellUsage(u *door.Usage) *decisionv1.Usage {
	if u == nil {
		return nil
	}
	return &decisionv1.Usage{InputTokens: u.InputTokens, CachedInputTokens: u.CachedInputTokens, CacheWriteTokens: u.CacheWriteTokens,
		CacheWriteLongTokens: u.CacheWriteLongTokens, OutputTokens: u.OutputTokens, ReasoningTokens: u.ReasoningTokens, Other: u.Other}
}

var kinds = map[codes.Code]door.Kind{
	codes.InvalidArgument: door.BadEnvelope, codes.ResourceExhausted: door.TooLarge, codes.Unauthenticated: door.UnknownGateway,
	codes.PermissionDenied: door.Foreign, codes.NotFound: door.UnknownCall, codes.AlreadyExists: door.Conflict,
	codes.Unavailable: door.Unavailable, codes.Canceled: door.Withdrawn, codes.Internal: door.Internal,
}

func failed(t *testing.T, err error) *adaptertest.Failure {
	t.Helper()
	st := status.Convert(err)
	if kinds[st.Code()] == 0 {
		t.Fatalf("unexpected code: %v", err)
	}
	f := &adaptertest.Failure{Kind: kinds[st.Code()], Message: st.Message()}
	for _, detail := range st.Details() {
		if m, ok := detail.(*decisionv1.DecideResponse); ok {
			f.Answer = read(m)
		}
	}
	return f
}

// read turns protobuf back into what the contract calls the same things.
func read(m *decisionv1.DecideResponse) *door.Answer {
	a := &door.Answer{
		DecisionID: m.GetDecisionId(), CallID: m.GetCallId(), Action: m.GetAction(), Changes: m.GetChanges(),
		Reasons: readReasons(m.GetReasons()), Warnings: readReasons(m.GetWarnings()), ReportToken: m.GetReportToken(),
		PolicyRevision: m.GetPolicyRevision(), RegistryVersion: m.GetRegistryVersion(),
		CallerHeaders: m.GetCallerHeaders(), ModelSpan: readSpan(m.GetModelSpan()),
	}
	for _, d := range m.GetDeployments() {
		a.Deployments = append(a.Deployments, door.Deployment{Name: d.GetName(), Provider: d.GetProvider(), Kind: d.GetKind(),
			Host: d.GetHost(), Path: d.GetPath(), UpstreamModel: d.GetUpstreamModel(), Scheme: d.GetScheme()})
	}
	for _, f := range m.GetFindings() {
		a.Findings = append(a.Findings, door.Finding{Kind: f.GetKind(), At: *readSpan(f.GetAt()), Where: f.GetWhere()})
	}
	if r := m.GetRequest(); r != nil {
		a.Request = &door.Replaced{Text: door.NewText(r.GetBody()), ModelSpan: readSpan(r.GetModelSpan())}
	}
	if r := m.GetResponse(); r != nil {
		a.Response = &door.Response{Status: int(r.GetStatus()), Headers: r.GetHeaders(), Text: door.NewText(r.GetBody())}
	}
	if h := m.GetHold(); h != nil {
		a.Hold = &door.Hold{USD: h.GetUsd(), Tokens: h.GetTokens(), MaxOutputTokens: h.GetMaxOutputTokens(), Attempts: int(h.GetAttempts())}
		if h.GetExpiresAt() != nil {
			a.Hold.ExpiresAt = h.GetExpiresAt().AsTime()
		}
	}
	return a
}

func readReasons(ms []*decisionv1.Reason) []door.Reason {
	var out []door.Reason
	for _, m := range ms {
		r := door.Reason{Code: m.GetCode(), Message: m.GetMessage(), Budget: m.GetBudget(), Unit: m.GetUnit(),
			Limit: m.GetLimit(), Spent: m.GetSpent(), Held: m.GetHeld(), Asked: m.GetAsked()}
		if m.GetResetsAt() != (*timestamppb.Timestamp)(nil) {
			r.ResetsAt = m.GetResetsAt().AsTime()
		}
		out = append(out, r)
	}
	return out
}

func readSpan(m *decisionv1.Span) *[2]int {
	if m == nil {
		return nil
	}
	return &[2]int{int(m.GetStart()), int(m.GetEnd())}
}
