package decision

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// calls remembers the calls that were let out: to give the same answer to the
// same question while the call is open, and the same charge to the same report
// afterwards.
//
// A call that holds money stays until it is settled, which its report or its
// time does. From then on it stands in line to leave: the oldest go first when
// there are more than most, and all of them after a day. A call that no
// settlement of ours will ever end (nothing is held for it here) stands in that
// line from the beginning.
type calls struct {
	mu      sync.Mutex
	byName  map[callName]*call // the first of those that share a name
	byHold  map[holdKey]*call
	leaving *list.List // of *call, oldest first
	most    int
	given   chan struct{} // closed: the answered of calls that nobody has to wait for
}

// callKey is a call id within its gateway and app: two apps may both say "c-1".
type callKey struct {
	callName
	tenant, app string
}

// callName is what a report by call id says: a gateway does not name the app.
type callName struct{ gateway, id string }

// holdKey is a hold within its ledger key; what a token names first.
type holdKey struct {
	key  string
	hold journal.HoldID
}

// call is one call that was asked about.
type call struct {
	key         callKey
	fingerprint [fingerprintSize]byte
	answered    chan struct{} // closed when the first question is answered, or let the id go
	again       *Answer       // for a repeat; nil: none is due
	sameName    *call         // another app's, or another time's

	decision string
	mu       sync.Mutex       // one report at a time; it guards what follows, together with calls.mu where written
	note     *note            // nil once nothing can change the charge any more
	parts    []journal.HeldOn // likewise; none: nothing was held
	held     holdKey          // of the first part
	charge   *Settled         // nil: open
	rank     journal.Rank
	since    time.Time // when it was filed; then, in the line to leave
	line     *list.Element
}

// rememberedFor is how long a settled call's id and charge are remembered.
const rememberedFor = 24 * time.Hour

func newCalls(most int) *calls {
	given := make(chan struct{})
	close(given)
	return &calls{byName: map[callName]*call{}, byHold: map[holdKey]*call{}, leaving: list.New(), most: max(1, most), given: given}
}

// recall finds the case's call id among those we know. A new id is claimed; a
// question that is being answered right now is waited for.
func (s *Service) recall(ctx context.Context, c *Case) error {
	if c.Request.CallID == "" {
		return nil
	}
	if len(c.Request.CallID) > assertedBytes || !clean(c.Request.CallID) {
		return refuse(Malformed, "call_id: at most %d bytes, without control characters", assertedBytes)
	}
	print := fingerprint(c)
	for {
		known, claimed := s.calls.claim(c.callKey(), print)
		if claimed {
			c.place = known
			return nil
		}
		if known.fingerprint != print {
			return &Conflict{CallID: c.Request.CallID, Why: "was used for another call (its key, method, path, body or asserted attributes differ)"}
		}
		select {
		case <-known.answered:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch answer, settled := s.calls.state(known); {
		case settled:
			return &Conflict{CallID: c.Request.CallID, Why: "is settled; use a new one for a new call"}
		case answer != nil:
			return &repeat{answer: *answer}
		}
		// The first asker got no hold and let the id go: claim it ourselves.
	}
}

// callKey is where the case's call is remembered.
func (c *Case) callKey() callKey {
	return callKey{callName{c.Request.Gateway, c.callID()}, c.Caller.Key.Tenant, c.Caller.Key.App}
}

// claim takes a new id, or returns the call that has it.
func (cs *calls) claim(key callKey, print [fingerprintSize]byte) (k *call, claimed bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if known := cs.find(key); known != nil {
		return known, false
	}
	k = &call{key: key, fingerprint: print, answered: make(chan struct{})}
	cs.name(k)
	return k, true
}

func (cs *calls) state(k *call) (*Answer, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return k.again, k.charge != nil
}

// forget lets go of the id that this case claimed, because its question got no
// hold: the gateway may ask again under it.
func (cs *calls) forget(c *Case) {
	if c.place == nil {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.unname(c.place)
	close(c.place.answered)
	c.place = nil
}

// answered remembers a call that was let out.
func (cs *calls) answered(c *Case, n note, answer *Answer) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	k := c.place
	if k == nil {
		// Without an id of the gateway's nobody can ask again: only reports come.
		k = &call{key: c.callKey(), answered: cs.given}
		cs.name(k)
	} else {
		k.again = repeatable(answer)
		defer close(k.answered)
	}
	k.decision, k.note, k.parts = c.ID, &n, c.Held.Parts
	cs.file(k, c.At)
}

// repeatable is the answer without the edited body, which may be long: who asks
// again sends the same body, and the edits make the same of it.
func repeatable(answer *Answer) *Answer {
	kept := *answer
	plan := *answer.Plan
	plan.Body = nil
	kept.Plan = &plan
	return &kept
}

// answer is the first answer again, to the question that asked it again.
func (r *repeat) answerTo(c *Case) (Answer, error) {
	if len(r.answer.Plan.Edits) == 0 {
		return r.answer, nil
	}
	plan := *r.answer.Plan
	var err error
	if plan.Body, err = llm.Apply(c.Request.Body, plan.Edits); err != nil {
		return Answer{}, err
	}
	r.answer.Plan = &plan
	return r.answer, nil
}

// file puts a call where its reports look for it. What nothing is held for, no
// settlement will end: it stands in the line to leave. The caller has the lock.
func (cs *calls) file(k *call, at time.Time) {
	if len(k.parts) == 0 {
		cs.leave(k, at)
		return
	}
	k.held, k.since = firstOfParts(k.parts), at
	cs.byHold[k.held] = k
}

// adopt takes over a call that another process let out. One that holds nothing in
// this folder may leave when it likes: it is settled elsewhere, or its token tells
// us everything again.
func (cs *calls) adopt(n note, parts []journal.HeldOn, ours bool, at time.Time) *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if k := cs.byHold[firstOfParts(parts)]; k != nil { // Somebody was faster.
		return k
	}
	key := callKey{callName{n.Gateway, n.CallID}, n.Principal.Tenant, n.Principal.App}
	k := cs.find(key)
	if k != nil && len(parts) == 0 && k.decision == n.DecisionID {
		return k // It held nothing at this process either.
	}
	k = &call{key: key, decision: n.DecisionID, note: &n, parts: parts, answered: cs.given}
	cs.name(k)
	cs.file(k, at)
	if !ours && k.line == nil {
		cs.leave(k, at)
	}
	return k
}

// closed remembers the charge. What is exact stays so: of such a call nothing is
// kept but the charge.
func (cs *calls) closed(k *call, charge Settled, rank journal.Rank, at time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	k.charge, k.rank, k.again = &charge, rank, nil
	if rank == journal.RankExact {
		k.note, k.parts = nil, nil
	}
	if k.line == nil {
		cs.leave(k, at)
	}
}

// leave puts a call at the end of the line, and lets go of those at its front
// that are too many or too old.
func (cs *calls) leave(k *call, at time.Time) {
	k.since, k.line = at, cs.leaving.PushBack(k)
	for {
		oldest := cs.leaving.Front().Value.(*call)
		if oldest == k || (cs.leaving.Len() <= cs.most && at.Sub(oldest.since) < rememberedFor) {
			return
		}
		cs.leaving.Remove(oldest.line)
		cs.unname(oldest)
		if cs.byHold[oldest.held] == oldest {
			delete(cs.byHold, oldest.held)
		}
	}
}

// name files a call under its id, in front of those of the same name.
func (cs *calls) name(k *call) {
	k.sameName = cs.byName[k.key.callName]
	cs.byName[k.key.callName] = k
}

func (cs *calls) unname(k *call) {
	first := cs.byName[k.key.callName]
	switch {
	case first == k && k.sameName == nil:
		delete(cs.byName, k.key.callName)
	case first == k:
		cs.byName[k.key.callName] = k.sameName
	default:
		for ; first != nil; first = first.sameName {
			if first.sameName == k {
				first.sameName = k.sameName
			}
		}
	}
	k.sameName = nil
}

// find is the newest call under a key.
func (cs *calls) find(key callKey) *call {
	for k := cs.byName[key.callName]; k != nil; k = k.sameName {
		if k.key == key {
			return k
		}
	}
	return nil
}

func firstOfParts(parts []journal.HeldOn) holdKey {
	if len(parts) == 0 {
		return holdKey{}
	}
	return holdKey{parts[0].Key, parts[0].Hold}
}

// ofHold finds the call a token names.
func (cs *calls) ofHold(hold holdKey) *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byHold[hold]
}

// ofID finds the calls of one gateway that have this id: more than one when
// several apps use it. One that is still being decided is not among them: a
// report that was taken this early would find nothing held yet, and the hold
// would then be nobody's.
func (cs *calls) ofID(name callName) (found []*call) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for k := cs.byName[name]; k != nil; k = k.sameName {
		if deciding := k.note == nil && k.charge == nil; deciding {
			continue
		}
		if !slices.ContainsFunc(found, func(o *call) bool { return o.key == k.key }) {
			found = append(found, k)
		}
	}
	return found
}

// leaveOld puts in line the calls that were filed longer ago than any is
// remembered and that nobody settled here: another replica did.
func (cs *calls) leaveOld(at time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, k := range cs.byHold {
		if k.line == nil && at.Sub(k.since) >= rememberedFor {
			cs.leave(k, at)
		}
	}
}
