package xds

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Status is what operators see of the Envoys.
type Status struct {
	RegistryVersion int64     // that was built last
	Version         string    // that is handed out; it begins with the registry's version when it came
	Since           time.Time // when it was handed out
	Problem         string    // why the newest was not; "": it was
	Fallback        []string  // the deployments of calls that nobody decided that are there
	Deployments     []Deployment
	LeftOut         []LeftOut
	Nodes           []Node
}

// Deployment is one that Envoys are told of.
type Deployment struct {
	Name    string
	Usable  bool // calls are sent to it
	Leaving bool // its cluster is about to go
	Refused []string
}

// Node is one connected Envoy.
type Node struct {
	ID, Cluster, Gateway string
	Envoy                string // its version
	TooOld               bool
	Since                time.Time
	Acked                map[string]string // by type: the last version that it took
	Current              bool              // it has taken every cluster as it is now
	Nack                 *Nack             // the last; nil: none
}

// Status is the state now.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{RegistryVersion: s.world, Version: s.version, Since: s.pushed, LeftOut: slices.Clone(s.leftOut)}
	if s.problem != nil {
		out.Problem = s.problem.Error()
	}
	for _, name := range s.Options.Fallback {
		if p := s.places[name]; p != nil && !p.leaving() {
			out.Fallback = append(out.Fallback, name)
		}
	}
	usable := *s.usable.Load()
	for _, name := range slices.Sorted(maps.Keys(s.places)) {
		p := s.places[name]
		d := Deployment{Name: name, Usable: usable[name], Leaving: p.leaving()}
		for _, n := range s.nodes {
			if n.current() && n.refused[clusterOf(name)] == p.version {
				d.Refused = append(d.Refused, n.id)
			}
		}
		slices.Sort(d.Refused)
		out.Deployments = append(out.Deployments, d)
	}
	for _, n := range s.nodes {
		if n.known {
			out.Nodes = append(out.Nodes, s.nodeStatus(n))
		}
	}
	slices.SortFunc(out.Nodes, func(a, b Node) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return a.Since.Compare(b.Since)
	})
	return out
}

func (s *Server) nodeStatus(n *node) Node {
	out := Node{ID: n.id, Cluster: n.cluster, Gateway: n.gateway, Envoy: n.envoy, TooOld: n.group == groupOld, Since: n.since, Acked: maps.Clone(n.acked), Current: n.current()}
	for name, p := range s.places {
		out.Current = out.Current && n.has[clusterOf(name)] == p.version
	}
	if n.nack != nil {
		nack := *n.nack
		out.Nack = &nack
	}
	return out
}
