package journal

import "time"

// Principal is who made a call: tenant > team > app > key, and the user, session
// and agent that the app named. User, Session and Agent are keyed pseudonyms
// here; TopicNames maps them back to what people read.
type Principal struct {
	Tenant, Team, App, Key string
	User, Session, Agent   string
	Tags                   map[string]string
}

// Tokens is a provider's usage, normalised. Input includes Cached, CacheWrite
// and CacheWriteLong; Output includes Reasoning.
type Tokens struct {
	Input, Cached, CacheWrite, CacheWriteLong int64
	Output, Reasoning                         int64
	Other                                     map[string]int64 // billed things that are not tokens: web_search, …
}

// Source is where usage was read.
type Source string

const (
	SourceBody      Source = "body"
	SourceStream    Source = "stream"
	SourceLLMLog    Source = "llm_log"
	SourceAccessLog Source = "access_log"
	SourceRule      Source = "rule"
)

// Usage is what one call used and was charged, attempt by attempt.
type Usage struct {
	At              time.Time // when the call was decided
	Principal       Principal
	Gateway         string
	Dialect         string
	Model           string
	RegistryVersion int64
	Attempts        []Attempt
	OverHold        bool
	ChargedNanoUSD  int64 // sum over Attempts; what each usd meter was charged
}

// Attempt is one try at one deployment.
type Attempt struct {
	Deployment, Provider string
	UpstreamModel        string
	Status               int
	Outcome              Outcome
	Tokens               Tokens
	ServiceTier          string
	Source               Source
	ChargedNanoUSD       int64
	TTFT, Latency        time.Duration
}

// Decided is one decision with the facts it was made from, denials included.
type Decided struct {
	DecisionID, CallID string
	At                 time.Time // the decision's one clock reading
	Latency            time.Duration
	Action             string // allow, route, redact, serve, deny
	Changes            []string
	Reasons            []Reason
	Principal          Principal
	Gateway            string
	Method, Path       string
	Dialect            string
	ModelAsked, Model  string
	Deployments        []string // in the answer's order
	InputTokens        int64    // the bound, not a count
	MaxOutputTokens    int64
	HeldNanoUSD        int64
	Holds              []HeldOn // by ledger key
	ExpiresAt          time.Time
	PolicyRevision     string
	RegistryVersion    int64
	ZoneRules          string // version of the time zone rules compiled in
	Findings           []string
	Facts              []byte // the policy's input, JSON
	Verdict            []byte // the policy's result, JSON
	PromptHash         string
	TraceParent        string
	RetryCount         int64 // what the caller's SDK said of itself
}

// HeldOn is the part of a call's hold that stands on one ledger key.
type HeldOn struct {
	Key     string
	Hold    HoldID
	Charges []Charge // Meter, Lease and Held
}

// Reason is why a call was refused, or warned about.
type Reason struct {
	Code, Message             string
	Budget                    string
	Unit                      Unit
	Limit, Spent, Held, Asked int64
	ResetsAt                  time.Time
	Warning                   bool // said, not enforced
}

// Named maps a pseudonym to what people read.
type Named struct {
	Kind      string // user, session, agent
	Pseudonym string
	Name      string
}

// Traced is a captured prompt and response, as policy allowed.
type Traced struct {
	CallID, DecisionID string
	At                 time.Time
	Capture            string // hash, redacted, full
	Prompt, Response   []byte
}

// RegistryChanged is one object declared, changed or removed. All changes of one
// apply share Txn and are folded together when the last of Count is read.
type RegistryChanged struct {
	Txn          string
	Index, Count int
	Kind         string // tenant, team, app, provider, model, deployment, price, budget, gateway, key, path
	Tenant, Name string
	Deleted      bool
	Body         []byte // the object as the registry file spells it, in JSON
	At           time.Time
	By, Why      string
}

// SnapshotChunk is one piece of a partition's books.
type SnapshotChunk struct {
	Partition    int32
	Offset       int64 // the next entry to fold
	Rules        uint32
	Index, Count int
	Hash         [32]byte
	Data         []byte
}

// Paused is a deployment that one replica has found not worth trying until then. It
// is news for the others and no more: whoever reads it late passes over it.
type Paused struct {
	Deployment   string
	Cause        string // rate_limited, failing
	Since, Until time.Time
	Pauses       int64 // that were counted out so far, one after another
	LastBad      time.Time
}

func (Decided) event()         {}
func (Named) event()           {}
func (Traced) event()          {}
func (RegistryChanged) event() {}
func (SnapshotChunk) event()   {}
func (Paused) event()          {}
