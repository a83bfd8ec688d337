package journal

import "time"

// Rules is the version of the ledger entries' format and arithmetic that this
// program writes. A fold stops at entries whose rules are above its own.
const Rules uint32 = 1

// Unit is what a budget counts.
type Unit uint8

const (
	UnitUSD          Unit = 1 // nano-USD: 10⁻⁹ US dollars
	UnitTokens       Unit = 2 // input + output tokens
	UnitInputTokens  Unit = 3
	UnitOutputTokens Unit = 4
	UnitRequests     Unit = 5
	UnitConcurrent   Unit = 6 // calls in flight
)

var unitNames = [...]string{UnitUSD: "usd", UnitTokens: "tokens", UnitInputTokens: "input_tokens",
	UnitOutputTokens: "output_tokens", UnitRequests: "requests", UnitConcurrent: "concurrent"}

// String is the unit as users write it in the registry file.
func (u Unit) String() string {
	if int(u) < len(unitNames) {
		return unitNames[u]
	}
	return ""
}

// ParseUnit reads a unit as users write it.
func ParseUnit(s string) (Unit, bool) {
	for u, name := range unitNames {
		if name == s && s != "" {
			return Unit(u), true
		}
	}
	return 0, false
}

// Every names a calendar period.
type Every uint8

const (
	EveryHour    Every = 1
	EveryDay     Every = 2
	EveryWeek    Every = 3 // ISO weeks: Monday is the first day
	EveryMonth   Every = 4
	EveryQuarter Every = 5
	EveryYear    Every = 6
)

// Window is the time over which a budget counts: exactly one of Every (with its
// zone), Rolling, or neither, which means total (or "now" for concurrent).
type Window struct {
	Every   Every
	Zone    string // IANA name; "UTC" where the user gave none
	Rolling time.Duration
}

// Meter names one counter: a budget's incarnation × one tuple of per values ×
// one window. It is comparable, and equal meters are the same meter for ever.
type Meter struct {
	// Budget is the incarnation: the registry offset at which the budget (or the
	// deployment's capacity) was created.
	Budget int64
	Unit   Unit
	Per    string // the per values in the budget's order, joined by PerSeparator
	Label  string // the window: "2026-03", "2026-03-29T22Z", "total", "rolling"
}

// PerSeparator joins the values of Meter.Per. No attribute value may hold it.
const PerSeparator = "\x1f"

// Rank orders what is known of a call's cost; a higher rank replaces a lower.
type Rank uint8

const (
	RankRule     Rank = 1 // nobody told us: charged by rule
	RankEstimate Rank = 2 // counted from what was seen
	RankExact    Rank = 3 // the provider's own figures
)

// Outcome is how a call, or one attempt of it, ended.
type Outcome string

const (
	OutcomeCompleted Outcome = "completed"
	OutcomeFailed    Outcome = "failed"
	OutcomeAborted   Outcome = "aborted"
	OutcomeNotSent   Outcome = "not_sent"
	OutcomeUnknown   Outcome = "unknown" // no report ever came
)

// HoldID names one hold within the Book of its key. N is dense per epoch and key.
type HoldID struct {
	Epoch Epoch
	N     uint64
}

// EpochStarted is the first entry of a process on each key it writes to.
type EpochStarted struct{ Epoch Epoch }

// Asked requests leases on several meters of one key: all are granted or none.
// It grants nothing by itself: the fold says what was granted.
type Asked struct {
	Epoch Epoch
	N     uint64 // dense per epoch and key; at or below the last seen: a duplicate
	TTL   time.Duration
	Div   int64 // the largest share of what is available: 1/Div
	Asks  []Ask
}

// Ask is one meter of an Asked. Want is for all who wait, Least for the first.
type Ask struct {
	Meter Meter
	Want  int64
	Least int64
}

// AskCancelled takes an ask out of the queue, or keeps one from entering it. It
// never touches a lease: anybody may say it, and the holder may have spent it.
type AskCancelled struct {
	Epoch Epoch
	N     uint64
}

// Returned gives back unused money of one lease. Total runs: the fold takes the
// maximum, so a duplicate moves nothing.
type Returned struct {
	Epoch Epoch
	N     uint64 // the ask that got the lease
	Meter Meter
	Total int64
}

// Settled replaces a hold by what the call cost.
type Settled struct {
	Hold       HoldID
	CallID     string
	DecisionID string
	Rank       Rank
	Outcome    Outcome
	Charges    []Charge
	// Usage stands on the tenant's entry and not on the shared key's, so that
	// every call's usage is in the journal once.
	Usage *Usage
}

// Charge settles one meter of a hold. Lease 0 means that no lease stood behind
// it (warn and shadow budgets, the capacity of a deployment failed over to).
type Charge struct {
	Meter  Meter
	Lease  uint64
	Held   int64
	Actual int64
	Kept   int64
}

// Reported is usage that came for a call this replica does not know; the epoch
// that does settles it.
type Reported struct {
	CallID  string
	Gateway string
	Usage   Usage
}

// Closed moves what is left of leases to suspense. It carries no amounts: a
// closer that computed them would free money the holder has spent.
type Closed struct {
	Epoch Epoch
	N     []uint64
}

// EpochEnded frees an epoch's leases except its open holds. Only who holds the
// dead epoch's data folder under its lock, or an operator, may say it.
type EpochEnded struct {
	Epoch Epoch
	Open  []OpenHold
	By    string // empty: said from the epoch's own folder
	Why   string
}

// OpenHold is a hold that its dead epoch left unsettled.
type OpenHold struct {
	N       uint64
	Charges []Charge // Meter, Lease and Held
}

// EpochForgotten ends corrections of an epoch's settlements.
type EpochForgotten struct{ Epoch Epoch }

// LimitSet tells the fold a budget's limit. Window, Unit and MaxValues belong to
// the incarnation and never change within it; Amount is the newest Version's.
type LimitSet struct {
	Budget    int64
	Version   int64 // registry version
	Unit      Unit
	Window    Window
	MaxValues int64
	Amount    int64
}

// Adjusted moves what is spent on one meter by an operator's word: an Amount of
// +50 gives 50 more to spend.
type Adjusted struct {
	ID     string
	Meter  Meter
	Amount int64
	By     string
	Why    string
}

// MetersForgotten drops meters unchanged since Offset.
type MetersForgotten struct {
	Meters []Meter
	Offset int64
}

// RulesRaised allows entries of these rules from here on.
type RulesRaised struct{ Rules uint32 }

// Checkpoint lets replicas compare their books at an offset.
type Checkpoint struct {
	Offset int64
	Hash   [32]byte
}

func (EpochStarted) event()    {}
func (Asked) event()           {}
func (AskCancelled) event()    {}
func (Returned) event()        {}
func (Settled) event()         {}
func (Reported) event()        {}
func (Closed) event()          {}
func (EpochEnded) event()      {}
func (EpochForgotten) event()  {}
func (LimitSet) event()        {}
func (Adjusted) event()        {}
func (MetersForgotten) event() {}
func (RulesRaised) event()     {}
func (Checkpoint) event()      {}
