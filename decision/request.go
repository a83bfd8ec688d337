package decision

import "github.com/signalbox-dev/signalbox/journal"

// Request is one call as a gateway saw it, before any of it is believed.
type Request struct {
	CallID       string // the gateway's own, optional
	Gateway      string // authenticated by the door, never the caller's word
	Method, Path string
	Headers      Headers
	Body         []byte
	BodyComplete bool
	// Fixed says that the gateway sends the body on byte for byte: nothing in it may be
	// changed, so the call is judged and held as it stands, or refused.
	Fixed bool
}

// Headers are the caller's, names in lower case; of a repeated header, the first.
type Headers map[string]string

// Report is what a gateway says of a call after it was made.
type Report struct {
	Token      string // the report token, or
	CallID     string // the call id, with Gateway
	Gateway    string
	Outcome    journal.Outcome
	Deployment string // the one that answered; empty: the first of the answer
	Status     int
	Attempts   []ReportedAttempt
	// Usage is nil when the gateway does not know; ProviderUsage is the
	// provider's own JSON, which we normalise.
	Usage         *journal.Tokens
	ProviderUsage []byte
	ServiceTier   string
	Source        journal.Source
	Rank          journal.Rank // 0: exact where usage is given, rule where not
	// SeenOutputTokens bounds the output streamed so far, for a call that broke off;
	// -1: unknown.
	SeenOutputTokens int64
	// SeenInput is what the provider had said of the prompt before the call broke
	// off, its Output left 0; nil: nothing, and the bound that was held counts.
	SeenInput *journal.Tokens
	LatencyMS int64
	TTFTMS    int64
	// Learnt: whoever reports has told already what the tries showed of the
	// deployments, with headers that a report does not carry.
	Learnt bool
}

// ReportedAttempt is one try before the one that answered.
type ReportedAttempt struct {
	Deployment string
	Status     int
	Outcome    journal.Outcome
	LatencyMS  int64
	Usage      *journal.Tokens
}

// Settled is our answer to a report.
type Settled struct {
	Settled         bool // the journal has it; false: it is in the spool
	Repeated        bool // this is the first report's charge again
	ChargedNanoUSD  int64
	ReleasedNanoUSD int64
	OverHold        bool
}
