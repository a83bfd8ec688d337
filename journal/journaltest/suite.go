package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/journal"
)

// Journal is what a journal can do for those who read and write it.
type Journal interface {
	Append(ctx context.Context, recs ...journal.Record) error
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Starts(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Partitions(topic journal.Topic) int32
	PartitionFor(topic journal.Topic, key string) int32
	Healthy() error
	Close(ctx context.Context) error
}

// Opened is one journal under test.
type Opened struct {
	Journal Journal
	// Reopen closes the journal and opens the same one again, as a restart does.
	Reopen func(t *testing.T) Journal
	// Damage puts an entry on the key that this program cannot read. Nil where
	// the journal holds Go values and cannot be damaged.
	Damage func(t *testing.T, topic journal.Topic, key string)
	// NotOurs are goroutines that may outlive a story: those of a broker that the
	// test runs in its own process.
	NotOurs []goleak.Option
}

// Run tells every story against a journal of its own. Topics may already hold
// entries of earlier stories: each story begins at the ends it finds.
func Run(t *testing.T, open func(t *testing.T) Opened) {
	stories := map[string]func(*testing.T, Opened){
		"entries of one key come in the order of their appending": orderPerKey,
		"one append may span topics":                              batchAcrossTopics,
		"a follower begins in the middle and then hears live":     followFromTheMiddle,
		"many append at once and nothing is lost":                 concurrentAppends,
		"the same record may be appended twice":                   duplicates,
		"ends and starts say where the log stands":                endsAndStarts,
		"a follower that is past the end is told of a gap":        followPastTheEnd,
		"a partition that is not there is refused":                followUnknownPartition,
		"a handler's error ends the follow and is returned":       handlerError,
		"a cancelled follow returns and leaves nothing behind":    cancelledFollow,
		"closing ends the follows":                                closeEndsFollows,
		"a name can be replaced and forgotten":                    namesAndTombstones,
		"an entry that cannot be read surfaces in its place":      unreadable,
		"a restart keeps everything":                              reopenKeepsAll,
		"an entry carries when it was appended":                   appendTimes,
		"a record without an event is refused":                    nothingToAppend,
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			quiet := goleak.IgnoreCurrent()
			o := open(t)
			current, reopen := o.Journal, o.Reopen
			o.Reopen = func(t *testing.T) Journal { current = reopen(t); return current }
			story(t, o)
			if err := current.Close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
			goleak.VerifyNone(t, append(o.NotOurs, quiet)...)
		})
	}
}

// patience bounds a story that waits for what never comes; no assertion is timed.
const patience = 30 * time.Second

// fact is a record whose content tells it apart.
func fact(topic journal.Topic, key string, n int) journal.Record {
	return journal.Record{Topic: topic, Key: key, Origin: journal.Origin{Epoch: journal.Epoch{1}, Seq: uint64(n + 1)},
		Event: journal.Adjusted{ID: fmt.Sprintf("%s/%d", key, n), Amount: int64(n), By: "test"}}
}

func appendAll(t *testing.T, j Journal, recs ...journal.Record) {
	t.Helper()
	if err := j.Append(t.Context(), recs...); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func ends(t *testing.T, j Journal, topic journal.Topic) map[int32]int64 {
	t.Helper()
	e, err := j.Ends(t.Context(), topic)
	if err != nil {
		t.Fatalf("ends: %v", err)
	}
	return e
}

var errEnough = errors.New("enough")

// read follows from an offset until it has n entries.
func read(t *testing.T, j Journal, topic journal.Topic, partition int32, from int64, n int) []journal.Entry {
	t.Helper()
	var got []journal.Entry
	if n == 0 {
		return got
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := j.Follow(ctx, topic, partition, from, func(es []journal.Entry) error {
		if got = append(got, es...); len(got) >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("follow %s partition %d from %d: %d of %d entries, then %v", topic, partition, from, len(got), n, err)
	}
	return got
}

func records(es []journal.Entry) []journal.Record {
	var rs []journal.Record
	for _, e := range es {
		rs = append(rs, e.Record)
	}
	return rs
}

func orderPerKey(t *testing.T, o Opened) {
	const each = 50
	keys := []string{"acme", "umbrella", journal.SharedKey, "zürich"}
	before := ends(t, o.Journal, journal.TopicLedger)
	want := map[string][]journal.Record{}
	for n := range each {
		var batch []journal.Record
		for _, k := range keys {
			r := fact(journal.TopicLedger, k, n)
			batch = append(batch, r)
			want[k] = append(want[k], r)
		}
		appendAll(t, o.Journal, batch...)
	}
	got := map[string][]journal.Record{}
	for p, end := range ends(t, o.Journal, journal.TopicLedger) {
		at := before[p]
		for _, e := range read(t, o.Journal, journal.TopicLedger, p, at, int(end-at)) {
			if e.Offset != at || e.Partition != p || e.Partition != o.Journal.PartitionFor(e.Topic, e.Key) {
				t.Fatalf("%s stands at partition %d offset %d; want partition %d offset %d", e.Key, e.Partition, e.Offset, p, at)
			}
			at++
			got[e.Key] = append(got[e.Key], e.Record)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was read differs (-want +got):\n%s", diff)
	}
}

func batchAcrossTopics(t *testing.T, o Opened) {
	j := o.Journal
	recs := []journal.Record{
		fact(journal.TopicLedger, "acme", 1),
		{Topic: journal.TopicDecisions, Key: "acme", Event: journal.Decided{DecisionID: "d1", Action: "allow"}},
		{Topic: journal.TopicRegistry, Event: journal.RegistryChanged{Txn: "t1", Kind: "tenant", Name: "acme", Count: 1}},
		fact(journal.TopicLedger, "acme", 2),
	}
	before := map[journal.Topic]map[int32]int64{}
	for _, r := range recs {
		before[r.Topic] = ends(t, j, r.Topic)
	}
	appendAll(t, j, recs...)
	for _, topic := range []journal.Topic{journal.TopicLedger, journal.TopicDecisions, journal.TopicRegistry} {
		want := slices.Clone(recs)
		want = slices.DeleteFunc(want, func(r journal.Record) bool { return r.Topic != topic })
		p := j.PartitionFor(topic, want[0].Key)
		got := records(read(t, j, topic, p, before[topic][p], len(want)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", topic, diff)
		}
	}
}

func followFromTheMiddle(t *testing.T, o Opened) {
	j := o.Journal
	p := j.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, j, journal.TopicLedger)[p]
	for n := range 10 {
		appendAll(t, j, fact(journal.TopicLedger, "acme", n))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, done := make(chan journal.Entry), make(chan error, 1)
	go func() {
		done <- j.Follow(ctx, journal.TopicLedger, p, start+6, func(es []journal.Entry) error {
			for _, e := range es {
				select {
				case got <- e:
				case <-ctx.Done():
				}
			}
			return nil
		})
	}()
	for n := 6; n < 15; n++ {
		if n >= 10 { // the follower has read all there was: this it must hear of
			appendAll(t, j, fact(journal.TopicLedger, "acme", n))
		}
		select {
		case e := <-got:
			if e.Offset != start+int64(n) || e.Event.(journal.Adjusted).Amount != int64(n) {
				t.Fatalf("offset %d: %+v; want offset %d", e.Offset, e.Event, start+int64(n))
			}
		case err := <-done:
			t.Fatalf("the follow ended at entry %d: %v", n, err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled follow returned %v", err)
	}
}

func concurrentAppends(t *testing.T, o Opened) {
	const writers, each = 8, 40
	j := o.Journal
	before := ends(t, j, journal.TopicLedger)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if err := j.Append(t.Context(), fact(journal.TopicLedger, fmt.Sprintf("tenant-%d", w), n)); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	next := map[string]int64{}
	for p, end := range ends(t, j, journal.TopicLedger) {
		for _, e := range read(t, j, journal.TopicLedger, p, before[p], int(end-before[p])) {
			if got := e.Event.(journal.Adjusted).Amount; got != next[e.Key] {
				t.Fatalf("%s: entry %d came where %d was next", e.Key, got, next[e.Key])
			}
			next[e.Key]++
		}
	}
	for w := range writers {
		if n := next[fmt.Sprintf("tenant-%d", w)]; n != each {
			t.Errorf("writer %d: %d of %d entries", w, n, each)
		}
	}
}

func duplicates(t *testing.T, o Opened) {
	j := o.Journal
	p := j.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, j, journal.TopicLedger)[p]
	r := fact(journal.TopicLedger, "acme", 1)
	appendAll(t, j, r, r)
	appendAll(t, j, r)
	if diff := cmp.Diff([]journal.Record{r, r, r}, records(read(t, j, journal.TopicLedger, p, start, 3))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func endsAndStarts(t *testing.T, o Opened) {
	j := o.Journal
	for _, topic := range journal.Topics() {
		e := ends(t, j, topic)
		s, err := j.Starts(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if int32(len(e)) != j.Partitions(topic) || int32(len(s)) != j.Partitions(topic) {
			t.Errorf("%s has %d partitions, %d ends and %d starts", topic, j.Partitions(topic), len(e), len(s))
		}
	}
	p := j.PartitionFor(journal.TopicDecisions, "acme")
	before := ends(t, j, journal.TopicDecisions)[p]
	appendAll(t, j, fact(journal.TopicDecisions, "acme", 0), fact(journal.TopicDecisions, "acme", 1))
	if after := ends(t, j, journal.TopicDecisions)[p]; after != before+2 {
		t.Errorf("after two appends the end went from %d to %d", before, after)
	}
}

func followPastTheEnd(t *testing.T, o Opened) {
	j := o.Journal
	appendAll(t, j, fact(journal.TopicLedger, "acme", 0))
	p := j.PartitionFor(journal.TopicLedger, "acme")
	end := ends(t, j, journal.TopicLedger)[p]
	err := j.Follow(t.Context(), journal.TopicLedger, p, end+5, func([]journal.Entry) error { return nil })
	var gap *journal.GapError
	if !errors.As(err, &gap) || gap.Want != end+5 || gap.End != end {
		t.Errorf("got %v; want a gap: offset %d wanted, the log ends at %d", err, end+5, end)
	}
}

func followUnknownPartition(t *testing.T, o Opened) {
	for _, p := range []int32{-1, o.Journal.Partitions(journal.TopicLedger)} {
		err := o.Journal.Follow(t.Context(), journal.TopicLedger, p, 0, func([]journal.Entry) error { return nil })
		if err == nil {
			t.Errorf("partition %d was followed", p)
		}
	}
}

func handlerError(t *testing.T, o Opened) {
	j := o.Journal
	p := j.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, j, journal.TopicLedger)[p]
	appendAll(t, j, fact(journal.TopicLedger, "acme", 0))
	stop := errors.New("the books do not balance")
	if err := j.Follow(t.Context(), journal.TopicLedger, p, start, func([]journal.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v; want the handler's own error", err)
	}
}

func cancelledFollow(t *testing.T, o Opened) {
	j := o.Journal
	p := j.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, j, journal.TopicLedger)[p]
	appendAll(t, j, fact(journal.TopicLedger, "acme", 0))
	for range 5 { // Run looks for what they left behind
		ctx, cancel := context.WithCancel(t.Context())
		err := j.Follow(ctx, journal.TopicLedger, p, start, func([]journal.Entry) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v; want %v", err, context.Canceled)
		}
		cancel()
	}
}

func closeEndsFollows(t *testing.T, o Opened) {
	j := o.Journal
	p := j.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, j, journal.TopicLedger)[p]
	appendAll(t, j, fact(journal.TopicLedger, "acme", 0))
	reading, done := make(chan struct{}), make(chan error, 1)
	began := sync.OnceFunc(func() { close(reading) })
	go func() {
		done <- j.Follow(t.Context(), journal.TopicLedger, p, start, func([]journal.Entry) error { began(); return nil })
	}()
	<-reading
	if err := j.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-done; !errors.Is(err, journal.ErrClosed) {
		t.Errorf("the follow ended with %v; want %v", err, journal.ErrClosed)
	}
	if err := j.Append(t.Context(), fact(journal.TopicLedger, "acme", 1)); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if err := j.Healthy(); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("healthy after close: %v", err)
	}
	if err := j.Close(t.Context()); err != nil {
		t.Errorf("a second close: %v", err)
	}
}

func namesAndTombstones(t *testing.T, o Opened) {
	j := o.Journal
	name := func(n string, e journal.Event) journal.Record {
		return journal.Record{Topic: journal.TopicNames, Key: "acme", Name: n, Origin: journal.Origin{Epoch: journal.Epoch{7}, Seq: 9}, Event: e}
	}
	want := []journal.Record{
		name("user/p1", journal.Named{Kind: "user", Pseudonym: "p1", Name: "ada"}),
		name("user/p2", journal.Named{Kind: "user", Pseudonym: "p2", Name: "bob"}),
		name("user/p1", nil),
	}
	p := j.PartitionFor(journal.TopicNames, "acme")
	start := ends(t, j, journal.TopicNames)[p]
	appendAll(t, j, want...)
	if diff := cmp.Diff(want, records(read(t, j, journal.TopicNames, p, start, len(want)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func unreadable(t *testing.T, o Opened) {
	if o.Damage == nil {
		o.Damage = func(t *testing.T, topic journal.Topic, key string) {
			appendAll(t, o.Journal, journal.Record{Topic: topic, Key: key, Event: journal.Unreadable{Why: "planted"}})
		}
	}
	j := o.Journal
	p := j.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, j, journal.TopicLedger)[p]
	appendAll(t, j, fact(journal.TopicLedger, "acme", 0))
	o.Damage(t, journal.TopicLedger, "acme")
	appendAll(t, j, fact(journal.TopicLedger, "acme", 2))
	got := read(t, j, journal.TopicLedger, p, start, 3)
	if u, ok := got[1].Event.(journal.Unreadable); !ok || u.Why == "" {
		t.Errorf("the damaged entry came as %+v", got[1].Event)
	}
	if got[2].Event.(journal.Adjusted).Amount != 2 {
		t.Errorf("after it came %+v", got[2].Event)
	}
}

func reopenKeepsAll(t *testing.T, o Opened) {
	p := o.Journal.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, o.Journal, journal.TopicLedger)[p]
	var want []journal.Record
	j := o.Journal
	for n := range 30 {
		r := fact(journal.TopicLedger, "acme", n)
		want = append(want, r)
		appendAll(t, j, r)
		if n%10 == 9 {
			j = o.Reopen(t)
		}
	}
	if diff := cmp.Diff(want, records(read(t, j, journal.TopicLedger, p, start, len(want)))); diff != "" {
		t.Errorf("after the restarts (-want +got):\n%s", diff)
	}
}

func appendTimes(t *testing.T, o Opened) {
	j := o.Journal
	p := j.PartitionFor(journal.TopicLedger, "acme")
	start := ends(t, j, journal.TopicLedger)[p]
	appendAll(t, j, fact(journal.TopicLedger, "acme", 0))
	e := read(t, j, journal.TopicLedger, p, start, 1)[0]
	if e.At.IsZero() || e.At.Location() != time.UTC {
		t.Errorf("the append time is %v; want one, in UTC", e.At)
	}
}

func nothingToAppend(t *testing.T, o Opened) {
	if err := o.Journal.Append(t.Context(), journal.Record{Topic: journal.TopicLedger, Key: "acme"}); err == nil {
		t.Error("it was appended")
	}
	if err := o.Journal.Append(t.Context()); err != nil {
		t.Errorf("no records at all: %v", err)
	}
}
