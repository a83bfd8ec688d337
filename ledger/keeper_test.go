package ledger_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

const dollar = 1_000_000_000

// world is a journal, the budgets told, and the replicas over them.
type world struct {
	t       testing.TB
	journal logJournal
	mu      sync.Mutex
	budgets map[int64]*registry.Budget
	epochs  byte
	folder  string
}

var discard = slog.New(slog.DiscardHandler)

// dir is the folder that the world's first replica was given.
func (w *world) dir(t testing.TB) string {
	t.Helper()
	if w.folder == "" {
		t.Fatal("no folder")
	}
	return w.folder
}

// logJournal is a journal that the tests can also close.
type logJournal interface {
	ledger.Journal
	Close(context.Context) error
}

func newWorld(t testing.TB) *world {
	return &world{t: t, journal: journal.NewMemory(2, time.Now), budgets: map[int64]*registry.Budget{}}
}

func (w *world) BudgetByIncarnation(n int64) (*registry.Budget, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.budgets[n]
	return b, ok
}

// budget declares a budget of tenant acme.
func (w *world) budget(b registry.Budget) *registry.Budget {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.Incarnation == 0 {
		b.Incarnation = int64(len(w.budgets) + 1)
	}
	if b.Mode == "" {
		b.Mode = registry.Enforce
	}
	b.Tenant = "acme"
	w.budgets[b.Incarnation] = &b
	return &b
}

func (w *world) config() ledger.Config {
	w.epochs++
	return ledger.Config{Epoch: journal.Epoch{w.epochs}, LeaseWait: 100 * time.Millisecond, BootID: "boot"}
}

// start runs a replica until the test ends or stop is called.
func (w *world) start(cfg ledger.Config) (k *ledger.Keeper, stop func()) {
	w.t.Helper()
	w.folder = cfg.Dir
	k, err := ledger.NewKeeper(cfg, w.journal, w, time.Now, discard)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	for k.Ready() != nil {
		time.Sleep(time.Millisecond)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Error("run:", err)
			}
		})
	}
	w.t.Cleanup(stop)
	return k, stop
}

func demand(b *registry.Budget, per string, base int64) ledger.Demand {
	label, _, _, err := ledger.Label(b.Window, b.Unit, time.Now())
	if err != nil {
		panic(err)
	}
	return ledger.Demand{Key: b.LedgerKey(), Budget: b, Base: base,
		Meter: journal.Meter{Budget: b.Incarnation, Unit: b.Unit, Per: per, Label: label}}
}

func request(demands ...ledger.Demand) *ledger.HoldRequest {
	return &ledger.HoldRequest{At: time.Now(), Key: "acme", Candidates: []ledger.Candidate{{Demands: demands}}}
}

// pay settles a held call at a cost on every meter.
func pay(t testing.TB, k *ledger.Keeper, held ledger.Held, cost int64) ledger.Outcome {
	t.Helper()
	for i := range held.Parts {
		for j := range held.Parts[i].Charges {
			held.Parts[i].Charges[j].Actual = cost
		}
	}
	out, err := k.Settle(context.Background(), ledger.Settlement{Parts: held.Parts, Rank: journal.RankExact, Outcome: journal.OutcomeCompleted})
	if err != nil {
		t.Error("settle:", err)
	}
	return out
}

func exhausted(short []ledger.Shortage) bool {
	for _, sh := range short {
		if sh.Exhausted {
			return true
		}
	}
	return false
}

// A user nobody has seen has the whole limit and not one call more, however many
// come at once.
func TestNewUserGetsTheWholeLimitAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		seven := w.budget(registry.Budget{Name: "seven", Per: []string{"user"}, Unit: journal.UnitRequests, Amount: 7})
		k, stop := w.start(w.config())
		var held, refused atomic.Int64
		var calls sync.WaitGroup
		for range 40 {
			calls.Go(func() {
				_, short, err := k.Hold(t.Context(), request(demand(seven, "u1", 1)))
				switch {
				case err != nil:
					t.Error(err)
				case len(short) > 0:
					refused.Add(1)
					if exhausted(short) {
						t.Error("402 while nothing is spent")
					}
				default:
					held.Add(1)
				}
			})
		}
		calls.Wait()
		if held.Load() != 7 || refused.Load() != 33 {
			t.Errorf("held %d, refused %d; want 7 and 33", held.Load(), refused.Load())
		}
		stop()
	})
}

// Money that is merely held is not gone: of 300 callers on one dollar nobody is
// told 402 before 99 cents are spent, and never is more than a dollar charged.
func TestThreeHundredCallersOnOneDollar(t *testing.T) {
	for _, row := range []struct {
		name        string
		floor, want int64
		perMTok     int64
	}{
		{"without a clamp", 100, 100, 50_000 * 1_000_000 / 100 * 100},
		{"with a clamp range", 16, 4096, 100_000 * 1_000_000},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { threeHundred(t, newWorld(t), row.floor, row.want, row.perMTok) })
		})
	}
}

func threeHundred(t *testing.T, w *world, floor, want, perMTok int64) {
	one := w.budget(registry.Budget{Name: "one-dollar", Unit: journal.UnitUSD, Amount: dollar})
	cfg := w.config()
	cfg.HoldWait = 10 * time.Second
	k, stop := w.start(cfg)
	var firstRefusal sync.Once
	var calls sync.WaitGroup
	var allowed atomic.Int64
	for caller := range 300 {
		calls.Go(func() {
			for {
				d := demand(one, "", 100_000)
				d.PerMTok = perMTok
				req := request(d)
				req.Floor, req.Want = floor, want
				held, short, err := k.Hold(t.Context(), req)
				if err != nil {
					t.Error(err)
					return
				}
				if len(short) > 0 {
					if exhausted(short) {
						firstRefusal.Do(func() {
							if spent := short[0].Spent; spent < dollar/100*99 {
								t.Errorf("402 at %d of %d spent", spent, dollar)
							}
						})
						return
					}
					continue
				}
				allowed.Add(1)
				time.Sleep(time.Duration(5+caller%40) * time.Millisecond)
				if caller%17 == 0 {
					time.Sleep(2 * time.Second) // settled late
				}
				pay(t, k, held, min(600_000+int64(caller)*1000, held.Parts[0].Charges[0].Held))
			}
		})
	}
	calls.Wait()
	b := k.Meters("acme")[0].Balance
	t.Logf("allowed %d, spent %d, outstanding %d", allowed.Load(), b.Spent, b.Outstanding)
	if b.Spent > dollar || b.Spent < dollar/100*99 {
		t.Errorf("spent %d of %d", b.Spent, dollar)
	}
	stop()
}

// A budget that is spent costs the log nothing.
func TestSpentBudgetCostsNoEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 10})
		k, stop := w.start(w.config())
		held, short, err := k.Hold(t.Context(), request(demand(b, "", 10)))
		if err != nil || len(short) > 0 {
			t.Fatal(short, err)
		}
		pay(t, k, held, 10)
		synctest.Wait()
		before := w.entries()
		for range 100 {
			if _, short, err := k.Hold(t.Context(), request(demand(b, "", 1))); err != nil || !exhausted(short) {
				t.Fatal(short, err)
			}
		}
		if after := w.entries(); after != before {
			t.Errorf("%d entries for 100 refusals", after-before)
		}
		stop()
	})
}

func (w *world) entries() (n int64) {
	ends, err := w.journal.Ends(context.Background(), journal.TopicLedger)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, end := range ends {
		n += end
	}
	return n
}

func TestErrorsAreForTheCaller(t *testing.T) {
	if !errors.Is(&ledger.StoppedError{}, ledger.ErrJournalUnavailable) {
		t.Error("a stopped fold must read as an unavailable journal")
	}
}
