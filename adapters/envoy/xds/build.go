package xds

import (
	"errors"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// Input is everything that what is built depends on.
type Input struct {
	World      *registry.Snapshot
	Credential func(name string) (vault.Secret, bool)
	ReadFile   func(name string) ([]byte, error) // for ca_file, which is on our machine
	Options    Options
}

// Place is one deployment as an Envoy can reach it.
type Place struct {
	Deployment string
	Dialect    llm.Dialect
	Cluster    *clusterv3.Cluster
	Credential string // the credential's name; "": it takes none
	Secret     vault.Secret
}

// LeftOut is a deployment that no Envoy is told of, and why.
type LeftOut struct {
	Deployment string
	Why        string
}

// Built is what the registry comes to, for an Envoy.
type Built struct {
	Places  map[string]Place // by deployment
	LeftOut []LeftOut        // by name
	Paths   []*registry.Path // that are let through unjudged
}

// Build says how an Envoy reaches each deployment of the registry. A deployment that
// cannot be reached as it is meant is left out whole: a cluster whose secret is
// missing would keep the whole Envoy from starting.
func Build(in Input) Built {
	in.Options = in.Options.withDefaults()
	out := Built{Places: map[string]Place{}}
	for _, d := range in.World.Deployments("") {
		place, err := in.place(d)
		if err != nil {
			out.LeftOut = append(out.LeftOut, LeftOut{Deployment: d.Name, Why: err.Error()})
			continue
		}
		out.Places[d.Name] = place
	}
	for _, p := range in.World.Paths() {
		if p.Unmetered {
			out.Paths = append(out.Paths, p)
		}
	}
	return out
}

// place is one deployment's cluster, with its credential.
func (in *Input) place(d *registry.Deployment) (Place, error) {
	p := d.ProviderRef
	if p == nil {
		return Place{}, errors.New("its provider is not known")
	}
	place := Place{Deployment: d.Name, Credential: p.Credential}
	if d.ModelRef != nil {
		place.Dialect = llm.Dialect(d.ModelRef.Dialect)
	}
	if p.Credential != "" {
		secret, ok := in.Credential(p.Credential)
		if !ok || secret.Empty() {
			return Place{}, fmt.Errorf("there is no credential %s: put it into the credentials folder or the environment", p.Credential)
		}
		place.Secret = secret
	}
	var err error
	place.Cluster, err = in.cluster(d)
	return place, err
}
