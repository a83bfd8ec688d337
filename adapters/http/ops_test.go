package http_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	httpdoor "github.com/signalbox-dev/signalbox/adapters/http"
)

type health struct{ stopped, degraded []string }

func (h *health) Stopped() []string  { return h.stopped }
func (h *health) Degraded() []string { return h.degraded }

// Readiness is 200 while decisions can be made, whatever else is missing.
func TestOps(t *testing.T) {
	ready := &health{}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("m 1\n")) })
	h := httpdoor.NewOps(httpdoor.OpsConfig{Ready: ready, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	check := func(path string, status int, body string) {
		t.Helper()
		if w := ask(h, "GET", path, ""); w.Code != status || strings.TrimSpace(w.Body.String()) != body {
			t.Errorf("%s: %d %s, want %d %s", path, w.Code, w.Body, status, body)
		}
	}
	check("/healthz", 200, `{"status":"ok"}`)
	check("/readyz", 200, `{"status":"ready","degraded":[]}`)
	ready.degraded = []string{"analytics: run signalbox engine install"}
	check("/readyz", 200, `{"status":"degraded","degraded":["analytics: run signalbox engine install"]}`)
	ready.stopped = []string{"spool: full"}
	check("/readyz", 503, `{"status":"stopped","stopped":["spool: full"],"degraded":["analytics: run signalbox engine install"]}`)
	check("/healthz", 200, `{"status":"ok"}`)
	check("/metrics", 200, "m 1")
	check("/debug/pprof/", 404, `{"error":{"code":"not_found","message":"there is nothing at this path"}}`)
	withProfiles := httpdoor.NewOps(httpdoor.OpsConfig{Ready: ready, Pprof: true, Log: slog.New(slog.DiscardHandler)})
	if w := ask(withProfiles, "GET", "/debug/pprof/cmdline", ""); w.Code != 200 {
		t.Errorf("pprof, asked for: %d", w.Code)
	}
}
