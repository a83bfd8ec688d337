package journal_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/journaltest"
)

func now() time.Time { return time.Now().UTC() }

func TestMemoryIsAJournal(t *testing.T) {
	journaltest.Run(t, func(*testing.T) journaltest.Opened {
		m := journal.NewMemory(4, now)
		return journaltest.Opened{Journal: m, Reopen: func(t *testing.T) journaltest.Journal {
			if err := m.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.Reopen()
			return m
		}}
	})
}

func TestMemoryInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := journal.NewMemory(1, now)
		got := make(chan journal.Entry, 1)
		stop := errors.New("stop")
		done := make(chan error, 1)
		go func() {
			done <- m.Follow(t.Context(), journal.TopicLedger, 0, 0, func(es []journal.Entry) error { got <- es[0]; return stop })
		}()
		time.Sleep(time.Hour) // the bubble's hour: the follower waits on a channel, so it passes at once
		if err := m.Append(t.Context(), journal.Record{Topic: journal.TopicLedger, Key: "acme", Event: journal.RulesRaised{Rules: 1}}); err != nil {
			t.Fatal(err)
		}
		if e := <-got; !e.At.Equal(now()) {
			t.Errorf("appended at %v; the bubble's clock says %v", e.At, now())
		}
		if err := <-done; !errors.Is(err, stop) {
			t.Error(err)
		}
	})
}

func TestMemoryForgets(t *testing.T) {
	m := journal.NewMemory(1, now)
	for range 5 {
		if err := m.Append(t.Context(), journal.Record{Topic: journal.TopicLedger, Event: journal.RulesRaised{Rules: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	m.Trim(journal.TopicLedger, 0, 3)
	err := m.Follow(t.Context(), journal.TopicLedger, 0, 2, func([]journal.Entry) error { return nil })
	var gap *journal.GapError
	if !errors.As(err, &gap) || gap.Start != 3 || gap.End != 5 {
		t.Errorf("got %v; want a gap before 3", err)
	}
}

// The partition of a key decides where its money is. These must never change.
func TestPartitionsStayWhereTheyAre(t *testing.T) {
	for key, want := range map[string]int32{"": 1, "acme": 0, "umbrella": 3, "zürich": 2, journal.SharedKey: 1} {
		if got := journal.PartitionFor(key, 4); got != want {
			t.Errorf("PartitionFor(%q, 4) = %d; it was %d", key, got, want)
		}
	}
	for n := int32(1); n < 20; n++ {
		for _, key := range []string{"", "a", "b", "acme", "umbrella", "\xff\xfe"} {
			if p := journal.PartitionFor(key, n); p < 0 || p >= n {
				t.Errorf("PartitionFor(%q, %d) = %d", key, n, p)
			}
		}
	}
}

func TestGapsAreSaidInSentences(t *testing.T) {
	for want, gap := range map[string]journal.GapError{
		"signalbox.ledger partition 2: after offset 6 came 9: entries between them are missing, so what follows cannot be trusted":      {Want: 7, Have: 9, Start: -1, End: -1},
		"signalbox.ledger partition 2: offset 7 was read before, but the log now ends at 5: it is another log, or it lost its end":      {Want: 7, Have: -1, Start: 0, End: 5},
		"signalbox.ledger partition 2: offset 7 is needed, but the log begins at 9: its retention is shorter than this reader was away": {Want: 7, Have: -1, Start: 9, End: 20},
		"signalbox.ledger partition 2: offset 7 is not in the log":                                                                      {Want: 7, Have: -1, Start: -1, End: -1},
	} {
		gap.Topic, gap.Partition = journal.TopicLedger, 2
		if got := gap.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
