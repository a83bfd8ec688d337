package opa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/signalbox-dev/signalbox/decision"
)

// Config says which policy decides.
type Config struct {
	// Dir holds rules that add to the default policy, or replace it; "" means the
	// default policy alone.
	Dir string
	Log *slog.Logger
	Now func() time.Time // time.Now when nil; only for Status

	// Timeout bounds one evaluation; default 1s. A policy that takes longer is an
	// error, and an error denies.
	Timeout time.Duration
	// Remember is how many verdicts are remembered; default 10,000, and never more
	// than 64 MB of them.
	Remember int
	// Poll is how often the folder is read where no event tells of a change (a
	// network file system); default 5s.
	Poll time.Duration
	// Settle is how long the folder must stay the same before it is compiled;
	// default 200ms. Files are copied one after the other.
	Settle time.Duration
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Timeout = orDefault(c.Timeout, time.Second)
	c.Poll = orDefault(c.Poll, 5*time.Second)
	c.Settle = orDefault(c.Settle, 200*time.Millisecond)
	if c.Remember <= 0 {
		c.Remember = 10_000
	}
	return c
}

func orDefault(given, usual time.Duration) time.Duration {
	if given <= 0 {
		return usual
	}
	return given
}

const (
	resultVar = "result"
	memoBytes = 64 << 20
	// keyRoom is the largest buffer kept for the next key.
	keyRoom = 64 << 10
)

// Policy is the policy in force. It is safe for concurrent use; a decision sees
// one policy from beginning to end.
type Policy struct {
	cfg     Config
	current atomic.Pointer[rules]
	keys    sync.Pool // *[]byte

	mu        sync.Mutex
	lastError error
	failedAt  time.Time
}

var _ decision.Policy = (*Policy)(nil)

// Load compiles the policy. An error is a *LoadError where the policy is at fault:
// it names file and line.
func Load(ctx context.Context, cfg Config) (*Policy, error) {
	p := &Policy{cfg: cfg.withDefaults()}
	p.keys.New = func() any { return new([]byte) }
	own, err := ownSource(p.cfg.Dir)
	if err != nil {
		return nil, err
	}
	first, err := compile(ctx, p.cfg, own)
	if err != nil {
		return nil, err
	}
	p.current.Store(first)
	return p, nil
}

// Evaluate says what the policy says of these facts. The verdict's slices, map and
// Raw are shared with later calls: they are for reading. On an error the verdict
// denies and carries the revision that failed, for the record.
func (p *Policy) Evaluate(ctx context.Context, facts *decision.Facts) (decision.Verdict, error) {
	r := p.current.Load()
	room := p.keys.Get().(*[]byte)
	key := r.view.appendKey((*room)[:0], facts)
	verdict, err := r.evaluate(ctx, facts, key, p.cfg.Timeout)
	if cap(key) <= keyRoom {
		*room = key
		p.keys.Put(room)
	}
	return verdict, err
}

func (r *rules) evaluate(ctx context.Context, facts *decision.Facts, key []byte, timeout time.Duration) (decision.Verdict, error) {
	if verdict, ok := r.memo.recall(key); ok {
		return verdict, nil
	}
	verdict, err := r.ask(ctx, facts, timeout)
	if err != nil {
		return decision.Verdict{Revision: r.revision}, fmt.Errorf("policy %s: %w", r.revision, err)
	}
	verdict.Revision = r.revision
	r.memo.remember(key, verdict)
	return verdict, nil
}

// ask runs the rules. It goes to topdown directly: rego's prepared queries add a
// third to what the smallest policy allocates, and do nothing here.
func (r *rules) ask(ctx context.Context, facts *decision.Facts, timeout time.Duration) (decision.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return decision.Verdict{}, err
	}
	bounded, done := context.WithTimeout(ctx, timeout)
	defer done()
	cancel := topdown.NewCancel()
	defer context.AfterFunc(bounded, cancel.Cancel)()

	txn, err := r.store.NewTransaction(ctx)
	if err != nil {
		return decision.Verdict{}, fmt.Errorf("open the policy's data: %w", err)
	}
	defer r.store.Abort(ctx, txn)

	query := topdown.NewQuery(r.query).
		WithCompiler(r.compiler).
		WithStore(r.store).
		WithTransaction(txn).
		WithInput(r.view.input(facts)).
		WithCancel(cancel).
		WithMetrics(metrics.NoOp()).
		WithStrictBuiltinErrors(true).
		// No function that is open to policies reads the clock; should one slip
		// through, it reads the same everywhere.
		WithTime(time.Unix(0, 1))
	var result *ast.Term
	err = query.Iter(bounded, func(found topdown.QueryResult) error {
		result = found[ast.Var(resultVar)]
		return nil
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return decision.Verdict{}, ctx.Err()
	case err != nil && errors.Is(bounded.Err(), context.DeadlineExceeded):
		return decision.Verdict{}, fmt.Errorf("stopped after %s: the rules take too long", timeout)
	case err != nil:
		return decision.Verdict{}, err
	case result == nil:
		return decision.Verdict{}, fmt.Errorf("%s is undefined for this call", entryPath)
	}
	return verdictOf(result, facts)
}

// Revision names the policy in force.
func (p *Policy) Revision() string { return p.current.Load().revision }

// Status is what an operator may want to know of the policy.
type Status struct {
	Revision string
	From     string // the folder; "" for the default policy
	LoadedAt time.Time
	// LastError is why the newest change of the folder was not taken; nil when the
	// policy in force is the folder's newest.
	LastError error
	FailedAt  time.Time

	Reads      []string // the input paths that a verdict may depend on
	Remembered int      // verdicts in memory
	Hits       uint64   // verdicts remembered and evaluated, since the policy was loaded
	Misses     uint64
}

// Status tells what is in force and what was refused.
func (p *Policy) Status() Status {
	r := p.current.Load()
	s := Status{Revision: r.revision, From: r.from, LoadedAt: r.loadedAt, Reads: r.reads}
	s.Remembered, s.Hits, s.Misses = r.memo.size()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.LastError, s.FailedAt = p.lastError, p.failedAt
	return s
}
