package analytics

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/signalbox-dev/signalbox/journal"
)

// TestAnybodyCanRecomputeTheChain follows the log with nothing of ours but the
// rule of the documentation, and meets every row's chain_hash.
func TestAnybodyCanRecomputeTheChain(t *testing.T) {
	store, j := newStore(t), newJournal()
	first := []journal.Record{decided("acme", epoch(1), 1), decided("globex", epoch(1), 2), decided("acme", epoch(2), 1)}
	put(t, j, first...)
	put(t, j, first[2], first[0]) // sent again
	copyOnce(t, store, j, registryOf())()
	put(t, j, decided("acme", epoch(2), 2)) // and another process goes on
	copyOnce(t, store, j, registryOf())()

	hashes := map[int32][]byte{0: make([]byte, 32), 1: make([]byte, 32)}
	highest := map[string]uint64{}
	want := map[string]string{}
	for p := range j.Partitions(journal.TopicDecisions) {
		read(t, j, journal.TopicDecisions, p, func(e journal.Entry) {
			id := fmt.Sprint(p, e.Origin.Epoch)
			if e.Origin.Seq <= highest[id] {
				return
			}
			highest[id] = e.Origin.Seq
			raw, err := canonical(e.Record)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(append(hashes[p], raw...))
			hashes[p] = sum[:]
			want[fmt.Sprintf(`[%d,"%d"]`, p, e.Offset)] = hex.EncodeToString(sum[:])
		})
	}
	rows := ask(t, store, "SELECT log_partition, log_offset FROM decisions ORDER BY ALL")
	if len(rows) != 4 || len(want) != 4 {
		t.Fatalf("%d rows and %d entries, want 4", len(rows), len(want))
	}
	for _, at := range rows {
		var p int32
		var offset int64
		if _, err := fmt.Sscanf(at, `[%d,"%d"]`, &p, &offset); err != nil {
			t.Fatal(err)
		}
		got := one(t, store, fmt.Sprintf("SELECT chain_hash FROM decisions WHERE log_partition = %d AND log_offset = %d", p, offset))
		if got != `"`+want[at]+`"` {
			t.Errorf("%s: chain_hash %s, recomputed %s", at, got, want[at])
		}
	}
}

// read hands over what a partition holds now.
func read(t *testing.T, j *journal.Memory, topic journal.Topic, partition int32, take func(journal.Entry)) {
	t.Helper()
	ends, err := j.Ends(t.Context(), topic)
	if err != nil || ends[partition] == 0 {
		return
	}
	stop := fmt.Errorf("enough")
	err = j.Follow(t.Context(), topic, partition, 0, func(entries []journal.Entry) error {
		for _, e := range entries {
			take(e)
			if e.Offset == ends[partition]-1 {
				return stop
			}
		}
		return nil
	})
	if err != stop {
		t.Fatal(err)
	}
}
