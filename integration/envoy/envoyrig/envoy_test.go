package envoyrig_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
)

// answering is the least that an Envoy can do.
const answering = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
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
          http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: here}}}]}]}
`

// Both pinned programs start, are what they are said to be, can be asked, and end.
func TestThePinnedEnvoys(t *testing.T) {
	for _, version := range []string{envoyrig.Newest, envoyrig.Oldest} {
		t.Run(version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			binary, err := envoyrig.Binary(ctx, version, os.Stderr)
			if err != nil {
				t.Fatal(err)
			}
			e, err := envoyrig.Start(ctx, envoyrig.Config{Binary: binary, Dir: t.TempDir(), Bootstrap: answering})
			if err != nil {
				t.Fatal(err)
			}
			if info, err := e.Get(ctx, "/server_info"); err != nil || !strings.Contains(string(info), "/"+version+"/") {
				t.Errorf("it says of itself (%v): %.200s", err, info)
			}
			listeners, err := e.Listeners(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got := get(t, "http://"+listeners["calls"]); got != "here" {
				t.Errorf("it answers %q", got)
			}
			stats, err := e.Stats(ctx, "http.calls.downstream_rq_2xx")
			if err != nil || stats["http.calls.downstream_rq_2xx"] != 1 {
				t.Errorf("it counted %v (%v)", stats, err)
			}
			if dump, err := e.ConfigDump(ctx); err != nil || !strings.Contains(string(dump), "direct_response") {
				t.Errorf("its configuration (%v): %.200s", err, dump)
			}
			if err := e.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What Envoy does not take is said with its reason, whether it is asked or started.
func TestWhatEnvoyDoesNotTake(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	binary, err := envoyrig.Binary(ctx, envoyrig.Newest, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	for text, reason := range map[string]string{answering: "", answering + "nonsense: 1\n": "nonsense"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := envoyrig.Validate(ctx, binary, file)
		if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("validate says %v; want %q in it", err, reason)
		}
	}
	if _, err := envoyrig.Start(ctx, envoyrig.Config{Binary: binary, Dir: t.TempDir(), Bootstrap: answering + "nonsense: 1\n"}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("start says %v", err)
	}
	if _, err := envoyrig.Binary(ctx, "0.0.1", os.Stderr); err == nil || !strings.Contains(err.Error(), "no pin") {
		t.Errorf("a version that is not pinned: %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
