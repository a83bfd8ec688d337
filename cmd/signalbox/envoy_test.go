package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What was typed wrongly ends with 2 and prints no half configuration.
func TestEnvoyPages(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		code int
		want string // of standard output, or of the complaint
	}{
		{"a whole Envoy", "bootstrap", 0, "route_config_name: signalbox\n"},
		{"a whole Envoy by ext_authz", "bootstrap --mode ext_authz", 0, "route_config_name: signalbox-authz\n"},
		{"a filter", "filter --mode ext_authz --envoy-version 1.36", 0, "value: header"},
		{"a filter over HTTP finds the http listener", "filter --mode ext_authz-http", 0, "port_value: 8080"},
		{"a body", "bootstrap --mode ext_authz --body 4MiB", 0, "max_request_bytes: 4194304"},
		{"a body that is none", "bootstrap --body much", 2, "size"},
		{"a mode that is none", "filter --mode wasm", 2, "ext_authz-http"},
		{"another machine without TLS", "bootstrap --signalbox signalbox.infra:9090", 2, "--tls"},
		{"an argument too many", "bootstrap now", 2, "--help"},
		{"nothing to validate", "validate", 2, "--help"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := typeIn("", append([]string{"envoy"}, strings.Fields(c.args)...)...)
			said := got.stdout
			if c.code != 0 {
				said = got.stderr
			}
			if got.exit != c.code || !strings.Contains(said, c.want) || c.code != 0 && got.stdout != "" {
				t.Errorf("%d\n%.300s\n%s\nwant %d with %q", got.exit, got.stdout, got.stderr, c.code, c.want)
			}
		})
	}
}

// validate says what the binary says, what the binary does not, and that there is none.
func TestEnvoyValidate(t *testing.T) {
	page := typeIn("", "envoy", "bootstrap").stdout
	for _, c := range []struct {
		name, text, envoy string // envoy is what the binary does; "": there is none
		code              int
		stdout, stderr    string
	}{
		{"good", page, "exit 0", 0, "loads it", ""},
		{"good, as far as we know", page, "", 0, "", "CAUTION"},
		{"the binary refuses it", page, "echo no such field; exit 1", 1, "no such field", "wrong in 1"},
		{"the binary crashes", page, "kill -SEGV $$", 1, "crashed", "wrong in 1"},
		{"a trap", strings.ReplaceAll(page, "max_requests: 65536", "max_retries: 1"), "exit 0", 1, "1024", "wrong in 1"},
		{"no YAML", "a: [", "exit 0", 1, "not YAML", "wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "conf.yaml")
			t.Setenv("PATH", "/usr/bin:/bin")
			t.Setenv("ENVOY_BIN", "")
			if c.envoy != "" {
				t.Setenv("ENVOY_BIN", filepath.Join(dir, "envoy"))
				if err := os.WriteFile(filepath.Join(dir, "envoy"), []byte("#!/bin/sh\n"+c.envoy+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{file, "-"} {
				got := typeIn(c.text, "envoy", "validate", name)
				if got.exit != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) {
					t.Errorf("%+v\nwant %d with %q and %q", got, c.code, c.stdout, c.stderr)
				}
			}
		})
	}
	if got := typeIn(page, "envoy", "validate", "-", "--envoy", "/not/there"); got.exit != 1 || !strings.Contains(got.stderr, "/not/there") {
		t.Errorf("an envoy that is not there: %+v", got)
	}
}

// status shows a refusal in Envoy's own words, and nothing that could steer a terminal.
func TestEnvoyStatus(t *testing.T) {
	said := reply{200, `{"registry_version": 7, "version": "7-abc", "since": "2026-01-02T03:04:05Z", "problem": "no secret for b",
			"deployments": [{"name": "a", "state": "refused", "refused_by": ["edge-1"]}], "left_out": [{"deployment": "b", "why": "credential b is missing"}],
			"envoys": [{"node": "edge-1", "cluster": "c", "gateway": "edge", "envoy": "1.40.0", "state": "behind", "since": "2026-01-02T03:04:05Z",
			"acked": {"routes": "6-abc", "clusters": "7-abc"}, "nack": {"at": "2026-01-02T03:04:05Z", "type": "clusters", "version": "7-abc", "message": "bad \u001b[2J cluster"}}]}`}
	s := newService(t, said, said)
	got := typeIn("", "envoy", "status")
	for _, want := range []string{"version 7-abc since 2026-01-02 03:04:05Z, of registry 7", "no secret for b", "clusters 7-abc, routes 6-abc", "credential b is missing", "left out", "edge-1 refused clusters of version 7-abc", "bad  [2J cluster"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if got.exit != 0 || strings.Contains(got.stdout, "\x1b") || s.asked[0].Line != "GET /admin/v1/envoy" {
		t.Errorf("%+v", got)
	}
	if got := typeIn("", "envoy", "status", "-o", "json"); got.exit != 0 || !strings.Contains(got.stdout, `"nack": {`) {
		t.Errorf("json: %+v", got)
	}
}
