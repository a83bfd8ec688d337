package envoy_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// somebodys is an Envoy that was there before: its own routes and clusters, and its own
// way to give each provider its key. Deployments are routed by hand.
const somebodys = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
node: {id: somebodys, cluster: somebodys}
static_resources:
  listeners:
  - name: calls
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: calls
          use_remote_address: true
          http_filters:
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /, headers: [{name: x-signalbox-deployment, string_match: {suffix: -beta}}]}
                request_headers_to_add: [{header: {key: api-key, value: %[4]s}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
                route: {cluster: beta, timeout: 0s}
              - match: {prefix: /v1/messages}
                request_headers_to_add: [{header: {key: x-api-key, value: %[3]s}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
                route: {cluster: alpha, timeout: 0s}
              - match: {prefix: /}
                request_headers_to_add: [{header: {key: authorization, value: Bearer %[3]s}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
                route: {cluster: alpha, timeout: 0s}
  clusters:
  - {name: alpha, load_assignment: {cluster_name: alpha, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[1]s}}}}]}]}}
  - {name: beta, load_assignment: {cluster_name: beta, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[2]s}}}}]}]}}
`

// bolted puts what `signalbox envoy filter` prints where it says that it goes.
func (l *lab) bolted(t *testing.T, version string, flags ...string) *envoytest.Front {
	t.Helper()
	token, err := l.NewGatewayToken(ctx(t), envoytest.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	minor := version[:strings.LastIndex(version, ".")]
	printed, err := l.Run(ctx(t), append([]string{"envoy", "filter", "--envoy-version", minor}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	port := func(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
	var whole, snippet map[string]any
	if err := yaml.Unmarshal(fmt.Appendf(nil, somebodys, port(l.alpha.addr), port(l.beta.addr), alphaKey, betaKey), &whole); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(printed), &snippet); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	static := whole["static_resources"].(map[string]any)
	listener := static["listeners"].([]any)[0].(map[string]any)
	chain := listener["filter_chains"].([]any)[0].(map[string]any)
	manager := chain["filters"].([]any)[0].(map[string]any)["typed_config"].(map[string]any)
	for key, value := range snippet {
		switch key {
		case "clusters":
			static["clusters"] = append(static["clusters"].([]any), value.([]any)...)
		case "secrets":
			static["secrets"] = value
		case "http_filters":
			manager["http_filters"] = append(value.([]any), manager["http_filters"].([]any)...)
		default:
			manager[key] = value
		}
	}
	text, err := yaml.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	e := envoytest.Start(t, version, envoyrig.Config{Bootstrap: string(text), Env: []string{"SIGNALBOX_GATEWAY_TOKEN=" + token}}, token)
	listeners, err := e.Listeners(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return &envoytest.Front{Envoy: e, Addr: listeners["calls"]}
}

// One filter is added to an Envoy that was there, the oldest and the newest: calls are
// allowed, routed by the deployment's name, refused in the caller's dialect, and
// charged; the caller's key ends at the filter.
func TestOneFilterMore(t *testing.T) {
	l := start(t, rig.Config{}, "gpt-plain", "claude-plain")
	for _, row := range []struct {
		version string
		flags   []string
		// exact are the calls whose usage can be known: a chat's stream says it only if it
		// is asked, which needs a filter that changes bodies; and the oldest has no filters
		// that read answers. What is not known is charged as held.
		exact []string
	}{
		{envoyrig.Oldest, []string{"--mode", "ext_authz", "--signalbox", l.GRPC}, nil},
		{envoyrig.Oldest, []string{"--mode", "ext_authz-http", "--signalbox", l.HTTP, "--log", l.GRPC}, nil},
		{envoyrig.Newest, []string{"--mode", "ext_authz-http", "--signalbox", l.HTTP, "--log", l.GRPC}, []string{"gpt-plain json", "claude-plain sse"}},
		{envoyrig.Newest, []string{"--mode", "ext_authz", "--signalbox", l.GRPC}, []string{"gpt-plain json", "claude-plain sse"}},
		{envoyrig.Newest, []string{"--mode", "ext_proc", "--signalbox", l.GRPC}, []string{"gpt-plain json", "gpt-plain sse", "claude-plain json", "claude-plain sse"}},
	} {
		t.Run(row.version+" "+row.flags[1], func(t *testing.T) {
			l.alpha.Reset()
			l.beta.Reset()
			front := l.bolted(t, row.version, row.flags...)
			calls := map[string]string{} // what they were, by their decisions
			for _, model := range l.models {
				for how, stream := range map[string]bool{"json": false, "sse": true} {
					a := l.mustAsk(t, front.URL(), call{model: model, stream: stream, max: 50, steer: []string{upstream.HeaderOutput, "12"}})
					calls[a.decision] = model + " " + how
				}
			}
			l.judgeBolted(t, calls, row.exact)
			l.refusedThere(t, front)
		})
	}
}

func (l *lab) judgeBolted(t *testing.T, calls map[string]string, exact []string) {
	t.Helper()
	seen := l.alpha.Calls()
	if len(seen) != len(calls) || len(l.beta.Calls()) > 0 {
		t.Errorf("the providers were called %d and %d times for %d calls", len(seen), len(l.beta.Calls()), len(calls))
	}
	for _, c := range seen {
		l.noCallersKey(t, c)
	}
	if t.Failed() {
		return
	}
	bill := seen[0].Usage // all are the same prompt, and as long
	rows := l.settledThese(t, slices.Collect(maps.Keys(calls)))
	for id, what := range calls {
		if len(rows[id]) != 1 {
			t.Errorf("%s is settled as %+v", what, rows[id])
			continue
		}
		got, want := rows[id][0], cost(bill.Input, bill.Output)
		if got.charged < want || slices.Contains(exact, what) && (got.known != "exact" || got.charged != want) {
			t.Errorf("%s is settled as %+v; want %d, what the provider billed", what, got, want)
		}
	}
}

// refusedThere: an unknown key and a model that nobody has, in each dialect.
func (l *lab) refusedThere(t *testing.T, front *envoytest.Front) {
	t.Helper()
	before := len(l.alpha.Calls()) + len(l.beta.Calls())
	stranger := *l
	stranger.key = "sbx_nobodyhasthiskey"
	for _, row := range []struct {
		l      *lab
		model  string
		status int
		code   string
	}{
		{&stranger, "gpt-plain", http.StatusUnauthorized, "key_unknown"}, {&stranger, "claude-plain", http.StatusUnauthorized, "key_unknown"},
		{l, "gpt-none", http.StatusNotFound, "model_unknown"}, {l, "claude-none", http.StatusNotFound, "model_unknown"},
	} {
		a, err := row.l.ask(ctx(t), front.URL(), call{model: row.model})
		if err != nil {
			t.Fatal(err)
		}
		if a.status != row.status || !strings.Contains(a.body, row.code) || a.decision == "" || strings.HasPrefix(row.model, "claude") != strings.Contains(a.body, `"type":"error"`) {
			t.Errorf("%s: %d %v %s; want %d %s in its dialect", row.model, a.status, a.header, a.body, row.status, row.code)
		}
	}
	if now := len(l.alpha.Calls()) + len(l.beta.Calls()); now != before {
		t.Errorf("%d refused calls reached a provider", now-before)
	}
}

// What is longer than the filter shows is judged as a part, and refused as too large in
// the caller's dialect; nothing of it goes out.
func TestAPartOfABody(t *testing.T) {
	l := start(t, rig.Config{}, "gpt-plain", "claude-plain")
	for _, version := range []string{envoyrig.Oldest, envoyrig.Newest} {
		front := l.bolted(t, version, "--mode", "ext_authz", "--signalbox", l.GRPC, "--body", "4KiB")
		for _, model := range l.models {
			a, err := l.ask(ctx(t), front.URL(), call{model: model, longer: 300 << 10})
			if err != nil {
				t.Fatal(err)
			}
			if a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, "too_large") || strings.HasPrefix(model, "claude") != strings.Contains(a.body, `"type":"error"`) {
				t.Errorf("%s, %s: %d %v %s", version, model, a.status, a.header, a.body)
			}
			if a := l.mustAsk(t, front.URL(), call{model: model}); a.decision == "" {
				t.Errorf("%s, %s: a whole body goes out without a decision", version, model)
			}
		}
	}
	if calls := l.alpha.Calls(); len(calls) != 4 {
		t.Errorf("the provider was called %d times; want 4", len(calls))
	}
}

// An Envoy of somebody's own that lets calls pass while nobody decides: they pass
// without their caller's key, and the audit has them as passed and unmetered.
func TestCallsThatPassWhileNobodyDecides(t *testing.T) {
	l := start(t, rig.Config{}, "gpt-plain", "claude-plain")
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			l.alpha.Reset()
			front := l.bolted(t, envoyrig.Newest, "--mode", mode, "--signalbox", l.GRPC, "--failure-mode", "open", "--timeout", "4s")
			l.allAnswered(t, front)
			if err := l.Pause(); err != nil {
				t.Fatal(err)
			}
			for _, model := range l.models {
				if a := l.mustAsk(t, front.URL(), call{model: model}); a.decision != "" {
					t.Errorf("%s: a decision of nobody's: %v", model, a.header)
				}
			}
			if err := l.Resume(); err != nil {
				t.Fatal(err)
			}
			for _, c := range l.alpha.Calls() {
				l.noCallersKey(t, c)
			}
			l.answeredAgain(t, front)
			l.undecided(t, "allow", len(l.models))
		})
	}
}
