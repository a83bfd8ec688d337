package xds_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// got is a request as a provider has seen it.
type got struct {
	path, host, proto, body string
	length                  int64
	header                  http.Header
}

// provider records what it sees, and answers what the request tells it to.
type provider struct {
	name string
	*httptest.Server
	mu   sync.Mutex
	seen []got
}

// headerDo says how providers answer: "a=429,b=cut".
const headerDo = "x-do"

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.seen = append(p.seen, got{path: r.URL.String(), host: r.Host, proto: r.Proto, body: string(body), length: r.ContentLength, header: r.Header.Clone()})
	p.mu.Unlock()
	for _, do := range strings.Split(r.Header.Get(headerDo), ",") {
		name, what, _ := strings.Cut(do, "=")
		if name != p.name {
			continue
		}
		if what == "cut" {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		var status int
		_, _ = fmt.Sscan(what, &status)
		w.Header().Set("retry-after", "7")
		w.WriteHeader(status)
	}
	fmt.Fprintf(w, "%s answers", p.name)
}

func (p *provider) take() []got {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.seen
	p.seen = nil
	return out
}

// filter is a made-up ext_proc: the caller's headers say the order and the edits, and
// it tells what it hears of the tries.
type filter struct {
	procv3.UnimplementedExternalProcessorServer
	mu   sync.Mutex
	last *structpb.Struct // of envoy.NamespaceTries
}

func (f *filter) Process(stream procv3.ExternalProcessor_ProcessServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil // the call has ended
		}
		answer := &procv3.ProcessingResponse{}
		switch asked := m.Request.(type) {
		case *procv3.ProcessingRequest_RequestHeaders:
			if answer, err = f.decide(asked.RequestHeaders); err != nil {
				return err
			}
		case *procv3.ProcessingRequest_ResponseHeaders:
			f.mu.Lock()
			f.last = m.GetMetadataContext().GetFilterMetadata()[envoy.NamespaceTries]
			f.mu.Unlock()
			answer.Response = &procv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &procv3.HeadersResponse{}}
		}
		if err := stream.Send(answer); err != nil {
			return nil
		}
	}
}

func (f *filter) decide(asked *procv3.HttpHeaders) (*procv3.ProcessingResponse, error) {
	said := map[string]string{}
	for _, h := range asked.Headers.Headers {
		said[h.Key] = string(h.RawValue)
	}
	call := envoy.Call{DecisionID: "d", Order: strings.Split(said["x-order"], ","), Tries: map[string]envoy.Try{}}
	for i, name := range call.Order {
		call.Tries[name] = envoy.Try{Path: fmt.Sprintf("/%s/%d?q=1", name, i)}
	}
	var edits map[string][]llm.Edit
	if text := said["x-edits"]; text != "" {
		if err := json.Unmarshal([]byte(text), &edits); err != nil {
			return nil, err
		}
	}
	for name, e := range edits {
		call.Tries[name] = envoy.Try{Path: call.Tries[name].Path, Edits: e}
	}
	if said["x-forget"] != "" {
		delete(call.Tries, said["x-forget"])
	}
	set := []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-envoy-max-retries", RawValue: fmt.Append(nil, len(call.Order)-1)}}}
	for _, name := range []string{"x-envoy-retry-on", "x-envoy-upstream-rq-per-try-timeout-ms"} {
		if value := said["say-"+name]; value != "" {
			set = append(set, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, RawValue: []byte(value)}})
		}
	}
	return &procv3.ProcessingResponse{
		Response: &procv3.ProcessingResponse_RequestHeaders{RequestHeaders: &procv3.HeadersResponse{Response: &procv3.CommonResponse{
			ClearRouteCache: true, HeaderMutation: &procv3.HeaderMutation{SetHeaders: set},
		}}},
		DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			envoy.NamespaceRoute: structpb.NewStructValue(call.OrderMetadata()), envoy.NamespaceCall: structpb.NewStructValue(call.Metadata()),
		}},
	}, nil
}

func (f *filter) tries() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last.AsMap()
}

// keys are credentials by name.
type keys struct {
	mu      sync.Mutex
	values  map[string]string
	changed chan struct{}
}

func (k *keys) Credential(name string) (vault.Secret, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.values[name]
	return vault.NewSecret(v), ok
}

func (k *keys) Changed() <-chan struct{} { k.mu.Lock(); defer k.mu.Unlock(); return k.changed }

// lab is an Envoy before four providers: a is OpenAI, b has a name and takes its
// key in a header of its own, c speaks TLS under an authority of its own, and p is c behind a proxy.
type lab struct {
	a, b, c   *provider
	filter    *filter
	connected chan string // what the proxy was asked for
	server    *xds.Server
	envoy     *envoyrig.Envoy
	decided   string // the listener before which the filter stands
	undecided string // the one of which nobody decides a call, in the failure mode open
}

func newProvider(t *testing.T, name string, secure bool) *provider {
	t.Helper()
	p := &provider{name: name}
	p.Server = httptest.NewUnstartedServer(p)
	if secure {
		p.EnableHTTP2 = true
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

// forward is an HTTP proxy that knows CONNECT.
func forward(t *testing.T, connected chan<- string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		connected <- r.Host
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, rest, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		fmt.Fprint(from, "HTTP/1.1 200 Connection established\r\n\r\n")
		done := make(chan struct{})
		go func() { defer close(done); _, _ = io.Copy(to, rest); _ = to.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
		<-done
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return newLabWith(t, xds.Options{Fallback: []string{"a"}}, "")
}

// errStillUsable is said of what should not be sent to any more.
var errStillUsable = errors.New("it can still be sent to")

// newLabWith has more in its registry.
func newLabWith(t *testing.T, options xds.Options, more string) *lab {
	t.Helper()
	l := &lab{filter: &filter{}, connected: make(chan string, 100)}
	l.a, l.b, l.c = newProvider(t, "a", false), newProvider(t, "b", false), newProvider(t, "c", true)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.c.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	reg := world(t, more, fmt.Sprintf(`
providers:
  - {name: a, kind: openai, base_url: "%s/v1", credential: a, allow_private: true}
  - {name: b, kind: openai-compatible, base_url: "%s", credential: b, auth_header: x-goog-api-key, allow_private: true}
  - {name: c, kind: openai, base_url: "%s/v1", credential: c, ca_file: %s, allow_private: true}
  - {name: p, kind: openai, base_url: "%s/v1", credential: c, ca_file: %s, proxy_url: "%s", allow_private: true}
  - {name: dead, kind: openai-compatible, base_url: "http://127.0.0.1:1", allow_private: true}
models:
  - {name: m, dialect: openai, context: 128000, max_output: 4096}
deployments:
  - {name: a, provider: a, model: m, upstream_model: gpt, kind: paygo}
  - {name: b, provider: b, model: m, upstream_model: gpt, kind: paygo}
  - {name: c, provider: c, model: m, upstream_model: gpt, kind: paygo}
  - {name: p, provider: p, model: m, upstream_model: gpt, kind: paygo}
  - {name: dead, provider: dead, model: m, upstream_model: gpt, kind: paygo}
`, l.a.URL, strings.Replace(l.b.URL, "127.0.0.1", "localhost", 1), l.c.URL, ca, l.c.URL, ca, forward(t, l.connected)))
	credentials := &keys{values: map[string]string{"a": "key-of-a", "b": "key-of-b", "c": "key-of-c"}, changed: make(chan struct{})}
	var err error
	if l.server, err = xds.New(xds.Parts{
		Registry: reg, Credentials: credentials, Options: options, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Admit: func(context.Context) (string, *door.Problem) { return "edge", nil },
	}); err != nil {
		t.Fatal(err)
	}
	run(t, l.server.Run)
	l.start(t)
	return l
}

// run runs something until the test ends.
func run(t *testing.T, do func(context.Context) error) {
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

// world is a registry that was told this.
func world(t *testing.T, texts ...string) *registry.Registry {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(t.Context(), journal.NewMemory(1, time.Now), registry.NewKeyHasher([32]byte{1}), time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	run(t, reg.Run)
	var files []registry.File
	for i, text := range texts {
		if text == "" {
			continue
		}
		files = append(files, registry.File{Name: fmt.Sprintf("world-%d.yaml", i), Data: []byte(text)})
	}
	if _, err := reg.Apply(t.Context(), files, registry.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	return reg
}

func (l *lab) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	l.server.Register(s)
	procv3.RegisterExternalProcessorServer(s, l.filter)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(listener) }()
	t.Cleanup(func() { s.Stop(); <-served })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	binary, err := envoyrig.Binary(t.Context(), envoyrig.Newest, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 2)
	l.decided, l.undecided = fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if l.envoy, err = envoyrig.Start(ctx, envoyrig.Config{Binary: binary, Dir: t.TempDir(), Bootstrap: bootstrap(port, ports)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.envoy.Tail())
		}
		if err := l.envoy.Stop(); err != nil {
			t.Log(err)
		}
	})
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var out []int
	for port := 21000; len(out) < n && port < 30000; port++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = listener.Close()
			out = append(out, port)
		}
	}
	if len(out) < n {
		t.Fatal("no port is free")
	}
	return out
}

// bootstrap is an Envoy with two listeners: one that asks the filter, and one of which
// nobody is asked, whose routes are those of the failure mode open.
func bootstrap(grpcPort string, ports []int) string {
	listener := func(name string, port int, routes, filter string) string {
		return fmt.Sprintf(`
  - name: %s
    address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: %s
          use_remote_address: true
          rds: {route_config_name: %s, config_source: {ads: {}, resource_api_version: V3}}
          http_filters:%s
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers: true}`, name, port, name, routes, filter)
	}
	filter := `
          - name: envoy.filters.http.ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {envoy_grpc: {cluster_name: signalbox}}
              message_timeout: 10s
              processing_mode: {request_header_mode: SEND, response_header_mode: SEND, request_trailer_mode: SKIP, response_trailer_mode: SKIP}
              mutation_rules: {allow_envoy: true, disallow_is_error: true}
              metadata_options: {receiving_namespaces: {untyped: [signalbox, signalbox.route]}, forwarding_namespaces: {untyped: [signalbox.tries]}}`
	return fmt.Sprintf(`
node: {id: lab, cluster: lab}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{envoy_grpc: {cluster_name: signalbox}}]
  cds_config: {ads: {}, resource_api_version: V3}
static_resources:
  clusters:
  - name: signalbox
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: signalbox, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}
  listeners:%s%s
`, grpcPort, listener("decided", ports[0], xds.RouteConfig(false, false), filter), listener("undecided", ports[1], xds.RouteConfig(false, true), ""))
}

// answer is what a caller got.
type answer struct {
	status int
	body   string
}

const callersKey = "sbx_the-callers-own"

// ask sends a call with headers, in pairs.
func (l *lab) ask(t *testing.T, url, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+callersKey)
	req.Header.Set("X-Signalbox-User", "somebody")
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{}}, Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text)}
}
