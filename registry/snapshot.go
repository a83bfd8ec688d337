package registry

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Snapshot is everything we had been told at one version. It never changes: who
// reads one, reads one answer. What it returns belongs to it and must not be
// written to.
type Snapshot struct {
	// Version is the offset behind the last entry that is folded in; 0: nothing is.
	Version int64

	objects map[objectID]*recorded

	tenants     map[string]*Tenant
	teams       map[string][]*Team // by tenant
	apps        map[pair]*App
	identities  map[Identity]*App
	providers   map[string]*Provider
	models      map[string]*Model
	deployments map[string]*Deployment
	serving     map[string][]*Deployment // by model
	gateways    map[string]*Gateway
	paths       []*Path
	prices      map[string]*prices // by deployment
	recorded    []RecordedPrice
	budgets     budgetIndex
	keys        keyIndex
}

// pair is a name within a tenant.
type pair struct{ tenant, name string }

// Tenant finds a tenant.
func (s *Snapshot) Tenant(name string) (*Tenant, bool) { t, ok := s.tenants[name]; return t, ok }

// Tenants are all of them, by name.
func (s *Snapshot) Tenants() []*Tenant { return sorted(s.tenants) }

// Teams are a tenant's, by name.
func (s *Snapshot) Teams(tenant string) []*Team { return s.teams[tenant] }

// App finds an app; its tags are its tenant's with its own over them.
func (s *Snapshot) App(tenant, name string) (*App, bool) {
	a, ok := s.apps[pair{tenant, name}]
	return a, ok
}

// Apps are a tenant's, by name; of all tenants where it is empty.
func (s *Snapshot) Apps(tenant string) []*App {
	var out []*App
	for _, a := range s.apps {
		if tenant == "" || a.Tenant == tenant {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *App) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Name, b.Name))
	})
	return out
}

// AppByIdentity finds an app by another way to be it, such as IdentityAPIM.
func (s *Snapshot) AppByIdentity(kind, value string) (*App, bool) {
	a, ok := s.identities[Identity{kind, value}]
	return a, ok
}

// Model finds a model by its public name.
func (s *Snapshot) Model(name string) (*Model, bool) { m, ok := s.models[name]; return m, ok }

// Models are all of them, by name.
func (s *Snapshot) Models() []*Model { return sorted(s.models) }

// Provider finds a provider.
func (s *Snapshot) Provider(name string) (*Provider, bool) { p, ok := s.providers[name]; return p, ok }

// Providers are all of them, by name.
func (s *Snapshot) Providers() []*Provider { return sorted(s.providers) }

// Deployment finds a deployment.
func (s *Snapshot) Deployment(name string) (*Deployment, bool) {
	d, ok := s.deployments[name]
	return d, ok
}

// Deployments are those that serve a model, by name; all of them where it is empty.
func (s *Snapshot) Deployments(model string) []*Deployment {
	if model == "" {
		return sorted(s.deployments)
	}
	return s.serving[model]
}

// Gateway finds a gateway.
func (s *Snapshot) Gateway(name string) (*Gateway, bool) { g, ok := s.gateways[name]; return g, ok }

// Gateways are all of them, by name.
func (s *Snapshot) Gateways() []*Gateway { return sorted(s.gateways) }

// Paths are the rules for paths, by path.
func (s *Snapshot) Paths() []*Path { return s.paths }

// UnmeteredPath reports whether a rule says that this path is let through
// unjudged, whatever query stands behind it. A path that could be read in two ways
// is not.
func (s *Snapshot) UnmeteredPath(method, path string) bool {
	path, _, _ = strings.Cut(path, "?")
	if !plainPath(path) {
		return false
	}
	for _, p := range s.paths {
		if p.Unmetered && p.matches(method, path) {
			return true
		}
	}
	return false
}

// Price is the price of a deployment in force at a moment: of those that have
// begun the latest, as it was recorded last.
func (s *Snapshot) Price(deployment string, at time.Time) (Price, bool) {
	return s.prices[deployment].at(at)
}

// PriceAsOf is Price as the registry knew it at a version: what a call that was
// decided then is settled by, whatever was corrected since.
func (s *Snapshot) PriceAsOf(deployment string, at time.Time, version int64) (Price, bool) {
	return s.prices[deployment].asOf(at, version)
}

// PriceHistory is every price ever recorded and every removal, oldest record first.
func (s *Snapshot) PriceHistory() []RecordedPrice { return s.recorded }

// Key finds a key by its id.
func (s *Snapshot) Key(id string) (*Key, bool) { k, ok := s.keys.byID[id]; return k, ok }

// Keys are all of them, by tenant, app, gateway and age.
func (s *Snapshot) Keys() []*Key { return s.keys.sorted }

// keyIndex finds keys by id and by hash.
type keyIndex struct {
	byID    map[string]*Key
	byHash  map[keyHash]*Key
	sorted  []*Key
	kinds   []string // hash kinds in use, sorted
	foreign []string // those of other products' keys
}

// build makes a snapshot of the objects at one version. It shares the objects
// with the fold, which never writes to one again, and resolves what they say of
// each other.
func build(version int64, objects map[objectID]*recorded, history []RecordedPrice, incarnations map[int64]*Budget) *Snapshot {
	s := &Snapshot{
		Version: version, objects: maps.Clone(objects), recorded: slices.Clip(history),
		tenants: map[string]*Tenant{}, teams: map[string][]*Team{}, apps: map[pair]*App{}, identities: map[Identity]*App{},
		providers: map[string]*Provider{}, models: map[string]*Model{}, deployments: map[string]*Deployment{},
		serving: map[string][]*Deployment{}, gateways: map[string]*Gateway{}, prices: map[string]*prices{},
		keys: keyIndex{byID: map[string]*Key{}, byHash: map[keyHash]*Key{}},
	}
	for _, o := range objects {
		s.add(o)
	}
	s.resolveApps()
	s.resolveDeployments()
	s.resolveKeys()
	for _, h := range history {
		s.pricesOf(h.Deployment).history = append(s.pricesOf(h.Deployment).history, h)
	}
	for _, p := range s.prices {
		sortPrices(p.current)
	}
	for _, teams := range s.teams {
		slices.SortFunc(teams, func(a, b *Team) int { return strings.Compare(a.Name, b.Name) })
	}
	slices.SortFunc(s.paths, func(a, b *Path) int { return strings.Compare(a.Path, b.Path) })
	s.budgets = indexBudgets(s.objects, incarnations)
	return s
}

// add puts one object where it is looked for.
func (s *Snapshot) add(o *recorded) {
	switch v := o.value.(type) {
	case *Tenant:
		s.tenants[v.Name] = v
	case *Team:
		s.teams[v.Tenant] = append(s.teams[v.Tenant], v)
	case *App:
		s.apps[pair{v.Tenant, v.Name}] = v
	case *Provider:
		s.providers[v.Name] = v
	case *Model:
		s.models[v.Name] = v
	case *Deployment:
		s.deployments[v.Name] = v
	case *Price:
		s.pricesOf(v.Deployment).current = append(s.pricesOf(v.Deployment).current, v)
	case *Gateway:
		s.gateways[v.Name] = v
	case *Path:
		s.paths = append(s.paths, v)
	case *Key:
		s.keys.byID[v.ID] = v
	}
}

func (s *Snapshot) pricesOf(deployment string) *prices {
	p := s.prices[deployment]
	if p == nil {
		p = &prices{}
		s.prices[deployment] = p
	}
	return p
}

// resolveApps gives each app its tenant's tags and finds it by its identities.
func (s *Snapshot) resolveApps() {
	for at, own := range s.apps {
		app := *own
		app.Tags = map[string]string{}
		if t := s.tenants[app.Tenant]; t != nil {
			maps.Copy(app.Tags, t.Tags)
		}
		maps.Copy(app.Tags, app.ownTags)
		s.apps[at] = &app
		for _, i := range app.Identities {
			s.identities[i] = &app
		}
	}
}

// resolveDeployments gives each deployment its provider and its model. One whose
// provider or model is not known serves nobody: apply refuses to write such a
// thing, so only another program's hand could have.
func (s *Snapshot) resolveDeployments() {
	for name, own := range s.deployments {
		d := *own
		d.ProviderRef, d.ModelRef = s.providers[d.Provider], s.models[d.Model]
		if d.ProviderRef == nil || d.ModelRef == nil {
			delete(s.deployments, name)
			continue
		}
		s.deployments[name] = &d
		s.serving[d.Model] = append(s.serving[d.Model], &d)
	}
	for _, list := range s.serving {
		slices.SortFunc(list, func(a, b *Deployment) int { return strings.Compare(a.Name, b.Name) })
	}
}

// resolveKeys gives each key its app's team. A key whose app or gateway is gone
// is revoked, should it not have been when they went.
func (s *Snapshot) resolveKeys() {
	used := map[string]bool{}
	for id, own := range s.keys.byID {
		k := *own
		owned := k.Kind == KeyAdmin
		if a, ok := s.apps[pair{k.Tenant, k.App}]; ok && k.Kind == KeyApp {
			k.Team, owned = a.Team, true
		}
		if _, ok := s.gateways[k.Gateway]; ok && k.Kind == KeyGateway {
			owned = true
		}
		if !owned && k.RevokedAt.IsZero() {
			k.RevokedAt = k.CreatedAt
		}
		s.keys.byID[id] = &k
		s.keys.byHash[keyHash{k.HashKind, [32]byte(k.Hash)}] = &k
		s.keys.sorted = append(s.keys.sorted, &k)
		used[k.HashKind] = true
	}
	s.keys.kinds = slices.Sorted(maps.Keys(used))
	for _, kind := range s.keys.kinds {
		if kind != HashHMAC {
			s.keys.foreign = append(s.keys.foreign, kind)
		}
	}
	slices.SortFunc(s.keys.sorted, func(a, b *Key) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.App, b.App), strings.Compare(a.Gateway, b.Gateway),
			a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
}

// sorted are a map's values by name.
func sorted[V any](m map[string]V) []V {
	out := make([]V, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[name])
	}
	return out
}
