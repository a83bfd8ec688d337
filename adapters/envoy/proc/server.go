package proc

import (
	"context"
	"log/slog"
	"time"

	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	doorgrpc "github.com/signalbox-dev/signalbox/adapters/grpc"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// Decider answers one question; *decision.Service in production.
type Decider interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
}

// Settler takes one report.
type Settler interface {
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// Keys knows whose key is good; *decision.Service in production.
type Keys interface {
	Knows(headers decision.Headers) bool
}

// Health learns from every try; *health.Board in production.
type Health interface {
	Learn(deployment string, sign health.Sign)
}

// Memory is what callers' bodies may take up, in bytes: a *semaphore.Weighted,
// shared with whoever else reads bodies.
type Memory interface {
	Acquire(ctx context.Context, n int64) error
	Release(n int64)
}

// Guards says who reads along with the answer to an allowed call: what it gives makes
// the guard of one more text, as follow wants it. nil: nobody, and then nothing of
// the answer waits.
type Guards func(answer *decision.Answer) func(follow.Part) follow.Guard

// Parts are what a Processor is made of.
type Parts struct {
	Decider Decider
	Settler Settler
	// Admit says which gateway asks, or why it is not let in.
	Admit  func(ctx context.Context) (gateway string, problem *door.Problem)
	Keys   Keys                         // nil: everybody's body is read
	Usable func(deployment string) bool // whether the Envoys have it; nil: all
	Health Health                       // nil: nobody learns
	Memory Memory                       // nil: unbounded but for the streams
	Guards Guards                       // nil: none
	Limits Limits
	// Observe: nil: nobody watches.
	Observe Observer
	Now     func() time.Time
	Log     *slog.Logger
}

// Processor is Envoy's external processor. It is safe for concurrent use.
type Processor struct {
	pb.UnimplementedExternalProcessorServer
	Parts
	flights *door.Flights
	seldom  *door.Seldom
}

// New puts a Processor together. Shutdown is the caller's to call.
func New(parts Parts) *Processor {
	if parts.Observe == nil {
		parts.Observe = nobody{}
	}
	if parts.Health == nil {
		parts.Health = unlearning{}
	}
	if parts.Usable == nil {
		parts.Usable = func(string) bool { return true }
	}
	return &Processor{Parts: parts, flights: door.NewFlights(parts.Limits.Streams), seldom: &door.Seldom{Now: parts.Now}}
}

// Register adds the service to a server, which must take messages as large as
// Limits.Body, and a little more.
func (p *Processor) Register(r grpc.ServiceRegistrar) { pb.RegisterExternalProcessorServer(r, p) }

// Process takes one call. An error ends the call at Envoy with nothing that an SDK
// could read, so it is for gateways that are not let in, and for the end.
func (p *Processor) Process(with pb.ExternalProcessor_ProcessServer) error {
	ctx := with.Context()
	gateway, problem := p.Admit(ctx)
	if problem != nil {
		return doorgrpc.Refused(problem)
	}
	if why := p.flights.Begin(); why != "" {
		return p.turnAway(with, why)
	}
	defer p.flights.End()
	s := &stream{p: p, with: with, ctx: ctx, gateway: gateway, profile: profileOf(ctx)}
	return s.run()
}

// profileOf is what the filter says of the routes behind it.
func profileOf(ctx context.Context) envoy.Profile {
	if said := metadata.ValueFromIncomingContext(ctx, envoy.HeaderProfile); len(said) > 0 && envoy.Profile(said[0]) == envoy.ProfileOrder {
		return envoy.ProfileOrder
	}
	return envoy.ProfileHeader
}

type unlearning struct{}

func (unlearning) Learn(string, health.Sign) {}
