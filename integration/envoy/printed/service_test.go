package printed_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// mood is what the service does with a question.
type mood int32

const (
	lets mood = iota
	refuses
	breaks
	breaksLate // ext_proc: once the answer has begun
	hangs
)

// refusal is what a refused caller must get, to the byte.
const refusal = `{"error":{"message":"100% of it is spent","code":"budget_exhausted"}}`

// service is one that stands where Signalbox does.
type service struct {
	authv3.UnimplementedAuthorizationServer
	extprocv3.UnimplementedExternalProcessorServer
	alsv3.UnimplementedAccessLogServiceServer
	logged atomic.Pointer[metadata.MD] // of the last access log
	mood   atomic.Int32
	asked  atomic.Pointer[metadata.MD] // of the last question by gRPC
	body   atomic.Int64                // bytes of the last body
	whole  atomic.Bool                 // that it was not cut

	grpc *grpc.Server
	http *httptest.Server
	addr string // of grpc
}

func newService(t *testing.T, opts ...grpc.ServerOption) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{grpc: grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(64<<20))...), addr: l.Addr().String()}
	authv3.RegisterAuthorizationServer(s.grpc, s)
	extprocv3.RegisterExternalProcessorServer(s.grpc, s)
	alsv3.RegisterAccessLogServiceServer(s.grpc, s)
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(l) }()
	s.http = httptest.NewServer(s)
	t.Cleanup(func() {
		s.stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *service) is(m mood) { s.mood.Store(int32(m)) }

// stop ends it at once, whatever hangs in it.
func (s *service) stop() {
	s.grpc.Stop()
	s.http.CloseClientConnections()
	s.http.Close()
}

func (s *service) note(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.asked.Store(&md)
}

// Check is ext_authz by gRPC.
func (s *service) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	s.note(ctx)
	asked := r.GetAttributes().GetRequest().GetHttp()
	s.body.Store(int64(len(asked.GetRawBody())))
	s.whole.Store(asked.GetHeaders()["x-envoy-auth-partial-body"] == "false")
	switch mood(s.mood.Load()) {
	case refuses:
		return &authv3.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)}, HttpResponse: &authv3.CheckResponse_DeniedResponse{
			DeniedResponse: &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode_PaymentRequired}, Body: refusal,
				Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "content-type", Value: "application/json"}}}}}}, nil
	case breaks, breaksLate:
		return nil, status.Error(codes.Internal, "broken")
	case hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &authv3.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
		Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-signalbox-deployment", Value: "a"}}}, HeadersToRemove: []string{"x-drop"}}}}, nil
}

// ServeHTTP is ext_authz by HTTP.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Store(&metadata.MD{"x-signalbox-profile": r.Header["X-Signalbox-Profile"], "x-signalbox-gateway-token": r.Header["X-Signalbox-Gateway-Token"],
		"authorization": r.Header["Authorization"], "path": {r.URL.Path}})
	n, _ := io.Copy(io.Discard, r.Body) // who hangs up is answered to nobody
	s.body.Store(n)
	s.whole.Store(r.Header.Get("x-envoy-auth-partial-body") == "false")
	switch mood(s.mood.Load()) {
	case refuses:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = io.WriteString(w, refusal) // as above
	case breaks, breaksLate:
		w.WriteHeader(http.StatusInternalServerError)
	case hangs:
		<-r.Context().Done()
	default:
		w.Header().Set("x-signalbox-deployment", "a")
		w.Header().Set("x-envoy-auth-headers-to-remove", "x-drop")
		w.Header().Set("x-signalbox-decision", "d-1")
	}
}

// StreamAccessLogs is the access log.
func (s *service) StreamAccessLogs(stream alsv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil // as in Process
		}
		if len(m.GetHttpLogs().GetLogEntry()) > 0 {
			md, _ := metadata.FromIncomingContext(stream.Context())
			s.logged.Store(&md)
		}
	}
}

// Process is ext_proc.
func (s *service) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	s.note(stream.Context())
	for {
		r, err := stream.Recv()
		if err != nil {
			return nil // however a call ends, it is none of this service's failures
		}
		out := &extprocv3.ProcessingResponse{}
		switch m := r.Request.(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
			out.Response = &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}}
		case *extprocv3.ProcessingRequest_RequestBody:
			s.body.Store(int64(len(m.RequestBody.GetBody())))
			s.whole.Store(m.RequestBody.GetEndOfStream())
			switch mood(s.mood.Load()) {
			case refuses:
				out.Response = &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
					Status: &typev3.HttpStatus{Code: typev3.StatusCode_PaymentRequired}, Body: []byte(refusal), Details: "signalbox_budget_exhausted",
					Headers: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "content-type", RawValue: []byte("application/json")}}}}}}
			case breaks:
				return status.Error(codes.Internal, "broken")
			case hangs:
				<-stream.Context().Done()
				return nil
			default:
				out.Response = &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{ClearRouteCache: true,
					HeaderMutation: &extprocv3.HeaderMutation{RemoveHeaders: []string{"x-drop"},
						SetHeaders: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-signalbox-deployment", RawValue: []byte("a")}}}}}}}
			}
		case *extprocv3.ProcessingRequest_ResponseHeaders:
			if mood(s.mood.Load()) == breaksLate {
				return status.Error(codes.Internal, "broken")
			}
			out.Response = &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{}}
		}
		if err := stream.Send(out); err != nil {
			return nil
		}
	}
}

// provider is whom the calls are for. It notes what it was shown.
type provider struct {
	*httptest.Server
	seen atomic.Pointer[http.Header]
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Clone()
		p.seen.Store(&header)
		_, _ = io.Copy(io.Discard, r.Body) // else it would not be seen that somebody hangs up
		if strings.HasSuffix(r.URL.Path, "/hangs") {
			<-r.Context().Done()
			return
		}
		if strings.HasSuffix(r.URL.Path, "/refuses") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, "the provider's own") // who has hung up has hung up
	}))
	t.Cleanup(func() { p.CloseClientConnections(); p.Close() })
	return p
}
