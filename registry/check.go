package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// checker looks at the registry as it would be: what the files declare over what
// there is, less what is pruned. What a single value may be is the readers' to
// say; what values say of each other is said here.
type checker struct {
	source *source
	world  map[objectID]value
	now    time.Time
	found  *problems

	names map[objectID][]string // of a kind, and of a kind in a tenant
}

// check reports everything in the world that does not fit together.
func (c *checker) check() {
	ids := sortedIDs(c.world)
	c.names = map[objectID][]string{}
	for _, id := range ids {
		if id.Name == "" {
			continue
		}
		c.names[objectID{Kind: id.Kind}] = append(c.names[objectID{Kind: id.Kind}], id.Name)
		if id.Tenant != "" {
			c.names[objectID{Kind: id.Kind, Tenant: id.Tenant}] = append(c.names[objectID{Kind: id.Kind, Tenant: id.Tenant}], id.Name)
		}
	}
	identities := map[Identity]objectID{}
	for _, id := range ids {
		switch v := c.world[id].(type) {
		case *Team:
			c.refer(id, "tenant", objectID{Kind: kindTenant, Name: v.Tenant})
		case *App:
			c.app(id, v, identities)
		case *Provider:
			c.provider(id, v)
		case *Model:
			c.model(id, v)
		case *Deployment:
			c.deployment(id, v)
		case *Price:
			c.refer(id, "deployment", objectID{Kind: kindDeployment, Name: v.Deployment})
		case *Budget:
			c.budget(id, v)
		case *Path:
			c.path(id, v)
		}
	}
	c.unpriced(ids)
}

// sortedIDs are in the order of kinds, tenants and names.
func sortedIDs[V any](objects map[objectID]V) []objectID {
	order := map[string]int{}
	for i, k := range kinds() {
		order[k.name] = i
	}
	ids := make([]objectID, 0, len(objects))
	for id := range objects {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b objectID) int {
		return cmp.Or(cmp.Compare(order[a.Kind], order[b.Kind]), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Name, b.Name))
	})
	return ids
}

// declared is an object's place in the files, if it has one.
func (c *checker) declared(id objectID) (*declared, bool) {
	d, ok := c.source.objects[id]
	return d, ok
}

// says reports whether the file has a field of the object, right or wrong.
func (c *checker) says(id objectID, field string) bool {
	d, ok := c.declared(id)
	return ok && d.at[field] != nil
}

// problem reports something of an object at one of its spots. What is wrong with
// an object of the registry that no file declares stands at the files' beginning.
func (c *checker) problem(id objectID, at spot, want, what string, args ...any) {
	d, ok := c.declared(id)
	if !ok {
		c.found.add(Problem{File: c.source.files[0].Name, Line: 1, Column: 1, Want: want,
			What: fmt.Sprintf("%s stands in the registry and not in these files: %s", id, fmt.Sprintf(what, args...))})
		return
	}
	n := d.place(at)
	c.found.add(Problem{File: d.file, Line: max(n.Line, 1), Column: max(n.Column, 1), What: fmt.Sprintf(what, args...), Want: want})
}

// refer reports a reference to what is not there. An empty name was reported
// when it was read.
func (c *checker) refer(id objectID, field string, to objectID) bool {
	if to.Name == "" {
		return false
	}
	if _, ok := c.world[to]; ok {
		return true
	}
	candidates := c.names[objectID{Kind: to.Kind, Tenant: to.Tenant}]
	want := "declare it under " + section(to.Kind)
	if guess := closest(to.Name, candidates); guess != "" {
		want = fmt.Sprintf("did you mean %q? Otherwise %s", guess, want)
	} else if len(candidates) > 0 {
		want += ", or write " + choices(candidates)
	}
	where := ""
	if to.Tenant != "" {
		where = fmt.Sprintf(" in tenant %q", to.Tenant)
	}
	c.problem(id, spot{field, to.Name}, want, "%s %q is not known%s", to.Kind, clip(to.Name), where)
	return false
}

func section(kindName string) string {
	for _, k := range kinds() {
		if k.name == kindName {
			return k.section + ":"
		}
	}
	return kindName
}

func (c *checker) app(id objectID, a *App, identities map[Identity]objectID) {
	if c.refer(id, "tenant", objectID{Kind: kindTenant, Name: a.Tenant}) {
		c.refer(id, "team", objectID{Kind: kindTeam, Tenant: a.Tenant, Name: a.Team})
	}
	for _, model := range a.Models {
		c.refer(id, "models", objectID{Kind: kindModel, Name: model})
	}
	inherited := a.ownTags
	if t, ok := c.world[objectID{Kind: kindTenant, Name: a.Tenant}].(*Tenant); ok && t.Tags != nil {
		inherited = t.Tags
	}
	for _, name := range a.Assert {
		tag, isTag := strings.CutPrefix(name, tagPrefix)
		_, own := a.ownTags[tag]
		if _, given := inherited[tag]; isTag && (own || given) {
			c.problem(id, spot{"assert", name}, "leave it out of assert, or out of tags", "tag %q is given by the registry and cannot be asserted", clip(tag))
		}
	}
	for _, i := range a.Identities {
		if first, twice := identities[i]; twice {
			c.problem(id, spot{field: "identities"}, "give each app its own", "%s %q is %s already", i.Kind, clip(i.Value), first)
			continue
		}
		identities[i] = id
	}
}

// provider judges addresses in files only: what was taken over once stays taken.
func (c *checker) provider(id objectID, p *Provider) {
	if _, ok := c.declared(id); !ok {
		return
	}
	if p.BaseURL != "" {
		if bad, ok := checkBaseURL(p.BaseURL, p.AllowPrivate); !ok {
			c.problem(id, spot{field: "base_url"}, bad.want, "%s", bad.what)
		}
	}
	if p.ProxyURL != "" {
		if bad, ok := checkProxyURL(p.ProxyURL); !ok {
			c.problem(id, spot{field: "proxy_url"}, bad.want, "%s", bad.what)
		}
	}
	if field, bad, ok := p.checkAuth(); !ok {
		c.problem(id, spot{field: field}, bad.want, "%s", bad.what)
	}
	switch azure := p.Kind == ProviderAzureOpenAI; {
	case p.Kind == "":
	case azure && p.APIVersion == "" && !c.says(id, "api_version") && p.BaseURL != "" && !strings.HasSuffix(p.BaseURL, "/openai/v1"):
		c.problem(id, spot{}, `write api_version: "2024-10-21"`, "an azure-openai provider has no api_version")
	case !azure && p.APIVersion != "":
		c.problem(id, spot{field: "api_version"}, "leave it out", "api_version is for azure-openai, and this is %s", p.Kind)
	case strings.Trim(p.APIVersion, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "":
		c.problem(id, spot{field: "api_version"}, `write it as "2024-10-21" or "2024-10-21-preview"`, "api_version cannot be %q", clip(p.APIVersion))
	}
}

func (c *checker) model(id objectID, m *Model) {
	if m.MaxOutput > m.Context && m.Context > 0 {
		c.problem(id, spot{field: "max_output"}, fmt.Sprintf("write up to %d", m.Context), "max_output %d is more than the context of %d, which holds input and output", m.MaxOutput, m.Context)
	}
	if m.DefaultMaxOutput > m.MaxOutput && m.MaxOutput > 0 {
		c.problem(id, spot{field: "default_max_output"}, fmt.Sprintf("write up to %d", m.MaxOutput), "default_max_output %d is more than max_output %d", m.DefaultMaxOutput, m.MaxOutput)
	}
	if m.Dialect == DialectAnthropic && m.OutputLimit == OutputMaxCompletionTokens {
		c.problem(id, spot{field: "output_limit"}, "write max_tokens, or leave it out", "the anthropic dialect has no %s", OutputMaxCompletionTokens)
	}
}

func (c *checker) deployment(id objectID, d *Deployment) {
	knownProvider := c.refer(id, "provider", objectID{Kind: kindProvider, Name: d.Provider})
	knownModel := c.refer(id, "model", objectID{Kind: kindModel, Name: d.Model})
	if knownProvider && knownModel {
		p := c.world[objectID{Kind: kindProvider, Name: d.Provider}].(*Provider)
		m := c.world[objectID{Kind: kindModel, Name: d.Model}].(*Model)
		if speaks := p.dialect(); m.Dialect != "" && p.Kind != "" && speaks != m.Dialect {
			c.problem(id, spot{field: "provider"}, fmt.Sprintf("name a provider that speaks %s: nothing is translated", m.Dialect),
				"provider %q is %s and speaks %s, and model %q is asked for in %s", p.Name, p.Kind, speaks, m.Name, m.Dialect)
		}
	}
	if d.Kind == DeploymentPayGo && d.HourlyNanoUSD != 0 {
		c.problem(id, spot{field: "hourly_usd"}, "leave it out, or write kind: provisioned", "a paygo deployment costs nothing by the hour")
	}
}

// dialect is what a provider of this kind speaks.
func (p *Provider) dialect() string {
	if p.Kind == ProviderAnthropic {
		return DialectAnthropic
	}
	return DialectOpenAI
}

func (c *checker) path(id objectID, p *Path) {
	if p.Path == "" {
		return
	}
	prefix := strings.TrimSuffix(p.Path, "/*")
	switch at, judged := p.judged(); {
	case judged:
		c.problem(id, spot{field: "path"}, "write a narrower path", "path %q covers %s, which is always judged", clip(p.Path), at)
	case !plainPath(prefix) || strings.Contains(prefix, "*"):
		c.problem(id, spot{field: "path"}, `write a plain path such as "/v1/files", or "/v1/files/*" for all below it`, "path %q can be read in two ways", clip(p.Path))
	case !p.Unmetered:
		c.problem(id, spot{}, "write unmetered: true, or leave the rule out: other paths are refused anyway", "this rule says nothing about path %q", clip(p.Path))
	}
}
