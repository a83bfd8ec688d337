package whole_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/integration/rig"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

// The same question gets the same answer at both doors, and a call that was let
// out at one may be reported at the other.
func TestGRPCIsTheSameDoor(t *testing.T) {
	box := start(t, people+month, "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	client := decisionv1.NewDecisionsClient(dial(t, box))
	for name, body := range map[string]string{
		"let out":            hello,
		"given a limit":      `{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}`,
		"refused":            strings.Replace(hello, "gpt-4o", "gpt-nine", 1),
		"in another dialect": strings.Replace(hello, "gpt-4o", "claude", 1),
		"broken":             `{"model":`,
	} {
		t.Run(name, func(t *testing.T) {
			a, err := box.Decide(ctx(t), rig.Question{Request: chat(secret, body)})
			if err != nil {
				t.Fatal(err)
			}
			b, err := client.Decide(ctx(t), asked(secret, "", body))
			if err != nil {
				t.Fatal(err)
			}
			sameAnswer(t, a, b)
			if a.ReportToken == "" {
				return
			}
			crossed, err := box.Settle(ctx(t), rig.Report{ReportToken: b.GetReportToken(), Outcome: "completed", Usage: map[string]int64{"input_tokens": 20, "output_tokens": 30}})
			if err != nil || crossed.Charged.USD != "0.00035" {
				t.Errorf("let out over gRPC, reported over HTTP: %v %+v", err, crossed)
			}
			receipt, err := client.Report(ctx(t), &decisionv1.ReportRequest{ReportToken: a.ReportToken, Outcome: "completed", Usage: &decisionv1.Usage{InputTokens: 20, OutputTokens: 30}})
			if err != nil || receipt.GetCharged().GetUsd() != "0.00035" || !receipt.GetSettled() || receipt.GetRepeated() {
				t.Errorf("let out over HTTP, reported over gRPC: %v %v", err, receipt)
			}
		})
	}
	balanced(t, box, "month", 4*350_000)
}

// sameAnswer compares all that does not name this one call.
func sameAnswer(t *testing.T, a *rig.Answer, b *decisionv1.DecideResponse) {
	t.Helper()
	if a.Action != b.GetAction() || strings.Join(a.Changes, " ") != strings.Join(b.GetChanges(), " ") ||
		a.PolicyRevision != b.GetPolicyRevision() || a.RegistryVersion != b.GetRegistryVersion() || b.GetDecisionId() == "" {
		t.Errorf("HTTP answers %+v\ngRPC answers %v", a, b)
	}
	if len(a.Deployments) != len(b.GetDeployments()) || len(a.Reasons) != len(b.GetReasons()) {
		t.Fatalf("HTTP answers %+v\ngRPC answers %v", a, b)
	}
	for i, d := range a.Deployments {
		o := b.GetDeployments()[i]
		if d != (rig.Deployment{Name: o.GetName(), Provider: o.GetProvider(), Kind: o.GetKind(), Host: o.GetHost(), Path: o.GetPath(), UpstreamModel: o.GetUpstreamModel()}) {
			t.Errorf("deployment %d: %+v and %v", i, d, o)
		}
	}
	for i, r := range a.Reasons {
		if o := b.GetReasons()[i]; r.Code != o.GetCode() || r.Message != o.GetMessage() {
			t.Errorf("reason %d: %+v and %v", i, r, o)
		}
	}
	if a.Request != nil && a.Request.Body != string(b.GetRequest().GetBody()) {
		t.Errorf("the body to send: %q and %q", a.Request.Body, b.GetRequest().GetBody())
	}
	if a.Hold != nil && (a.Hold.USD != b.GetHold().GetUsd() || a.Hold.Tokens != b.GetHold().GetTokens()) {
		t.Errorf("hold: %+v and %v", a.Hold, b.GetHold())
	}
	if a.Response != nil && int32(a.Response.Status) != b.GetResponse().GetStatus() {
		t.Errorf("for the caller: %+v and %v", a.Response, b.GetResponse())
	}
}

// What is wrong with a question is a status of gRPC's.
func TestGRPCStatuses(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	client := decisionv1.NewDecisionsClient(dial(t, box))
	if _, err := client.Decide(ctx(t), asked(secret, "c-1", hello)); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(hello, "Hello", "Goodbye", 1)
	for name, c := range map[string]struct {
		want codes.Code
		ask  func() error
	}{
		"no request": {codes.InvalidArgument, func() error { _, err := client.Decide(ctx(t), &decisionv1.DecideRequest{}); return err }},
		"a gateway not known": {codes.Unauthenticated, func() error {
			_, err := client.Decide(ctx(t), &decisionv1.DecideRequest{Gateway: "edge-9", Request: asked(secret, "", hello).GetRequest()})
			return err
		}},
		"a call id used twice": {codes.AlreadyExists, func() error { _, err := client.Decide(ctx(t), asked(secret, "c-1", other)); return err }},
		"an unknown call": {codes.NotFound, func() error {
			_, err := client.Report(ctx(t), &decisionv1.ReportRequest{CallId: "never", Outcome: "completed"})
			return err
		}},
		"a forged token": {codes.Unauthenticated, func() error {
			_, err := client.Report(ctx(t), &decisionv1.ReportRequest{ReportToken: "forged", Outcome: "completed"})
			return err
		}},
	} {
		if err := c.ask(); status.Code(err) != c.want {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}

// Balancers ask for health, people look with grpcurl.
func TestGRPCHealthAndReflection(t *testing.T) {
	box := start(t, "", "analytics: {disabled: true}\n")
	conn := dial(t, box)
	for _, service := range []string{"", decisionv1.Decisions_ServiceDesc.ServiceName} {
		res, err := healthv1.NewHealthClient(conn).Check(ctx(t), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || res.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v %v", service, res, err)
		}
	}
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	res, err := stream.Recv()
	if err != nil || !strings.Contains(res.String(), decisionv1.Decisions_ServiceDesc.ServiceName) {
		t.Errorf("reflection: %v %v", res, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

func dial(t *testing.T, box *rig.Box) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(box.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func asked(secret, callID, body string) *decisionv1.DecideRequest {
	return &decisionv1.DecideRequest{CallId: callID, Request: &decisionv1.CallerRequest{
		Method: "POST", Path: "/v1/chat/completions", Headers: bearer(secret), Body: []byte(body)}}
}
