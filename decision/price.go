package decision

import (
	"slices"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
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

// countsPrompts reports whether any of a tenant's budgets counts equal prompts;
// hashing every prompt for nobody would be most of a decision's time.
func countsPrompts(world *registry.Snapshot, tenant string) bool {
	return slices.ContainsFunc(world.AllBudgets(tenant), func(b *registry.Budget) bool {
		return slices.Contains(b.Per, "prompt_hash") || len(b.Match["prompt_hash"]) > 0
	})
}

// dearest is the most each kind of token may cost a call of this shape: the
// largest rate of the price itself and of every tier that may apply. Input that
// may be written to the provider's cache costs what the write costs. false: the
// call asks for a service tier that the price does not know.
func dearest(p registry.Price, usage llm.Ceiling) (registry.Rates, bool) {
	worst, known := p.Rates, usage.Tier == "" || p.Deployment == ""
	for _, t := range p.Tiers {
		if t.ServiceTier != "" && t.ServiceTier != usage.Tier || t.Above > usage.Input {
			continue
		}
		known = known || t.ServiceTier == usage.Tier
		worst = registry.Rates{
			Input: max(worst.Input, t.Input), CachedInput: max(worst.CachedInput, t.CachedInput),
			CacheWrite: max(worst.CacheWrite, t.CacheWrite), CacheWriteLong: max(worst.CacheWriteLong, t.CacheWriteLong),
			Output: max(worst.Output, t.Output),
		}
	}
	worst.Input = max(worst.Input, worst.CachedInput)
	if usage.CacheWrite {
		worst.Input = max(worst.Input, worst.CacheWrite)
	}
	if usage.CacheWriteLong {
		worst.Input = max(worst.Input, worst.CacheWriteLong)
	}
	return worst, known
}

// ratesFor are the rates of one attempt: those of the most particular tier that
// applies (its service tier named before not, the longer input before the
// shorter), else the price's own. The costs view in SQL says the same.
func ratesFor(p registry.Price, input int64, serviceTier string) registry.Rates {
	var best *registry.Tier
	for i := range p.Tiers {
		t := &p.Tiers[i]
		if t.ServiceTier != "" && t.ServiceTier != serviceTier || input <= t.Above && t.Above > 0 {
			continue
		}
		if best == nil || (t.ServiceTier != "") != (best.ServiceTier != "") && t.ServiceTier != "" ||
			(t.ServiceTier != "") == (best.ServiceTier != "") && t.Above > best.Above {
			best = t
		}
	}
	if best == nil {
		return p.Rates
	}
	return best.Rates
}

// attemptPrice is ⌈Σ tokens × price ÷ 10⁶⌉ nano-USD; false when it does not fit.
func attemptPrice(p registry.Price, t journal.Tokens, serviceTier string) (int64, bool) {
	r := ratesFor(p, t.Input, serviceTier)
	var sum product
	sum.add(t.Input-t.Cached-t.CacheWrite-t.CacheWriteLong, r.Input)
	sum.add(t.Cached, r.CachedInput)
	sum.add(t.CacheWrite, r.CacheWrite)
	sum.add(t.CacheWriteLong, r.CacheWriteLong)
	sum.add(t.Output, r.Output)
	return sum.perMillion()
}
