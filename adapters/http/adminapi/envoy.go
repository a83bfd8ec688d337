package adminapi

import "time"

// States of an EnvoyDeployment.
const (
	DeploymentUsable  = "usable"  // calls are sent to it
	DeploymentWaiting = "waiting" // not every Envoy has it yet
	DeploymentRefused = "refused" // an Envoy refuses its cluster
	DeploymentLeaving = "leaving" // it is about to go
)

// States of an Envoy.
const (
	EnvoyCurrent = "current" // it has everything as it is now
	EnvoyBehind  = "behind"  // it has not taken all of it
	EnvoyTooOld  = "too_old" // it cannot follow an order of deployments, and refuses all calls
)

// EnvoyResponse is what Envoys are given by xDS, and what they have taken.
type EnvoyResponse struct {
	RegistryVersion int64     `json:"registry_version"` // that was built last
	Version         string    `json:"version"`          // that is handed out: the registry's when it came, and its content
	Since           time.Time `json:"since,omitzero"`
	Problem         string    `json:"problem,omitempty"`  // why the newest was not handed out
	Fallback        []string  `json:"fallback,omitempty"` // the deployments of calls that nobody decided, on routes that are open

	Deployments []EnvoyDeployment `json:"deployments"`
	LeftOut     []EnvoyLeftOut    `json:"left_out"`
	Envoys      []Envoy           `json:"envoys"`
}

// EnvoyDeployment is a deployment that Envoys are told of.
type EnvoyDeployment struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	RefusedBy []string `json:"refused_by,omitempty"` // node ids
}

// EnvoyLeftOut is a deployment that no Envoy is told of.
type EnvoyLeftOut struct {
	Deployment string `json:"deployment"`
	Why        string `json:"why"`
}

// Envoy is one that is connected to the replica that answers.
type Envoy struct {
	Node    string            `json:"node"`
	Cluster string            `json:"cluster"`
	Gateway string            `json:"gateway"`
	Envoy   string            `json:"envoy"` // its version
	State   string            `json:"state"`
	Since   time.Time         `json:"since"`
	Acked   map[string]string `json:"acked"` // by type (clusters, routes, secrets): the version it took last
	Nack    *EnvoyNack        `json:"nack,omitempty"`
}

// EnvoyNack is the last refusal of an Envoy, in its own words.
type EnvoyNack struct {
	At      time.Time `json:"at"`
	Type    string    `json:"type"`
	Version string    `json:"version"`
	Message string    `json:"message"`
}
