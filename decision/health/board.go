package health

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxDeployments bounds the board. Names come from the registry, which has far
// fewer; beyond the bound a deployment is believed healthy.
const maxDeployments = 4096

// Sign is what one try at a deployment showed. A try may show more than one: its
// headers when they come, and later that it broke off, or that it was read whole.
type Sign struct {
	Status int         // 0: no answer came, or none to speak of
	Header http.Header // of the answer, in canonical form; nil: not known. Rate-limit headers and Retry-After are read
	Failed bool        // it did not connect, timed out, or broke off; not that the caller hung up
	// Whole: the answer was read to its end. Alone, without a status, it says so of an
	// answer whose headers were a sign already. A good beginning does not end a row of
	// answers that break off; only a whole answer does.
	Whole bool
	// Began is when the try began; zero: not known. With it, what was under way
	// when a deployment went out is not taken for news of how it is since.
	Began time.Time
}

// Board is what is known of all deployments. It is safe for concurrent use:
// Healthy takes no lock, Learn takes one only for bad news and for news of what
// is not well.
type Board struct {
	now     func() time.Time
	current atomic.Pointer[map[string]*entry] // replaced whole when a name comes or goes

	mu     sync.Mutex // of changes
	notify func(Change)
	tell   func(State) // of a pause that began or grew here
}

// entry is one deployment that is not known to be well. The two counters belong
// to no State: they only share out the calls of a trial.
type entry struct {
	state atomic.Pointer[State]
	next  atomic.Int64  // when the next probe may go, in Unix nanoseconds
	asked atomic.Uint64 // how often a growing share was asked for
}

// Change is a deployment that went from one phase to another.
type Change struct {
	State    State
	From, To Phase
	Told     bool // by another replica; else an answer of this one's showed it
}

// NewBoard starts with every deployment healthy.
func NewBoard(now func() time.Time) *Board {
	b := &Board{now: now}
	b.current.Store(&map[string]*entry{})
	return b
}

// Notify has f called whenever a deployment goes out or is well again, in order
// and one at a time. That a pause is over is nobody's deed and is not told. It is
// called before the board is shared; f must be quick and must not call the board.
func (b *Board) Notify(f func(Change)) { b.notify = f }

// Healthy reports whether a call should go there at this moment. After a pause it
// says yes to some who ask and no to others: see State.
func (b *Board) Healthy(deployment string, at time.Time) bool {
	known := *b.current.Load()
	if len(known) == 0 {
		return true
	}
	e, ok := known[deployment]
	return !ok || e.admits(at)
}

// admits shares out the calls of a trial: one in each probeEvery while nothing
// has succeeded, then one in four, then one in two.
func (e *entry) admits(at time.Time) bool {
	s := e.state.Load()
	switch s.Phase(at) {
	case Out:
		return false
	case Trial:
	default:
		return true
	}
	if every := s.share(); every > 0 {
		return (e.asked.Add(1)-1)%every == 0
	}
	// Who is told yes may not go there after all, or may hang; the next one is
	// therefore told yes by time, and not when the first is back.
	now, next := at.UnixNano(), e.next.Load()
	if now < next && next-now <= int64(probeEvery) { // further ahead only if the clock was put back
		return false
	}
	return e.next.CompareAndSwap(next, now+int64(probeEvery))
}

// Learn takes one sign.
func (b *Board) Learn(deployment string, s Sign) {
	at := b.now()
	r := s.read(at)
	if _, known := (*b.current.Load())[deployment]; r.says == nothing || !known && (r.says == good || r.says == whole) {
		return // nearly all signs end here
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e, known := (*b.current.Load())[deployment]
	before := State{Deployment: deployment}
	if known {
		before = *e.state.Load()
	}
	after := before.after(r, at)
	b.put(e, after, at)
	from, to := before.Phase(at), after.Phase(at)
	if b.notify != nil && from != to {
		b.notify(Change{State: after, From: from, To: to})
	}
	if b.tell != nil && to == Out && !after.Until.Equal(before.Until) {
		b.tell(after)
	}
}

// adopt takes over what another replica has found: that a deployment is out, or was a
// moment ago, and should be tried gently. It tells nobody; whoever should know has heard
// it as we have. s is within what can be true at this moment.
func (b *Board) adopt(s State) {
	at := b.now()
	if s.Deployment == "" || s.Phase(at) == Well {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e, known := (*b.current.Load())[s.Deployment]
	before := State{Deployment: s.Deployment}
	if known {
		if before = *e.state.Load(); before.stale(at) {
			before = State{Deployment: s.Deployment}
		}
	}
	from := before.Phase(at)
	if from == Well {
		before.Until, before.Successes = time.Time{}, 0
	}
	after := before.joined(s)
	if after == before {
		return
	}
	b.put(e, after, at)
	if to := after.Phase(at); b.notify != nil && from != to {
		b.notify(Change{State: after, From: from, To: to, Told: true})
	}
}

// put remembers a state, or forgets one that says nothing any more. Whenever the
// map is made anew, what time has healed is left out.
func (b *Board) put(e *entry, s State, at time.Time) {
	if e != nil && !s.stale(at) {
		if was := e.state.Swap(&s); !was.Since.Equal(s.Since) {
			e.asked.Store(0) // a new trial will come: its first caller is to be sent
		}
		return
	}
	if e == nil && s.stale(at) {
		return
	}
	next := maps.Clone(*b.current.Load())
	maps.DeleteFunc(next, func(name string, e *entry) bool { return name == s.Deployment || e.state.Load().stale(at) })
	if e == nil && len(next) < maxDeployments {
		e = &entry{}
		e.state.Store(&s)
		next[s.Deployment] = e
	}
	b.current.Store(&next)
}

// States is what is remembered of deployments, by name. One that is not there is
// healthy; one that is there may be.
func (b *Board) States() []State {
	at := b.now()
	var states []State
	for _, e := range *b.current.Load() {
		if s := e.state.Load(); !s.stale(at) {
			states = append(states, *s)
		}
	}
	slices.SortFunc(states, func(x, y State) int { return strings.Compare(x.Deployment, y.Deployment) })
	return states
}
