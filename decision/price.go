package decision

import (
	"slices"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// free deployments charge nothing to budgets in usd when they have no price: what
// they cost is paid by the hour.
func free(d *registry.Deployment) bool { return d.Kind == registry.DeploymentProvisioned }

// counts reports whether a budget counts what was used at a deployment: all do,
// except those that match deployments, providers or regions, and capacities.
func counts(world *registry.Snapshot, b *registry.Budget, deployment string) bool {
	if b.Capacity {
		d, ok := world.Deployment(deployment)
		return ok && d.Capacity != nil && d.Capacity.Incarnation == b.Incarnation
	}
	if len(b.Match["deployment"])+len(b.Match["provider"])+len(b.Match["region"]) == 0 {
		return true
	}
	d, ok := world.Deployment(deployment)
	if !ok {
		return true
	}
	return matches(b, "deployment", d.Name) && matches(b, "provider", d.Provider) && matches(b, "region", d.Region)
}

func matches(b *registry.Budget, attribute, value string) bool {
	values := b.Match[attribute]
	return len(values) == 0 || slices.Contains(values, value)
}

// dearest is the most each kind of token may cost a call of this shape, over the
// price itself and every tier that may apply. Input that may be written to the
// provider's cache costs what the write costs. false: the call asks for a service
// tier that the price does not know.
func dearest(p *registry.Price, usage llm.Ceiling) (registry.Rates, bool) {
	known := usage.Tier == "" ||
		slices.ContainsFunc(p.Tiers, func(t registry.Tier) bool { return t.ServiceTier == usage.Tier })
	worst := p.Dearest(usage.Input, usage.Tier)
	worst.Input = max(worst.Input, worst.CachedInput)
	if usage.CacheWrite {
		worst.Input = max(worst.Input, worst.CacheWrite)
	}
	if usage.CacheWriteLong {
		worst.Input = max(worst.Input, worst.CacheWriteLong)
	}
	return worst, known
}
