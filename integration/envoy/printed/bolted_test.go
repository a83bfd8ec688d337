package printed_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// routes are those of an Envoy that somebody runs: ways to fail beside the way to
// the provider.
const routes = `
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - { match: { prefix: /v1/messages/nobody }, route: { cluster: nobody } }
  - { match: { prefix: /v1/nobody }, route: { cluster: nobody } }
  - { match: { prefix: /v1/gone }, route: { cluster: gone } }
  - { match: { prefix: /v1/messages/hangs }, route: { cluster: provider, timeout: 0.1s } }
  - { match: { prefix: /v1/hangs }, route: { cluster: provider, timeout: 0.1s } }
  - { match: { prefix: /v1/own }, direct_response: { status: 418, body: { inline_string: teapot } } }
  - { match: { prefix: /v1/, headers: [ { name: x-signalbox-deployment, string_match: { exact: a } } ] }, route: { cluster: provider, timeout: 0s } }
  - { match: { prefix: /v1/ }, route: { cluster: provider, timeout: 0s }, response_headers_to_add: [ { header: { key: x-route, value: unnamed } } ] }
`

// bolted is an Envoy with a snippet in it, before a provider.
type bolted struct {
	*service
	*provider
	url string
}

// bolt starts one. The bare Envoy of the snippet gets routes and clusters of its own,
// and room for bodies as the snippet's comment says; 0: Envoy's default.
func bolt(t *testing.T, version string, o config.Options, room int, opts ...grpc.ServerOption) *bolted {
	t.Helper()
	b := &bolted{service: newService(t, opts...), provider: newProvider(t)}
	o.Version, o.Signalbox = version, b.service.addr
	if o.Mode == config.ExtAuthzHTTP {
		o.Signalbox, o.Log = b.service.http.Listener.Addr().String(), b.service.addr
	}
	snippet, err := config.Filter(o)
	if err != nil {
		t.Fatal(err)
	}
	e := envoytest.Start(t, version, envoyrig.Config{Bootstrap: existing(t, snippet, b.provider.Listener.Addr(), version, room), Env: []string{"SIGNALBOX_GATEWAY_TOKEN=sbg_of-the-test"}})
	listeners, err := e.Listeners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + listeners["callers"]
	return b
}

// existing is somebody's Envoy with the snippet in it.
func existing(t *testing.T, snippet []byte, provider net.Addr, version string, room int) string {
	t.Helper()
	whole, err := config.Whole(snippet)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(whole, &tree); err != nil {
		t.Fatal(err)
	}
	tree["admin"] = parsed(t, "{ address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }")
	static := tree["static_resources"].(map[string]any)
	host, port, err := net.SplitHostPort(provider.String())
	if err != nil {
		t.Fatal(err)
	}
	static["clusters"] = append(static["clusters"].([]any), parsed(t, fmt.Sprintf("{ name: provider, type: STATIC, load_assignment: { cluster_name: provider, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: %s, port_value: %s } } } } ] } ] } }", host, port)),
		parsed(t, "{ name: nobody, type: STATIC, load_assignment: { cluster_name: nobody } }"),
		parsed(t, "{ name: gone, type: STATIC, load_assignment: { cluster_name: gone, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } } } ] } ] } }"))
	listener := static["listeners"].([]any)[0].(map[string]any)
	table := routes
	switch {
	case room > 0 && version == envoyrig.Newest:
		table += fmt.Sprintf("  request_body_buffer_limit: %d\n", room)
	case room > 0:
		listener["per_connection_buffer_limit_bytes"] = room
	}
	manager := listener["filter_chains"].([]any)[0].(map[string]any)["filters"].([]any)[0].(map[string]any)["typed_config"].(map[string]any)
	manager["route_config"] = parsed(t, table)
	out, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// said is what a caller got.
type said struct {
	status int
	header http.Header
	body   string
}

// call sends a chat, or a message by the path, as an application does.
func (b *bolted) call(t *testing.T, path, body string, headers ...string) said {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sbx_of-the-caller")
	req.Header.Set("X-Api-Key", "sbx_of-the-caller")
	req.Header.Set("X-Drop", "1")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return said{resp.StatusCode, resp.Header, string(text)}
}

// What the two dialects' SDKs read.
const (
	chat    = "/v1/chat/completions"
	message = "/v1/messages"
)

func (s said) is(t *testing.T, status int, path, code string) {
	t.Helper()
	want := `"code":"` + code + `"`
	if strings.HasPrefix(path, message) {
		want = `"type":"error"`
		if !strings.Contains(s.body, `"error_code":"`+code+`"`) {
			want += " and the code " + code
		}
	}
	if s.status != status || !strings.Contains(s.body, want) || s.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d %v %s; want %d with %s", path, s.status, s.header, s.body, status, want)
	}
	if status == 503 && (s.header.Get("Retry-After") == "" || s.header.Get("Retry-After-Ms") == "") {
		t.Errorf("%s: a 503 that does not say when to come again: %v", path, s.header)
	}
}

// The filters and the Envoys that each must load in and work with.
var bolts = []struct {
	mode     config.Mode
	versions []string
}{
	{config.ExtAuthz, []string{envoyrig.Oldest, envoyrig.Newest}},
	{config.ExtAuthzHTTP, []string{envoyrig.Oldest, envoyrig.Newest}},
	{config.ExtProc, []string{envoyrig.Oldest, envoyrig.Newest}},
}

// A snippet in somebody's Envoy: who is let through, who is refused, and what callers
// read when nobody decides.
func TestBolted(t *testing.T) {
	for _, b := range bolts {
		for _, version := range b.versions {
			for _, failure := range []config.FailureMode{config.Closed, config.Open} {
				t.Run(fmt.Sprintf("%s %s %s", b.mode, version, failure), func(t *testing.T) {
					t.Parallel()
					o := config.DefaultOptions()
					o.Mode, o.FailureMode, o.Timeout = b.mode, failure, 4*time.Second
					bolted := bolt(t, version, o, 0)
					t.Run("let through", func(t *testing.T) { bolted.letsThrough(t) })
					t.Run("refused", func(t *testing.T) { bolted.refuses(t) })
					t.Run("Envoy's own", func(t *testing.T) { bolted.answersItself(t) })
					t.Run("undecided", func(t *testing.T) { bolted.undecided(t, o) })
				})
			}
		}
	}
}

// letsThrough: the route is chosen by the header that we write and no caller can, and
// no key goes out.
func (b *bolted) letsThrough(t *testing.T) {
	b.service.is(lets)
	for _, path := range []string{chat, message} {
		got := b.call(t, path, `{"model":"m"}`, "X-Signalbox-Deployment", "forged", "X-Envoy-Max-Retries", "9", "Cookie", "c")
		if got.status != 200 || got.body != "the provider's own" || got.header.Get("X-Route") != "" {
			t.Errorf("%s: %+v", path, got)
		}
		seen := *b.provider.seen.Load()
		if seen.Get("X-Signalbox-Deployment") != "a" {
			t.Errorf("the deployment's header is %q", seen.Get("X-Signalbox-Deployment"))
		}
		for _, name := range []string{"Authorization", "X-Api-Key", "Cookie", "X-Drop", "X-Envoy-Max-Retries", "X-Envoy-Auth-Partial-Body"} {
			if value, there := seen[name]; there && name != "X-Envoy-Auth-Partial-Body" {
				t.Errorf("the provider was shown %s: %q", name, value)
			}
		}
		asked := *b.service.asked.Load()
		if !slices.Equal(asked.Get("x-signalbox-profile"), []string{"header"}) || !slices.Equal(asked.Get("x-signalbox-gateway-token"), []string{"sbg_of-the-test"}) {
			t.Errorf("the service was told %v", asked)
		}
	}
	rigtest.Eventually(t, "the access log comes", func() error {
		if md := b.service.logged.Load(); md == nil || !slices.Equal(md.Get("x-signalbox-gateway-token"), []string{"sbg_of-the-test"}) {
			return fmt.Errorf("it came with %v", md)
		}
		return nil
	})
}

// refuses: our refusal is a local reply of Envoy's, and must come through to the byte.
func (b *bolted) refuses(t *testing.T) {
	b.service.is(refuses)
	for _, path := range []string{chat, message} {
		if got := b.call(t, path, "{}"); got.status != 402 || got.body != refusal || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// answersItself: what Envoy says is JSON; what routes and providers say is theirs.
func (b *bolted) answersItself(t *testing.T) {
	b.service.is(lets)
	b.call(t, "/v1/nobody", "{}").is(t, 502, "/v1/nobody", "upstream_unavailable")
	b.call(t, "/v1/messages/nobody", "{}").is(t, 502, "/v1/messages/nobody", "upstream_unavailable")
	b.call(t, "/v1/gone", "{}").is(t, 502, "/v1/gone", "upstream_unavailable")
	b.call(t, "/v1/hangs", "{}").is(t, 504, "/v1/hangs", "upstream_timeout")
	b.call(t, "/v1/messages/hangs", "{}").is(t, 504, "/v1/messages/hangs", "upstream_timeout")
	b.call(t, "/elsewhere", "{}").is(t, 404, "/elsewhere", "path_unknown")
	if got := b.call(t, "/v1/own", "{}"); got.status != 418 || got.body != "teapot" {
		t.Errorf("a route's own answer: %+v", got)
	}
	if got := b.call(t, "/v1/refuses", "{}"); got.status != 503 || got.body != "the provider's own" || got.header.Get("Retry-After") != "" {
		t.Errorf("a provider's own 503: %+v", got)
	}
}

// undecided: a service that is broken, slow, and then away.
func (b *bolted) undecided(t *testing.T, o config.Options) {
	states := []struct {
		name string
		mood mood
	}{{"broken", breaks}, {"slow", hangs}, {"away", lets}}
	if o.Mode == config.ExtProc {
		states = slices.Insert(states, 1, struct {
			name string
			mood mood
		}{"broken late", breaksLate})
	}
	for _, s := range states {
		b.service.is(s.mood)
		if s.name == "away" {
			b.service.stop()
		}
		for _, path := range []string{chat, message} {
			got := b.call(t, path, "{}")
			if o.FailureMode == config.Closed {
				t.Run(s.name, func(t *testing.T) { got.is(t, 503, path, "undecided") })
				continue
			}
			if got.status != 200 || got.body != "the provider's own" {
				t.Errorf("%s: a call that nobody decided does not pass: %+v", s.name, got)
			}
			if seen := *b.provider.seen.Load(); seen.Get("Authorization")+seen.Get("X-Api-Key") != "" {
				t.Errorf("%s: the caller's key reached the provider: %v", s.name, seen)
			}
		}
	}
}
