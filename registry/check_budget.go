package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// budget checks that every value it matches on can ever come.
func (c *checker) budget(id objectID, b *Budget) {
	tenantKnown := true
	for _, t := range b.Match["tenant"] {
		tenantKnown = c.refer(id, "match.tenant", objectID{Kind: kindTenant, Name: t}) && tenantKnown
	}
	for _, ref := range []struct{ attribute, kind string }{
		{"model", kindModel}, {"deployment", kindDeployment}, {"provider", kindProvider}, {"gateway", kindGateway},
	} {
		for _, name := range b.Match[ref.attribute] {
			c.refer(id, "match."+ref.attribute, objectID{Kind: ref.kind, Name: name})
		}
	}
	dialects := []string{DialectOpenAI, DialectAnthropic}
	for _, d := range b.Match["dialect"] {
		if !slices.Contains(dialects, d) {
			c.problem(id, spot{"match.dialect", d}, oneOf(d, dialects), "dialect %q is not known", clip(d))
		}
	}
	if tenantKnown && (b.Global || b.Tenant != "") {
		c.within(id, b, "team", kindTeam)
		c.within(id, b, "app", kindApp)
	}
}

// within checks names that belong to a tenant: the budget's, or for a global one
// any of those it matches.
func (c *checker) within(id objectID, b *Budget, attribute, kindName string) {
	tenants := b.Match["tenant"]
	if len(tenants) == 0 {
		tenants = c.names[objectID{Kind: kindTenant}]
	}
	for _, name := range b.Match[attribute] {
		known := false
		for _, t := range tenants {
			_, ok := c.world[objectID{kindName, t, name}]
			known = known || ok
		}
		switch {
		case known:
		case len(tenants) == 1:
			c.refer(id, "match."+attribute, objectID{kindName, tenants[0], name})
		default:
			c.problem(id, spot{"match." + attribute, name}, "declare it under "+section(kindName), "%s %q is not known in any tenant that is matched", kindName, clip(name))
		}
	}
}

// unpriced reports deployments without a price in force that a usd budget can
// reach: a call there could not be bounded in money and would be refused, so the
// operator hears of it before the callers do. Provisioned ones charge 0.
func (c *checker) unpriced(ids []objectID) {
	priced, later := map[string]bool{}, map[string]*Price{}
	var missing []objectID
	for _, id := range ids {
		if p, ok := c.world[id].(*Price); ok {
			if !p.From.After(c.now) {
				priced[p.Deployment] = true
			} else if l := later[p.Deployment]; l == nil || p.From.Before(l.From) {
				later[p.Deployment] = p
			}
		}
	}
	for _, id := range ids {
		if d, ok := c.world[id].(*Deployment); ok && d.Kind != DeploymentProvisioned && d.Kind != "" && d.Model != "" && !priced[d.Name] {
			missing = append(missing, id)
		}
	}
	for _, id := range missing {
		d := c.world[id].(*Deployment)
		reaching := c.reaching(ids, d)
		if len(reaching) == 0 {
			continue
		}
		what := "has no price"
		if l := later[d.Name]; l != nil {
			what = "has no price before " + l.From.Format("2006-01-02T15:04:05Z07:00")
		}
		want := fmt.Sprintf("write prices: [{deployment: %s, from: …, input: …, output: …}]", d.Name)
		if _, declared := c.declared(id); declared {
			c.problem(id, spot{}, want, "deployment %q %s, and %s can reach it", d.Name, what, names(reaching))
		} else {
			c.problem(reaching[0], spot{}, want, "deployment %q %s, and this budget can reach it", d.Name, what)
		}
	}
}

// names spells the first budgets of a list.
func names(budgets []objectID) string {
	if len(budgets) > 1 {
		return fmt.Sprintf("%s and %d more usd budgets", budgets[0], len(budgets)-1)
	}
	return budgets[0].String() + " (usd)"
}

// reaching are the usd budgets that can be charged for a call to a deployment.
func (c *checker) reaching(ids []objectID, d *Deployment) []objectID {
	var out []objectID
	for _, id := range ids {
		if b, ok := c.world[id].(*Budget); ok && b.Unit == journal.UnitUSD && c.reaches(b, d) {
			out = append(out, id)
		}
	}
	return out
}

// reaches errs on the side of yes where it cannot know: what a caller asserts,
// which key it holds, and what apps there will be in a tenant that has none.
func (c *checker) reaches(b *Budget, d *Deployment) bool {
	dialect := ""
	if m, ok := c.world[objectID{Kind: kindModel, Name: d.Model}].(*Model); ok {
		dialect = m.Dialect
	}
	for attribute, value := range map[string]string{"model": d.Model, "deployment": d.Name, "provider": d.Provider, "region": d.Region, "dialect": dialect} {
		if want := b.Match[attribute]; len(want) > 0 && !slices.Contains(want, value) {
			return false
		}
	}
	tenants := b.Match["tenant"]
	if len(tenants) == 0 {
		tenants = c.names[objectID{Kind: kindTenant}]
	}
	return slices.ContainsFunc(tenants, func(tenant string) bool { return c.tenantReaches(tenant, b, d) })
}

func (c *checker) tenantReaches(tenant string, b *Budget, d *Deployment) bool {
	t, ok := c.world[objectID{Kind: kindTenant, Name: tenant}].(*Tenant)
	if !ok || len(t.Regions) > 0 && !slices.Contains(t.Regions, d.Region) {
		return false
	}
	any := false
	for _, name := range c.names[objectID{Kind: kindApp, Tenant: tenant}] {
		a := c.world[objectID{kindApp, tenant, name}].(*App)
		if apps := b.Match["app"]; len(apps) > 0 && !slices.Contains(apps, name) {
			continue
		}
		if teams := b.Match["team"]; len(teams) > 0 && !slices.Contains(teams, a.Team) {
			continue
		}
		if len(a.Models) == 0 || slices.Contains(a.Models, d.Model) {
			return true
		}
		any = true
	}
	return !any
}

// warnings are what is allowed and often not meant, about what the files declare.
func (c *checker) warnings() []string {
	var out []string
	var bound []string // tenants with regions
	for _, name := range c.names[objectID{Kind: kindTenant}] {
		if t, ok := c.world[objectID{Kind: kindTenant, Name: name}].(*Tenant); ok && len(t.Regions) > 0 {
			bound = append(bound, name)
		}
	}
	for _, d := range c.source.order {
		switch v := d.value.(type) {
		case *Deployment:
			if v.Region == "" && len(bound) > 0 {
				out = append(out, fmt.Sprintf("deployment %s has no region, so it is refused to tenants that have regions: %s", v.Name, strings.Join(bound[:min(len(bound), 5)], ", ")))
			}
		case *Budget:
			if v.Hold == Expected {
				out = append(out, fmt.Sprintf("budget %s holds at its ceiling: hold: expected is not learned yet, and the ceiling is the stricter of the two", v.Name))
			}
		case *Price:
			dep, _ := c.world[objectID{Kind: kindDeployment, Name: v.Deployment}].(*Deployment)
			if dep == nil {
				continue
			}
			if m, ok := c.world[objectID{Kind: kindModel, Name: dep.Model}].(*Model); ok && m.Dialect == DialectAnthropic && v.CacheWrite == v.Input && v.Input > 0 {
				out = append(out, fmt.Sprintf("price %s charges cache writes as plain input; Anthropic bills 1.25 times that for five minutes and twice for an hour: write cache_write and cache_write_long", priceName(v.Deployment, v.From)))
			}
		}
	}
	return out[:min(len(out), maxProblems)]
}
