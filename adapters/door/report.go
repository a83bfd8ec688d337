package door

import (
	"errors"
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

const (
	maxAttempts      = 64
	maxOther         = 64
	maxTokens        = 1 << 40 // of one call; far above any model, far below an overflow
	maxReportToken   = 4 << 10
	maxProviderUsage = 256 << 10
)

// EnvelopeReport is the largest report.
const EnvelopeReport = 1 << 20

// Report is what a gateway says of a call after it was made.
type Report struct {
	ReportToken      string    `json:"report_token"`
	CallID           string    `json:"call_id"`
	Gateway          string    `json:"gateway"`
	Outcome          string    `json:"outcome"`
	Deployment       string    `json:"deployment"`
	Status           int64     `json:"status"`
	Attempts         []Attempt `json:"attempts"`
	Usage            *Usage    `json:"usage"`
	ProviderUsage    RawJSON   `json:"provider_usage"`
	SeenOutputTokens *int64    `json:"seen_output_tokens"`
	ServiceTier      string    `json:"service_tier"`
	Source           string    `json:"source"`
	LatencyMS        int64     `json:"latency_ms"`
	TTFTMS           int64     `json:"ttft_ms"`
}

// Attempt is one try before the one that answered.
type Attempt struct {
	Deployment string `json:"deployment"`
	Status     int64  `json:"status"`
	Outcome    string `json:"outcome"`
	LatencyMS  int64  `json:"latency_ms"`
	Usage      *Usage `json:"usage"`
}

// Usage is in tokens; input includes cached and cache writes, output includes
// reasoning.
type Usage struct {
	InputTokens          int64            `json:"input_tokens"`
	CachedInputTokens    int64            `json:"cached_input_tokens"`
	CacheWriteTokens     int64            `json:"cache_write_tokens"`
	CacheWriteLongTokens int64            `json:"cache_write_long_tokens"`
	OutputTokens         int64            `json:"output_tokens"`
	ReasoningTokens      int64            `json:"reasoning_tokens"`
	Other                map[string]int64 `json:"other"`
}

// RawJSON is a value that somebody else's convention explains.
type RawJSON []byte

// UnmarshalJSON keeps the value as it was sent; null is nothing.
func (r *RawJSON) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*r = nil
		return nil
	}
	if len(b) > 0 && b[0] != '{' {
		return errors.New("want the provider's usage object")
	}
	*r = slices.Clone(b)
	return nil
}

// outcomes are what a gateway may say; that nothing is known is ours to say.
var outcomes = []journal.Outcome{journal.OutcomeCompleted, journal.OutcomeFailed, journal.OutcomeAborted, journal.OutcomeNotSent}

// sources are where a gateway may have read the usage; rules are ours.
var sources = []journal.Source{"", journal.SourceBody, journal.SourceStream, journal.SourceLLMLog, journal.SourceAccessLog}

// Settlement checks a report and turns it into what is settled. gateway is who
// reports, as the door found out.
func (r *Report) Settlement(gateway string) (decision.Report, *Problem) {
	if p := r.check(); p != nil {
		return decision.Report{}, p
	}
	out := decision.Report{
		Token: r.ReportToken, CallID: r.CallID, Gateway: gateway,
		Outcome: journal.Outcome(r.Outcome), Deployment: r.Deployment, Status: int(r.Status),
		Usage: r.Usage.tokens(), ProviderUsage: r.ProviderUsage, ServiceTier: r.ServiceTier,
		Source: journal.Source(r.Source), SeenOutputTokens: -1, LatencyMS: r.LatencyMS, TTFTMS: r.TTFTMS,
	}
	if out.Source == "" && (r.Usage != nil || len(r.ProviderUsage) > 0) {
		out.Source = journal.SourceBody
	}
	if r.SeenOutputTokens != nil {
		out.SeenOutputTokens = *r.SeenOutputTokens
	}
	for _, a := range r.Attempts {
		out.Attempts = append(out.Attempts, decision.ReportedAttempt{
			Deployment: a.Deployment, Status: int(a.Status), Outcome: journal.Outcome(a.Outcome),
			LatencyMS: a.LatencyMS, Usage: a.Usage.tokens(),
		})
	}
	return out, nil
}

func (r *Report) check() *Problem {
	if r.ReportToken == "" && r.CallID == "" {
		return bad("report_token", "want report_token as the answer gave it, or call_id")
	}
	if len(r.ReportToken) > maxReportToken {
		return bad("report_token", "at most %d bytes", maxReportToken)
	}
	for _, field := range []struct{ where, value string }{
		{"call_id", r.CallID}, {"deployment", r.Deployment}, {"service_tier", r.ServiceTier},
	} {
		if p := checkID(field.where, field.value); p != nil {
			return p
		}
	}
	if !slices.Contains(sources, journal.Source(r.Source)) {
		return bad("source", "want body, stream, llm_log or access_log, not %s", quote(r.Source))
	}
	if r.Usage != nil && len(r.ProviderUsage) > 0 {
		return bad("provider_usage", "send usage or provider_usage, not both")
	}
	if len(r.ProviderUsage) > maxProviderUsage {
		return bad("provider_usage", "at most %d bytes", maxProviderUsage)
	}
	if n := r.SeenOutputTokens; n != nil && (*n < 0 || *n > maxTokens) {
		return bad("seen_output_tokens", "want a number of tokens from 0 to %d", int64(maxTokens))
	}
	if r.TTFTMS < 0 {
		return bad("ttft_ms", "a time cannot be negative")
	}
	if p := checkTry("", r.Outcome, r.Status, r.LatencyMS, r.Usage); p != nil {
		return p
	}
	if len(r.Attempts) > maxAttempts {
		return bad("attempts", "at most %d", maxAttempts)
	}
	for i, a := range r.Attempts {
		at := fmt.Sprintf("attempts[%d].", i)
		if p := checkID(at+"deployment", a.Deployment); p != nil {
			return p
		}
		if p := checkTry(at, a.Outcome, a.Status, a.LatencyMS, a.Usage); p != nil {
			return p
		}
	}
	return nil
}

// checkTry checks what the last try and those before it have in common.
func checkTry(at, outcome string, status, latencyMS int64, usage *Usage) *Problem {
	if !slices.Contains(outcomes, journal.Outcome(outcome)) {
		return bad(at+"outcome", "want completed, failed, aborted or not_sent, not %s", quote(outcome))
	}
	if status < 0 || status > 999 {
		return bad(at+"status", "want an HTTP status, or 0 when none came")
	}
	if latencyMS < 0 {
		return bad(at+"latency_ms", "a time cannot be negative")
	}
	return usage.check(at + "usage")
}

func (u *Usage) check(at string) *Problem {
	if u == nil {
		return nil
	}
	for _, field := range []struct {
		name string
		n    int64
	}{
		{"input_tokens", u.InputTokens}, {"cached_input_tokens", u.CachedInputTokens},
		{"cache_write_tokens", u.CacheWriteTokens}, {"cache_write_long_tokens", u.CacheWriteLongTokens},
		{"output_tokens", u.OutputTokens}, {"reasoning_tokens", u.ReasoningTokens},
	} {
		if field.n < 0 || field.n > maxTokens {
			return bad(at+"."+field.name, "want a number of tokens from 0 to %d", int64(maxTokens))
		}
	}
	// Some providers count cached tokens beside the input. Taken over as they are,
	// such figures would undercharge in silence.
	if u.CachedInputTokens+u.CacheWriteTokens+u.CacheWriteLongTokens > u.InputTokens {
		return bad(at+".input_tokens", "input includes cached and cache-write tokens, so it cannot be less than their sum; or send provider_usage as the provider said it")
	}
	if u.ReasoningTokens > u.OutputTokens {
		return bad(at+".output_tokens", "output includes reasoning tokens, so it cannot be less")
	}
	if len(u.Other) > maxOther {
		return bad(at+".other", "at most %d", maxOther)
	}
	for name, n := range u.Other {
		if p := checkID(at+".other", name); p != nil {
			return p
		}
		if n < 0 || n > maxTokens {
			return bad(at+".other", "want counts from 0 to %d", int64(maxTokens))
		}
	}
	return nil
}

func (u *Usage) tokens() *journal.Tokens {
	if u == nil {
		return nil
	}
	return &journal.Tokens{
		Input: u.InputTokens, Cached: u.CachedInputTokens,
		CacheWrite: u.CacheWriteTokens, CacheWriteLong: u.CacheWriteLongTokens,
		Output: u.OutputTokens, Reasoning: u.ReasoningTokens, Other: u.Other,
	}
}

// Receipt is our answer to a report.
type Receipt struct {
	Settled  bool  `json:"settled"`
	Repeated bool  `json:"repeated"`
	Charged  Money `json:"charged"`
	Released Money `json:"released"`
	OverHold bool  `json:"over_hold,omitzero"`
}

// Money is exact.
type Money struct {
	USD string `json:"usd"`
}

// NewReceipt spells a settlement.
func NewReceipt(s decision.Settled) Receipt {
	return Receipt{
		Settled: s.Settled, Repeated: s.Repeated, OverHold: s.OverHold,
		Charged:  Money{USD: registry.FormatUSD(s.ChargedNanoUSD)},
		Released: Money{USD: registry.FormatUSD(s.ReleasedNanoUSD)},
	}
}
