package ledger

import (
	"context"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// Demand is what one call asks of one meter, as a function of its output limit
// m in tokens:
//
//	amount(m) = Base + ⌈m × PerMTok ÷ 10⁶⌉
//
// in the budget's unit (nano-USD for usd). A tokens demand has PerMTok 10⁶, a
// requests demand has Base 1 and PerMTok 0.
type Demand struct {
	Key     string // the ledger key: a tenant, or journal.SharedKey
	Budget  *registry.Budget
	Meter   journal.Meter
	Base    int64
	PerMTok int64
}

// Candidate is one place a call could go, with what it would need there.
type Candidate struct{ Demands []Demand }

// homeKey is the key that a call is counted on: its tenant's, where it has one.
func (c *Candidate) homeKey() string {
	for i := range c.Demands {
		if key := c.Demands[i].Key; key != journal.SharedKey {
			return key
		}
	}
	return journal.SharedKey
}

// HoldRequest asks to hold what a call can cost at most.
type HoldRequest struct {
	At     time.Time // the decision's one clock reading
	CallID string
	// Key is the ledger key on which the call's usage is journaled: its tenant.
	// It gets a part of the hold even where no budget counts the call.
	Key string
	// Floor and Want bound the output limit, in tokens. Equal: no clamp.
	Floor, Want int64
	// Candidates are tried in order; the first whose demands all fit is held.
	Candidates []Candidate
	TTL        time.Duration // after which the hold is settled by rule; 0: the keeper's
}

// Amounts are sums by unit: Amounts[journal.UnitUSD] is nano-USD.
type Amounts [journal.UnitConcurrent + 1]int64

// Held is what was set aside for one call.
type Held struct {
	Candidate int
	Output    int64 // the output limit it pays for: at most Want
	// Parts is the hold by ledger key: one HoldID and one charge a meter for each
	// key, the tenant's first. It is what gets settled.
	Parts     []journal.HeldOn
	Amounts   Amounts // what one call costs at most in each unit, not summed over budgets
	ExpiresAt time.Time
	Warnings  []Shortage // warn and shadow budgets that this call would pass
	Tightest  *Shortage  // of the enforced usd meters, the one with least left after this hold

	open *openHold
}

// Shortage is one meter that cannot bear a demand, or only just.
type Shortage struct {
	Demand Demand
	// Exhausted: the fold says that the least this call needs is more than limit −
	// spent. Otherwise the money is there but held by other calls.
	Exhausted bool
	// Late: the log did not say in time what it grants; nobody need hold it.
	Late       bool
	Limit      int64
	Spent      int64
	Held       int64 // by calls in flight and in leases, everywhere
	Asked      int64 // the least that would have done
	ResetsAt   time.Time
	RetryAfter time.Duration // 0: waiting does not help before ResetsAt
}

// Settlement is what a call cost: the parts of its hold with Actual filled in on
// each charge. Charges with Lease 0 may be added (a warn budget, the capacity of
// a deployment that was failed over to).
type Settlement struct {
	Parts      []journal.HeldOn
	CallID     string
	DecisionID string
	Rank       journal.Rank
	Outcome    journal.Outcome
	Usage      *journal.Usage // written on the first part that is not the shared key's
}

// Outcome is what became of a settlement.
type Outcome struct {
	Acknowledged bool // the journal has it; false: the spool has it
	Repeated     bool // it was settled before at this rank or a higher one
}

// OpenHold is a hold that nobody has settled yet.
type OpenHold struct {
	Parts     []journal.HeldOn
	CallID    string
	Note      []byte // the caller's own, as given to Keep
	HeldAt    time.Time
	ExpiresAt time.Time
	// Inherited: an earlier process in this folder held it.
	Inherited bool
}

// MeterView is one meter as the books have it.
type MeterView struct {
	Key     string
	Meter   journal.Meter
	Balance Balance
	// ChangedAt is the log time of the last entry that moved it.
	ChangedAt time.Time
}

// Stats are the keeper's gauges, for metrics.
type Stats struct {
	HoldsOpen    int
	Leases       int // own, in hand
	Waiting      int // calls that wait for money
	Meters       int
	Queued       int             // asks in the books' queues
	FoldLag      map[int32]int64 // entries not folded yet, by partition
	Stopped      []int32         // partitions whose fold stopped
	Suspense     map[string]int64
	Acknowledged int64 // settlements that the journal took directly
	Spooled      int64 // settlements that went to the spool
}

// Journal is what the keeper needs of one.
type Journal interface {
	Append(ctx context.Context, recs ...journal.Record) error
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Starts(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Partitions(topic journal.Topic) int32
	PartitionFor(topic journal.Topic, key string) int32
	Healthy() error
}

// Spooler takes records that the journal did not: all of one call or none, on
// disk when it returns.
type Spooler interface {
	Put(recs ...journal.Record) error
}

// Limits gives the newest amount of a budget that the registry knows.
type Limits interface {
	BudgetByIncarnation(incarnation int64) (*registry.Budget, bool)
}

// LimitsFunc makes Limits of a registry's newest snapshot.
type LimitsFunc func() *registry.Snapshot

// BudgetByIncarnation looks in the newest snapshot.
func (f LimitsFunc) BudgetByIncarnation(incarnation int64) (*registry.Budget, bool) {
	return f().BudgetByIncarnation(incarnation)
}
