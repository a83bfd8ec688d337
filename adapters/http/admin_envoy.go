package http

import (
	"net/http"

	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// Envoys is what is known of the Envoys that we program; *xds.Server in production.
type Envoys interface {
	Status() xds.Status
}

// envoys is GET /admin/v1/envoy.
func (a *admin) envoys(w http.ResponseWriter, r *http.Request, _ operator, _ []byte) error {
	if a.Envoys == nil {
		return missing("no Envoy is programmed from here: the grpc listener is off")
	}
	s := a.Envoys.Status()
	out := adminapi.EnvoyResponse{
		RegistryVersion: s.RegistryVersion, Version: s.Version, Since: s.Since.UTC(), Problem: s.Problem, Fallback: s.Fallback,
		Deployments: make([]adminapi.EnvoyDeployment, 0, len(s.Deployments)), LeftOut: make([]adminapi.EnvoyLeftOut, 0, len(s.LeftOut)),
		Envoys: make([]adminapi.Envoy, 0, len(s.Nodes)),
	}
	for _, d := range s.Deployments {
		out.Deployments = append(out.Deployments, adminapi.EnvoyDeployment{Name: d.Name, State: deploymentState(d), RefusedBy: d.Refused})
	}
	for _, l := range s.LeftOut {
		out.LeftOut = append(out.LeftOut, adminapi.EnvoyLeftOut(l))
	}
	for _, n := range s.Nodes {
		e := adminapi.Envoy{Node: n.ID, Cluster: n.Cluster, Gateway: n.Gateway, Envoy: n.Envoy, State: envoyState(n), Since: n.Since.UTC(), Acked: n.Acked}
		if n.Nack != nil {
			e.Nack = &adminapi.EnvoyNack{At: n.Nack.At.UTC(), Type: n.Nack.Type, Version: n.Nack.Version, Message: n.Nack.Message}
		}
		out.Envoys = append(out.Envoys, e)
	}
	respond(w, r, a.Log, http.StatusOK, out)
	return nil
}

func deploymentState(d xds.Deployment) string {
	switch {
	case d.Leaving:
		return adminapi.DeploymentLeaving
	case d.Usable:
		return adminapi.DeploymentUsable
	case len(d.Refused) > 0:
		return adminapi.DeploymentRefused
	}
	return adminapi.DeploymentWaiting
}

func envoyState(n xds.Node) string {
	switch {
	case n.TooOld:
		return adminapi.EnvoyTooOld
	case n.Current:
		return adminapi.EnvoyCurrent
	}
	return adminapi.EnvoyBehind
}
