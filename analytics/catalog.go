package analytics

import (
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// Catalog is what the sink needs of the registry, as of its newest version.
type Catalog interface {
	// Prices lists every recorded version of every price and every removal, in the
	// order of recording; it only grows at its end.
	Prices() []PriceVersion
	// Budget finds a budget, or a deployment's capacity, by its incarnation,
	// removed ones included.
	Budget(incarnation int64) (Budget, bool)
}

// PriceVersion is one row of the prices table: nano-USD per million tokens, and for
// each use of a tool.
type PriceVersion struct {
	Deployment                                             string
	ValidFrom, RecordedAt                                  time.Time
	Version                                                int64 // of the registry; above 0
	Removed                                                bool
	Input, CachedInput, CacheWrite, CacheWriteLong, Output int64
	Tools                                                  map[string]int64 // nano-USD for each use
	Tiers                                                  []registry.Tier
}

// Budget names a meter's budget in the ledger table.
type Budget struct {
	Tenant, Name string
	Per          []string
	Unit         journal.Unit
	Window       journal.Window
}

// RegistryCatalog is the Catalog over a registry.
type RegistryCatalog struct {
	Registry interface{ Snapshot() *registry.Snapshot }
}

// Prices is the registry's history of prices.
func (c RegistryCatalog) Prices() []PriceVersion {
	history := c.Registry.Snapshot().PriceHistory()
	versions := make([]PriceVersion, len(history))
	for i := range history {
		p := &history[i]
		versions[i] = PriceVersion{Deployment: p.Deployment, ValidFrom: p.From, RecordedAt: p.RecordedAt, Version: p.Version,
			Removed: p.Removed, Input: p.Input, CachedInput: p.CachedInput, CacheWrite: p.CacheWrite,
			CacheWriteLong: p.CacheWriteLong, Output: p.Output, Tools: p.Tools, Tiers: p.Tiers}
	}
	return versions
}

// Budget is the registry's memory of budgets.
func (c RegistryCatalog) Budget(incarnation int64) (Budget, bool) {
	b, ok := c.Registry.Snapshot().BudgetByIncarnation(incarnation)
	if !ok {
		return Budget{}, false
	}
	return Budget{Tenant: b.Tenant, Name: b.Name, Per: b.Per, Unit: b.Unit, Window: b.Window}, true
}
