package decision

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// calls remembers the calls that were let out: to give the same answer to the
// same question while the call is open, and the same charge to the same report
// afterwards. It is bounded; of the settled ones the oldest leave first.
type calls struct {
	mu      sync.Mutex
	byID    map[callKey]*call
	byName  map[callName][]*call
	byHold  map[holdKey]*call
	settled *list.List // of *call, oldest first
	most    int
}

// callKey is a call id within its gateway and app: two apps may both say "c-1".
type callKey struct{ gateway, tenant, app, id string }

// callName is what a report by call id says: a gateway does not name the app.
type callName struct{ gateway, id string }

// holdKey is a hold within its ledger key; what a token names.
type holdKey struct {
	key  string
	hold journal.HoldID
}

// call is one call that was asked about.
type call struct {
	key         callKey
	fingerprint [sha256.Size]byte
	answered    chan struct{} // closed when the first answer to it is given, or it was forgotten
	answer      *Answer       // nil: forgotten, or taken over from a process before
	note        note
	parts       []journal.HeldOn
	mu          sync.Mutex // one report at a time
	charge      *Settled   // nil: open
	rank        journal.Rank
	settledAt   time.Time
}

// settledFor is how long a settled call's id and charge are remembered.
const settledFor = 24 * time.Hour

func newCalls(most int) *calls {
	return &calls{byID: map[callKey]*call{}, byName: map[callName][]*call{}, byHold: map[holdKey]*call{}, settled: list.New(), most: most}
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
	key, print := c.callKey(), fingerprint(c)
	for {
		known := s.calls.claim(key, print)
		if known == nil {
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
		// The first asker was refused and let the id go: claim it ourselves.
	}
}

func (c *Case) callKey() callKey {
	return callKey{gateway: c.Request.Gateway, tenant: c.Caller.Key.Tenant, app: c.Caller.Key.App, id: c.Request.CallID}
}

// fingerprint is what must be equal for two questions to be one.
func fingerprint(c *Case) [sha256.Size]byte {
	h := sha256.New()
	put := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	put([]byte(c.Caller.Key.ID))
	put([]byte(c.Request.Method))
	put([]byte(c.Request.Path))
	put(c.Request.Body)
	names := make([]string, 0, 8)
	for name := range c.Request.Headers {
		if assertion(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		put([]byte(name))
		put([]byte(c.Request.Headers[name]))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func assertion(header string) bool {
	return len(header) > len("x-signalbox-") && header[:len("x-signalbox-")] == "x-signalbox-"
}

// claim takes a new id, or returns the call that has it.
func (cs *calls) claim(key callKey, print [sha256.Size]byte) *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if known, ok := cs.byID[key]; ok {
		return known
	}
	cs.byID[key] = &call{key: key, fingerprint: print, answered: make(chan struct{})}
	return nil
}

func (cs *calls) state(k *call) (*Answer, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return k.answer, k.charge != nil
}

// forget lets go of an id whose question got no hold, so that the gateway may
// ask again under it.
func (cs *calls) forget(c *Case) {
	if c.Request.CallID == "" || c.Caller.Key == nil {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if known, ok := cs.byID[c.callKey()]; ok && known.answer == nil && known.charge == nil && known.parts == nil {
		delete(cs.byID, known.key)
		close(known.answered)
	}
}

// answered remembers a call that was let out.
func (cs *calls) answered(c *Case, n note, answer Answer) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	key := c.callKey()
	key.id = n.CallID
	k, claimed := cs.byID[key]
	if !claimed {
		k = &call{key: key, answered: make(chan struct{})}
	}
	k.answer, k.note, k.parts = &answer, n, c.Held.Parts
	cs.put(k)
	close(k.answered)
}

// put files a call under its id and its holds. The caller has the lock.
func (cs *calls) put(k *call) {
	cs.byID[k.key] = k
	name := callName{k.key.gateway, k.key.id}
	cs.byName[name] = append(cs.byName[name], k)
	for _, part := range k.parts {
		cs.byHold[holdKey{part.Key, part.Hold}] = k
	}
}

// closed remembers the charge and lets the oldest go.
func (cs *calls) closed(k *call, charge Settled, rank journal.Rank, at time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	first := k.charge == nil
	k.charge, k.rank, k.settledAt, k.answer = &charge, rank, at, nil
	if first {
		cs.settled.PushBack(k)
	}
	for cs.settled.Len() > 0 {
		oldest := cs.settled.Front().Value.(*call)
		if cs.settled.Len() <= cs.most && at.Sub(oldest.settledAt) < settledFor {
			break
		}
		cs.settled.Remove(cs.settled.Front())
		cs.drop(oldest)
	}
}

func (cs *calls) drop(k *call) {
	delete(cs.byID, k.key)
	name := callName{k.key.gateway, k.key.id}
	cs.byName[name] = slices.DeleteFunc(cs.byName[name], func(o *call) bool { return o == k })
	if len(cs.byName[name]) == 0 {
		delete(cs.byName, name)
	}
	for _, part := range k.parts {
		delete(cs.byHold, holdKey{part.Key, part.Hold})
	}
}

// ofHold finds the call a token names.
func (cs *calls) ofHold(parts []journal.HeldOn) *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, part := range parts {
		if k, ok := cs.byHold[holdKey{part.Key, part.Hold}]; ok {
			return k
		}
	}
	return nil
}

// ofID finds the calls of one gateway that have this id: more than one when
// several apps use it.
func (cs *calls) ofID(gateway, id string) []*call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Clone(cs.byName[callName{gateway, id}])
}
