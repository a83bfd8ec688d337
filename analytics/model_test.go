package analytics

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/journal"
)

// model says plainly what the rows of a journal must add up to.
type model struct {
	decisions map[string]bool  // by origin
	usage     map[string]best  // by hold
	charges   map[string]best  // by hold and meter
	returned  map[string]int64 // by lease and meter
	adjusted  map[string]int64 // by id
}

// best is the settlement that counts.
type best struct {
	rank     journal.Rank
	charged  int64
	attempts int
}

func (m *model) fold(e journal.Entry) {
	switch ev := e.Event.(type) {
	case journal.Decided:
		m.decisions[fmt.Sprint(e.Partition, e.Origin)] = true
	case journal.Settled:
		hold := fmt.Sprint(e.Key, ev.Hold)
		if ev.Rank > m.usage[hold].rank {
			m.usage[hold] = best{ev.Rank, ev.Usage.ChargedNanoUSD, len(ev.Usage.Attempts)}
		}
		for _, c := range ev.Charges {
			if id := fmt.Sprint(hold, c.Meter); ev.Rank > m.charges[id].rank {
				m.charges[id] = best{rank: ev.Rank, charged: c.Actual}
			}
		}
	case journal.Returned:
		id := fmt.Sprint(e.Key, ev.Epoch, ev.N, ev.Meter)
		m.returned[id] = max(m.returned[id], ev.Total)
	case journal.Adjusted:
		if _, seen := m.adjusted[e.Key+ev.ID]; !seen {
			m.adjusted[e.Key+ev.ID] = ev.Amount
		}
	}
}

// sums is what the questions below must answer.
func (m *model) sums() string {
	var charged, spent, back, given, attempts int64
	for _, b := range m.usage {
		charged, attempts = charged+b.charged, attempts+int64(b.attempts)
	}
	for _, b := range m.charges {
		spent += b.charged
	}
	for _, total := range m.returned {
		back += total
	}
	for _, amount := range m.adjusted {
		given += amount
	}
	return fmt.Sprintf(`"%d","%d","%d","%d","%d","%d"`, len(m.decisions), attempts, charged, spent, back, given)
}

const sums = `SELECT (SELECT count() FROM decisions), (SELECT count() FROM usage), (SELECT sum(charged_nano_usd) FROM usage),
	(SELECT sum(amount) FROM ledger WHERE kind IN ('settled', 'corrected')), (SELECT sum(amount) FROM ledger WHERE kind = 'returned'),
	(SELECT sum(amount) FROM ledger WHERE kind = 'adjusted')`

// TestRowsAddUpToTheJournal draws journals full of repetitions, corrections and
// late words, copies them through stores that fail, and adds up.
func TestRowsAddUpToTheJournal(t *testing.T) {
	store := newStore(t)
	few(t, 12)
	rapid.Check(t, func(rt *rapid.T) {
		empty(t, store)
		j := newJournal()
		var records []journal.Record
		for range rapid.IntRange(1, 40).Draw(rt, "records") {
			tenant := rapid.SampledFrom([]string{"acme", "globex", "initech"}).Draw(rt, "tenant")
			e := epoch(byte(rapid.IntRange(1, 2).Draw(rt, "epoch")))
			n := uint64(rapid.IntRange(1, 5).Draw(rt, "n"))
			switch rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0:
				records = append(records, decided(tenant, e, uint64(len(records)+1)))
			case 1:
				records = append(records, journal.Record{Topic: journal.TopicLedger, Key: tenant,
					Event: journal.Returned{Epoch: e, N: n, Meter: meterOf("p-bob"), Total: rapid.Int64Range(0, 50).Draw(rt, "total")}})
			case 2:
				records = append(records, journal.Record{Topic: journal.TopicLedger, Key: tenant,
					Event: journal.Adjusted{ID: fmt.Sprint(n), Meter: meterOf("p-bob"), Amount: rapid.Int64Range(-50, 50).Draw(rt, "amount")}})
			default:
				rank := journal.Rank(rapid.IntRange(1, 3).Draw(rt, "rank"))
				attempts := make([]journal.Attempt, rapid.IntRange(0, 3).Draw(rt, "attempts"))
				for i := range attempts {
					attempts[i] = attempt("paygo", 10, 1, rapid.Int64Range(0, 100_000).Draw(rt, "charged"))
				}
				records = append(records, settled(tenant, e, n, rank, attempts...))
			}
			if rapid.IntRange(0, 4).Draw(rt, "again") == 0 {
				records = append(records, records[rapid.IntRange(0, len(records)-1).Draw(rt, "which")])
			}
		}
		must(rt, j.Append(context.Background(), records...))
		m := &model{map[string]bool{}, map[string]best{}, map[string]best{}, map[string]int64{}, map[string]int64{}}
		for _, topic := range []journal.Topic{journal.TopicDecisions, journal.TopicLedger} {
			for p := range j.Partitions(topic) {
				read(t, j, topic, p, m.fold)
			}
		}
		f := &faulty{Store: store, at: rapid.IntRange(1, 12).Draw(rt, "fails at"), how: step(rapid.IntRange(0, 3).Draw(rt, "how")), dead: make(chan struct{})}
		copyOnce(t, f, j, registryOf())()
		copyOnce(t, store, j, registryOf())()
		if got := one(t, store, sums); got != m.sums() {
			rt.Fatalf("rows say %s, the journal says %s", got, m.sums())
		}
		merged := ask(t, store, "SELECT * FROM usage ORDER BY ALL")
		must(rt, store.exec(context.Background(), "OPTIMIZE TABLE signalbox.usage_log FINAL"))
		if after := ask(t, store, "SELECT * FROM usage ORDER BY ALL"); !slices.Equal(after, merged) {
			rt.Fatalf("merging changed usage from\n%s\nto\n%s", strings.Join(merged, "\n"), strings.Join(after, "\n"))
		}
	})
}
