package registry

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValue is the longest attribute value, in bytes: what the contract lets a
// caller say of itself.
const maxValue = 256

// maxList bounds the elements of one list in an object.
const maxList = 10_000

func readTenant(m *mapping) value {
	t := &Tenant{Name: m.name("name", true)}
	t.Regions = m.nameSet("regions")
	t.Tags = m.tags("tags")
	return t
}

func (t *Tenant) id() objectID { return objectID{Kind: kindTenant, Name: t.Name} }

func (t *Tenant) body() any {
	return struct {
		Name    string            `json:"name"`
		Regions []string          `json:"regions,omitempty"`
		Tags    map[string]string `json:"tags,omitempty"`
	}{t.Name, t.Regions, t.Tags}
}

func readTeam(m *mapping) value {
	return &Team{Tenant: m.name("tenant", true), Name: m.name("name", true)}
}

func (t *Team) id() objectID { return objectID{Kind: kindTeam, Tenant: t.Tenant, Name: t.Name} }

func (t *Team) body() any {
	return struct {
		Tenant string `json:"tenant"`
		Name   string `json:"name"`
	}{t.Tenant, t.Name}
}

func readApp(m *mapping) value {
	a := &App{Tenant: m.name("tenant", true), Team: m.name("team", false), Name: m.name("name", true)}
	a.Models = m.set("models", "write a list of models", func(n *yaml.Node, s string) bool { return m.r.modelNamed(n, "model", s) })
	a.ownTags = m.tags("tags")
	a.DefaultMaxOutput = m.integer("default_max_output", 1, maxTokens, false)
	a.Assert = m.set("assert", "write a list such as [user, session, tags.feature]", m.assertable)
	a.Identities = m.identities("identities")
	return a
}

func (a *App) id() objectID { return objectID{Kind: kindApp, Tenant: a.Tenant, Name: a.Name} }

func (a *App) body() any {
	var identities []map[string]string
	for _, i := range a.Identities {
		identities = append(identities, map[string]string{i.Kind: i.Value})
	}
	return struct {
		Tenant           string              `json:"tenant"`
		Team             string              `json:"team,omitempty"`
		Name             string              `json:"name"`
		Models           []string            `json:"models,omitempty"`
		Tags             map[string]string   `json:"tags,omitempty"`
		DefaultMaxOutput int64               `json:"default_max_output,omitempty"`
		Assert           []string            `json:"assert,omitempty"`
		Identities       []map[string]string `json:"identities,omitempty"`
	}{a.Tenant, a.Team, a.Name, a.Models, a.ownTags, a.DefaultMaxOutput, a.Assert, identities}
}

// assertable is what an app may say of itself. Everything else is known from the
// key, or is nobody's to say.
func (m *mapping) assertable(n *yaml.Node, s string) bool {
	attr, _, ok := parseAttribute(s)
	if ok && (attr == attrUser || attr == attrSession || attr == attrAgent || attr == attrTag) {
		return true
	}
	m.r.problem(n, `want "user", "session", "agent" or "tags.<name>"`, "an app cannot assert %q", clip(s))
	return false
}

// identities are [{apim_subscription: name}, …], sorted.
func (m *mapping) identities(key string) []Identity {
	var out []Identity
	for _, e := range m.list(key, "write a list such as [{apim_subscription: name}]", false) {
		i := m.r.mapping(e, "identity")
		v := i.text(IdentityAPIM, maxValue, true)
		i.done()
		if v == "" {
			continue
		}
		if slices.Contains(out, Identity{IdentityAPIM, v}) {
			m.r.problem(e, "keep one of them", "%q stands twice in %s", clip(v), key)
			continue
		}
		out = append(out, Identity{IdentityAPIM, v})
	}
	slices.SortFunc(out, func(a, b Identity) int { return strings.Compare(a.Value, b.Value) })
	return out
}

// tags are names with values.
func (m *mapping) tags(key string) map[string]string {
	t := m.sub(key, "set of tags", false)
	if t == nil {
		return nil
	}
	out := map[string]string{}
	for _, k := range t.keys {
		if !m.r.named(k, "tag", k.Value) {
			t.asked = append(t.asked, k.Value) // said already
			continue
		}
		if v := t.text(k.Value, maxValue, true); v != "" {
			out[k.Value] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// nameSet is a sorted list of different names.
func (m *mapping) nameSet(key string) []string {
	return m.set(key, "write a list of names", func(n *yaml.Node, s string) bool { return m.r.named(n, "an element of "+key, s) })
}

// set is a list whose order says nothing: it is sorted, so that equal sets are
// equal objects.
func (m *mapping) set(key, want string, check func(n *yaml.Node, s string) bool) []string {
	out := m.strings(key, want, false, check)
	if len(out) > maxList {
		m.r.problem(m.at[m.prefix+key], fmt.Sprintf("write up to %d", maxList), "%s has %d elements", key, len(out))
		out = out[:maxList]
	}
	slices.Sort(out)
	return out
}

func (r *reader) modelNamed(n *yaml.Node, what, s string) bool {
	if !validModelName(s) {
		r.problem(n, "write up to 127 letters, digits, \".\", \"_\", \"-\", \":\", \"@\" and single \"/\"", "%s %q is not a model's name", what, clip(s))
		return false
	}
	return true
}

// modelName is a field that names a model.
func (m *mapping) modelName(key string) string {
	n, s := m.quoted(key, "write a model's name such as gpt-4o", true)
	if n == nil || !m.r.modelNamed(n, key, s) {
		return ""
	}
	return s
}
