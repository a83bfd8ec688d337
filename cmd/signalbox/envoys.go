package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy/accesslog"
	"github.com/signalbox-dev/signalbox/adapters/envoy/authz"
	"github.com/signalbox-dev/signalbox/adapters/envoy/proc"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	doorgrpc "github.com/signalbox-dev/signalbox/adapters/grpc"
	doorhttp "github.com/signalbox-dev/signalbox/adapters/http"
)

// envoys is what answers Envoys: their filters, their access logs, and the Envoys
// themselves, which are told of the registry's deployments and of no others.
type envoys struct {
	proc  *proc.Processor
	authz *authz.Authorizer
	log   *accesslog.Server
	xds   *xds.Server
}

// newEnvoys puts them together; memory is for callers' bodies, shared with the other
// doors.
func (b *box) newEnvoys(asked asked, memory *semaphore.Weighted) (*envoys, error) {
	c := b.config
	admit := doorgrpc.Admit(door.Guard{Gateways: people{b}, TrustLocal: loopback(c.GRPC.Listen)})
	e := &envoys{}
	var err error
	e.xds, err = xds.New(xds.Parts{Registry: b.registry, Credentials: b.credentials, Admit: admit, Observe: xds.NewMetrics(b.metrics),
		Options: xds.Options{TrustedCA: c.Envoy.TrustedCA, Fallback: c.Envoy.Fallback, Body: int64(c.Limits.Body),
			Connect: time.Duration(c.Envoy.ConnectTimeout), FirstByte: time.Duration(c.Envoy.FirstByteTimeout)},
		Now: time.Now, Log: b.log})
	if err != nil {
		return nil, err
	}
	b.run("envoys' configuration", e.xds.Run)
	b.ready.watch(false, func() string {
		if problem := e.xds.Status().Problem; problem != "" {
			return fmt.Sprintf("envoys: the newest configuration was not handed out: %s", problem)
		}
		return ""
	})
	limits := proc.DefaultLimits()
	limits.Body, limits.Streams, limits.Try = int64(c.Limits.Body), c.Limits.Streams, time.Duration(c.Envoy.TryTimeout)
	e.proc = proc.New(proc.Parts{Decider: asked, Settler: asked, Admit: admit, Keys: b.decisions, Usable: e.xds.Usable, Health: b.health,
		Memory: memory, Limits: limits, Observe: proc.NewMetrics(b.metrics), Now: time.Now, Log: b.log})
	once := authz.DefaultLimits()
	once.Body, once.FirstByte = int64(c.Limits.Body), time.Duration(c.Envoy.TryTimeout)
	e.authz = authz.New(authz.Parts{Decider: asked, Settler: asked, Admit: admit, Keys: b.decisions, Memory: memory, Usable: e.xds.Usable,
		AdmitHTTP: doorhttp.Admit(door.Guard{Gateways: people{b}, TrustLocal: loopback(c.HTTP.Listen)}),
		Observe:   authz.NewMetrics(b.metrics), Limits: once, Now: time.Now, Log: b.log})
	e.log = accesslog.New(accesslog.Parts{Settler: asked, Undecider: b.decisions, Health: b.health, Admit: admit,
		Observe: accesslog.NewMetrics(b.metrics), Now: time.Now, Log: b.log})
	return e, nil
}

// services are those that speak gRPC.
func (e *envoys) services() []doorgrpc.Service {
	return []doorgrpc.Service{e.proc, e.authz, e.log, e.xds}
}

// besides adds the filter that asks over HTTP to the doors of others.
func (e *envoys) besides(others http.Handler) http.Handler {
	return besides(authz.Prefix+"/", e.authz.Handler(), others)
}

// closeGRPC lets nobody in any more and waits for those who are in. Calls through an
// Envoy are cut, and settled, shortly before the time is over.
func closeGRPC(ctx context.Context, server *doorgrpc.Server, e *envoys) error {
	closed := make(chan struct{})
	go func() { server.Shutdown(ctx); close(closed) }()
	err := e.proc.Shutdown(ctx)
	<-closed
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // they were cut, which their log says; a client that will not finish is no failure of ours
	}
	return err
}
