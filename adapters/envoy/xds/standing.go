package xds

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/vault"
)

// standing is a place as Envoys have it, or will have it in a moment.
type standing struct {
	Place
	version string    // of its cluster; "": not worked out yet
	since   time.Time // when the cluster became what it is
	until   time.Time // when it goes; zero: it stays
	settled bool      // every Envoy has it, or has had the time to take it
	gone    bool      // it may not be sent to, whatever Envoys have
}

func (p *standing) leaving() bool { return !p.until.IsZero() }

// keep is for a cluster that is what it was before.
func (p *standing) keep(before *standing) { p.since, p.settled = before.since, before.settled }

func clusterOf(deployment string) string { return envoy.Cluster(deployment) }

// succeed is what stands after what stood, by what was built. What was not built any
// more stays for the grace: calls that were decided before may be on their way to it.
// Its credential is overwritten where there is none any more, because an Envoy would
// go on with the last one.
func succeed(before map[string]*standing, built map[string]Place, credential func(string) (vault.Secret, bool), now time.Time, grace time.Duration, first bool) map[string]*standing {
	next := make(map[string]*standing, len(built))
	for name, place := range built {
		p := &standing{Place: place, since: now, settled: first}
		if b := before[name]; b != nil && proto.Equal(b.Cluster, place.Cluster) {
			p.version = b.version
			p.keep(b)
		}
		next[name] = p
	}
	for name, b := range before {
		if next[name] != nil || b.leaving() && !now.Before(b.until) {
			continue
		}
		p := *b
		if !p.leaving() {
			p.until = now.Add(grace)
		}
		if p.Credential != "" {
			p.Secret, _ = credential(p.Credential)
		}
		next[name] = &p
	}
	return next
}

func placesOf(standings map[string]*standing) map[string]Place {
	out := make(map[string]Place, len(standings))
	for name, p := range standings {
		out[name] = p.Place
	}
	return out
}

// judge works out which deployments a call may be sent to: what was there when we
// began, and of what came since what every connected Envoy has taken, or had the time
// to take. What one of them refuses is not sent to.
func (s *Server) judge(now time.Time) {
	usable := make(map[string]bool, len(s.places))
	for name, p := range s.places {
		if p.leaving() || p.gone {
			continue
		}
		refused, taken, asked := false, true, 0
		for _, n := range s.nodes {
			if !n.current() {
				continue
			}
			asked++
			refused = refused || n.refused[clusterOf(name)] == p.version
			taken = taken && n.has[clusterOf(name)] == p.version
		}
		p.settled = p.settled || asked > 0 && taken || now.Sub(p.since) >= s.Options.Grace
		usable[name] = p.settled && !refused
	}
	s.usable.Store(&usable)
}

// wake is when something is to be done although nothing happens: a cluster goes, or
// the time to take one is over.
func (s *Server) wake(now time.Time) time.Duration {
	next := pollFiles
	for _, p := range s.places {
		switch {
		case p.leaving():
			next = min(next, p.until.Sub(now))
		case !p.settled:
			next = min(next, p.since.Add(s.Options.Grace).Sub(now))
		}
	}
	return max(next, time.Millisecond)
}
