package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	doorhttp "github.com/signalbox-dev/signalbox/adapters/http"
	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// openCredentials reads the providers' credentials, and puts up the board of which
// deployments are well.
func (b *box) openCredentials(context.Context) (err error) {
	if b.credentials, err = vault.OpenCredentials(b.config.Credentials.Dir, os.Environ(), b.log); err != nil {
		return err
	}
	b.run("credentials", b.credentials.Run)
	b.health = health.NewBoard(time.Now)
	b.health.Notify(func(c health.Change) {
		b.log.Warn("a deployment's health changed", "deployment", c.State.Deployment, "from", c.From, "to", c.To, "cause", c.State.Cause)
	})
	// What one replica learns of a deployment the others need not find out, each at
	// the cost of its own callers.
	b.run("health of deployments", health.NewSpread(b.health, b.journal, b.epoch, b.log).Run)
	return nil
}

// newProxy makes the handler of calls that come without a gateway.
func (b *box) newProxy(asked asked, memory proxy.Memory, tracer *tracing) *proxy.Proxy {
	limits, c := proxy.DefaultLimits(), b.config.Proxy
	limits.Body, limits.Streams, limits.Drains = int64(b.config.Limits.Body), b.config.Limits.Streams, c.Drains
	limits.Connect, limits.FirstByte = time.Duration(c.ConnectTimeout), time.Duration(c.FirstByteTimeout)
	limits.Idle, limits.Write = time.Duration(c.IdleTimeout), time.Duration(c.CallerTimeout)
	calls := proxy.New(limits, proxy.Parts{
		Decider: asked, Settler: asked, Credentials: b.credentials, Health: b.health, Memory: memory, Keys: b.decisions,
		Unspoken: http.HandlerFunc(doorhttp.NotFound), Observe: tracer.tries(proxy.NewMetrics(b.metrics)), Now: time.Now, Log: b.log,
	})
	inFlight := func(pick func() int) func() float64 { return func() float64 { return float64(pick()) } }
	b.metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "signalbox_proxy_calls", Help: "Calls through the proxy in flight, drains included."},
			inFlight(func() int { calls, _ := calls.Stats(); return calls })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "signalbox_proxy_drains", Help: "Calls that are read on after their caller has gone."},
			inFlight(func() int { _, drains := calls.Stats(); return drains })),
	)
	b.ready.watch(false, func() string {
		return missing(b.registry.Snapshot().Providers(), b.credentials, b.config.Credentials.Dir)
	})
	b.ready.watch(false, func() string { return trouble(b.credentials.Problems()) })
	return calls
}

// missing names the credentials that providers want and that are not there, and how
// to give them. Gateways bring their own; so this is only said where the proxy runs.
func missing(providers []*registry.Provider, credentials proxy.Credentials, dir string) string {
	var said []string
	for _, p := range providers {
		if p.Credential == "" {
			continue
		}
		if _, ok := credentials.Credential(p.Credential); ok {
			continue
		}
		said = append(said, fmt.Sprintf("%s for provider %s (write the file %s, or set SIGNALBOX_CREDENTIAL_%s)",
			p.Credential, p.Name, filepath.Join(dir, p.Credential), inCapitals(p.Credential)))
	}
	return sentence("credentials: missing, so the proxy cannot call: ", said)
}

// trouble is what is wrong with credentials that are there.
func trouble(problems []vault.Problem) string {
	var said []string
	for _, p := range problems {
		if !p.Warning {
			said = append(said, p.String())
		}
	}
	return sentence("credentials: ", said)
}

// sentence names the first few: readiness is read by people, and by probes that log
// all of it.
func sentence(begin string, said []string) string {
	const most = 5
	if len(said) == 0 {
		return ""
	}
	if more := len(said) - most; more > 0 {
		said = append(said[:most:most], fmt.Sprintf("and %d more", more))
	}
	return begin + strings.Join(said, "; ")
}

// inCapitals is a credential's name as its variable has it.
func inCapitals(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}
