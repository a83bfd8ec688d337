package xds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// Registry is what we were told; *registry.Registry in production.
type Registry interface {
	Snapshot() *registry.Snapshot
	// Changed is closed when there is a snapshot newer than this version.
	Changed(after int64) <-chan struct{}
}

// Credentials are the providers' secrets; *vault.Credentials in production.
type Credentials interface {
	Credential(name string) (vault.Secret, bool)
	// Changed is closed when a credential comes, changes or goes after this call.
	Changed() <-chan struct{}
}

// Observer counts what happens; nil: nobody does.
type Observer interface {
	Connected(envoys int)           // how many there are now
	Pushed()                        // a new configuration was handed out
	Answered(kind string, ack bool) // an Envoy took one, or refused part of it
	Whole(ok bool)                  // whether what the registry comes to could be handed out
}

// Parts are what a Server is made of.
type Parts struct {
	Registry    Registry
	Credentials Credentials
	// Admit says which gateway connects. "", which is one of this machine that has
	// proven nothing, is not enough here.
	Admit   func(ctx context.Context) (gateway string, problem *door.Problem)
	Observe Observer
	Options Options
	Now     func() time.Time
	Log     *slog.Logger
}

// pollFiles is how often a provider's ca_file is looked at: nobody says when it changes.
const pollFiles = 30 * time.Second

// Server is the ADS server. All Envoys that can follow an order share one
// configuration.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	Parts
	cache cache.SnapshotCache
	check func(r Resources, approved func(deployment string) bool) error // Check, but in tests
	ads   delta.Server
	end   context.CancelFunc // of all streams

	usable atomic.Pointer[map[string]bool]

	mu      sync.Mutex // guards what follows
	world   int64      // the registry's version that was built last
	places  map[string]*standing
	leftOut []LeftOut
	content string // of the configuration that is handed out
	version string // as Envoys are told it: the registry's when it came, and the content
	pushed  time.Time
	problem error // why the newest was not handed out
	nodes   map[int64]*node
}

// New makes a server that has built its first configuration.
func New(p Parts) (*Server, error) {
	p.Options = p.Options.withDefaults()
	if p.Observe == nil {
		p.Observe = nobody{}
	}
	ctx, end := context.WithCancel(context.Background())
	s := &Server{Parts: p, check: Check, end: end, places: map[string]*standing{}, nodes: map[int64]*node{}}
	s.cache = cache.NewSnapshotCache(true, groups{}, nil)
	s.ads = delta.NewServer(ctx, s.cache, &callbacks{s})
	s.usable.Store(&map[string]bool{})
	old := arrangeOld()
	snapshot, err := old.snapshot("too-old")
	if err == nil {
		err = s.cache.SetSnapshot(ctx, groupOld, snapshot)
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("configure Envoys that are too old: %w", err)
	}
	s.renew()
	return s, nil
}

// Register adds the service to a grpc server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, s)
}

// Run hands out what changes until ctx ends, and then ends all streams: the Envoys go
// on with what they have, and come back.
func (s *Server) Run(ctx context.Context) error {
	defer s.end()
	for {
		credentials := s.Credentials.Changed() // before they are read
		next := s.renew()
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-s.Registry.Changed(s.built()):
		case <-credentials:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (s *Server) built() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world
}

// renew builds what the registry comes to now, hands it out where it differs, and says
// when to look again.
func (s *Server) renew() time.Duration {
	world := s.Registry.Snapshot()
	built := Build(Input{World: world, Credential: s.Credentials.Credential, ReadFile: os.ReadFile, Options: s.Options})
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	s.world = world.Version
	next := succeed(s.places, built.Places, s.Credentials.Credential, now, s.Options.Grace, s.version == "")
	err := s.handOut(world, next, built)
	if err != nil {
		s.fail(err)
		// Whoever may no longer be sent to is not, whatever Envoys have.
		for name, p := range s.places {
			p.gone = p.gone || next[name] == nil || next[name].leaving()
		}
	} else {
		s.problem = nil
	}
	s.Observe.Whole(err == nil)
	s.say(built.LeftOut)
	s.judge(now)
	return s.wake(now)
}

// handOut gives Envoys what stands, if it is whole and not what they have.
func (s *Server) handOut(world *registry.Snapshot, next map[string]*standing, built Built) error {
	resources, err := Arrange(placesOf(next), built.Paths, s.Options)
	if err != nil {
		return err
	}
	content, err := resources.content()
	if err != nil {
		return err
	}
	if content == s.content {
		s.places = next
		return nil
	}
	if err := s.check(resources, func(name string) bool {
		_, known := world.Deployment(name)
		return known || next[name] != nil && next[name].leaving()
	}); err != nil {
		return err
	}
	version := fmt.Sprintf("%d-%s", world.Version, content)
	snapshot, err := resources.snapshot(version)
	if err != nil {
		return err
	}
	for name, p := range next {
		p.version = snapshot.GetVersionMap(resource.ClusterType)[clusterOf(name)]
		if before := s.places[name]; before != nil && before.version == p.version {
			p.keep(before)
		}
	}
	// Decisions stop naming what goes before it goes.
	s.places = next
	s.judge(s.Now())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.cache.SetSnapshot(ctx, groupCurrent, snapshot); err != nil {
		return fmt.Errorf("hand out %s: %w", version, err)
	}
	s.content, s.version, s.pushed = content, version, s.Now()
	s.Observe.Pushed()
	s.Log.Info("configuration handed out to Envoys", "version", version, "deployments", len(next), "left_out", len(built.LeftOut), "envoys", len(s.nodes))
	return nil
}

// fail remembers why the newest configuration was not handed out, and says it once.
func (s *Server) fail(err error) {
	if s.problem == nil || s.problem.Error() != err.Error() {
		s.Log.Error("the registry makes no whole configuration for Envoys; they keep the last good one", "version", s.version, "err", err)
	}
	s.problem = err
}

// say logs what is newly left out.
func (s *Server) say(leftOut []LeftOut) {
	known := map[LeftOut]bool{}
	for _, l := range s.leftOut {
		known[l] = true
	}
	for _, l := range leftOut {
		if !known[l] {
			s.Log.Warn("a deployment is not handed out to Envoys", "deployment", l.Deployment, "why", l.Why)
		}
	}
	s.leftOut = leftOut
}

// Healthy is why the newest configuration was not handed out; nil: it was.
func (s *Server) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

// Usable reports whether Envoys have this deployment, so that a call may be sent to it.
func (s *Server) Usable(deployment string) bool { return (*s.usable.Load())[deployment] }

// DeltaAggregatedResources is one Envoy's stream.
func (s *Server) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.ads.DeltaStreamHandler(&guarded{stream, s}, resource.AnyType)
}

// StreamAggregatedResources is the older protocol, which sends all of a type when one
// of it changes and waits until all are asked for.
func (s *Server) StreamAggregatedResources(discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return status.Error(codes.Unimplemented, "only delta ADS is spoken here: set api_type: DELTA_GRPC under ads_config")
}

// guarded asks before every message who it is for: a gateway whose key was revoked
// while it was connected gets no credential any more.
type guarded struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	s *Server
}

func (g *guarded) Send(m *discoveryv3.DeltaDiscoveryResponse) error {
	if _, err := g.s.admitted(g.Context()); err != nil {
		return err
	}
	return g.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Send(m)
}

// admitted is who connects.
func (s *Server) admitted(ctx context.Context) (string, error) {
	gateway, problem := s.Admit(ctx)
	if problem != nil {
		return "", status.Error(codes.Unauthenticated, problem.Message)
	}
	if gateway == "" {
		return "", status.Error(codes.Unauthenticated, "an Envoy that is given credentials proves which gateway it is, on this machine too: by a client certificate or by the metadata x-signalbox-gateway-token (signalbox keys create --gateway NAME)")
	}
	return gateway, nil
}

// errTooMany refuses one Envoy more than Options.Nodes.
var errTooMany = errors.New("as many Envoys are connected as there may be")

type nobody struct{}

func (nobody) Connected(int)         {}
func (nobody) Pushed()               {}
func (nobody) Answered(string, bool) {}
func (nobody) Whole(bool)            {}
