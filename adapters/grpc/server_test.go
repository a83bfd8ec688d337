package grpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	grpcdoor "github.com/signalbox-dev/signalbox/adapters/grpc"
	"github.com/signalbox-dev/signalbox/decision"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

// serve is a server as cmd makes it, on loopback.
func serve(t *testing.T, d grpcdoor.Decider, log *slog.Logger, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, _ := serveUntil(t, d, log, opts...)
	return conn
}

// serveUntil is serve, and the server's end.
func serveUntil(t *testing.T, d grpcdoor.Decider, log *slog.Logger, opts ...grpc.DialOption) (*grpc.ClientConn, *grpcdoor.Server) {
	t.Helper()
	server, err := grpcdoor.NewServer(grpcdoor.Config{Decider: d, Settler: &adaptertest.Settler{}, Body: 64 << 10, Log: log,
		Guard: door.Guard{Gateways: adaptertest.Gateways{}, TrustLocal: true}}, door.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		server.Shutdown(ctx)
		<-done
	})
	conn, err := grpc.NewClient(listener.Addr().String(), append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, server
}

func question(body string) *decisionv1.DecideRequest {
	return &decisionv1.DecideRequest{Request: &decisionv1.CallerRequest{Method: "POST", Path: "/v1/chat/completions",
		Headers: map[string]string{"authorization": "Bearer sbx_PLANTEDKEY"}, Body: []byte(body)}}
}

// Health and reflection stand beside the service, so that probes and grpcurl work.
func TestHealthAndReflection(t *testing.T) {
	conn := serve(t, &adaptertest.Decider{}, slog.New(slog.DiscardHandler))
	for _, service := range []string{"", "signalbox.decision.v1.Decisions"} {
		res, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || res.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v %v", service, res, err)
		}
	}
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	res, err := stream.Recv()
	if err != nil || !strings.Contains(res.String(), "signalbox.decision.v1.Decisions") {
		t.Errorf("reflection: %v %v", res, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

// A watch of health, like the stream on which an Envoy is configured, has no end of
// its own; a server that waited for it would wait until it is cut.
func TestEndlessStreamsEndWithTheServer(t *testing.T) {
	conn, server := serveUntil(t, &adaptertest.Decider{}, slog.New(slog.DiscardHandler))
	watch, err := healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	server.Shutdown(t.Context()) // which does not end: the stream is not cut, it ends
	for err == nil {
		_, err = watch.Recv() // it is told that nothing is served any more, and then that it is over
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the watch ended with %v", err)
	}
}

// A question without its request, one above the bound, one that a page sent.
func TestWrongQuestions(t *testing.T) {
	conn := serve(t, &adaptertest.Decider{Answer: adaptertest.Plan()}, slog.New(slog.DiscardHandler))
	client := decisionv1.NewDecisionsClient(conn)
	if _, err := client.Decide(t.Context(), &decisionv1.DecideRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("without a request: %v", err)
	}
	if _, err := client.Decide(t.Context(), question(strings.Repeat("x", grpcdoor.MessageBound(64<<10)))); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("above the bound: %v", err)
	}
	if _, err := client.Decide(t.Context(), question("{}")); err != nil {
		t.Errorf("a good one afterwards: %v", err)
	}
	page := metadata.AppendToOutgoingContext(t.Context(), "origin", "https://evil.example")
	if _, err := client.Decide(page, question("{}")); status.Code(err) != codes.PermissionDenied {
		t.Errorf("from a page: %v", err)
	}
	rebound := decisionv1.NewDecisionsClient(serve(t, &adaptertest.Decider{Answer: adaptertest.Plan()}, slog.New(slog.DiscardHandler), grpc.WithAuthority("evil.example")))
	if _, err := rebound.Decide(t.Context(), question("{}")); status.Code(err) != codes.PermissionDenied {
		t.Errorf("under another name: %v", err)
	}
}

// panicking is a bug that holds what the caller sent.
type panicking struct{}

func (panicking) Decide(_ context.Context, r decision.Request) (decision.Answer, error) {
	panic("bug with " + string(r.Body) + r.Headers["authorization"])
}

func TestAPanicIsInternalAndQuiet(t *testing.T) {
	var log bytes.Buffer
	conn := serve(t, panicking{}, slog.New(slog.NewTextHandler(&log, nil)))
	_, err := decisionv1.NewDecisionsClient(conn).Decide(t.Context(), question("PLANTEDPROMPT"))
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "PLANTED") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "panicking.Decide") || strings.Contains(log.String(), "PLANTED") {
		t.Errorf("logged %s", log.String())
	}
}
