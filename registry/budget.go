package registry

import "github.com/signalbox-dev/signalbox/journal"

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
	v := a.value(m.attr, m.tag)
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
