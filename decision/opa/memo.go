package opa

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/decision"
)

const (
	// memoShards is how many calls can look up at once without waiting for each
	// other's writes.
	memoShards = 16
	// memoKeyBytes is the longest key remembered: with verdictBytes it bounds what
	// one entry can cost.
	memoKeyBytes = 4 << 10
)

// memo remembers the verdicts of one policy under the exact values it read. It
// belongs to that policy and dies with it, so that no verdict outlives the rules
// it came from. Keys are compared in full, never by their hash alone: two facts
// that meet in a hash must not share a verdict.
type memo struct {
	seed   maphash.Seed
	shards [memoShards]memoShard
}

type memoShard struct {
	mu      sync.RWMutex
	places  map[string]int
	entries []remembered
	hand    int // of the clock: the next entry to be looked at for eviction
	bytes   int
	room    memoRoom
	hits    atomic.Uint64
	misses  atomic.Uint64
}

// memoRoom is what one shard may hold.
type memoRoom struct{ entries, bytes int }

type remembered struct {
	key     string
	verdict decision.Verdict
	used    *atomic.Bool // since the hand last passed
}

func newMemo(entries, bytes int) *memo {
	m := &memo{seed: maphash.MakeSeed()}
	room := memoRoom{entries: max(1, entries/memoShards), bytes: max(1, bytes/memoShards)}
	for i := range m.shards {
		m.shards[i].places = map[string]int{}
		m.shards[i].room = room
	}
	return m
}

func (m *memo) shard(key []byte) *memoShard {
	return &m.shards[maphash.Bytes(m.seed, key)%memoShards]
}

// recall finds the verdict on these values. What it returns is shared: its
// slices and maps are for reading.
func (m *memo) recall(key []byte) (decision.Verdict, bool) {
	s := m.shard(key)
	s.mu.RLock()
	place, ok := s.places[string(key)]
	if !ok {
		s.mu.RUnlock()
		s.misses.Add(1)
		return decision.Verdict{}, false
	}
	entry := s.entries[place]
	s.mu.RUnlock()
	if !entry.used.Load() { // a store on every hit would pass the line between cores
		entry.used.Store(true)
	}
	s.hits.Add(1)
	return entry.verdict, true
}

// remember keeps the verdict, and lets others go to make room.
func (m *memo) remember(key []byte, verdict decision.Verdict) {
	cost := weight(len(key), &verdict)
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.places[string(key)]; ok || len(key) > memoKeyBytes || cost > s.room.bytes {
		return
	}
	for len(s.entries) >= s.room.entries || s.bytes+cost > s.room.bytes {
		s.evict()
	}
	s.bytes += cost
	s.places[string(key)] = len(s.entries)
	s.entries = append(s.entries, remembered{key: string(key), verdict: verdict, used: new(atomic.Bool)})
}

// evict lets go the first entry that was not used since the hand last passed it.
// It ends within two rounds: the first one clears every mark. The caller holds
// the lock and the shard is not empty.
func (s *memoShard) evict() {
	for {
		if s.hand >= len(s.entries) {
			s.hand = 0
		}
		if !s.entries[s.hand].used.Swap(false) {
			break
		}
		s.hand++
	}
	gone := s.entries[s.hand]
	last := len(s.entries) - 1
	s.entries[s.hand] = s.entries[last]
	s.entries[last] = remembered{}
	s.entries = s.entries[:last]
	if s.hand < last {
		s.places[s.entries[s.hand].key] = s.hand
	}
	delete(s.places, gone.key)
	s.bytes -= weight(len(gone.key), &gone.verdict)
	s.hand++
}

// weight is about how many bytes an entry costs. A verdict's strings are those of
// its JSON, which it carries as well.
func weight(key int, v *decision.Verdict) int {
	const fixed = 512 // the structs, the map's slot, the headers of slices
	return fixed + key + 3*len(v.Raw)
}

// size counts what is remembered and how often that helped.
func (m *memo) size() (entries int, hits, misses uint64) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		entries += len(s.entries)
		s.mu.RUnlock()
		hits += s.hits.Load()
		misses += s.misses.Load()
	}
	return entries, hits, misses
}
