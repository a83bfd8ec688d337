package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// revoked stands in a secret whose credential is no more. Envoy keeps the last value
// of a secret that is merely taken away, and goes on using it; this one no provider
// takes.
const revoked = "revoked"

// Resources are what Envoys are given.
type Resources struct {
	Clusters []*clusterv3.Cluster
	Routes   []*routev3.RouteConfiguration
	Secrets  []*tlsv3.Secret
}

// Arrange makes resources of places. Of a fallback that is not among them there is
// none: calls that nobody decided are then refused.
func Arrange(places map[string]Place, paths []*registry.Path, o Options) (Resources, error) {
	o = o.withDefaults()
	out := Resources{Clusters: []*clusterv3.Cluster{deny()}}
	secrets := map[string]vault.Secret{}
	for _, name := range slices.Sorted(maps.Keys(places)) {
		p := places[name]
		out.Clusters = append(out.Clusters, p.Cluster)
		if p.Credential != "" {
			secrets[p.Credential] = p.Secret
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		value := secrets[name].Reveal()
		if value == "" {
			value = revoked
		}
		out.Secrets = append(out.Secrets, &tlsv3.Secret{Name: secretName(name), Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: value}},
		}}})
	}
	fallback := map[llm.Dialect]string{}
	for _, name := range o.Fallback {
		p, ok := places[name]
		if _, taken := fallback[p.Dialect]; ok && !taken && (p.Credential == "" || !p.Secret.Empty()) {
			fallback[p.Dialect] = name
		}
	}
	for _, kind := range kinds {
		r, err := routes(kind.authz, kind.open, paths, fallback, o)
		if err != nil {
			return Resources{}, err
		}
		out.Routes = append(out.Routes, r)
	}
	return out, nil
}

// kinds are the route configurations there are.
var kinds = []struct{ authz, open bool }{{false, false}, {false, true}, {true, false}, {true, true}}

// arrangeOld is for Envoys that cannot follow an order.
func arrangeOld() Resources {
	out := Resources{Clusters: []*clusterv3.Cluster{deny()}}
	for _, kind := range kinds {
		out.Routes = append(out.Routes, tooOld(kind.authz, kind.open))
	}
	return out
}

// content is a fingerprint of all of it: two resources of one content are one
// configuration.
func (r *Resources) content() (string, error) {
	h := sha256.New()
	add := func(m proto.Message) error {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return fmt.Errorf("write %s: %w", m.ProtoReflect().Descriptor().Name(), err)
		}
		fmt.Fprintf(h, "%d:", len(b))
		_, _ = h.Write(b)
		return nil
	}
	for _, m := range r.messages() {
		if err := add(m); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

func (r *Resources) messages() []proto.Message {
	var out []proto.Message
	for _, c := range r.Clusters {
		out = append(out, c)
	}
	for _, c := range r.Routes {
		out = append(out, c)
	}
	for _, s := range r.Secrets {
		out = append(out, s)
	}
	return out
}

// snapshot is the resources as the cache of the ADS server takes them, with the
// fingerprint of each already worked out.
func (r *Resources) snapshot(version string) (*cache.Snapshot, error) {
	clusters, routes, secrets := make([]types.Resource, len(r.Clusters)), make([]types.Resource, len(r.Routes)), make([]types.Resource, len(r.Secrets))
	for i, c := range r.Clusters {
		clusters[i] = c
	}
	for i, c := range r.Routes {
		routes[i] = c
	}
	for i, s := range r.Secrets {
		secrets[i] = s
	}
	s, err := cache.NewSnapshot(version, map[resource.Type][]types.Resource{
		resource.ClusterType: clusters, resource.RouteType: routes, resource.SecretType: secrets,
	})
	if err != nil {
		return nil, fmt.Errorf("make a snapshot: %w", err)
	}
	if err := s.ConstructVersionMap(); err != nil {
		return nil, fmt.Errorf("fingerprint a snapshot: %w", err)
	}
	return s, nil
}
