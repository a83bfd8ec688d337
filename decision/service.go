package decision

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// Registry is what we were told, as one immutable value.
type Registry interface{ Snapshot() *registry.Snapshot }

// Ledger holds and settles; *ledger.Keeper in production.
type Ledger interface {
	Hold(ctx context.Context, req *ledger.HoldRequest) (ledger.Held, []ledger.Shortage, error)
	Keep(held ledger.Held, callID string, note []byte) error
	Release(held ledger.Held)
	Settle(ctx context.Context, s ledger.Settlement) (ledger.Outcome, error)
	Charges(t ledger.Token) ([]journal.HeldOn, error)
	Lookup(hold journal.HoldID, key string) (journal.Settled, bool)
	Open() []ledger.OpenHold
	Overdue(at time.Time) []ledger.OpenHold
}

// Recorder takes facts that must not be lost and need not be waited for; the
// spool in production.
type Recorder interface {
	Put(recs ...journal.Record) error
}

// Names makes pseudonyms; record is the fact to write where the journal does not
// know one yet, and is given out once. Unnamed says that it was not written.
type Names interface {
	EnsureNamed(tenant, kind, name string) (pseudonym string, record *journal.Record)
	Unnamed(tenant, pseudonym string)
}

// Health knows which deployments are not worth trying at a moment; what nobody
// complained of is healthy. health.Board in production.
type Health interface {
	Healthy(deployment string, at time.Time) bool
}

// allHealthy is what is believed where nobody watches.
type allHealthy struct{}

func (allHealthy) Healthy(string, time.Time) bool { return true }

// FailureMode is what happens to calls when the journal cannot be reached and
// leases do not last.
type FailureMode string

const (
	FailLease  FailureMode = "lease"  // serve while leases last, then 503
	FailClosed FailureMode = "closed" // 503 at once
	FailOpen   FailureMode = "open"   // allow, flagged unmetered
)

// Config is what an operator may set.
type Config struct {
	HoldTTL     time.Duration
	FailureMode FailureMode
	// PromptKey makes the prompt hashes, one key per cluster.
	PromptKey [32]byte
	MaxBody   int64 // bytes of a caller's body; a longer one is refused
	MaxCalls  int   // calls remembered that hold nothing any more; the oldest leave first
}

// DefaultConfig is what the contract promises where nothing is set. MaxCalls is a
// day of one call every two seconds, or a minute of 800 a second, which is longer
// than any gateway retries a report; at 0.8 kB each (2 kB where the charge may yet
// be corrected) it is 40 MB. A repeat that comes later still charges nothing: the
// ledger knows every hold that was settled.
func DefaultConfig() Config {
	return Config{HoldTTL: 15 * time.Minute, FailureMode: FailLease, MaxBody: 8 << 20, MaxCalls: 50_000}
}

// Parts are what a Service is made of.
type Parts struct {
	Registry Registry
	Hasher   registry.KeyHasher
	Policy   Policy
	Ledger   Ledger
	Recorder Recorder
	Names    Names
	Signer   ledger.Signer
	Health   Health   // nil: all are healthy
	Learn    Learner  // from reports of tries; nil: nobody
	Guard    Guard    // nil: nothing is looked for in prompts, and no verdict may redact
	Observe  Observer // nil: nobody watches
	Now      func() time.Time
	Log      *slog.Logger
}

// Service decides and settles. It is safe for concurrent use.
type Service struct {
	config    Config
	registry  Registry
	hasher    registry.KeyHasher
	policy    Policy
	ledger    Ledger
	recorder  Recorder
	names     Names
	signer    ledger.Signer
	health    Health
	learner   Learner
	guard     Guard
	kinds     []string // that the guard finds
	observe   Observer
	now       func() time.Time
	newID     func() string
	log       *slog.Logger
	calls     *calls
	traits    traitsOf
	undecided undecided
}

// New puts a Service together and takes over the calls that were open when the
// process before it ended.
func New(config Config, p Parts) *Service {
	s := &Service{
		config: config, registry: p.Registry, hasher: p.Hasher, policy: p.Policy, ledger: p.Ledger,
		recorder: p.Recorder, names: p.Names, signer: p.Signer, health: p.Health, learner: p.Learn, guard: p.Guard, observe: p.Observe,
		now: p.Now, newID: newID, log: p.Log, calls: newCalls(config.MaxCalls),
	}
	if s.observe == nil {
		s.observe = nobody{}
	}
	if s.health == nil {
		s.health = allHealthy{}
	}
	if s.guard != nil {
		s.kinds = s.guard.Kinds()
	}
	s.adopt()
	return s
}

// newID is a UUIDv7: unique without asking anyone, and sorted by time, which is
// how ClickHouse likes its keys.
func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		// The random source of the operating system is gone; no id can be made
		// that is safe to settle money on.
		panic("decision: " + err.Error())
	}
	return id.String()
}

// promptHash is an HMAC per tenant over the normalised messages: equal prompts
// of one tenant can be counted, and nobody without the key can test a guess.
func (s *Service) promptHash(tenant string, c *Case) string {
	mac := hmac.New(sha256.New, s.config.PromptKey[:])
	mac.Write([]byte(tenant))
	mac.Write([]byte{0})
	c.Ask.HashPrompt(mac)
	return hexShort(mac.Sum(nil))
}
