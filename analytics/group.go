package analytics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// group copies one topic into its tables. One goroutine owns all of its state;
// one follower a partition hands it entries and waits while it inserts, so what
// is in memory is bounded by one batch.
type group struct {
	sink  *Sink
	topic journal.Topic
	poke  chan struct{} // insert now

	// Of one run of copy:
	tables  []*table
	arrived map[int32]int64 // by partition: behind the last entry taken
	saved   time.Time       // when positions were last written
}

// table is one table of a group.
type table struct {
	name string
	next map[int32]int64 // by partition: entries before it are in rows, or made none
	rows []any
	size int
	// take makes rows of an entry and says about how many bytes they are.
	take func(e *journal.Entry) (rows []any, size int, err error)
	// flush writes rows, all or none.
	flush func(ctx context.Context, rows []any) error
}

// StoppedError says why one partition is not copied further: what follows could
// only be copied by skipping an entry, and a sum with a hole looks like a sum.
type StoppedError struct {
	Topic     journal.Topic
	Partition int32
	Offset    int64
	Why       string
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("analytics: %s partition %d is not copied beyond offset %d: %s", e.Topic, e.Partition, e.Offset, e.Why)
}

// parcel is what a follower hands over: entries, or why it ended.
type parcel struct {
	partition int32
	entries   []journal.Entry
	err       error
}

// copy resumes every table from its rows and copies until ctx ends or something
// fails; after a failure it is called again and resumes again, because what of an
// insert went through is only known from the rows.
func (g *group) copy(ctx context.Context) error {
	if err := g.resume(ctx); err != nil {
		return err
	}
	g.sink.say(string(g.topic), nil)
	following, stop := context.WithCancel(ctx)
	parcels := make(chan parcel)
	ended := make(chan struct{}, len(g.arrived))
	for partition, from := range g.arrived {
		go func() {
			defer func() { ended <- struct{}{} }()
			g.follow(following, partition, from, parcels)
		}()
	}
	defer func() {
		stop()
		for range g.arrived {
			<-ended
		}
	}()
	err := g.collect(ctx, parcels)
	if ctx.Err() == nil {
		return err
	}
	return g.last(ctx)
}

// lastAtMost is how long the rows in hand may take at the end.
const lastAtMost = 5 * time.Second

// last inserts what is in hand when the sink is asked to stop. It would not be
// lost otherwise, only copied at the next start.
func (g *group) last(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAtMost)
	defer cancel()
	if err := g.insert(ctx); err != nil {
		return err
	}
	return g.save(ctx)
}

// resume opens the tables where their rows end.
func (g *group) resume(ctx context.Context) error {
	var err error
	if g.tables, err = g.sink.open(ctx, g.topic); err != nil {
		return fmt.Errorf("find where %s was copied to: %w", g.topic, err)
	}
	starts, err := g.sink.journal.Starts(ctx, g.topic)
	if err != nil {
		return fmt.Errorf("find the start of %s: %w", g.topic, err)
	}
	g.arrived = map[int32]int64{}
	for p := range g.sink.journal.Partitions(g.topic) {
		for i, t := range g.tables {
			if t.next[p] < starts[p] {
				if t.next[p] > 0 && !g.topic.Compacted() {
					g.sink.log.Warn("the journal forgot entries before analytics copied them",
						"table", t.name, "partition", p, "from", t.next[p], "to", starts[p])
				}
				t.next[p] = starts[p]
			}
			if i == 0 || t.next[p] < g.arrived[p] {
				g.arrived[p] = t.next[p]
			}
		}
		g.sink.stop(g.topic, p, nil)
	}
	g.sink.advance(g.topic, g.arrived)
	g.saved = time.Now()
	return nil
}

// follow hands over one partition, up to an entry that cannot be read.
func (g *group) follow(ctx context.Context, partition int32, from int64, parcels chan<- parcel) {
	send := func(p parcel) error {
		select {
		case parcels <- p:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := g.sink.journal.Follow(ctx, g.topic, partition, from, func(entries []journal.Entry) error {
		for i := range entries {
			if bad, is := entries[i].Event.(journal.Unreadable); is {
				if err := send(parcel{partition: partition, entries: entries[:i]}); err != nil {
					return err
				}
				return &StoppedError{g.topic, partition, entries[i].Offset, bad.Why + "; a newer signalbox may be able to read it"}
			}
		}
		return send(parcel{partition: partition, entries: entries})
	})
	var gap *journal.GapError
	if errors.As(err, &gap) {
		err = &StoppedError{g.topic, partition, from, gap.Error()}
	}
	_ = send(parcel{partition: partition, err: err})
}

// hurryWait is how long a batch waits for more while somebody waits for its rows.
const hurryWait = 5 * time.Millisecond

// collect takes entries and inserts them in batches, until ctx ends.
func (g *group) collect(ctx context.Context, parcels <-chan parcel) error {
	due := time.NewTimer(g.sink.cfg.BatchWait)
	due.Stop()
	waiting := false
	for {
		now := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-due.C:
			now = true
		case <-g.poke:
			now = waiting
		case p := <-parcels:
			if err := g.take(p); err != nil {
				return err
			}
			now = g.full()
			switch {
			case now:
			case g.sink.hurrying():
				due.Reset(min(hurryWait, g.sink.cfg.BatchWait)) // until no more comes
			case !waiting:
				due.Reset(g.sink.cfg.BatchWait)
			}
			waiting = true
		}
		if !now {
			continue
		}
		due.Stop()
		waiting = false
		if err := g.insert(ctx); err != nil {
			return err
		}
		if time.Since(g.saved) > saveEvery {
			if err := g.save(ctx); err != nil {
				return err
			}
		}
	}
}

// take makes rows of a parcel.
func (g *group) take(p parcel) error {
	var stopped *StoppedError
	switch {
	case errors.As(p.err, &stopped):
		g.sink.log.Error("analytics stops copying a partition", "error", stopped)
		g.sink.stop(g.topic, p.partition, stopped)
		return nil
	case p.err != nil:
		return fmt.Errorf("follow %s partition %d: %w", g.topic, p.partition, p.err)
	}
	for i := range p.entries {
		e := &p.entries[i]
		for _, t := range g.tables {
			if e.Offset < t.next[p.partition] {
				continue // this table has it; another one lacks it
			}
			rows, size, err := t.take(e)
			if err != nil {
				return fmt.Errorf("%s partition %d offset %d: %w", g.topic, e.Partition, e.Offset, err)
			}
			t.rows, t.size = append(t.rows, rows...), t.size+size
			t.next[p.partition] = e.Offset + 1
		}
		g.arrived[p.partition] = e.Offset + 1
	}
	return nil
}

func (g *group) full() bool {
	for _, t := range g.tables {
		if len(t.rows) >= g.sink.cfg.BatchRows || t.size >= g.sink.cfg.BatchBytes {
			return true
		}
	}
	return false
}

// insert writes each table's rows, one insert a table.
func (g *group) insert(ctx context.Context) error {
	for _, t := range g.tables {
		if len(t.rows) == 0 {
			continue
		}
		if err := t.flush(ctx, t.rows); err != nil {
			return err
		}
		clear(t.rows)
		t.rows, t.size = t.rows[:0], 0
	}
	g.sink.advance(g.topic, g.arrived)
	return nil
}

// saveEvery is how often a table's place is written for entries that made no
// rows. It is only ever late, and what is read again makes the same rows; but a
// place older than the journal's oldest entry would look like a hole.
const saveEvery = time.Minute

func (g *group) save(ctx context.Context) error {
	var rows []any
	for _, t := range g.tables {
		for p, next := range t.next {
			rows = append(rows, &positionRow{Table: t.name, Partition: p, Next: next})
		}
	}
	g.saved = time.Now()
	return g.sink.store.insert(ctx, "positions", rows)
}
