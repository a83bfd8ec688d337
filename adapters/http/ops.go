package http

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
)

// Readiness says how the parts are. The strings are short, name a part and what
// to do about it, and hold nothing of any caller's.
type Readiness interface {
	// Stopped names what keeps decisions from being made; empty: they are made.
	Stopped() []string
	// Degraded names what is missing while decisions go on.
	Degraded() []string
}

// OpsConfig is what the operations' listener is made of.
type OpsConfig struct {
	Ready   Readiness
	Metrics http.Handler // promhttp's
	Pprof   bool         // profiles show memory; only when asked for
	Log     *slog.Logger
}

type healthBody struct {
	Status string `json:"status"`
}

type readyBody struct {
	Status   string   `json:"status"` // ready, degraded or stopped
	Stopped  []string `json:"stopped,omitempty"`
	Degraded []string `json:"degraded"`
}

// NewOps makes the handler of /healthz, /readyz, /metrics and, when asked for,
// /debug/pprof/. It has no authentication: its listener is for monitors only.
func NewOps(c OpsConfig) http.Handler {
	mux := http.NewServeMux()
	// Alive is that we answer at all: a process that waits for its broker must
	// not be restarted, it would wait again.
	mux.Handle("/healthz", only(http.MethodGet, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		respond(w, r, c.Log, http.StatusOK, healthBody{Status: "ok"})
	})))
	mux.Handle("/readyz", only(http.MethodGet, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := readiness(c.Ready)
		respond(w, r, c.Log, status, body)
	})))
	if c.Metrics != nil {
		mux.Handle("/metrics", c.Metrics)
	}
	if c.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("/", NotFound)
	return Recover(c.Log, mux)
}

func readiness(ready Readiness) (int, readyBody) {
	body := readyBody{Status: "ready", Stopped: ready.Stopped(), Degraded: ready.Degraded()}
	if body.Degraded == nil {
		body.Degraded = []string{}
	}
	if len(body.Stopped) > 0 {
		body.Status = "stopped"
		return http.StatusServiceUnavailable, body
	}
	if len(body.Degraded) > 0 {
		body.Status = "degraded"
	}
	return http.StatusOK, body
}
