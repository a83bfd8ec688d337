package xds_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// A public provider as anybody would write it, and what few have beside.
const everyKind = `
providers:
  - {name: openai, kind: openai, base_url: "https://api.openai.com/v1", credential: openai}
  - {name: weu, kind: azure-openai, base_url: "https://acme-weu.openai.azure.com", api_version: "2024-10-21", credential: azure-weu}
  - {name: entra, kind: azure-openai, base_url: "https://acme-neu.openai.azure.com", api_version: v1, credential: entra, auth_header: authorization, auth_prefix: "Bearer "}
  - {name: anthropic, kind: anthropic, base_url: "https://api.anthropic.com", credential: anthropic}
  - {name: behind, kind: openai-compatible, base_url: "https://llm.example.com:8443/v1", credential: openai, proxy_url: "http://10.0.0.1:3128"}
  - {name: own, kind: openai-compatible, base_url: "http://10.1.2.3:8000/v1", allow_private: true}
  - {name: six, kind: openai-compatible, base_url: "https://[fd12::1]:8443/v1", credential: openai, allow_private: true}
models:
  - {name: gpt, dialect: openai, context: 128000, max_output: 4096}
  - {name: claude, dialect: anthropic, context: 128000, max_output: 4096}
deployments:
  - {name: openai, provider: openai, model: gpt, upstream_model: gpt, kind: paygo}
  - {name: weu, provider: weu, model: gpt, upstream_model: gpt, kind: paygo}
  - {name: entra, provider: entra, model: gpt, upstream_model: gpt, kind: paygo}
  - {name: claude, provider: anthropic, model: claude, upstream_model: claude, kind: paygo}
  - {name: behind, provider: behind, model: gpt, upstream_model: gpt, kind: paygo}
  - {name: own, provider: own, model: gpt, upstream_model: gpt, kind: paygo}
  - {name: six, provider: six, model: gpt, upstream_model: gpt, kind: paygo}
paths:
  - {path: "/v1/files/*", methods: [GET, POST], unmetered: true}
  - {path: "/v1/whoami", unmetered: true}
`

// What is built loads into the real binary in one piece, as configuration of its own:
// over ADS it is judged in parts.
func TestAllOfItLoads(t *testing.T) {
	credentials := &keys{values: map[string]string{"openai": "sk-1", "azure-weu": "az-1", "entra": "ey", "anthropic": "sk-ant"}, changed: make(chan struct{})}
	options := xds.Options{Fallback: []string{"openai"}}
	built := xds.Build(xds.Input{World: world(t, everyKind).Snapshot(), Credential: credentials.Credential, ReadFile: os.ReadFile, Options: options})
	if len(built.LeftOut) != 0 || len(built.Places) != 7 || len(built.Paths) != 2 {
		t.Fatalf("%d places, %d paths, left out: %+v", len(built.Places), len(built.Paths), built.LeftOut)
	}
	resources, err := xds.Arrange(built.Places, built.Paths, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := xds.Check(resources, func(name string) bool { _, ok := built.Places[name]; return ok }); err != nil {
		t.Fatal(err)
	}
	binary, err := envoyrig.Binary(t.Context(), envoyrig.Newest, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "envoy.json")
	if err := os.WriteFile(file, static(t, resources), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := envoyrig.Validate(t.Context(), binary, file); err != nil {
		t.Error(err)
	}
}

// static is resources as a bootstrap of their own. Its secrets are static too: Envoy
// 1.40 crashes when it validates a static cluster whose credential comes by ADS.
func static(t *testing.T, r xds.Resources) []byte {
	t.Helper()
	var listeners []any
	for i, routes := range r.Routes {
		listeners = append(listeners, map[string]any{
			"name":    routes.Name,
			"address": map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": 21000 + i}},
			"filter_chains": []any{map[string]any{"filters": []any{map[string]any{
				"name": "envoy.filters.network.http_connection_manager",
				"typed_config": map[string]any{
					"@type":        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
					"stat_prefix":  "a",
					"route_config": plain(t, routes),
					"http_filters": []any{map[string]any{"name": "envoy.filters.http.router", "typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}},
				},
			}}}},
		})
	}
	var clusters, secrets []any
	for _, c := range r.Clusters {
		clusters = append(clusters, plain(t, c))
	}
	for _, s := range r.Secrets {
		secrets = append(secrets, plain(t, s))
	}
	out, err := json.Marshal(map[string]any{
		"node":             map[string]any{"id": "a", "cluster": "a"},
		"static_resources": map[string]any{"listeners": listeners, "clusters": clusters, "secrets": secrets},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// plain is a message as JSON, without where its secrets come from.
func plain(t *testing.T, m proto.Message) any {
	t.Helper()
	text, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "sdsConfig")
			for _, inner := range v {
				strip(inner)
			}
		case []any:
			for _, inner := range v {
				strip(inner)
			}
		}
	}
	strip(out)
	return out
}

// What an Envoy refuses is known by name, is not sent to, and takes nothing with it.
func TestARefusedCluster(t *testing.T) {
	l := newLabWith(t, xds.Options{TrustedCA: "/there/is/no/such/file"}, `
providers:
  - {name: public, kind: openai, base_url: "https://api.openai.com/v1", credential: a}
deployments:
  - {name: public, provider: public, model: m, upstream_model: gpt, kind: paygo}
`)
	if got := l.ask(t, l.decided+chat, `{}`, "x-order", "b,c", headerDo, "b=429"); got != (answer{200, "c answers"}) {
		t.Errorf("the others: %+v", got)
	}
	rigtest.Eventually(t, "the refusal is told", func() error {
		if l.server.Usable("public") {
			return errStillUsable
		}
		return nil
	})
	s := l.server.Status()
	if len(s.Nodes) != 1 || s.Nodes[0].Nack == nil || s.Nodes[0].Nack.Type != "clusters" || !strings.Contains(s.Nodes[0].Nack.Message, "deployment/public") || s.Nodes[0].Current {
		t.Errorf("%+v", s.Nodes)
	}
	for _, d := range s.Deployments {
		if d.Usable == (d.Name == "public") || (len(d.Refused) == 1) != (d.Name == "public") {
			t.Errorf("%+v", d)
		}
	}
}
