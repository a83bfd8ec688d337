package xds_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
)

// never is a grace that no test outlives.
const never = 24 * time.Hour

func both(t *testing.T, grace time.Duration) *house {
	t.Helper()
	return newHouse(t, xds.Options{Grace: grace}, twoProviders+deployed("a openai", "b weu"), newKeys("openai", "sk-1", "weu", "az-1"))
}

func is(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

func names[V any](m map[string]V) []string {
	out := []string{}
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// An Envoy that connects gets all of it, is known by what it said and has proven, and
// nothing of what it gets is ever printed.
func TestAnEnvoyGetsAllOfIt(t *testing.T) {
	h := both(t, never)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	is(t, "clusters", names(g.clusters), []string{"deny", "deployment/a", "deployment/b"})
	is(t, "secrets", g.secrets, map[string]string{"key/openai": "sk-1", "key/weu": "az-1"})
	is(t, "routes", names(g.routes), []string{"signalbox"})
	for _, kind := range []string{"clusters true", "secrets true"} {
		h.answered(t, kind)
	}
	s := h.Status()
	if len(s.Nodes) != 1 || s.Version == "" || s.Problem != "" || len(s.LeftOut) != 0 {
		t.Fatalf("%+v", s)
	}
	n := s.Nodes[0]
	if n.ID != "edge-1" || n.Cluster != "edges" || n.Gateway != "edge" || n.Envoy != "1.40.1" || n.TooOld || !n.Current || n.Nack != nil || n.Acked["clusters"] != s.Version {
		t.Errorf("%+v, while %s is handed out", n, s.Version)
	}
	for _, name := range []string{"a", "b"} {
		if !h.Usable(name) {
			t.Errorf("%s is not sent to", name)
		}
	}
	if h.Usable("c") || h.Usable("") {
		t.Error("what is not there is sent to")
	}
	if strings.Contains(h.log.String(), "sk-1") || strings.Contains(h.log.String(), "az-1") {
		t.Errorf("a credential was logged: %s", h.log)
	}
}

func TestARotationSendsOneSecret(t *testing.T) {
	h := both(t, never)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	for _, value := range []string{"az-2", "az-3"} {
		h.keys.set("weu", value)
		is(t, "pushed", g.take(t), "secrets +key/weu")
		is(t, "the new one", g.secrets["key/weu"], value)
		if !h.Usable("b") {
			t.Error("a deployment is not sent to while its key is rotated")
		}
	}
	// What comes next is what changes next: nothing else was sent in between.
	apply(t, h.registry, twoProviders+deployed("a openai", "b weu", "c openai"))
	is(t, "pushed", g.take(t), "clusters +deployment/c")
}

// A deployment is sent to when every Envoy has it, and not when one refuses it; what
// they refuse takes nothing else with it.
func TestARefusalKeepsTheLastGood(t *testing.T) {
	h := both(t, never)
	g, other := h.connect(t, nodeOf("edge-1", 1, 40)), h.connect(t, nodeOf("edge-2", 1, 41))
	g.settle(t)
	other.settle(t)
	first := h.Status().Version
	g.refuses["deployment/c"] = "no such file"
	apply(t, h.registry, twoProviders+deployed("a openai", "b weu", "c openai", "cc openai"))
	is(t, "pushed", other.take(t), "clusters +deployment/c +deployment/cc")
	until(t, "one of them has both", func() bool { return h.Status().Nodes[1].Current })
	m := g.next(t)
	if h.Usable("c") || h.Usable("cc") {
		t.Error("sent to before every Envoy has it")
	}
	g.answer(t, m)
	h.answered(t, "clusters false")
	s := h.Status()
	if h.Usable("c") || !h.Usable("cc") || !h.Usable("a") {
		t.Errorf("after the refusal: %+v", s.Deployments)
	}
	is(t, "who refuses", s.Deployments[2], xds.Deployment{Name: "c", Refused: []string{"edge-1"}})
	nack := s.Nodes[0].Nack
	if nack == nil || nack.Type != "clusters" || nack.Version != s.Version || !strings.Contains(nack.Message, "deployment/c: no such file") || s.Nodes[0].Acked["clusters"] != first || s.Nodes[0].Current {
		t.Errorf("%+v", s.Nodes[0])
	}
	if s.Nodes[1].Nack != nil || !s.Nodes[1].Current {
		t.Errorf("%+v", s.Nodes[1])
	}

	// The rest goes on, and so does what is mended.
	h.keys.set("openai", "sk-2")
	is(t, "a rotation after it", g.take(t), "secrets +key/openai")
	delete(g.refuses, "deployment/c")
	apply(t, h.registry, twoProviders+deployed("a openai", "b weu", "c weu", "cc openai"))
	is(t, "mended", g.take(t), "clusters +deployment/c")
	is(t, "the other's rotation", other.take(t), "secrets +key/openai")
	if h.Usable("c") {
		t.Error("sent to before every Envoy has what is mended")
	}
	is(t, "the other's", other.take(t), "clusters +deployment/c")
	until(t, "both have what is mended", func() bool { s := h.Status(); return s.Nodes[0].Current && s.Nodes[1].Current })
	if !h.Usable("c") {
		t.Error("it was mended, and is not sent to")
	}
}

// A deployment without its credential is nowhere, whole: not even its cluster. When
// the credential comes, both come at once.
func TestAMissingCredentialLeavesItsDeploymentOut(t *testing.T) {
	h := newHouse(t, xds.Options{Grace: never}, twoProviders+deployed("a openai", "b weu"), newKeys("openai", "sk-1"))
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	is(t, "clusters", names(g.clusters), []string{"deny", "deployment/a"})
	s := h.Status()
	if len(s.LeftOut) != 1 || s.LeftOut[0].Deployment != "b" || !strings.Contains(s.LeftOut[0].Why, "there is no credential weu") || h.Usable("b") {
		t.Errorf("%+v", s)
	}
	if n := strings.Count(h.log.String(), "a deployment is not handed out"); n != 1 {
		t.Errorf("said %d times: %s", n, h.log)
	}
	h.keys.set("weu", "az-1")
	is(t, "its cluster", g.take(t), "clusters +deployment/b")
	is(t, "its credential", g.take(t), "secrets +key/weu")
	if s := h.Status(); len(s.LeftOut) != 0 {
		t.Errorf("%+v", s)
	}
}

// A credential that is gone is overwritten first, because an Envoy would keep the last
// value; only then its deployments go.
func TestARevokedKeyIsOverwritten(t *testing.T) {
	h := both(t, 50*time.Millisecond)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	h.keys.set("weu", "")
	is(t, "first", g.take(t), "secrets +key/weu")
	is(t, "what it is now", g.secrets["key/weu"], "revoked")
	if h.Usable("b") || !h.Usable("a") {
		t.Error("a deployment without a key is sent to, or one with a key is not")
	}
	is(t, "then", g.take(t), "clusters -deployment/b")
	is(t, "and then what nobody names any more", g.take(t), "secrets -key/weu")
	is(t, "secrets", names(g.secrets), []string{"key/openai"})

	h.keys.set("weu", "az-2")
	is(t, "when it is back", g.take(t), "clusters +deployment/b")
	is(t, "with its key", g.take(t), "secrets +key/weu")
	is(t, "the new one", g.secrets["key/weu"], "az-2")
}

// What is removed is sent to no more at once, and goes when the calls that were on
// their way to it have begun.
func TestRemovalAfterAGrace(t *testing.T) {
	h := both(t, 50*time.Millisecond)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	began := time.Now()
	apply(t, h.registry, twoProviders+deployed("a openai"))
	m := g.next(t)
	is(t, "pushed", spelt(m), "clusters -deployment/b")
	if h.Usable("b") {
		t.Error("it is still sent to")
	}
	if waited := time.Since(began); waited < 50*time.Millisecond {
		t.Errorf("it went after %v", waited)
	}
	g.answer(t, m)
	is(t, "what stays", h.Status().Deployments, []xds.Deployment{{Name: "a", Usable: true}})
}

func TestBackBeforeItWasGone(t *testing.T) {
	h := both(t, never)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	apply(t, h.registry, twoProviders+deployed("a openai"))
	h.Renew()
	is(t, "on its way", h.Status().Deployments[1], xds.Deployment{Name: "b", Leaving: true})
	apply(t, h.registry, twoProviders+deployed("a openai", "b weu"))
	h.Renew()
	is(t, "back", h.Status().Deployments[1], xds.Deployment{Name: "b", Usable: true})
	h.keys.set("openai", "sk-2")
	is(t, "what an Envoy hears of it: nothing", g.take(t), "secrets +key/openai")
}

// Whom no Envoy of ours has heard of yet is waited for, but not for ever: others may
// have Envoys of their own, and one that is stuck must not keep a deployment out.
func TestNobodyIsWaitedForForEver(t *testing.T) {
	h := both(t, 50*time.Millisecond)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	apply(t, h.registry, twoProviders+deployed("a openai", "b weu", "c openai"))
	is(t, "pushed", spelt(g.next(t)), "clusters +deployment/c") // and no answer
	until(t, "it is sent to all the same", func() bool { return h.Usable("c") })
}

// until waits for what nobody says when it happens.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// An Envoy that cannot follow an order has no deployment and no credential, and says
// to every caller what is wrong with it.
func TestAnOldEnvoy(t *testing.T) {
	for name, node := range map[string]*corev3.Node{"1.39": nodeOf("old", 1, 39), "of an unknown version": {Id: "old"}} {
		t.Run(name, func(t *testing.T) {
			h := both(t, never)
			g := h.connect(t, node)
			g.settle(t)
			is(t, "clusters", names(g.clusters), []string{"deny"})
			if len(g.secrets) != 0 {
				t.Errorf("%v", g.secrets)
			}
			for _, r := range g.routes["signalbox"].VirtualHosts[0].Routes {
				answer := r.GetDirectResponse()
				if answer.GetStatus() != 503 || !strings.Contains(string(answer.GetBody().GetInlineBytes()), "1.40") {
					t.Errorf("%v", r)
				}
			}
			h.answered(t, "routes true")
			if s := h.Status(); !s.Nodes[0].TooOld || s.Nodes[0].Current {
				t.Errorf("%+v", s.Nodes)
			}
			// It keeps nobody waiting.
			current := h.connect(t, nodeOf("new", 1, 40))
			current.settle(t)
			apply(t, h.registry, twoProviders+deployed("a openai", "b weu", "c openai"))
			current.take(t)
			h.answered(t, "clusters true")
			until(t, "the new one's word is enough", func() bool { return h.Usable("c") })
		})
	}
}

// Credentials are given to proven gateways only, on this machine too, and to nobody
// whose proof is no longer good.
func TestWhoIsLetIn(t *testing.T) {
	h := both(t, never)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	h.admits.Store(nil)
	h.keys.set("weu", "az-2")
	r := g.receive(t)
	if status.Code(r.err) != codes.Unauthenticated || !strings.Contains(r.err.Error(), "revoked") {
		t.Errorf("a gateway that was revoked got %v, %v", r.m, r.err)
	}
	if r := h.connect(t, nodeOf("edge-1", 1, 40)).receive(t); status.Code(r.err) != codes.Unauthenticated {
		t.Errorf("a stranger got %v, %v", r.m, r.err)
	}
	nobody := ""
	h.admits.Store(&nobody)
	if r := h.connect(t, nodeOf("edge-1", 1, 40)).receive(t); status.Code(r.err) != codes.Unauthenticated || !strings.Contains(r.err.Error(), "on this machine too") {
		t.Errorf("one of this machine got %v, %v", r.m, r.err)
	}
	until(t, "all have gone", func() bool { return len(h.Status().Nodes) == 0 })
}

func TestWhatIsNotServed(t *testing.T) {
	h := newHouse(t, xds.Options{Grace: never, Nodes: 1}, twoProviders+deployed("a openai"), newKeys("openai", "sk-1"))
	stream, err := h.client(t).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "DELTA_GRPC") {
		t.Errorf("state of the world: %v", err)
	}
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	if r := h.connect(t, nodeOf("edge-2", 1, 40)).receive(t); status.Code(r.err) != codes.ResourceExhausted {
		t.Errorf("one more than there may be: %v", r.err)
	}
	// A type that nobody serves is asked for in vain, and so is a secret that no cluster
	// names.
	g.send(t, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.config.listener.v3.Listener"})
	g.send(t, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.SecretType, ResourceNamesSubscribe: []string{"key/weu"}})
	is(t, "there are no listeners", len(g.next(t).Resources), 0)
	h.keys.set("openai", "sk-2")
	is(t, "what comes is what changed", g.take(t), "secrets +key/openai")
	// An Envoy has a dozen types, and each that is asked for costs.
	for i := range 100 {
		g.send(t, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: fmt.Sprintf("type.googleapis.com/made.up.%d", i)})
	}
	r := g.receive(t)
	for r.err == nil {
		r = g.receive(t)
	}
	if status.Code(r.err) != codes.ResourceExhausted {
		t.Errorf("a hundred types: %v", r.err)
	}
}

// A configuration that is not whole is not handed out, and the service says so; what
// may not be sent to any more is not sent to all the same.
func TestTheLastGoodStays(t *testing.T) {
	h := both(t, never)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	good := h.Status()
	h.FailChecks(errors.New("cluster deployment/c names the secret key/c, which is not there"))
	apply(t, h.registry, twoProviders+deployed("a openai", "c openai"))
	h.Renew()
	s := h.Status()
	if h.Healthy() == nil || s.Version != good.Version || !strings.Contains(s.Problem, "key/c") || s.RegistryVersion == good.RegistryVersion {
		t.Errorf("%+v", s)
	}
	if !h.Usable("a") || h.Usable("b") || h.Usable("c") {
		t.Error("a was not to change, b was removed, and c was never there")
	}
	h.Renew()
	if n := strings.Count(h.log.String(), "makes no whole configuration"); n != 1 {
		t.Errorf("said %d times", n)
	}
	h.FailChecks(nil)
	h.Renew()
	is(t, "when it is mended", g.take(t), "clusters +deployment/c")
	if h.Healthy() != nil || h.Status().Problem != "" {
		t.Error("it still says that something is wrong")
	}
}

// An Envoy that comes back with what it had is sent what has changed.
func TestComingBack(t *testing.T) {
	h := both(t, never)
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	had := map[string]string{}
	for len(had) == 0 {
		m := g.next(t)
		for _, r := range m.Resources {
			if kinds[m.TypeUrl] == "clusters" {
				had[r.Name] = r.Version
			}
		}
		g.answer(t, m)
	}
	apply(t, h.registry, twoProviders+deployed("a openai", "b weu", "c openai"))
	stream, err := h.client(t).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the new one is built", func() bool { return len(h.Status().Deployments) == 3 })
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("edge-1", 1, 40), TypeUrl: resource.ClusterType, InitialResourceVersions: had}); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	is(t, "what it gets", spelt(m), "clusters +deployment/c")
}

// When the service ends, its streams do: Envoys keep what they have.
func TestTheEnd(t *testing.T) {
	reg := newRegistry(t, twoProviders+deployed("a openai"))
	s, err := xds.New(xds.Parts{Registry: reg, Credentials: newKeys("openai", "sk-1"), Admit: func(context.Context) (string, *door.Problem) { return "edge", nil }, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{Server: s, dial: bufconn.Listen(1 << 20)}
	server := grpc.NewServer()
	s.Register(server)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(h.dial) }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.settle(t)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for r := g.receive(t); r.err == nil; r = g.receive(t) {
	}
	server.GracefulStop() // which waits for every stream
	<-served
}
