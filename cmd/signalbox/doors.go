package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/signalbox-dev/signalbox/adapters/door"
	doorgrpc "github.com/signalbox-dev/signalbox/adapters/grpc"
	doorhttp "github.com/signalbox-dev/signalbox/adapters/http"
	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/registry"
)

// startOps answers probes before anything else is up.
func (b *box) startOps(context.Context) error {
	handler := doorhttp.NewOps(doorhttp.OpsConfig{Ready: b.ready, Pprof: b.config.Ops.Pprof, Log: b.log,
		Metrics: promhttp.HandlerFor(b.metrics, promhttp.HandlerOpts{})})
	return b.serveHTTP("ops", b.config.Ops.Listen, b.config.Ops.TLS, handler, nil)
}

// openDoors lets gateways and operators in.
func (b *box) openDoors(ctx context.Context) error {
	b.watchJournal()
	c := b.config
	tracer, err := b.openTracing(ctx)
	if err != nil {
		return err
	}
	asked := tracer.decisions(b.decisions)
	local := loopback(c.HTTP.Listen)
	gateways := doorhttp.Config{Decider: asked, Settler: asked, Body: int64(c.Limits.Body), Log: b.log,
		Guard: door.Guard{Gateways: people{b}, TrustLocal: local}, Memory: doorhttp.NewMemory(int64(c.Limits.Bodies), int64(c.Limits.Body))}
	var calls *proxy.Proxy
	if c.Proxy.Enabled {
		calls = b.newProxy(asked, gateways.Memory, tracer)
		gateways.Calls = tracer.calls(calls)
	}
	if b.envoys, err = b.newEnvoys(asked, gateways.Memory); err != nil {
		return fmt.Errorf("envoys: %w", err)
	}
	handler := b.envoys.besides(doorhttp.New(gateways))
	if local {
		b.log.Warn("on loopback, gateways and operators of this machine need no token", "http", c.HTTP.Listen)
		handler = besides("/admin/v1/", b.admin(true), handler)
	}
	if err := b.serveHTTP("http", c.HTTP.Listen, c.HTTP.TLS, handler, calls); err != nil {
		return err
	}
	if c.Admin.Listen != "" {
		if err := b.serveHTTP("admin", c.Admin.Listen, c.Admin.TLS, b.admin(loopback(c.Admin.Listen)), nil); err != nil {
			return err
		}
	}
	return b.serveGRPC(asked)
}

// besides serves one prefix beside everything else. Not by a ServeMux, which would
// answer callers whose paths are not clean with a redirect.
func besides(prefix string, its, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix) {
			its.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// watchJournal tells readiness when facts can no longer be taken.
func (b *box) watchJournal() {
	b.ready.watch(true, func() string {
		if b.spool.Full() {
			return "spool: full; the journal has not answered for too long: bring the brokers back, or raise journal.spool_max"
		}
		return ""
	})
	b.ready.watch(false, func() string {
		if err := b.journal.Healthy(); err != nil {
			return fmt.Sprintf("journal: %v; calls go out while leases last", err)
		}
		return ""
	})
	b.ready.watch(false, func() string {
		if b.registry.Snapshot().Version == 0 {
			return "registry: empty; every call is refused until `signalbox apply -f registry.yaml`"
		}
		return ""
	})
}

func (b *box) admin(trustLocal bool) http.Handler {
	return doorhttp.NewAdmin(doorhttp.AdminConfig{Registry: b.registry, Ledger: b.keeper, Names: people{b}, Analytics: b.store,
		Envoys: b.envoys.xds, Operators: people{b}, TrustLocal: trustLocal, Version: adminapi.VersionResponse{Version: version}, Now: time.Now, Log: b.log})
}

// serveHTTP answers on one address. calls are those that may take minutes; nil:
// all are short.
func (b *box) serveHTTP(name, addr string, tls ServerTLS, handler http.Handler, calls *proxy.Proxy) error {
	server, err := doorhttp.NewServer(handler, door.TLS(tls), doorhttp.DefaultTimeouts(), b.log)
	if err != nil {
		return fmt.Errorf("%s.tls: %w", name, err)
	}
	l, err := listen(addr)
	if err != nil {
		return fmt.Errorf("%s.listen: %w", name, err)
	}
	serve := func() error { return server.Serve(l) }
	if server.TLSConfig != nil {
		serve = func() error { return server.ServeTLS(l, "", "") }
	}
	go func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			b.ready.broken(name, err)
		}
	}()
	b.onStop(name, func(ctx context.Context) error { return b.closeHTTP(ctx, name, server, calls) })
	return nil
}

// closeHTTP lets nobody in any more and waits for those who are in. Calls through
// the proxy are cut, and settled, shortly before the time is over; what is still
// there at the end is cut without a word: a client that will not finish is no
// failure of this process.
func (b *box) closeHTTP(ctx context.Context, name string, server *http.Server, calls *proxy.Proxy) error {
	closed := make(chan error, 1)
	go func() { closed <- server.Shutdown(ctx) }()
	var err error
	if calls != nil {
		err = calls.Shutdown(ctx)
	}
	shut := <-closed
	if errors.Is(shut, context.DeadlineExceeded) {
		b.log.Warn("connections that did not end in time are cut", "listener", name)
		shut = server.Close()
	}
	return errors.Join(err, shut)
}

func (b *box) serveGRPC(asked asked) error {
	server, err := doorgrpc.NewServer(doorgrpc.Config{Decider: asked, Settler: asked, Body: int64(b.config.Limits.Body),
		Streams: b.config.Limits.Streams, Beside: b.envoys.services(), Log: b.log, Guard: door.Guard{Gateways: people{b}, TrustLocal: loopback(b.config.GRPC.Listen)}}, door.TLS(b.config.GRPC.TLS))
	if err != nil {
		return fmt.Errorf("grpc.tls: %w", err)
	}
	l, err := listen(b.config.GRPC.Listen)
	if err != nil {
		return fmt.Errorf("grpc.listen: %w", err)
	}
	go func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
			b.ready.broken("grpc", err)
		}
	}()
	b.onStop("grpc", func(ctx context.Context) error { return closeGRPC(ctx, server, b.envoys) })
	return nil
}

// people knows the gateways and operators of the registry by their tokens.
type people struct{ b *box }

// GatewayByToken is the gateway that a token (sbg_…) was made for.
func (p people) GatewayByToken(token string) (string, bool) {
	key, ok := p.keyOf(token, registry.KeyGateway)
	if !ok {
		return "", false
	}
	return key.Gateway, true
}

// keyOf is the key of one kind that a token is.
func (p people) keyOf(token string, kind registry.KeyKind) (*registry.Key, bool) {
	key, problem := p.b.registry.Snapshot().Authenticate(p.b.hasher, token, time.Now())
	return key, problem == registry.KeyOK && key.Kind == kind
}

// KnownGateway reports whether the registry has a gateway of this name.
func (p people) KnownGateway(name string) bool {
	_, ok := p.b.registry.Snapshot().Gateway(name)
	return ok
}

// OperatorByToken is the operator a token (sba_…) was made for. The first one
// comes from the environment: with an empty registry nobody else is known.
func (p people) OperatorByToken(token string) (string, bool) {
	if first := strings.TrimSpace(os.Getenv("SIGNALBOX_ADMIN_TOKEN")); first != "" && registry.SameSecret(first, token) {
		return "SIGNALBOX_ADMIN_TOKEN", true
	}
	key, ok := p.keyOf(token, registry.KeyAdmin)
	if !ok {
		return "", false
	}
	return key.ID, true
}

// Name is what operators read for a pseudonym.
func (p people) Name(tenant, pseudonym string) string { return p.b.names.Name(tenant, pseudonym) }

// Pseudonym is how the books know somebody whom an operator names.
func (p people) Pseudonym(tenant, kind, name string) string {
	return p.b.pseudonyms.Pseudonym(tenant, kind, name)
}
