package ledger_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
)

// The ledger tables: testdata/books/asks.txt says how to read them.
func TestBooks(t *testing.T) {
	files, err := filepath.Glob("testdata/books/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	for _, file := range files {
		for _, story := range readStories(t, file) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+story.name, story.run)
		}
	}
}

type story struct {
	name  string
	file  string
	first int // line number
	lines []string
}

func readStories(t *testing.T, file string) (stories []*story) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if name, ok := strings.CutPrefix(line, "== "); ok {
			stories = append(stories, &story{name: strings.TrimSuffix(name, " =="), file: file, first: n + 1})
			continue
		}
		if len(stories) > 0 {
			last := stories[len(stories)-1]
			last.lines = append(last.lines, line)
		}
	}
	return stories
}

// teller reads a story into a book.
type teller struct {
	t       *testing.T
	book    *ledger.Book
	at      time.Time
	offset  int64
	last    journal.Event
	labels  map[int64]string // by budget
	units   map[int64]journal.Unit
	version int64
	stopped error
}

func (s *story) run(t *testing.T) {
	te := &teller{t: t, book: ledger.NewBook("acme"), at: time.Unix(1_000_000_000*6, 0), labels: map[int64]string{}, units: map[int64]journal.Unit{}}
	for i, line := range s.lines {
		if line == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		if err := te.tell(strings.TrimSuffix(verb, ":"), strings.TrimSpace(rest)); err != nil {
			t.Fatalf("%s:%d: %s: %v", s.file, s.first+i, line, err)
		}
	}
	if te.stopped != nil {
		t.Fatalf("the fold stopped: %v", te.stopped)
	}
}

func (te *teller) tell(verb, rest string) error {
	switch verb {
	case "at":
		d, err := time.ParseDuration(rest)
		te.at = time.Unix(1_000_000_000*6, 0).Add(d)
		return err
	case "balance":
		return te.balance(rest)
	case "queue":
		if got := ledger.QueueOf(te.book); got != rest {
			return fmt.Errorf("the queue is %s", got)
		}
		return nil
	case "stopped":
		if te.stopped == nil || !strings.Contains(te.stopped.Error(), rest) {
			return fmt.Errorf("stopped: %v", te.stopped)
		}
		te.stopped = nil
		return nil
	case "again":
		te.apply(te.last)
		return nil
	case "tick":
		te.apply(journal.EpochStarted{Epoch: journal.Epoch{255}})
		return nil
	case "limit":
		return te.limit(strings.Fields(rest))
	}
	ev, err := te.event(verb, rest)
	if err == nil {
		te.apply(ev)
	}
	return err
}

func (te *teller) apply(ev journal.Event) {
	te.last = ev
	err := te.book.Apply(journal.Entry{Record: journal.Record{Topic: journal.TopicLedger, Key: "acme", Event: ev}, Offset: te.offset, At: te.at})
	te.offset++
	if err != nil {
		te.stopped = err
	}
}

// balance compares: METER: limit spent held suspense, or none.
func (te *teller) balance(rest string) error {
	name, want, _ := strings.Cut(rest, ": ")
	b, ok := te.book.Meter(te.meter(name))
	got := "none"
	if ok {
		got = fmt.Sprint(b.Limit, b.Spent, b.Outstanding, b.Suspense)
	}
	if got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

// limit reads: BUDGET UNIT WINDOW AMOUNT [values N] [version N].
func (te *teller) limit(f []string) error {
	te.version++
	ev := journal.LimitSet{Budget: number(f[0]), Version: te.version, Amount: number(f[3])}
	ev.Unit, _ = journal.ParseUnit(f[1])
	if rolling, ok := strings.CutPrefix(f[2], "rolling:"); ok {
		ev.Window.Rolling, _ = time.ParseDuration(rolling)
	}
	for i := 4; i+1 < len(f); i += 2 {
		switch f[i] {
		case "values":
			ev.MaxValues = number(f[i+1])
		case "version":
			ev.Version = number(f[i+1])
		}
	}
	if _, known := te.labels[ev.Budget]; !known {
		te.labels[ev.Budget], _, _, _ = ledger.Label(ev.Window, ev.Unit, te.at)
		te.units[ev.Budget] = ev.Unit
	}
	te.apply(ev)
	return nil
}

func (te *teller) event(verb, rest string) (journal.Event, error) {
	head, tail, _ := strings.Cut(rest, ":")
	who := strings.Fields(head)
	tail = strings.TrimSpace(tail)
	switch verb {
	case "ask":
		ev := journal.Asked{Epoch: epochOf(who[0]), N: uint64(number(who[1])), TTL: time.Minute, Div: 2}
		for _, one := range strings.Split(tail, ";") {
			f := strings.Fields(one)
			ev.Asks = append(ev.Asks, journal.Ask{Meter: te.meter(f[0]), Least: number(f[2]), Want: number(f[4])})
		}
		return ev, nil
	case "cancel":
		return journal.AskCancelled{Epoch: epochOf(who[0]), N: uint64(number(who[1]))}, nil
	case "return":
		f := strings.Fields(tail)
		return journal.Returned{Epoch: epochOf(who[0]), N: uint64(number(who[1])), Meter: te.meter(f[0]), Total: number(f[1])}, nil
	case "settle":
		ev := journal.Settled{Hold: journal.HoldID{Epoch: epochOf(who[0]), N: uint64(number(who[1]))}}
		ev.Rank = map[string]journal.Rank{"rule": journal.RankRule, "estimate": journal.RankEstimate, "exact": journal.RankExact, "9": 9}[who[2]]
		for _, one := range strings.Split(tail, ";") {
			ev.Charges = append(ev.Charges, te.charge(strings.Fields(one)))
		}
		return ev, nil
	case "close":
		ev := journal.Closed{Epoch: epochOf(who[0])}
		for _, n := range who[1:] {
			ev.N = append(ev.N, uint64(number(n)))
		}
		return ev, nil
	case "end":
		ev := journal.EpochEnded{Epoch: epochOf(who[0])}
		for _, one := range strings.Split(tail, ";") {
			if f := strings.Fields(one); len(f) > 0 {
				ev.Open = append(ev.Open, journal.OpenHold{N: uint64(number(f[0])), Charges: []journal.Charge{te.charge(f[1:])}})
			}
		}
		return ev, nil
	case "forget-epoch":
		return journal.EpochForgotten{Epoch: epochOf(who[0])}, nil
	case "adjust":
		f := strings.Fields(tail)
		return journal.Adjusted{ID: who[0], Meter: te.meter(f[0]), Amount: number(f[1])}, nil
	case "forget-meters":
		ev := journal.MetersForgotten{Offset: number(who[0])}
		for _, name := range strings.Split(tail, ", ") {
			ev.Meters = append(ev.Meters, te.meter(name))
		}
		return ev, nil
	case "unreadable":
		return journal.Unreadable{Why: rest}, nil
	case "rules":
		return journal.RulesRaised{Rules: uint32(number(who[0]))}, nil
	}
	return nil, fmt.Errorf("no such line")
}

// charge reads: METER lease N held AMOUNT [cost AMOUNT].
func (te *teller) charge(f []string) journal.Charge {
	c := journal.Charge{Meter: te.meter(f[0]), Lease: uint64(number(f[2])), Held: number(f[4])}
	if len(f) > 6 {
		c.Actual = number(f[6])
	}
	return c
}

func (te *teller) meter(name string) journal.Meter {
	id, value, _ := strings.Cut(name, "/")
	if value == "others" {
		value = ledger.OthersPer
	}
	budget := number(id)
	m := journal.Meter{Budget: budget, Unit: te.units[budget], Per: value, Label: te.labels[budget]}
	if m.Label == "" {
		m.Label, m.Unit = "total", journal.UnitUSD
	}
	return m
}

func epochOf(name string) journal.Epoch { return journal.Epoch{name[0]} }

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
