package analytics

import (
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// place is where a row's entry stands in the journal.
type place struct {
	Partition int32 `ch:"partition"`
	Offset    int64 `ch:"offset"`
}

func placeOf(e *journal.Entry) place { return place{e.Partition, e.Offset} }

// origin is who wrote the entry; "" and 0 where it is not numbered.
type origin struct {
	OriginEpoch string `ch:"origin_epoch"`
	OriginSeq   uint64 `ch:"origin_seq"`
}

func originOf(e *journal.Entry) origin {
	if e.Origin.Seq == 0 {
		return origin{}
	}
	return origin{e.Origin.Epoch.String(), e.Origin.Seq}
}

// principal is who made the call.
type principal struct {
	Tenant  string            `ch:"tenant"`
	Team    string            `ch:"team"`
	App     string            `ch:"app"`
	KeyID   string            `ch:"key_id"`
	User    string            `ch:"user"`
	Session string            `ch:"session"`
	Agent   string            `ch:"agent"`
	Tags    map[string]string `ch:"tags"`
}

func principalOf(p *journal.Principal) principal {
	tags := p.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return principal{p.Tenant, p.Team, p.App, p.Key, p.User, p.Session, p.Agent, tags}
}

// decisionRow is one decision.
type decisionRow struct {
	place
	origin
	DecisionID string    `ch:"decision_id"`
	CallID     string    `ch:"call_id"`
	At         time.Time `ch:"at"`
	principal
	Gateway         string   `ch:"gateway"`
	Method          string   `ch:"method"`
	Path            string   `ch:"path"`
	Dialect         string   `ch:"dialect"`
	ModelAsked      string   `ch:"model_asked"`
	Model           string   `ch:"model"`
	Action          string   `ch:"action"`
	Changes         []string `ch:"changes"`
	Reason          string   `ch:"reason"`
	ReasonCodes     []string `ch:"reasons.code"`
	ReasonMessages  []string `ch:"reasons.message"`
	ReasonBudgets   []string `ch:"reasons.budget"`
	ReasonWarnings  []bool   `ch:"reasons.warning"`
	Deployments     []string `ch:"deployments"`
	InputTokens     int64    `ch:"input_tokens"`
	MaxOutputTokens int64    `ch:"max_output_tokens"`
	HeldNanoUSD     int64    `ch:"held_nano_usd"`
	PolicyRevision  string   `ch:"policy_revision"`
	RegistryVersion int64    `ch:"registry_version"`
	ZoneRules       string   `ch:"zone_rules"`
	Findings        []string `ch:"findings"`
	Facts           string   `ch:"facts"`
	Verdict         string   `ch:"verdict"`
	PromptHash      string   `ch:"prompt_hash"`
	TraceParent     string   `ch:"traceparent"`
	RetryCount      int64    `ch:"retry_count"`
	LatencyUS       int64    `ch:"latency_us"`
	ChainHash       string   `ch:"chain_hash"`
}

func decisionOf(e *journal.Entry, d *journal.Decided, chain string) *decisionRow {
	r := &decisionRow{
		place: placeOf(e), origin: originOf(e),
		DecisionID: d.DecisionID, CallID: d.CallID, At: storable(d.At), principal: principalOf(&d.Principal),
		Gateway: d.Gateway, Method: d.Method, Path: d.Path, Dialect: d.Dialect, ModelAsked: d.ModelAsked, Model: d.Model,
		Action: d.Action, Changes: d.Changes, Deployments: d.Deployments,
		InputTokens: d.InputTokens, MaxOutputTokens: d.MaxOutputTokens, HeldNanoUSD: d.HeldNanoUSD,
		PolicyRevision: d.PolicyRevision, RegistryVersion: d.RegistryVersion, ZoneRules: d.ZoneRules,
		Findings: d.Findings, Facts: string(d.Facts), Verdict: string(d.Verdict),
		PromptHash: d.PromptHash, TraceParent: d.TraceParent, RetryCount: d.RetryCount,
		LatencyUS: d.Latency.Microseconds(), ChainHash: chain,
	}
	for i := range d.Reasons {
		reason := &d.Reasons[i]
		// The first that is enforced set the status; a warning refuses nobody.
		if r.Reason == "" && !reason.Warning {
			r.Reason = reason.Code
		}
		r.ReasonCodes = append(r.ReasonCodes, reason.Code)
		r.ReasonMessages = append(r.ReasonMessages, reason.Message)
		r.ReasonBudgets = append(r.ReasonBudgets, reason.Budget)
		r.ReasonWarnings = append(r.ReasonWarnings, reason.Warning)
	}
	return r
}

// usageRow is one settlement with its attempts, which are parallel arrays.
type usageRow struct {
	place
	Key         string    `ch:"key"`
	HoldEpoch   string    `ch:"hold_epoch"`
	HoldN       uint64    `ch:"hold_n"`
	Rank        uint8     `ch:"rank"`
	Precedence  uint64    `ch:"precedence"`
	SettledAt   time.Time `ch:"settled_at"`
	CallID      string    `ch:"call_id"`
	DecisionID  string    `ch:"decision_id"`
	CallOutcome string    `ch:"call_outcome"`
	At          time.Time `ch:"at"`
	principal
	Gateway         string             `ch:"gateway"`
	Dialect         string             `ch:"dialect"`
	Model           string             `ch:"model"`
	RegistryVersion int64              `ch:"registry_version"`
	OverHold        bool               `ch:"over_hold"`
	Deployment      []string           `ch:"attempts.deployment"`
	Provider        []string           `ch:"attempts.provider"`
	UpstreamModel   []string           `ch:"attempts.upstream_model"`
	Status          []int32            `ch:"attempts.status"`
	Outcome         []string           `ch:"attempts.outcome"`
	Input           []int64            `ch:"attempts.input_tokens"`
	Cached          []int64            `ch:"attempts.cached_input_tokens"`
	CacheWrite      []int64            `ch:"attempts.cache_write_tokens"`
	CacheWriteLong  []int64            `ch:"attempts.cache_write_long_tokens"`
	Output          []int64            `ch:"attempts.output_tokens"`
	Reasoning       []int64            `ch:"attempts.reasoning_tokens"`
	Other           []map[string]int64 `ch:"attempts.other"`
	ServiceTier     []string           `ch:"attempts.service_tier"`
	Source          []string           `ch:"attempts.source"`
	Charged         []int64            `ch:"attempts.charged_nano_usd"`
	TTFT            []int64            `ch:"attempts.ttft_ms"`
	Latency         []int64            `ch:"attempts.latency_ms"`
}

// precedence makes the settlement that counts the greatest of its hold: the
// highest rank, and of equal ranks the first.
func precedence(rank journal.Rank, offset int64) uint64 {
	const bits = 56
	return uint64(rank)<<bits | (1<<bits - 1 - uint64(offset))
}

func usageOf(e *journal.Entry, s *journal.Settled) *usageRow {
	u := s.Usage
	r := &usageRow{
		place: placeOf(e), Key: e.Key, HoldEpoch: s.Hold.Epoch.String(), HoldN: s.Hold.N, Rank: uint8(s.Rank),
		Precedence: precedence(s.Rank, e.Offset), SettledAt: storable(e.At), CallID: s.CallID, DecisionID: s.DecisionID,
		CallOutcome: string(s.Outcome), At: storable(u.At), principal: principalOf(&u.Principal),
		Gateway: u.Gateway, Dialect: u.Dialect, Model: u.Model, RegistryVersion: u.RegistryVersion, OverHold: u.OverHold,
	}
	for i := range u.Attempts {
		r.attempt(&u.Attempts[i])
	}
	return r
}

func (r *usageRow) attempt(a *journal.Attempt) {
	other := a.Tokens.Other
	if other == nil {
		other = map[string]int64{}
	}
	r.Deployment = append(r.Deployment, a.Deployment)
	r.Provider = append(r.Provider, a.Provider)
	r.UpstreamModel = append(r.UpstreamModel, a.UpstreamModel)
	r.Status = append(r.Status, int32(a.Status))
	r.Outcome = append(r.Outcome, string(a.Outcome))
	r.Input = append(r.Input, a.Tokens.Input)
	r.Cached = append(r.Cached, a.Tokens.Cached)
	r.CacheWrite = append(r.CacheWrite, a.Tokens.CacheWrite)
	r.CacheWriteLong = append(r.CacheWriteLong, a.Tokens.CacheWriteLong)
	r.Output = append(r.Output, a.Tokens.Output)
	r.Reasoning = append(r.Reasoning, a.Tokens.Reasoning)
	r.Other = append(r.Other, other)
	r.ServiceTier = append(r.ServiceTier, a.ServiceTier)
	r.Source = append(r.Source, string(a.Source))
	r.Charged = append(r.Charged, a.ChargedNanoUSD)
	r.TTFT = append(r.TTFT, a.TTFT.Milliseconds())
	r.Latency = append(r.Latency, a.Latency.Milliseconds())
}

// traceRow is one captured call.
type traceRow struct {
	place
	origin
	Tenant     string    `ch:"tenant"`
	CallID     string    `ch:"call_id"`
	DecisionID string    `ch:"decision_id"`
	At         time.Time `ch:"at"`
	Capture    string    `ch:"capture"`
	Prompt     string    `ch:"prompt"`
	Response   string    `ch:"response"`
}

func traceOf(e *journal.Entry, t *journal.Traced) *traceRow {
	return &traceRow{place: placeOf(e), origin: originOf(e), Tenant: e.Key, CallID: t.CallID, DecisionID: t.DecisionID,
		At: storable(t.At), Capture: t.Capture, Prompt: string(t.Prompt), Response: string(t.Response)}
}

// nameRow is one pseudonym's name, or that it is forgotten.
type nameRow struct {
	place
	origin
	Tenant    string `ch:"tenant"`
	Pseudonym string `ch:"pseudonym"`
	Kind      string `ch:"kind"`
	Name      string `ch:"name"`
	Forgotten bool   `ch:"forgotten"`
}

// lookupRow is the same in names_lookup, where an empty name is none.
type lookupRow struct {
	Tenant    string `ch:"tenant"`
	Pseudonym string `ch:"pseudonym"`
	Name      string `ch:"name"`
}

// positionRow says how far a table's sink has read.
type positionRow struct {
	Table     string `ch:"table"`
	Partition int32  `ch:"partition"`
	Next      int64  `ch:"next"`
}

// Bounds of DateTime64(6): outside of them ClickHouse would store another moment.
var (
	firstTime = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2299, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)

// storable is a moment as the database can hold it: microseconds, and within its
// calendar. The zero time, which means none, becomes 1970.
func storable(t time.Time) time.Time {
	switch {
	case t.IsZero():
		return time.Unix(0, 0).UTC()
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	return t.UTC().Truncate(time.Microsecond)
}
