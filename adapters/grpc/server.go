package grpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
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
	Streams int   // calls at once on one connection; 0: maxStreams
	Beside  []Service
	Log     *slog.Logger
}

// Service is another service on the same server, such as Envoy's.
type Service interface {
	Register(s grpc.ServiceRegistrar)
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

// maxStreams bounds the calls of one connection where nothing is configured. What is
// above waits in the gateway.
const maxStreams = 1024

// beside is what a gateway's own buffer may hold above the largest body.
const beside = 2 << 20

// MessageBound is the largest message that is taken where bodies have so many bytes. A
// gateway that fails open lets a call pass whose question is too long to be read, so
// the bound is above whatever one sends that is set up as `signalbox envoy` prints it,
// also where it was printed for bodies of the default size.
func MessageBound(body int64) int {
	return int(min(door.EnvelopeBound(max(body, door.DefaultBody))+beside, math.MaxInt32))
}

// Options are a server's bounds. config may be nil: no TLS.
func Options(config *tls.Config, body int64, streams int, log *slog.Logger) []grpc.ServerOption {
	if streams <= 0 {
		streams = maxStreams
	}
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MessageBound(body)),
		grpc.MaxConcurrentStreams(uint32(min(streams, math.MaxInt32))),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 60 * time.Second, Timeout: 20 * time.Second}),
		grpc.ChainUnaryInterceptor(recovered(log)),
		grpc.ChainStreamInterceptor(recoveredStream(log)),
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

// recoveredStream is recovered for streams.
func recoveredStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer func() {
			if v := recover(); v != nil {
				log.ErrorContext(stream.Context(), "a handler panicked", "method", info.FullMethod, "at", door.PanicSite())
				err = status.Error(codes.Internal, "something broke here; the operators' log says what")
			}
		}()
		return next(srv, stream)
	}
}
