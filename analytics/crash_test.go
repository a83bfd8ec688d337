package analytics

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// views is everything people can ask.
var views = map[string]string{
	"decisions":    "SELECT * FROM decisions",
	"usage":        "SELECT * FROM usage",
	"costs":        "SELECT * FROM costs",
	"spend_hourly": "SELECT * FROM spend_hourly",
	"prices":       "SELECT * FROM prices",
	"traces":       "SELECT * FROM traces",
	"names":        "SELECT * FROM names",
	"ledger":       "SELECT * FROM ledger",
}

func dump(t *testing.T, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for view, sql := range views {
		rows := ask(t, s, sql)
		slices.Sort(rows)
		all[view] = strings.Join(rows, "\n")
	}
	return all
}

func same(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for view := range views {
		if got[view] != want[view] {
			t.Errorf("%s: %s differs\n got %d rows\n%.1500s\nwant %d rows\n%.1500s", when, view,
				strings.Count(got[view], "\n")+1, got[view], strings.Count(want[view], "\n")+1, want[view])
		}
	}
}

// empty takes all rows away, as if the database had just been made.
func empty(t *testing.T, s *Store) {
	t.Helper()
	for _, table := range []string{"decisions_log", "usage_log", "ledger_log", "prices_log", "traces_log", "names_log", "names_lookup", "positions"} {
		if err := s.exec(t.Context(), "TRUNCATE TABLE signalbox."+table); err != nil {
			t.Fatal(err)
		}
	}
}

// traffic is a journal with everything in it that comes twice, late or corrected.
func traffic(t *testing.T, j *journal.Memory, calls int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	tenants := []string{"acme", "globex", "initech", "umbrella"}
	var sent []journal.Record
	for i := range calls {
		n := uint64(i + 1)
		tenant := tenants[i%len(tenants)]
		e := epoch(byte(1 + i%2))
		batch := []journal.Record{
			decided(tenant, e, n),
			{Topic: journal.TopicLedger, Key: tenant, Event: journal.Asked{Epoch: e, N: n, Asks: []journal.Ask{{Meter: meterOf("p-alice"), Want: 900, Least: 10}, {Meter: meterOf("p-bob"), Want: 5, Least: 5}}}},
			{Topic: journal.TopicTraces, Key: tenant, Origin: journal.Origin{Epoch: e, Seq: n}, Event: journal.Traced{CallID: fmt.Sprint("c-", n), At: morning, Capture: "full", Prompt: []byte("p;\x00"), Response: []byte("r")}},
		}
		cost := int64(1000 + i)
		switch random.IntN(4) {
		case 0: // charged by rule, then the provider's figures, then the rule again from another replica
			batch = append(batch, settled(tenant, e, n, journal.RankRule, attempt("paygo", 100, 10, cost*3)),
				settled(tenant, e, n, journal.RankExact, attempt("ptu", 90, 9, 0), attempt("paygo", 90, 9, cost)),
				settled(tenant, e, n, journal.RankRule, attempt("paygo", 100, 10, cost*3)))
		case 1: // the same rank twice with other figures: the first counts
			batch = append(batch, settled(tenant, e, n, journal.RankExact, attempt("paygo", 80, 8, cost)),
				settled(tenant, e, n, journal.RankExact, attempt("paygo", 70, 7, cost+1)))
		default:
			batch = append(batch, settled(tenant, e, n, journal.RankExact, attempt("paygo", 50, 5, cost)))
		}
		if i%5 == 0 {
			back := journal.Returned{Epoch: e, N: n, Meter: meterOf("p-alice"), Total: 10}
			more := back
			more.Total = 25
			limit := journal.LimitSet{Budget: 7, Version: int64(i), Unit: journal.UnitUSD, Amount: int64(i) * 100}
			adjusted := journal.Adjusted{ID: fmt.Sprint("a-", i), Meter: meterOf("p-alice"), Amount: 50, By: "ops", Why: "asked"}
			for _, event := range []journal.Event{back, more, back, limit, limit, adjusted, adjusted, journal.Closed{Epoch: e, N: []uint64{n}}} {
				batch = append(batch, journal.Record{Topic: journal.TopicLedger, Key: tenant, Event: event})
			}
		}
		if i%7 == 0 {
			batch = append(batch, named(tenant, "p-alice", "alice"), named(tenant, "p-bob", fmt.Sprint("bob-", i)),
				journal.Record{Topic: journal.TopicNames, Key: tenant, Name: "p-bob"})
		}
		if i%6 == 0 && len(sent) > 0 { // a spool sends again what it had sent
			batch = append(batch, sent...)
		}
		put(t, j, batch...)
		sent = batch[:3]
	}
}

func meterOf(per string) journal.Meter {
	return journal.Meter{Budget: 7, Unit: journal.UnitUSD, Per: per, Label: "2026-03"}
}

func named(tenant, pseudonym, name string) journal.Record {
	return journal.Record{Topic: journal.TopicNames, Key: tenant, Name: pseudonym, Event: journal.Named{Kind: "user", Pseudonym: pseudonym, Name: name}}
}

func pricesOf() *fakeCatalog {
	base := PriceVersion{Deployment: "paygo", ValidFrom: morning.Add(-time.Hour), RecordedAt: morning, Version: 1, Input: 2_500_000_000, CachedInput: 1_250_000_000, Output: 10_000_000_000}
	corrected := base
	corrected.Version, corrected.Input, corrected.RecordedAt = 2, 2_600_000_001, morning.Add(time.Hour)
	return registryOf(base, corrected)
}

// step says how an insert goes wrong.
type step uint8

const (
	refuses   step = iota // the insert fails and nothing is written
	forgets               // the insert is written and reported as failed
	diesAfter             // the insert is written, and then the process dies
	diesUpon              // the process dies before the insert
)

var errDown = errors.New("the store is down")

// faulty is a store in which one insert, counted from one, goes wrong.
type faulty struct {
	*Store
	at   int
	how  step
	mu   sync.Mutex
	seen int
	dead chan struct{} // closed when the process is to die
}

func (f *faulty) insert(ctx context.Context, table string, rows []any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.dead:
		return errDown
	default:
	}
	f.seen++
	if f.seen != f.at {
		return f.Store.insert(ctx, table, rows)
	}
	if f.how == forgets || f.how == diesAfter {
		if err := f.Store.insert(ctx, table, rows); err != nil {
			return err
		}
	}
	if f.how == diesAfter || f.how == diesUpon {
		close(f.dead)
	}
	return errDown
}

// small batches make many steps.
var small = SinkConfig{BatchRows: 9, BatchWait: 5 * time.Millisecond, Encode: canonical}

// TestAStopBetweenAnyTwoStepsAddsNoRowAndLosesNone lets every single insert of a
// whole copy go wrong in every way, in a run of its own, and compares what people
// then see with what they see when nothing goes wrong.
func TestAStopBetweenAnyTwoStepsAddsNoRowAndLosesNone(t *testing.T) {
	store, j, catalog := newStore(t), newJournal(), pricesOf()
	traffic(t, j, 24)
	whole := &faulty{Store: store, dead: make(chan struct{})}
	stop := copyOnce(t, whole, j, catalog)
	stop()
	want, steps := dump(t, store), whole.seen
	for view, rows := range want {
		if rows == "" {
			t.Fatalf("%s is empty: the test tests nothing", view)
		}
	}
	if steps < 15 {
		t.Fatalf("a whole copy took %d inserts: too few for a test", steps)
	}
	for _, how := range []step{refuses, forgets, diesAfter, diesUpon} {
		for at := 1 + int(how); at <= steps; at += 1 + steps/6 {
			empty(t, store)
			f := &faulty{Store: store, at: at, how: how, dead: make(chan struct{})}
			stop := copyOnce(t, f, j, catalog)
			stop()
			// The next process.
			stop = copyOnce(t, store, j, catalog)
			stop()
			same(t, fmt.Sprintf("insert %d of %d, way %d", at, steps, how), dump(t, store), want)
			if t.Failed() {
				return
			}
		}
	}
}

// copyOnce copies all there is, or until the process dies; what it returns ends
// the process.
func copyOnce(t *testing.T, store sinkStore, j Journal, c Catalog) (stop func()) {
	t.Helper()
	sink := newSink(store, j, c, small, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = sink.Run(ctx) }()
	waiting, give := context.WithTimeout(t.Context(), time.Minute)
	defer give()
	if f, is := store.(*faulty); is {
		go func() {
			select {
			case <-f.dead:
				give()
			case <-waiting.Done():
			}
		}()
	}
	if err := sink.CaughtUp(waiting); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return func() { cancel(); <-done }
}

// TestTheEngineIsKilledAgainAndAgain kills the engine's process while rows go in;
// the sink is not told.
func TestTheEngineIsKilledAgainAndAgain(t *testing.T) {
	engine := startEngine(t, t.TempDir())
	store, j, catalog := openStore(t, engine), newJournal(), pricesOf()
	traffic(t, j, 200)
	sink := newSink(store, j, catalog, small, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = sink.Run(ctx) }()
	for kill := range 4 {
		// Some way into the copy, further with each kill.
		for sum := int64(0); sum < int64(100*(kill+1)); {
			sum = 0
			for _, lag := range sink.Lag() {
				sum += lag.Next
			}
			time.Sleep(time.Millisecond)
		}
		for _, pid := range children(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for engine.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	caughtUp(t, sink)
	cancel()
	<-done
	got := dump(t, store)
	empty(t, store)
	copyOnce(t, store, j, catalog)()
	same(t, "after four kills", got, dump(t, store))
}

// children are the processes that this one started.
func children(t *testing.T) []int {
	t.Helper()
	var pids []int
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
