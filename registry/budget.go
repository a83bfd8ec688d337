package registry

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// Mode is what happens when a budget cannot pay.
type Mode string

const (
	Enforce Mode = "enforce" // the call is refused
	Warn    Mode = "warn"    // the call goes out and is told
	Shadow  Mode = "shadow"  // the call goes out and only reports say so
)

// HoldMode is how much a call sets aside before it runs.
type HoldMode string

const (
	Ceiling  HoldMode = "ceiling"  // an upper bound: the limit is never passed
	Expected HoldMode = "expected" // a learned quantile: overshoot is possible and reported
)

// DefaultMaxValues bounds the meters of one per budget.
const DefaultMaxValues = 100_000

// Budget is one limit: which calls it counts, in which unit, over which time,
// and what happens when it is spent.
type Budget struct {
	Tenant string // empty when Global, and for a capacity
	Name   string
	Global bool
	// Incarnation names the budget's meters: the registry offset at which it got
	// its match, per, unit and window. Its amount, mode and hold may change within.
	Incarnation int64
	Match       map[string][]string // attribute → values, sorted; equality only
	Per         []string            // attributes, in the meter's order
	Unit        journal.Unit
	Amount      int64 // nano-USD for usd
	Window      journal.Window
	Mode        Mode
	Hold        HoldMode
	MaxValues   int64
	Capacity    bool // a deployment's
	Removed     bool // only in history: BudgetByIncarnation
	Version     int64

	matchers []matcher
}

// LedgerKey is the key of the Book on which the budget's meters stand.
func (b *Budget) LedgerKey() string {
	if b.Tenant == "" {
		return journal.SharedKey
	}
	return b.Tenant
}

// KillSwitch reports whether the budget is one: no requests at all.
func (b *Budget) KillSwitch() bool {
	return b.Unit == journal.UnitRequests && b.Amount == 0
}

// matcher is one compiled line of a match.
type matcher struct {
	attr   attribute
	tag    string
	values []string
}

// Matches reports whether the budget counts a call of these attributes. Equality
// only, and a call without a value for an attribute is not matched by it.
func (b *Budget) Matches(a *Attributes) bool {
	for i := range b.matchers {
		if !b.matchers[i].matches(a) {
			return false
		}
	}
	return true
}

func (m *matcher) matches(a *Attributes) bool {
	v := a.matched(m.attr, m.tag)
	if v == "" {
		return false
	}
	for _, want := range m.values {
		if want == v {
			return true
		}
	}
	return false
}

// compile prepares the match for the hot path.
func (b *Budget) compile() {
	b.matchers = nil
	for _, name := range slices.Sorted(maps.Keys(b.Match)) {
		attr, tag, ok := parseAttribute(name)
		if !ok {
			continue // refused when it was read
		}
		b.matchers = append(b.matchers, matcher{attr, tag, b.Match[name]})
	}
	if b.Tenant != "" { // found under its tenant already
		b.matchers = slices.DeleteFunc(b.matchers, func(m matcher) bool { return m.attr == attrTenant })
	}
}

// shape is what a budget's incarnation stands for: while it stays, so do the
// meters. Amount, mode, hold and max_values are not of it.
func (b *Budget) shape() string {
	shape, err := json.Marshal(struct {
		Match  map[string][]string
		Per    []string
		Unit   string
		Window any
	}{b.Match, b.Per, b.Unit.String(), windowBody(b.Window, b.Unit)})
	if err != nil { // strings and numbers only: the program is wrong
		panic("registry: the shape of budget " + b.Name + ": " + err.Error())
	}
	return string(shape)
}

// budgetIndex finds the budgets of a call.
type budgetIndex struct {
	byTenant     map[string]*tenantBudgets // "" holds the global ones
	all          []*Budget                 // capacities too
	incarnations map[int64]*Budget
}

// tenantBudgets are one tenant's budgets, by name. Those of an app are those that
// name it and those that name none, so that a tenant with a thousand apps does
// not match all their budgets at each call.
type tenantBudgets struct {
	all    []*Budget
	byApp  map[string][]*Budget
	anyApp []*Budget
}

func indexBudgets(objects map[objectID]*recorded, incarnations map[int64]*Budget) budgetIndex {
	x := budgetIndex{byTenant: map[string]*tenantBudgets{}, incarnations: incarnations}
	for _, o := range objects {
		switch v := o.value.(type) {
		case *Budget:
			x.all = append(x.all, v)
		case *Deployment:
			if v.Capacity != nil {
				x.all = append(x.all, v.Capacity)
			}
		}
	}
	slices.SortFunc(x.all, func(a, b *Budget) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Name, b.Name))
	})
	for _, b := range x.all {
		if !b.Capacity {
			t := x.byTenant[b.Tenant]
			if t == nil {
				t = &tenantBudgets{}
				x.byTenant[b.Tenant] = t
			}
			t.all = append(t.all, b)
		}
	}
	for _, t := range x.byTenant {
		t.splitByApp()
	}
	return x
}

func (t *tenantBudgets) splitByApp() {
	t.byApp = map[string][]*Budget{}
	for _, b := range t.all {
		for _, app := range b.Match["app"] {
			t.byApp[app] = nil
		}
	}
	for _, b := range t.all {
		if apps := b.Match["app"]; len(apps) > 0 {
			for _, app := range apps {
				t.byApp[app] = append(t.byApp[app], b)
			}
			continue
		}
		t.anyApp = append(t.anyApp, b)
		for app := range t.byApp {
			t.byApp[app] = append(t.byApp[app], b)
		}
	}
}

func (t *tenantBudgets) of(app string) []*Budget {
	if t == nil {
		return nil
	}
	if list, ok := t.byApp[app]; ok {
		return list
	}
	return t.anyApp
}

// Budgets are those that count a call of these attributes: the global ones
// first, then the tenant's, each by name. Capacities are not among them: they
// stand on their deployments.
func (s *Snapshot) Budgets(a *Attributes) []*Budget {
	return s.AppendBudgets(nil, a)
}

// AppendBudgets is Budgets behind what dst holds, for who keeps a slice at hand.
func (s *Snapshot) AppendBudgets(dst []*Budget, a *Attributes) []*Budget {
	global := s.budgets.byTenant[""].of(a.App)
	var own []*Budget
	if a.Tenant != "" {
		own = s.budgets.byTenant[a.Tenant].of(a.App)
	}
	if dst == nil && len(global)+len(own) > 0 {
		dst = make([]*Budget, 0, len(global)+len(own))
	}
	for _, b := range global {
		if b.Matches(a) {
			dst = append(dst, b)
		}
	}
	for _, b := range own {
		if b.Matches(a) {
			dst = append(dst, b)
		}
	}
	return dst
}

// AllBudgets are a tenant's budgets, or the global ones where it is empty, by name.
func (s *Snapshot) AllBudgets(tenant string) []*Budget {
	if t := s.budgets.byTenant[tenant]; t != nil {
		return t.all
	}
	return nil
}

// Limits are all budgets there are, deployments' capacities included: what the
// ledger must know the amounts of.
func (s *Snapshot) Limits() []*Budget { return s.budgets.all }

// BudgetByIncarnation finds a budget or a capacity by what names its meters, and
// one that is Removed, or has become another, as it was last.
func (s *Snapshot) BudgetByIncarnation(offset int64) (*Budget, bool) {
	b, ok := s.budgets.incarnations[offset]
	return b, ok
}
