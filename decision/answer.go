package decision

import (
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// Answer is what a gateway is told. Exactly one of Refusal, Served and Plan is
// set; the word "action" is derived from it at the edge.
type Answer struct {
	DecisionID      string
	CallID          string
	Dialect         llm.Dialect // in which a refusal's body is written
	PolicyRevision  string
	RegistryVersion int64
	Changes         []Change
	Warnings        []Reason  // said, not enforced: warn budgets, masked rules
	Findings        []Finding // the first of what a guard found, whether or not it was removed

	Refusal *Refusal
	Served  *Served
	Plan    *Plan
}

// Change is one thing we altered in the caller's request. A closed set.
type Change string

const (
	Clamped          Change = "clamped"
	Defaulted        Change = "defaulted"
	Redacted         Change = "redacted"
	UsageRequested   Change = "usage_requested"
	ModelSubstituted Change = "model_substituted"
)

// change notes one, once.
func (a *Answer) change(c Change) {
	if !slices.Contains(a.Changes, c) {
		a.Changes = append(a.Changes, c)
	}
}

// Plan lets the call go out: where, with which edits, under which hold.
type Plan struct {
	Deployments []*registry.Deployment // in order; never empty
	Edits       []llm.Edit             // of the caller's body; not overlapping, in no order
	Body        []byte                 // the edited body; nil when nothing changed
	ModelAsked  string                 // by the caller, in the body or in the path
	ModelSpan   [2]int                 // of the caller's model in Body (or in the request's); [0,0]: the path names it
	Hold        Hold
	ReportToken string
	Budget      *BudgetLeft // the tightest, for the caller's headers
	Free        bool        // not judged by tokens: model lists, token counting
}

// Hold is what was set aside for the call.
type Hold struct {
	NanoUSD         int64
	Tokens          int64
	MaxOutputTokens int64
	// Attempts is how many tries the hold pays for that may each have been billed:
	// 1, unless policy asked for more. A try that surely cost nothing (it did not
	// connect, or was turned away before its first byte) is not counted.
	Attempts  int
	ExpiresAt time.Time
}

// BudgetLeft is the money of the call's tightest budget after this hold.
type BudgetLeft struct {
	Name string
	Unit string
	Left string // decimal
}

// Served is an answer from the cache.
type Served struct {
	Status  int
	Headers map[string]string
	Body    []byte
}

// Action is the contract's word for the answer: deny > serve > redact > route >
// allow. It is "route" when the call would go wrong without the plan's
// deployments (docs/decisions/070-route-or-allow.md), and "allow" when a gateway
// that sends the body on as it is, to the one place there is, does right.
func (a *Answer) Action() string {
	switch {
	case a.Refusal != nil:
		return "deny"
	case a.Served != nil:
		return "serve"
	case slices.Contains(a.Changes, Redacted):
		return "redact"
	case slices.Contains(a.Changes, ModelSubstituted), a.Plan != nil && a.Plan.routes():
		return "route"
	}
	return "allow"
}

// routes reports whether it matters that the gateway follows the deployments:
// there is an order to keep, or the provider knows the model by another name.
func (p *Plan) routes() bool {
	return len(p.Deployments) > 1 || len(p.Deployments) == 1 && p.Deployments[0].UpstreamModel != p.ModelAsked
}
