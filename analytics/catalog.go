package analytics

import (
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Catalog is what the sink needs of the registry, as of its newest version.
type Catalog interface {
	// Prices lists every recorded version of every price.
	Prices() []PriceVersion
	// Budget finds a budget, or a deployment's capacity, by its incarnation,
	// removed ones included.
	Budget(incarnation int64) (Budget, bool)
}

// PriceVersion is one row of the prices table: nano-USD per million tokens.
type PriceVersion struct {
	Deployment                                             string
	ValidFrom, RecordedAt                                  time.Time
	Input, CachedInput, CacheWrite, CacheWriteLong, Output int64
}

// Budget names a meter's budget in the ledger table.
type Budget struct {
	Tenant, Name string
	Per          []string
	Unit         journal.Unit
	Window       journal.Window
}
