package decision

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/registry"
)

// traits are what a tenant's budgets, the global ones included, ask of a decision.
// Most tenants' ask neither, and then the work is not done.
type traits struct {
	prompts bool // some count equal prompts: the prompt must be hashed
	places  bool // some count by deployment, provider, region or model: each candidate has its own
}

// traitsOf remembers the traits of one registry version, a tenant at a time.
type traitsOf struct {
	current atomic.Pointer[versionTraits]
}

type versionTraits struct {
	version  int64
	byTenant sync.Map // tenant → traits; as many as the registry has
}

// of looks through a tenant's budgets once a version.
func (m *traitsOf) of(world *registry.Snapshot, tenant string) traits {
	v := m.current.Load()
	if v == nil || v.version != world.Version {
		v = &versionTraits{version: world.Version}
		m.current.Store(v) // Who is a version behind looks again: rare, and right.
	}
	if known, ok := v.byTenant.Load(tenant); ok {
		return known.(traits)
	}
	t := traits{}
	for _, budgets := range [...][]*registry.Budget{world.AllBudgets(""), world.AllBudgets(tenant)} {
		for _, b := range budgets {
			t.prompts = t.prompts || asks(b, "prompt_hash")
			t.places = t.places || asks(b, "deployment", "provider", "region")
		}
	}
	v.byTenant.Store(tenant, t)
	return t
}

// asks reports whether a budget matches, or counts by, any of these attributes.
func asks(b *registry.Budget, attributes ...string) bool {
	return slices.ContainsFunc(attributes, func(a string) bool {
		return len(b.Match[a]) > 0 || slices.Contains(b.Per, a)
	})
}
