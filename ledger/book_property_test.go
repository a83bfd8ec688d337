package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
)

// scene is three epochs and a handful of meters; what they say is drawn.
type scene struct {
	asks    [3]uint64
	entries []journal.Entry
	at      time.Time
}

var sceneBudgets = []journal.LimitSet{
	{Budget: 1, Version: 1, Unit: journal.UnitUSD, Amount: 60},
	{Budget: 2, Version: 1, Unit: journal.UnitTokens, Window: journal.Window{Rolling: 20 * time.Second}, Amount: 40, MaxValues: 2},
	{Budget: 3, Version: 1, Unit: journal.UnitConcurrent, Amount: 4},
}

func drawMeter(t *rapid.T) journal.Meter {
	b := rapid.SampledFrom(sceneBudgets).Draw(t, "budget")
	label, _, _, _ := ledger.Label(b.Window, b.Unit, time.Time{})
	return journal.Meter{Budget: b.Budget, Unit: b.Unit, Per: rapid.SampledFrom([]string{"", "u1", "u2", "u3"}).Draw(t, "per"), Label: label}
}

func drawEpoch(t *rapid.T) (int, journal.Epoch) {
	n := rapid.IntRange(0, 2).Draw(t, "epoch")
	return n, journal.Epoch{byte('A' + n)}
}

func (s *scene) draw(t *rapid.T) journal.Event {
	n, epoch := drawEpoch(t)
	small := rapid.Int64Range(0, 12)
	lease := rapid.Uint64Range(0, 6)
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0, 1, 2, 3:
		s.asks[n]++
		ev := journal.Asked{Epoch: epoch, N: s.asks[n], TTL: time.Minute, Div: rapid.Int64Range(1, 3).Draw(t, "div")}
		for range rapid.IntRange(1, 3).Draw(t, "lines") {
			ev.Asks = append(ev.Asks, journal.Ask{Meter: drawMeter(t), Least: small.Draw(t, "least"), Want: small.Draw(t, "want")})
		}
		return ev
	case 4, 5, 6:
		ev := journal.Settled{Hold: journal.HoldID{Epoch: epoch, N: rapid.Uint64Range(1, 80).Draw(t, "hold")},
			Rank: journal.Rank(rapid.IntRange(1, 3).Draw(t, "rank"))}
		for range rapid.IntRange(0, 3).Draw(t, "charges") {
			ev.Charges = append(ev.Charges, drawCharge(t))
		}
		return ev
	case 7:
		return journal.Returned{Epoch: epoch, N: lease.Draw(t, "lease"), Meter: drawMeter(t), Total: small.Draw(t, "total")}
	case 8:
		return journal.Closed{Epoch: epoch, N: []uint64{lease.Draw(t, "lease"), lease.Draw(t, "lease2")}}
	case 9:
		return journal.AskCancelled{Epoch: epoch, N: lease.Draw(t, "ask")}
	case 10:
		return drawRare(t, epoch)
	}
	ls := rapid.SampledFrom(sceneBudgets).Draw(t, "limit")
	ls.Version, ls.Amount = rapid.Int64Range(1, 9).Draw(t, "version"), rapid.Int64Range(0, 80).Draw(t, "amount")
	return ls
}

func drawRare(t *rapid.T, epoch journal.Epoch) journal.Event {
	switch rapid.IntRange(0, 4).Draw(t, "rare") {
	case 0:
		ev := journal.EpochEnded{Epoch: epoch}
		for n := range rapid.Uint64Range(0, 3).Draw(t, "open") {
			ev.Open = append(ev.Open, journal.OpenHold{N: n + 1, Charges: []journal.Charge{drawCharge(t)}})
		}
		return ev
	case 1:
		return journal.EpochForgotten{Epoch: epoch}
	case 2:
		return journal.MetersForgotten{Meters: []journal.Meter{drawMeter(t)}, Offset: rapid.Int64Range(0, 100).Draw(t, "offset")}
	case 3:
		return journal.Adjusted{ID: rapid.StringMatching("[ab]").Draw(t, "id"), Meter: drawMeter(t), Amount: rapid.Int64Range(-9, 9).Draw(t, "by")}
	}
	return journal.Checkpoint{Offset: 1}
}

func drawCharge(t *rapid.T) journal.Charge {
	small := rapid.Int64Range(0, 12)
	return journal.Charge{Meter: drawMeter(t), Lease: rapid.Uint64Range(0, 6).Draw(t, "lease"), Held: small.Draw(t, "held"),
		Actual: small.Draw(t, "actual"), Kept: rapid.SampledFrom([]int64{0, 0, 3}).Draw(t, "kept")}
}

func (s *scene) say(ev journal.Event) {
	s.entries = append(s.entries, journal.Entry{Record: journal.Record{Event: ev, Key: "acme"}, Offset: int64(len(s.entries)), At: s.at})
}

func drawScene(t *rapid.T) *scene {
	s := &scene{at: time.Unix(6e9, 0)}
	for _, b := range sceneBudgets {
		s.say(b)
	}
	for range rapid.IntRange(1, 60).Draw(t, "entries") {
		s.at = s.at.Add(time.Duration(rapid.IntRange(-1, 5).Draw(t, "seconds")) * time.Second)
		if len(s.entries) > 3 && rapid.IntRange(0, 6).Draw(t, "again") == 0 {
			s.say(rapid.SampledFrom(s.entries).Draw(t, "which").Event)
			continue
		}
		s.say(s.draw(t))
	}
	return s
}

func fold(t interface{ Fatal(...any) }, b *ledger.Book, entries []journal.Entry) *ledger.Book {
	for _, e := range entries {
		if err := b.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// Whatever is said, by anyone, in any order and more than once, the book's own
// figures agree.
func TestBookAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		b := ledger.NewBook("acme")
		for _, e := range s.entries {
			if err := b.Apply(e); err != nil {
				t.Fatal(err)
			}
			if err := ledger.Audit(b); err != nil {
				t.Fatalf("after %T at %d: %v", e.Event, e.Offset, err)
			}
		}
	})
}

// A prefix folded before the whole is delivered again makes the same book, and so
// does any other reader.
func TestRedeliveryMakesTheSameBook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		whole := fold(t, ledger.NewBook("acme"), s.entries).Hash()
		cut := rapid.IntRange(0, len(s.entries)).Draw(t, "cut")
		again := fold(t, ledger.NewBook("acme"), s.entries[:cut])
		if fold(t, again, s.entries).Hash() != whole {
			t.Fatal("the books differ")
		}
	})
}

// A snapshot and the tail make the book that the whole log makes.
func TestSnapshotAndTailMakeTheWholeLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		whole := fold(t, ledger.NewBook("acme"), s.entries)
		cut := rapid.IntRange(0, len(s.entries)).Draw(t, "cut")
		b, err := ledger.ReadAgain(fold(t, ledger.NewBook("acme"), s.entries[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		if fold(t, b, s.entries[cut:]).Hash() != whole.Hash() {
			t.Fatal("the books differ")
		}
		if err := ledger.Audit(b); err != nil {
			t.Fatal(err)
		}
	})
}

// While nobody charges above a hold or lowers a limit, spent + outstanding never
// passes the limit, whatever is asked, closed, returned and corrected.
func TestNoMeterPassesItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &honest{t: t, book: ledger.NewBook("acme"), at: time.Unix(6e9, 0), free: map[string]int64{}}
		for _, ls := range sceneBudgets {
			h.say(ls)
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			h.step()
			for _, ls := range sceneBudgets {
				label, _, _, _ := ledger.Label(ls.Window, ls.Unit, h.at)
				m := journal.Meter{Budget: ls.Budget, Unit: ls.Unit, Label: label}
				if b, ok := h.book.Meter(m); ok && b.Spent+b.Outstanding > b.Limit {
					t.Fatalf("budget %d: spent %d + outstanding %d > limit %d", ls.Budget, b.Spent, b.Outstanding, b.Limit)
				}
			}
		}
	})
}

// honest is one process that holds only from what it was granted.
type honest struct {
	t      *rapid.T
	book   *ledger.Book
	at     time.Time
	offset int64
	asked  uint64
	holds  []journal.Settled
	free   map[string]int64 // lease and budget → in hand
}

func (h *honest) say(ev journal.Event) {
	if err := h.book.Apply(journal.Entry{Record: journal.Record{Event: ev, Key: "acme"}, Offset: h.offset, At: h.at}); err != nil {
		h.t.Fatal(err)
	}
	h.offset++
}

func (h *honest) step() {
	t := h.t
	h.at = h.at.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "seconds")) * time.Second)
	ls := rapid.SampledFrom(sceneBudgets).Draw(t, "budget")
	label, _, _, _ := ledger.Label(ls.Window, ls.Unit, h.at)
	m := journal.Meter{Budget: ls.Budget, Unit: ls.Unit, Label: label}
	epoch := journal.Epoch{'A'}
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0, 1: // ask, and hold all that was granted in one hold
		h.asked++
		h.say(journal.Asked{Epoch: epoch, N: h.asked, Div: 2, Asks: []journal.Ask{{Meter: m, Least: rapid.Int64Range(1, 20).Draw(t, "least"), Want: 20}}})
		if granted := ledger.GrantOf(h.book, epoch, h.asked); granted > 0 {
			h.holds = append(h.holds, journal.Settled{Hold: journal.HoldID{Epoch: epoch, N: uint64(len(h.holds) + 1)},
				Charges: []journal.Charge{{Meter: m, Lease: h.asked, Held: granted}}})
		} else {
			h.say(journal.AskCancelled{Epoch: epoch, N: h.asked})
		}
	case 2, 3: // settle a hold, perhaps again, at some rank
		if len(h.holds) == 0 {
			return
		}
		s := rapid.SampledFrom(h.holds).Draw(t, "hold")
		s.Rank = journal.Rank(rapid.IntRange(1, 3).Draw(t, "rank"))
		c := s.Charges[0]
		c.Actual = rapid.Int64Range(0, c.Held).Draw(t, "actual")
		s.Charges = []journal.Charge{c}
		if s.Rank == journal.RankRule {
			s.Charges[0].Actual = c.Held
		}
		// A better word never raises the cost above what was held; a word of rank
		// estimate below the exact one that follows may let others have the money in
		// between, so estimates here are never under.
		if s.Rank == journal.RankEstimate {
			s.Charges[0].Actual = c.Held
		}
		h.say(s)
	default:
		h.say(journal.Closed{Epoch: epoch, N: []uint64{rapid.Uint64Range(1, h.asked+1).Draw(t, "lease")}})
	}
}

// A rolling window of any length: at no instant is less counted than what was
// charged in the window before it, and what is counted longer is at most one
// bucket and the skew.
func TestSlideForgetsLateAndNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := time.Duration(rapid.Int64Range(int64(time.Second), int64(3*time.Hour)).Draw(t, "window"))
		grain := ledger.Granularity(window)
		s := ledger.NewSlide(window)
		type charge struct {
			at     time.Time
			amount int64
		}
		var charges []charge
		now := time.Unix(6e9, 0)
		for range rapid.IntRange(1, 60).Draw(t, "charges") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(window)/3).Draw(t, "pause")))
			c := charge{now, rapid.Int64Range(0, 100).Draw(t, "amount")}
			charges = append(charges, c)
			if err := s.Charge(c.amount, c.at); err != nil {
				t.Fatal(err)
			}
			var least, most int64
			for _, c := range charges {
				if c.at.After(now.Add(-window - 2*time.Second)) {
					least += c.amount
				}
				if c.at.After(now.Add(-window - 2*time.Second - grain)) {
					most += c.amount
				}
			}
			if got := s.Spent(now); got < least || got > most {
				t.Fatalf("window %s, granularity %s: counted %d, want from %d to %d", window, grain, got, least, most)
			}
		}
	})
}

// A checkpoint that differs stops the book, loudly; one that agrees does nothing.
func TestCheckpointStopsADivergedBook(t *testing.T) {
	folded := func(amount int64) (*ledger.Book, journal.Checkpoint) {
		b := ledger.NewBook("acme")
		var e journal.Entry
		for i := range int64(ledger.MarkEvery) {
			e = journal.Entry{Offset: i, Record: journal.Record{Event: journal.EpochStarted{}}}
			if i == 0 {
				e.Event = journal.LimitSet{Budget: 1, Unit: journal.UnitUSD, Amount: amount}
			}
			if err := b.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		cp, ok := ledger.Unsaid(b)
		if !ok {
			t.Fatal("no mark")
		}
		return b, cp
	}
	one, said := folded(10)
	two, other := folded(11)
	if said == other {
		t.Fatal("different books, equal hashes")
	}
	next := func(cp journal.Checkpoint) journal.Entry {
		return journal.Entry{Offset: ledger.MarkEvery, Record: journal.Record{Event: cp}}
	}
	if err := one.Apply(next(said)); err != nil {
		t.Error("an equal checkpoint:", err)
	}
	if err := two.Apply(next(said)); err == nil {
		t.Error("a different checkpoint goes unnoticed")
	} else if again := two.Apply(journal.Entry{Offset: 1 << 20, Record: journal.Record{Event: journal.EpochStarted{}}}); fmt.Sprint(again) != fmt.Sprint(err) {
		t.Error("a stopped book goes on")
	}
}
