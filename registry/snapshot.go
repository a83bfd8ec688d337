package registry

import "time"

// Snapshot is everything we had been told at one version. It never changes: who
// reads one, reads one answer.
type Snapshot struct {
	// Version is the offset behind the last entry that is folded in; 0: nothing is.
	Version int64
}

func (s *Snapshot) Tenant(name string) (*Tenant, bool)                  { return nil, false }
func (s *Snapshot) Tenants() []*Tenant                                  { return nil }
func (s *Snapshot) Teams(tenant string) []*Team                         { return nil }
func (s *Snapshot) App(tenant, name string) (*App, bool)                { return nil, false }
func (s *Snapshot) Apps(tenant string) []*App                           { return nil }
func (s *Snapshot) AppByIdentity(kind, value string) (*App, bool)       { return nil, false }
func (s *Snapshot) Model(name string) (*Model, bool)                    { return nil, false }
func (s *Snapshot) Models() []*Model                                    { return nil }
func (s *Snapshot) Provider(name string) (*Provider, bool)              { return nil, false }
func (s *Snapshot) Providers() []*Provider                              { return nil }
func (s *Snapshot) Deployment(name string) (*Deployment, bool)          { return nil, false }
func (s *Snapshot) Deployments(model string) []*Deployment              { return nil }
func (s *Snapshot) Gateway(name string) (*Gateway, bool)                { return nil, false }
func (s *Snapshot) Gateways() []*Gateway                                { return nil }
func (s *Snapshot) UnmeteredPath(method, path string) bool              { return false }
func (s *Snapshot) Price(deployment string, at time.Time) (Price, bool) { return Price{}, false }
func (s *Snapshot) PriceHistory() []RecordedPrice                       { return nil }
func (s *Snapshot) Budgets(a *Attributes) []*Budget                     { return nil }
func (s *Snapshot) AllBudgets(tenant string) []*Budget                  { return nil }
func (s *Snapshot) Limits() []*Budget                                   { return nil }
func (s *Snapshot) BudgetByIncarnation(offset int64) (*Budget, bool)    { return nil, false }
func (s *Snapshot) Key(id string) (*Key, bool)                          { return nil, false }
func (s *Snapshot) Keys() []*Key                                        { return nil }

// PriceAsOf is Price as the registry knew it at a version: what a call that was
// decided then is settled by.
func (s *Snapshot) PriceAsOf(deployment string, at time.Time, version int64) (Price, bool) {
	return Price{}, false
}

func (s *Snapshot) Authenticate(h KeyHasher, secret string, now time.Time) (*Key, KeyProblem) {
	return nil, KeyUnknown
}
