package grpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

// Decider answers one question; *decision.Service in production.
type Decider interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
}

// Settler takes one report.
type Settler interface {
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// Config is what the service is made of.
type Config struct {
	Decider Decider
	Settler Settler
	Guard   door.Guard
	Body    int64 // the largest body judged, in bytes; 0: door.DefaultBody
	Log     *slog.Logger
}

// Decisions is signalbox.decision.v1.Decisions.
type Decisions struct {
	decisionv1.UnimplementedDecisionsServer
	c Config
}

// New makes the service.
func New(c Config) *Decisions { return &Decisions{c: c} }

// Register adds the service to a server, with health and reflection. The health
// server is returned for whoever knows whether decisions can be made.
func (d *Decisions) Register(s *grpc.Server) *health.Server {
	decisionv1.RegisterDecisionsServer(s, d)
	h := health.NewServer()
	healthv1.RegisterHealthServer(s, h)
	reflection.Register(s)
	return h
}

// NewServer makes a server with bounds that offers the service, each of whose
// services is healthy under its own name. Serving, stopping and saying so to who
// asks for health are the caller's.
func NewServer(c Config, tls door.TLS) (*grpc.Server, *health.Server, error) {
	config, err := tls.Config()
	if err != nil {
		return nil, nil, err
	}
	server := grpc.NewServer(Options(config, c.Body, c.Log)...)
	h := New(c).Register(server)
	for service := range server.GetServiceInfo() {
		h.SetServingStatus(service, healthv1.HealthCheckResponse_SERVING)
	}
	return server, h, nil
}

// maxStreams bounds the calls of one connection. Gateways use few connections
// and many calls; what is above waits in the gateway.
const maxStreams = 1024

// Options are a server's bounds. config may be nil: no TLS.
func Options(config *tls.Config, body int64, log *slog.Logger) []grpc.ServerOption {
	if body <= 0 {
		body = door.DefaultBody
	}
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(min(door.EnvelopeBound(body), math.MaxInt32))),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 60 * time.Second, Timeout: 20 * time.Second}),
		grpc.ChainUnaryInterceptor(recovered(log)),
	}
	if config != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(config)))
	}
	return opts
}

// Decide answers one question.
func (d *Decisions) Decide(ctx context.Context, m *decisionv1.DecideRequest) (*decisionv1.DecideResponse, error) {
	who, p := d.c.Guard.Admit(caller(ctx))
	if p != nil {
		return nil, d.problem(ctx, p)
	}
	q, p := question(m)
	if p != nil {
		return nil, d.problem(ctx, p)
	}
	a, p := door.Decide(ctx, d.c.Decider, d.c.Settler, who, q)
	if p != nil {
		return nil, d.problem(ctx, p)
	}
	return answer(a), nil
}

// Report takes one report.
func (d *Decisions) Report(ctx context.Context, m *decisionv1.ReportRequest) (*decisionv1.ReportResponse, error) {
	who, p := d.c.Guard.Admit(caller(ctx))
	if p != nil {
		return nil, d.problem(ctx, p)
	}
	r, p := door.Settle(ctx, d.c.Settler, who, report(m))
	if p != nil {
		return nil, d.problem(ctx, p)
	}
	return receipt(r), nil
}

// problem logs what broke on our side and nothing that a gateway got wrong.
func (d *Decisions) problem(ctx context.Context, p *door.Problem) error {
	if p.Kind == door.Internal || p.Kind == door.Unavailable {
		d.c.Log.ErrorContext(ctx, "no answer given", "door", "grpc", "cause", p.Cause)
	}
	return asError(p)
}

// caller is who stands at the door.
func caller(ctx context.Context) door.Peer {
	md, _ := metadata.FromIncomingContext(ctx)
	first := func(name string) string {
		if values := md.Get(name); len(values) > 0 {
			return strings.TrimSpace(values[0])
		}
		return ""
	}
	out := door.Peer{Token: first("x-signalbox-gateway-token"), Host: first(":authority"), Origin: first("origin")}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return out
	}
	if p.Addr != nil {
		out.Local = door.IsLocal(p.Addr.String()) || p.Addr.Network() == "unix"
	}
	// Only verified chains count: a server that merely asks for certificates gets
	// them from anybody.
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 && len(info.State.PeerCertificates) > 0 {
		out.Certificate = info.State.PeerCertificates[0]
	}
	return out
}

// recovered answers INTERNAL where a handler panics; the log gets the place and
// no values.
func recovered(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
		defer func() {
			if v := recover(); v != nil {
				log.ErrorContext(ctx, "a handler panicked", "method", info.FullMethod, "at", door.PanicSite())
				err = status.Error(codes.Internal, "something broke here; the operators' log says what")
			}
		}()
		return next(ctx, req)
	}
}
