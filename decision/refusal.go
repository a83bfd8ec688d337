package decision

import (
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Code is why a call is refused. The set is closed; it may grow.
type Code string

const (
	Malformed          Code = "malformed"
	DialectMismatch    Code = "dialect_mismatch"
	KeyMissing         Code = "key_missing"
	KeyUnknown         Code = "key_unknown"
	KeyRevoked         Code = "key_revoked"
	KeyExpired         Code = "key_expired"
	BudgetExhausted    Code = "budget_exhausted"
	ModelNotAllowed    Code = "model_not_allowed"
	PolicyDenied       Code = "policy_denied"
	PolicyError        Code = "policy_error"
	Residency          Code = "residency"
	Unpriced           Code = "unpriced"
	Killed             Code = "killed"
	GuardPII           Code = "guard_pii"
	GuardSecret        Code = "guard_secret"
	GuardInjection     Code = "guard_injection"
	GuardModeration    Code = "guard_moderation"
	GuardSchema        Code = "guard_schema"
	ModelUnknown       Code = "model_unknown"
	PathUnknown        Code = "path_unknown"
	TooLarge           Code = "too_large"
	RateLimited        Code = "rate_limited"
	Concurrency        Code = "concurrency"
	CapacityExhausted  Code = "capacity_exhausted"
	BudgetHeld         Code = "budget_held"
	JournalUnavailable Code = "journal_unavailable"

	// Unmetered is never a refusal: it warns that nothing was held for the call.
	Unmetered Code = "unmetered"
	// NotDecided is a gateway's word, told to the journal afterwards: it got no answer
	// from us, and let the call through or refused it by itself.
	NotDecided Code = "undecided"
)

// statuses is the table of the contract: the HTTP status a caller sees.
var statuses = map[Code]int{
	Malformed: 400, DialectMismatch: 400,
	KeyMissing: 401, KeyUnknown: 401, KeyRevoked: 401, KeyExpired: 401,
	BudgetExhausted: 402,
	ModelNotAllowed: 403, PolicyDenied: 403, PolicyError: 403, Residency: 403, Unpriced: 403, Killed: 403,
	GuardPII: 403, GuardSecret: 403, GuardInjection: 403, GuardModeration: 403, GuardSchema: 403,
	ModelUnknown: 404, PathUnknown: 404,
	TooLarge:    413,
	RateLimited: 429, Concurrency: 429, CapacityExhausted: 429, BudgetHeld: 429,
	JournalUnavailable: 503,
}

// Status is the HTTP status for the code; 0 for a code that is not of the set.
func (c Code) Status() int { return statuses[c] }

// Codes lists the closed set, for metrics and for tests of the status table.
func Codes() []Code {
	codes := make([]Code, 0, len(statuses))
	for c := range statuses {
		codes = append(codes, c)
	}
	return codes
}

// Reason is one failing check, with the figures a caller needs to act on it.
// Amounts are in the unit's own integer: nano-USD for usd.
type Reason struct {
	Code    Code
	Message string

	// Of a budget:
	Budget                    string
	Unit                      journal.Unit
	Limit, Spent, Held, Asked int64
	ResetsAt                  time.Time // zero: never
}

// Refusal is an answer, not an error: every failing check, the first of which
// sets the status.
type Refusal struct {
	Reasons    []Reason
	RetryAfter time.Duration // 0: none
}

// Error lets a stage return a refusal as its error, so that the pipeline stays
// straight; conclude takes it out again.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %s", r.Reasons[0].Code, r.Reasons[0].Message)
}

// Status is the first reason's.
func (r *Refusal) Status() int { return r.Reasons[0].Code.Status() }

// refuse builds a refusal of one reason.
func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Reasons: []Reason{{Code: code, Message: fmt.Sprintf(format, args...)}}}
}
