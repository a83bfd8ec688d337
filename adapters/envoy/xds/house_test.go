package xds_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	injectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys are credentials by name.
type keys struct {
	mu      sync.Mutex
	values  map[string]string
	changed chan struct{}
}

func newKeys(pairs ...string) *keys {
	k := &keys{values: map[string]string{}, changed: make(chan struct{})}
	for pair := range slices.Chunk(pairs, 2) {
		k.values[pair[0]] = pair[1]
	}
	return k
}

func (k *keys) Credential(name string) (vault.Secret, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.values[name]
	return vault.NewSecret(v), ok
}

func (k *keys) Changed() <-chan struct{} { k.mu.Lock(); defer k.mu.Unlock(); return k.changed }

// set changes one; "": it is removed.
func (k *keys) set(name, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values[name] = value; value == "" {
		delete(k.values, name)
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

// heard is what the server says of itself while it works.
type heard struct{ answers chan string }

func (heard) Connected(int)                     {}
func (heard) Pushed()                           {}
func (heard) Whole(bool)                        {}
func (h heard) Answered(kind string, took bool) { h.answers <- fmt.Sprintf("%s %v", kind, took) }

// house is a server that runs, over a registry and credentials that can be changed.
type house struct {
	*xds.Server
	registry *registry.Registry
	keys     *keys
	answers  chan string
	dial     *bufconn.Listener
	admits   atomic.Pointer[string] // the gateway; nil: nobody is
	log      *lines
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}
func (l *lines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

const twoProviders = `
providers:
  - {name: openai, kind: openai, base_url: "https://api.openai.com/v1", credential: openai}
  - {name: weu, kind: azure-openai, base_url: "https://acme.openai.azure.com", api_version: "2024-10-21", credential: weu}
models:
  - {name: gpt, dialect: openai, context: 128000, max_output: 4096}
`

// deployed are deployments as the registry's files say them: "name provider".
func deployed(of ...string) string {
	text := "deployments:\n"
	for _, d := range of {
		name, provider, _ := strings.Cut(d, " ")
		text += fmt.Sprintf("  - {name: %s, provider: %s, model: gpt, upstream_model: gpt, kind: paygo}\n", name, provider)
	}
	return text
}

func newHouse(t testing.TB, options xds.Options, text string, credentials *keys) *house {
	t.Helper()
	h := &house{keys: credentials, answers: make(chan string, 1000), dial: bufconn.Listen(1 << 20), log: &lines{}}
	edge := "edge"
	h.admits.Store(&edge)
	h.registry = newRegistry(t, text)
	var err error
	if h.Server, err = xds.New(xds.Parts{
		Registry: h.registry, Credentials: credentials, Options: options, Observe: heard{h.answers}, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
		Admit: func(context.Context) (string, *door.Problem) {
			if name := h.admits.Load(); name != nil {
				return *name, nil
			}
			return "", &door.Problem{Kind: door.UnknownGateway, Message: "this gateway token was revoked"}
		},
	}); err != nil {
		t.Fatal(err)
	}
	run(t, h.Run)
	s := grpc.NewServer()
	h.Register(s)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(h.dial) }()
	t.Cleanup(func() { s.Stop(); <-served })
	return h
}

// run runs something until the test ends.
func run(t testing.TB, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func newRegistry(t testing.TB, text string) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), journal.NewMemory(1, time.Now), registry.NewKeyHasher([32]byte{1}), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, r.Run)
	apply(t, r, text)
	return r
}

// newRegistryOnce is what a registry that was told this knows.
func newRegistryOnce(t *testing.T, text string) *registry.Snapshot {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := registry.Open(ctx, journal.NewMemory(1, time.Now), registry.NewKeyHasher([32]byte{1}), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	apply(t, r, text)
	cancel()
	<-done
	return r.Snapshot()
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func apply(t testing.TB, r *registry.Registry, text string) {
	t.Helper()
	files := []registry.File{{Name: "world.yaml", Data: []byte(text)}}
	if _, err := r.Apply(t.Context(), files, registry.ApplyOptions{Prune: true, Confirmed: true}); err != nil {
		t.Fatal(err)
	}
}

// answered waits until an Envoy's answer was taken: "clusters true".
func (h *house) answered(t *testing.T, want string) {
	t.Helper()
	for {
		select {
		case got := <-h.answers:
			if got == want {
				return
			}
		case <-time.After(30 * time.Second): // a test that hangs says where
			t.Fatalf("no Envoy has said %q", want)
		}
	}
}

// client is a connection to the house.
func (h *house) client(t *testing.T) discoveryv3.AggregatedDiscoveryServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///xds", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return h.dial.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
}

// gateway is an Envoy as far as ADS knows one: it asks for all clusters, for the
// secrets that they name, and for its routes, and answers what it gets. It takes one
// message at a time, when the test says so.
type gateway struct {
	stream  discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	got     chan received
	refuses map[string]string // by resource: what it says

	clusters map[string]*clusterv3.Cluster
	secrets  map[string]string
	routes   map[string]*routev3.RouteConfiguration
}

type received struct {
	m   *discoveryv3.DeltaDiscoveryResponse
	err error
}

var kinds = map[string]string{resource.ClusterType: "clusters", resource.RouteType: "routes", resource.SecretType: "secrets"}

func nodeOf(id string, major, minor uint32) *corev3.Node {
	return &corev3.Node{Id: id, Cluster: "edges", UserAgentName: "envoy", UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{
		UserAgentBuildVersion: &corev3.BuildVersion{Version: &typev3.SemanticVersion{MajorNumber: major, MinorNumber: minor, Patch: 1}},
	}}
}

// connect connects an Envoy that has nothing yet.
func (h *house) connect(t *testing.T, node *corev3.Node) *gateway {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := h.client(t).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{
		stream: stream, got: make(chan received, 1000), refuses: map[string]string{},
		clusters: map[string]*clusterv3.Cluster{}, secrets: map[string]string{}, routes: map[string]*routev3.RouteConfiguration{},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := stream.Recv()
			g.got <- received{m, err}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	g.send(t, &discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: resource.ClusterType})
	g.send(t, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.RouteType, ResourceNamesSubscribe: []string{xds.RouteConfig(false, false)}})
	return g
}

func (g *gateway) send(t *testing.T, m *discoveryv3.DeltaDiscoveryRequest) {
	t.Helper()
	if err := g.stream.Send(m); err != nil && !errors.Is(err, io.EOF) { // which is that the stream has ended; receiving says why
		t.Fatal(err)
	}
}

// next is the server's next message.
func (g *gateway) next(t *testing.T) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	r := g.receive(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.m
}

func (g *gateway) receive(t *testing.T) received {
	t.Helper()
	select {
	case r := <-g.got:
		return r
	case <-time.After(30 * time.Second): // a test that hangs says where
		t.Fatal("the server sends nothing more")
		return received{}
	}
}

// take takes the next message and answers it, as an Envoy does, and says what it was:
// "secrets +key/weu".
func (g *gateway) take(t *testing.T) string {
	t.Helper()
	m := g.next(t)
	g.answer(t, m)
	return spelt(m)
}

func spelt(m *discoveryv3.DeltaDiscoveryResponse) string {
	words := []string{kinds[m.TypeUrl]}
	var names []string
	for _, r := range m.Resources {
		names = append(names, "+"+r.Name)
	}
	for _, name := range m.RemovedResources {
		names = append(names, "-"+name)
	}
	slices.Sort(names)
	return strings.Join(append(words, names...), " ")
}

// answer puts in force what a message holds, and tells the server.
func (g *gateway) answer(t *testing.T, m *discoveryv3.DeltaDiscoveryResponse) {
	t.Helper()
	var wrong []string
	for _, r := range m.Resources {
		if says, ok := g.refuses[r.Name]; ok {
			wrong = append(wrong, r.Name+": "+says)
			continue
		}
		value, err := r.Resource.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch v := value.(type) {
		case *clusterv3.Cluster:
			g.clusters[v.Name] = v
		case *routev3.RouteConfiguration:
			g.routes[v.Name] = v
		case *tlsv3.Secret:
			g.secrets[v.Name] = v.GetGenericSecret().GetSecret().GetInlineString()
		}
	}
	for _, name := range m.RemovedResources {
		delete(g.clusters, name)
		delete(g.secrets, name)
	}
	answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: m.TypeUrl, ResponseNonce: m.Nonce}
	if len(wrong) > 0 {
		answer.ErrorDetail = status.New(codes.InvalidArgument, "Error adding/updating cluster(s) "+strings.Join(wrong, ", ")).Proto()
	}
	g.send(t, answer)
	if m.TypeUrl == resource.ClusterType {
		g.subscribe(t)
	}
}

// subscribe asks for the secrets that clusters name, and no longer for the others.
func (g *gateway) subscribe(t *testing.T) {
	t.Helper()
	ask := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.SecretType}
	named := map[string]bool{}
	for _, c := range g.clusters {
		for _, name := range secretsOf(t, c) {
			named[name] = true
			if _, known := g.secrets[name]; !known && !slices.Contains(ask.ResourceNamesSubscribe, name) {
				ask.ResourceNamesSubscribe = append(ask.ResourceNamesSubscribe, name)
				g.secrets[name] = "" // it waits for it
			}
		}
	}
	for name := range g.secrets {
		if !named[name] {
			ask.ResourceNamesUnsubscribe = append(ask.ResourceNamesUnsubscribe, name)
			delete(g.secrets, name)
		}
	}
	if len(ask.ResourceNamesSubscribe)+len(ask.ResourceNamesUnsubscribe) > 0 {
		g.send(t, ask)
	}
}

// settle takes messages until it has all that its clusters and its listener need.
func (g *gateway) settle(t *testing.T) {
	t.Helper()
	for {
		waits := len(g.clusters) == 0 || len(g.routes) == 0
		for _, value := range g.secrets {
			waits = waits || value == ""
		}
		if !waits {
			return
		}
		g.take(t)
	}
}

// secretsOf are the secrets that a cluster names.
func secretsOf(t *testing.T, c *clusterv3.Cluster) []string {
	t.Helper()
	var out []string
	o := &httpv3.HttpProtocolOptions{}
	speaks := c.TypedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
	if speaks == nil {
		return nil
	}
	if err := speaks.UnmarshalTo(o); err != nil {
		t.Fatal(err)
	}
	for _, f := range o.HttpFilters {
		if f.Name != "envoy.filters.http.credential_injector" {
			continue
		}
		injector, generic := &injectorv3.CredentialInjector{}, &genericv3.Generic{}
		if err := errors.Join(f.GetTypedConfig().UnmarshalTo(injector), injector.Credential.TypedConfig.UnmarshalTo(generic)); err != nil {
			t.Fatal(err)
		}
		out = append(out, generic.Credential.Name)
	}
	return out
}
