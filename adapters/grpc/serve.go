package grpc

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// Server offers the service, and those beside it, within bounds.
type Server struct {
	server *grpc.Server
	health *health.Server
	log    *slog.Logger
	ending chan struct{} // closed: streams that have no end of their own end now
	end    func()        // closes it, once
}

// NewServer makes a server each of whose services is healthy under its own name.
func NewServer(c Config, tls door.TLS) (*Server, error) {
	config, err := tls.Config()
	if err != nil {
		return nil, err
	}
	s := &Server{log: c.Log, ending: make(chan struct{})}
	s.end = sync.OnceFunc(func() { close(s.ending) })
	s.server = grpc.NewServer(append(Options(config, c.Body, c.Streams, c.Log), grpc.ChainStreamInterceptor(s.untilEnding), grpc.InTapHandle(proven(c.Guard, c.Log)))...)
	s.health = New(c).Register(s.server)
	for _, service := range c.Beside {
		service.Register(s.server)
	}
	for service := range s.server.GetServiceInfo() {
		s.health.SetServingStatus(service, healthv1.HealthCheckResponse_SERVING)
	}
	return s, nil
}

// Serve answers until Shutdown.
func (s *Server) Serve(l net.Listener) error { return s.server.Serve(l) }

// Shutdown lets nobody in any more and waits for those who are in, until ctx ends:
// then they are cut, because a stream that does not end must not keep the books open.
func (s *Server) Shutdown(ctx context.Context) {
	s.health.Shutdown() // balancers look here before they look at refused connections
	s.end()
	done := make(chan struct{})
	go func() { s.server.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.server.Stop()
		<-done
	}
}

// endless are streams that last as long as the gateway does: nothing that they are
// about is lost when they end, and a gateway opens them again elsewhere.
var endless = [...]string{"/envoy.service.discovery.", "/envoy.service.accesslog.", "/grpc.health.", "/grpc.reflection."}

// untilEnding leaves an endless stream's handler when the server ends. The handler
// itself then finds its stream gone: a server's stream cannot be ended from outside,
// only by returning.
func (s *Server) untilEnding(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	for _, prefix := range endless {
		if strings.HasPrefix(info.FullMethod, prefix) {
			return s.leave(srv, stream, info, next)
		}
	}
	return next(srv, stream)
}

func (s *Server) leave(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ended := make(chan error, 1)
	go func() { ended <- recoveredStream(s.log)(srv, stream, info, next) }()
	select {
	case err := <-ended:
		return err
	case <-s.ending:
		return status.Error(codes.Unavailable, "this process is about to end; connect again")
	}
}
