package decision

import (
	"time"

	"github.com/signalbox-dev/signalbox/registry"
)

// Facts is everything a policy may know of a call. Its JSON is the input
// document of docs/policy and decision/opa/schema/input.json: a public contract.
// Volatile figures (exact money left, exact tokens) are not in it: limits that a
// verdict returns are compared with them by Go.
type Facts struct {
	Principal   PrincipalFacts    `json:"principal"`
	Tenant      TenantFacts       `json:"tenant"`
	App         AppFacts          `json:"app"`
	Request     RequestFacts      `json:"request"`
	Model       ModelFacts        `json:"model"`
	Deployments []DeploymentFacts `json:"deployments"` // that serve the model, by name
	// Findings are there once somebody asked for them by Look; null says that nobody
	// has, or that there is nothing here that could look.
	Findings []FindingFacts `json:"findings"`
	Time     TimeFacts      `json:"time"`
	Gateway  string         `json:"gateway"`

	look func() []FindingFacts
}

// Look is the findings, and searches the prompt for them if nobody did before. Who
// reads Findings calls it first.
func (f *Facts) Look() []FindingFacts {
	if f.Findings == nil && f.look != nil {
		f.Findings = f.look()
	}
	return f.Findings
}

// PrincipalFacts is who calls. User, Session and Agent are as the app asserted
// them, readable.
type PrincipalFacts struct {
	Tenant  string            `json:"tenant"`
	Team    string            `json:"team"`
	App     string            `json:"app"`
	Key     string            `json:"key"`
	User    string            `json:"user"`
	Session string            `json:"session"`
	Agent   string            `json:"agent"`
	Tags    map[string]string `json:"tags"`
}

// TenantFacts is what the registry says of the tenant.
type TenantFacts struct {
	Regions []string `json:"regions"` // empty: anywhere
}

// AppFacts is what the registry says of the app.
type AppFacts struct {
	Models []string `json:"models"` // the models it may use; empty: all
}

// RequestFacts is what the body asks for.
type RequestFacts struct {
	Dialect   string `json:"dialect"`
	Endpoint  string `json:"endpoint"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Stream    bool   `json:"stream"`
	Tools     int    `json:"tools"`
	Images    int    `json:"images"`
	Files     int    `json:"files"`
	TokenIDs  bool   `json:"token_ids"`  // some of it is token ids, which no guard can read
	SizeBand  string `json:"size_band"`  // of the prompt: tiny <1k, small <8k, medium <32k, large <128k, huge; in tokens by the byte bound
	MaxOutput int64  `json:"max_output"` // as asked; 0: not said
}

// ModelFacts is the public name asked for.
type ModelFacts struct {
	Name string `json:"name"`
}

// DeploymentFacts is one place the call could go.
type DeploymentFacts struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Kind     string `json:"kind"`
	Region   string `json:"region"`
	// PriceRank orders by price for a call of this shape: 0 is the cheapest, and
	// equal prices have equal ranks. A deployment without a price ranks as free
	// when it is provisioned and last when it is not.
	PriceRank int  `json:"price_rank"`
	Priced    bool `json:"priced"`
	// Healthy is false while a deployment is known not to answer, or to refuse what
	// it is sent. It is never a reason to refuse a call: whoever has only this one
	// place learns from the provider itself that it is away.
	Healthy bool `json:"healthy"`
}

// FindingFacts is one kind of thing a guard found, never the thing itself.
type FindingFacts struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"` // 10,000: so many, or more
}

// TimeFacts is the decision's clock, UTC.
type TimeFacts struct {
	Hour    int    `json:"hour"`
	Weekday string `json:"weekday"`
	Date    string `json:"date"`
}

// deploymentFacts describes the places a call could go.
func (s *Service) deploymentFacts(world *registry.Snapshot, deployments []*registry.Deployment, at time.Time) []DeploymentFacts {
	facts := make([]DeploymentFacts, len(deployments))
	costs := make([]int64, len(deployments))
	for i, d := range deployments {
		rate, priced := world.Price(d.Name, at)
		facts[i] = DeploymentFacts{Name: d.Name, Provider: d.Provider, Kind: d.Kind, Region: d.Region, Priced: priced, Healthy: s.health.Healthy(d.Name, at)}
		// One input token to one output token is the shape a price is ranked by:
		// the rank must not change with the length of the prompt.
		costs[i] = rate.Input + rate.Output
		if !priced && !free(d) {
			costs[i] = maxNano
		}
	}
	for i := range facts {
		for _, other := range costs {
			if other < costs[i] {
				facts[i].PriceRank++
			}
		}
	}
	return facts
}
