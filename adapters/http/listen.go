package http

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// Timeouts bound how long a client may take for each part of a request, so that
// one that stands still does not hold a connection for ever.
type Timeouts struct {
	Header time.Duration // until the headers are read
	Read   time.Duration // until the body is read too
	Write  time.Duration // until the answer is written; streams renew their own
	Idle   time.Duration // between requests
}

// DefaultTimeouts leave time for 8 MiB over a slow line and for a call that
// waits for money.
func DefaultTimeouts() Timeouts {
	return Timeouts{Header: 10 * time.Second, Read: 60 * time.Second, Write: 120 * time.Second, Idle: 120 * time.Second}
}

// maxHeaderBytes is for the gateways' own headers; the callers' travel in bodies.
const maxHeaderBytes = 64 << 10

// NewServer makes a server with bounds. Close and Shutdown are the caller's to
// call. The server's own complaints (handshakes, broken requests) go to log.
func NewServer(handler http.Handler, tls door.TLS, timeouts Timeouts, log *slog.Logger) (*http.Server, error) {
	config, err := tls.Config()
	if err != nil {
		return nil, err
	}
	return &http.Server{
		Handler: handler, TLSConfig: config,
		ReadHeaderTimeout: timeouts.Header, ReadTimeout: timeouts.Read,
		WriteTimeout: timeouts.Write, IdleTimeout: timeouts.Idle,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}, nil
}
