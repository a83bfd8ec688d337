package upstream

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// What is kept of the calls, the newest.
const (
	keptCalls = 20_000
	keptBytes = 16 << 20 // of their bodies
	keptNames = 1_000    // models with a sum of their own
)

// Call is one call as the provider saw it.
type Call struct {
	Method string      `json:"method"`
	Path   string      `json:"path"`
	Query  string      `json:"query"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
	Model  string      `json:"model"`  // the model asked for, or Azure's deployment
	Status int         `json:"status"` // what it answered
	// Usage is what it billed: what was generated until the call ended, or until
	// it noticed that nobody read any more. Refused calls are billed nothing.
	Usage journal.Tokens `json:"usage"`
	// Completed: the whole answer was written. A cut, an error event and a caller
	// that hung up are not.
	Completed bool          `json:"completed"`
	Took      time.Duration `json:"took"`
}

// record keeps the newest calls, and sums of all.
type record struct {
	mu     sync.Mutex
	calls  []Call
	bytes  int
	count  int
	total  journal.Tokens
	models map[string]journal.Tokens
}

func (r *record) add(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	r.bytes += len(c.Body)
	for len(r.calls) > keptCalls || r.bytes > keptBytes && len(r.calls) > 1 {
		r.bytes -= len(r.calls[0].Body)
		r.calls[0] = Call{}
		r.calls = r.calls[1:]
	}
	if c.Usage.Input == 0 {
		return // refused, or free
	}
	r.count++
	r.total = plus(r.total, c.Usage)
	if r.models == nil {
		r.models = map[string]journal.Tokens{}
	}
	if _, known := r.models[c.Model]; known || len(r.models) < keptNames {
		r.models[c.Model] = plus(r.models[c.Model], c.Usage)
	}
}

// Calls are the newest calls, the oldest first, refused ones too.
func (p *Provider) Calls() []Call {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	return append([]Call(nil), p.record.calls...)
}

// Reset forgets what was recorded; ids go on.
func (p *Provider) Reset() {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	p.record.calls, p.record.bytes, p.record.count = nil, 0, 0
	p.record.total, p.record.models = journal.Tokens{}, nil
}

// Totals is what was billed so far: the calls that cost something, and their tokens.
func (p *Provider) Totals() (calls int, input, output int64) {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	return p.record.count, p.record.total.Input, p.record.total.Output
}

// BilledByModel is what was billed so far, by the model that was asked for.
func (p *Provider) BilledByModel() map[string]journal.Tokens {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	out := make(map[string]journal.Tokens, len(p.record.models))
	for name, t := range p.record.models {
		out[name] = t
	}
	return out
}

func plus(a, b journal.Tokens) journal.Tokens {
	a.Input += b.Input
	a.Cached += b.Cached
	a.CacheWrite += b.CacheWrite
	a.CacheWriteLong += b.CacheWriteLong
	a.Output += b.Output
	a.Reasoning += b.Reasoning
	if len(b.Other) > 0 {
		sum := maps.Clone(b.Other) // whoever was given a sum keeps the one it was given
		for name, n := range a.Other {
			sum[name] += n
		}
		a.Other = sum
	}
	return a
}
