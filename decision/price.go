package decision

import (
	"slices"
	"strings"

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

// bounded is what the call can use at most, or the refusal of what nothing bounds.
func bounded(c *Case, model *registry.Model) (llm.Ceiling, error) {
	limits := llm.ModelLimits{Context: model.Context, MaxOutput: model.MaxOutput, ToolCalls: model.DefaultMaxToolCalls}
	if c.Request.Fixed {
		limits.ToolCalls = 0 // Nobody would write it.
	}
	usage := c.Ask.Ceiling(limits)
	if len(usage.Unpriced) > 0 {
		fields := make([]string, len(usage.Unpriced))
		for i, u := range usage.Unpriced {
			fields[i] = u.Field + " (" + u.Why + howToLimit(u, model.Name, c.Request.Fixed) + ")"
		}
		return usage, refuse(Unpriced, "the body asks for what is billed but not bounded: %s", strings.Join(fields, "; "))
	}
	return usage, nil
}

// price bounds what the call costs at a place, for every answer, every try, every use
// of a tool and all it may write to the provider's cache.
func (p *place) price(c *Case, usage llm.Ceiling) error {
	name := p.deployment.Name
	price, priced := c.World.Price(name, c.At)
	switch {
	case priced:
	case spendsMoney(p.demands) && !free(p.deployment):
		return refuse(Unpriced, "deployment %q has no price, and a budget in usd counts this call", name)
	case spendsMoney(p.demands) && len(usage.Fees) > 0: // no hour that was paid for covers them
		return refuse(Unpriced, "deployment %q has no price, so no fee for the tool %s, and a budget in usd counts this call", name, usage.Fees[0].Tool)
	default:
		return nil
	}
	worst, ok := dearest(&price, usage)
	if !ok {
		return refuse(Unpriced, "deployment %q has no price for service tier %q", name, usage.Tier)
	}
	fees, err := p.fees(&price, usage.Fees)
	if err != nil {
		return err
	}
	base, ok1 := cost(usage.Input, worst.Input)
	extra, ok2 := cost(usage.OutputExtra, worst.Output)
	perMTok, ok3 := multiply(worst.Output, usage.N)
	if !ok1 || !ok2 || !ok3 || base > maxNano-extra || base+extra > maxNano-fees {
		return beyondCounting(name)
	}
	// Each try's cost is rounded up by itself, and all tries' output once.
	rounding := c.attempts() - 1
	base, ok1 = multiply(base+extra+fees, c.attempts())
	perMTok, ok2 = multiply(perMTok, c.attempts())
	if !ok1 || !ok2 || base > maxNano-rounding {
		return beyondCounting(name)
	}
	p.base, p.perMTok = base+rounding, perMTok
	return nil
}

func beyondCounting(deployment string) error {
	return refuse(Unpriced, "the most this call could cost at deployment %q is beyond what can be counted", deployment)
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
