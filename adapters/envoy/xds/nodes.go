package xds

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// groupCurrent and groupOld are the two configurations: for Envoys that can follow an
// order, which came with 1.40, and for those that cannot.
const (
	groupCurrent = "current"
	groupOld     = "old"
)

// groups says which configuration an Envoy gets. One that does not say its version is
// none.
type groups struct{}

func (groups) ID(n *corev3.Node) string {
	v := n.GetUserAgentBuildVersion().GetVersion()
	if major, minor := v.GetMajorNumber(), v.GetMinorNumber(); major > 1 || major == 1 && minor >= 40 {
		return groupCurrent
	}
	return groupOld
}

// node is one connected Envoy.
type node struct {
	gateway string
	admit   func() error // why it would not be let in any more
	since   time.Time
	known   bool // it has said who it is
	id      string
	cluster string
	envoy   string // its version
	group   string

	sent    map[string][]push // by type; what was not answered yet, oldest first
	acked   map[string]string // by type: the last version it took
	has     map[string]string // clusters, with the version of each
	refused map[string]string // clusters, with the version of each
	others  map[string]bool   // types that it asks for in vain
	named   int               // resources that it has asked for by name, and not given up
	nack    *Nack
}

// push is one message to an Envoy.
type push struct {
	nonce, version string
	put            map[string]string // with the version of each
	removed        []string
}

// maxSent bounds the messages of one type that an Envoy has not answered.
const maxSent = 16

// maxOthers bounds the types that an Envoy asks for in vain: xDS has a dozen.
const maxOthers = 16

// maxNamed bounds the resources that one Envoy asks for by name, of all types, and
// maxName the length of a name: the server keeps each for as long as the Envoy is there.
const (
	maxNamed = 64 << 10
	maxName  = 512
)

// maxNack bounds what is kept of an Envoy's words.
const maxNack = 4 << 10

// Nack is an Envoy's refusal of a part of its configuration.
type Nack struct {
	At      time.Time
	Type    string // clusters, routes, secrets
	Version string
	Message string
}

func (n *node) current() bool { return n.known && n.group == groupCurrent }

// typeNames are the types as people call them.
var typeNames = map[string]string{resource.ClusterType: "clusters", resource.RouteType: "routes", resource.SecretType: "secrets"}

// typeName names a type; "": it is none that is served here.
func typeName(url string) string { return typeNames[url] }

// callbacks learn what Envoys connect and what they take.
type callbacks struct{ s *Server }

func (c *callbacks) OnDeltaStreamOpen(ctx context.Context, id int64, _ string) error {
	gateway, err := c.s.admitted(ctx)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if len(c.s.nodes) >= c.s.Options.Nodes {
		return status.Error(codes.ResourceExhausted, errTooMany.Error())
	}
	c.s.nodes[id] = &node{gateway: gateway, admit: func() error { _, err := c.s.admitted(ctx); return err }, since: c.s.Now(), sent: map[string][]push{}, acked: map[string]string{}, has: map[string]string{}, refused: map[string]string{}, others: map[string]bool{}}
	c.s.Observe.Connected(len(c.s.nodes))
	return nil
}

func (c *callbacks) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n := c.s.nodes[id]
	if n == nil {
		return // it was never let in
	}
	delete(c.s.nodes, id)
	c.s.Observe.Connected(len(c.s.nodes))
	if n.known {
		c.s.Log.Info("Envoy disconnected", "node", n.id, "gateway", n.gateway)
	}
	c.s.judge(c.s.Now())
}

func (c *callbacks) OnStreamDeltaRequest(id int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n := c.s.nodes[id]
	if n == nil {
		return status.Error(codes.Internal, "this stream is not known")
	}
	// Who was revoked has no word any more on which clusters calls may be sent to.
	if err := n.admit(); err != nil {
		return err
	}
	if err := n.asksFor(req); err != nil {
		return err
	}
	if !n.known {
		n.introduce(req.GetNode())
		c.s.greet(n)
	}
	if typeName(req.GetTypeUrl()) == "" {
		if n.others[clip(req.GetTypeUrl(), 128)] = true; len(n.others) > maxOthers {
			return status.Error(codes.ResourceExhausted, "this Envoy asks for more types than there are; clusters, routes and secrets are served here")
		}
		return nil // there is nothing of it, and it is asked for in vain
	}
	if req.GetTypeUrl() == resource.ClusterType && len(n.has) == 0 {
		for name, version := range req.GetInitialResourceVersions() {
			n.has[name] = version // it has been here before
		}
	}
	if req.GetResponseNonce() != "" {
		c.s.answered(n, req)
	}
	c.s.judge(c.s.Now())
	return nil
}

// asksFor counts what an Envoy asks for by name. There are a few resources for each
// deployment, so that one who asks for more than the bound only fills our memory.
func (n *node) asksFor(req *discoveryv3.DeltaDiscoveryRequest) error {
	n.named = max(0, n.named-len(req.GetResourceNamesUnsubscribe())) + len(req.GetResourceNamesSubscribe())
	tooMany := n.named > maxNamed || len(req.GetInitialResourceVersions()) > maxNamed
	for _, name := range req.GetResourceNamesSubscribe() {
		tooMany = tooMany || len(name) > maxName
	}
	if tooMany {
		return status.Error(codes.ResourceExhausted, "this Envoy asks for more resources, or for longer names, than there are")
	}
	return nil
}

func (c *callbacks) OnStreamDeltaResponse(id int64, req *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n := c.s.nodes[id]
	if n == nil {
		return
	}
	p := push{nonce: resp.GetNonce(), version: resp.GetSystemVersionInfo(), put: map[string]string{}, removed: resp.GetRemovedResources()}
	for _, r := range resp.GetResources() {
		p.put[r.GetName()] = r.GetVersion()
	}
	sent := append(n.sent[req.GetTypeUrl()], p)
	n.sent[req.GetTypeUrl()] = sent[max(0, len(sent)-maxSent):]
}

// introduce remembers who an Envoy says it is. It has proven its gateway only; the
// rest is for people to read.
func (n *node) introduce(said *corev3.Node) {
	v := said.GetUserAgentBuildVersion().GetVersion()
	n.known, n.id, n.cluster, n.group = true, clip(said.GetId(), 128), clip(said.GetCluster(), 128), groups{}.ID(said)
	n.envoy = fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
}

func (s *Server) greet(n *node) {
	if n.group == groupOld {
		s.Log.Warn("an Envoy is too old to follow an order of deployments and refuses all calls; it needs 1.40", "node", n.id, "gateway", n.gateway, "envoy", n.envoy)
		return
	}
	s.Log.Info("Envoy connected", "node", n.id, "gateway", n.gateway, "envoy", n.envoy)
}

// answered takes an Envoy's word on a message. Of one that it refuses it takes the
// resources that it does not name.
func (s *Server) answered(n *node, req *discoveryv3.DeltaDiscoveryRequest) {
	kind := typeName(req.GetTypeUrl())
	sent := n.sent[req.GetTypeUrl()]
	for i, p := range sent {
		if p.nonce != req.GetResponseNonce() {
			continue
		}
		n.sent[req.GetTypeUrl()] = sent[i+1:]
		detail := req.GetErrorDetail()
		s.Observe.Answered(kind, detail == nil)
		if detail == nil {
			n.acked[kind] = p.version
		} else {
			n.nack = &Nack{At: s.Now(), Type: kind, Version: p.version, Message: clip(detail.GetMessage(), maxNack)}
			s.Log.Error("an Envoy refuses a part of its configuration and keeps what it had", "node", n.id, "gateway", n.gateway, "type", kind, "version", p.version, "err", n.nack.Message)
		}
		if req.GetTypeUrl() == resource.ClusterType {
			n.take(p, detail.GetMessage(), detail != nil)
		}
		return
	}
}

// take notes which clusters of a message an Envoy has now.
func (n *node) take(p push, message string, nack bool) {
	all := nack
	for name := range p.put {
		all = all && !names(message, name)
	}
	for name, version := range p.put {
		if nack && (all || names(message, name)) {
			n.refused[name] = version
			continue
		}
		n.has[name] = version
		delete(n.refused, name)
	}
	for _, name := range p.removed {
		delete(n.has, name)
		delete(n.refused, name)
	}
}

// names reports whether an Envoy's refusal is of this resource: it writes each one's
// name and a colon before what is wrong with it.
func names(message, resource string) bool { return strings.Contains(message, " "+resource+": ") }

// clip keeps what somebody else says short, and valid for JSON.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
