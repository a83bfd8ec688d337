package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// inWorld runs a story with one replica.
func inWorld(t *testing.T, tell func(t *testing.T, w *world, k *ledger.Keeper)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		k, stop := w.start(w.config())
		tell(t, w, k)
		stop()
	})
}

// refuse is a call that must be refused.
func refuse(t *testing.T, k *ledger.Keeper, req *ledger.HoldRequest) []ledger.Shortage {
	t.Helper()
	held, short, err := k.Hold(t.Context(), req)
	if err != nil || len(short) == 0 {
		t.Fatalf("let out: %+v, %v", held, err)
	}
	return short
}

func TestCallIsHeldOnAllItsMetersOrOnNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		money := w.budget(registry.Budget{Name: "money", Unit: journal.UnitUSD, Amount: 100})
		few := w.budget(registry.Budget{Name: "few", Unit: journal.UnitRequests, Amount: 1})
		hold(t, k, demand(money, "", 10), demand(few, "", 1))
		short := refuse(t, k, request(demand(money, "", 10), demand(few, "", 1)))
		if len(short) != 1 || short[0].Demand.Budget.Name != "few" || short[0].Exhausted {
			t.Errorf("short: %+v", short)
		}
		hold(t, k, demand(money, "", 90)) // The refused call has nothing of it.
	})
}

// Spent is a 402, held a 429 with the time to wait.
func TestSpentIsToldFromHeld(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		first := hold(t, k, demand(b, "", 60))
		short := refuse(t, k, request(demand(b, "", 50)))
		if short[0].Exhausted || short[0].Held != 60 || short[0].RetryAfter <= 0 {
			t.Errorf("while it is held: %+v", short[0])
		}
		time.Sleep(3 * time.Second)
		pay(t, k, first, 60)
		synctest.Wait()
		short = refuse(t, k, request(demand(b, "", 50)))
		if !short[0].Exhausted || short[0].Spent != 60 || short[0].Limit != 100 || short[0].Asked != 50 {
			t.Errorf("when it is spent: %+v", short[0])
		}
		hold(t, k, demand(b, "", 40))
		if short = refuse(t, k, request(demand(b, "", 40))); short[0].RetryAfter < 2*time.Second || short[0].RetryAfter > 4*time.Second {
			t.Errorf("holds lasted 3 s; told to wait %s", short[0].RetryAfter)
		}
	})
}

// A call waits for money that is held, in line, and gets it when it is free.
func TestWaitersAreServedFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 10})
		c := w.config()
		c.HoldWait = time.Minute
		k, stop := w.start(c)
		held := hold(t, k, demand(b, "", 10))
		var order []int
		var mu sync.Mutex
		var calls sync.WaitGroup
		for i, amount := range []int64{8, 1, 10} {
			calls.Go(func() {
				h := hold(t, k, demand(b, "", amount))
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second)
				pay(t, k, h, 0)
			})
			time.Sleep(10 * time.Millisecond)
		}
		pay(t, k, held, 0)
		calls.Wait()
		if len(order) != 3 || order[2] != 2 {
			t.Errorf("served in the order %v", order)
		}
		stop()
	})
}

// The clamp: as much output as the money pays for, down to the floor, and no
// clamp at all while the budget could pay for everything.
func TestClampGivesWhatTheBudgetCanPay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 1000})
		ask := func(floor, want int64) *ledger.HoldRequest {
			d := demand(b, "", 100)
			d.PerMTok = 2_000_000 // 2 a token
			req := request(d)
			req.Floor, req.Want = floor, want
			return req
		}
		held, short, err := k.Hold(t.Context(), ask(10, 200))
		if err != nil || len(short) > 0 || held.Output != 200 || held.Amounts[journal.UnitUSD] != 500 {
			t.Fatalf("with room: %d, %v, %v", held.Output, short, err)
		}
		held, short, err = k.Hold(t.Context(), ask(10, 400))
		if err != nil || len(short) > 0 || held.Output != 200 {
			t.Fatalf("with 500 left: %d, %v, %v", held.Output, short, err)
		}
		pay(t, k, held, 350)
		synctest.Wait()
		held, short, err = k.Hold(t.Context(), ask(10, 400))
		if err != nil || len(short) > 0 || held.Output != 25 {
			t.Fatalf("with 150 left: %d, %v, %v", held.Output, short, err)
		}
		pay(t, k, held, 150)
		if short := refuse(t, k, ask(400, 400)); !exhausted(short) && short[0].Asked != 900 {
			t.Errorf("a floor that cannot be paid: %+v", short)
		}
	})
}

// Those that wait for the same money share it.
func TestClampSharesAmongThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 1000})
		c := w.config()
		c.HoldWait = time.Second
		k, stop := w.start(c)
		var mu sync.Mutex
		var outputs []int64
		var calls sync.WaitGroup
		all := hold(t, k, demand(b, "", 1000))
		for range 4 {
			calls.Go(func() {
				d := demand(b, "", 0)
				d.PerMTok = 1_000_000
				req := request(d)
				req.Floor, req.Want = 10, 1000
				held, short, err := k.Hold(t.Context(), req)
				if err != nil || len(short) > 0 {
					t.Error(short, err)
				}
				mu.Lock()
				defer mu.Unlock()
				outputs = append(outputs, held.Output)
			})
		}
		time.Sleep(50 * time.Millisecond)
		pay(t, k, all, 0)
		calls.Wait()
		for _, o := range outputs {
			if o < 100 || o > 700 {
				t.Errorf("four callers got %v", outputs)
				break
			}
		}
		stop()
	})
}

// A lease is small before anybody knows how many call. Those who come in the same
// moment wait for the next one: the budget has all that they wish, and a shortened
// answer is for a budget that has not.
func TestNobodyIsClampedOnAnUntouchedBudget(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		for _, callers := range []int{2, 12, 100} {
			b := w.budget(registry.Budget{Name: fmt.Sprint("b", callers), Unit: journal.UnitUSD, Amount: 100_000_000_000})
			var mu sync.Mutex
			outputs := map[int64]int{}
			var calls sync.WaitGroup
			for range callers {
				calls.Go(func() {
					d := demand(b, "", 100)
					d.PerMTok = 10_000_000_000
					req := request(d)
					req.Floor, req.Want = 256, 360
					held, short, err := k.Hold(t.Context(), req)
					if err != nil || len(short) > 0 {
						t.Error(short, err)
					}
					mu.Lock()
					defer mu.Unlock()
					outputs[held.Output]++
				})
			}
			calls.Wait()
			if outputs[360] != callers {
				t.Errorf("%d callers at once: output limits and how many got them: %v", callers, outputs)
			}
		}
	})
}

// Provisioned capacity first; when it is full the call goes on to the second
// candidate at once, and no sooner.
func TestSecondCandidateOnlyWhenTheFirstIsFull(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		ptu := w.budget(registry.Budget{Name: "ptu", Unit: journal.UnitTokens, Amount: 100, Window: journal.Window{Rolling: time.Minute}, Capacity: true})
		money := w.budget(registry.Budget{Name: "money", Unit: journal.UnitUSD, Amount: 1000})
		both := func() *ledger.HoldRequest {
			full := demand(ptu, "", 40)
			full.Key = journal.SharedKey
			return &ledger.HoldRequest{At: time.Now(), Key: "acme", Candidates: []ledger.Candidate{
				{Demands: []ledger.Demand{demand(money, "", 10), full}}, {Demands: []ledger.Demand{demand(money, "", 10)}}}}
		}
		var went []int
		var last ledger.Held
		for range 4 {
			held, short, err := k.Hold(t.Context(), both())
			if err != nil || len(short) > 0 {
				t.Fatal(short, err)
			}
			went = append(went, held.Candidate)
			pay(t, k, held, 40)
			synctest.Wait()
			last = held
		}
		if want := [4]int{0, 0, 1, 1}; [4]int(went) != want {
			t.Errorf("went to %v, want %v", went, want)
		}
		if len(last.Parts) != 1 {
			t.Errorf("the second candidate holds on %d keys", len(last.Parts))
		}
		time.Sleep(70 * time.Second)
		if held, _, _ := k.Hold(t.Context(), both()); held.Candidate != 0 {
			t.Error("the first candidate has room again and is passed over")
		}
	})
}

// A kill switch waits for nobody: what is in hand of a lowered budget goes back
// before anything else is held on it.
func TestLoweredAmountIsHonouredAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitRequests, Amount: 100, Version: 1})
		for range 3 {
			hold(t, k, demand(b, "", 1)) // The lease has more in hand.
		}
		lowered := *b
		lowered.Amount, lowered.Version = 0, 2
		w.budget(lowered)
		short := refuse(t, k, request(demand(b, "", 1)))
		if !short[0].Exhausted || short[0].Limit != 0 {
			t.Errorf("killed: %+v", short[0])
		}
		lowered.Amount, lowered.Version = 4, 3
		w.budget(lowered)
		hold(t, k, demand(b, "", 1))
		short = refuse(t, k, request(demand(b, "", 1)))
		if short[0].Exhausted || short[0].Limit != 4 {
			t.Errorf("at four: %+v", short[0])
		}
		lowered.Amount, lowered.Version = 5, 4
		w.budget(lowered)
		hold(t, k, demand(b, "", 1))
	})
}

// Warn and shadow budgets stop nobody and count everybody.
func TestWarnBudgetsCountAndTell(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 10, Mode: registry.Warn})
		held := hold(t, k, demand(b, "", 8))
		if len(held.Warnings) != 0 || held.Parts[0].Charges[0].Lease != 0 {
			t.Errorf("%+v", held)
		}
		pay(t, k, held, 8)
		synctest.Wait()
		held = hold(t, k, demand(b, "", 8))
		if len(held.Warnings) != 1 || held.Warnings[0].Spent != 8 {
			t.Errorf("%+v", held.Warnings)
		}
		pay(t, k, held, 8)
		synctest.Wait()
		if got := balance(t, k, b.Incarnation); got.Spent != 16 {
			t.Errorf("%+v", got)
		}
	})
}

// A rolling limit tells when there will be room, and then there is.
func TestRollingWindowTellsWhenThereIsRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitTokens, Amount: 100, Window: journal.Window{Rolling: time.Minute}})
		pay(t, k, hold(t, k, demand(b, "", 100)), 100)
		synctest.Wait()
		short := refuse(t, k, request(demand(b, "", 1)))
		if !short[0].Exhausted || short[0].RetryAfter < time.Minute || short[0].RetryAfter > 70*time.Second {
			t.Fatalf("%+v", short[0])
		}
		time.Sleep(short[0].RetryAfter)
		hold(t, k, demand(b, "", 100))
	})
}

// Slots come back when their calls end, and cost nothing.
func TestConcurrencyCountsCallsInFlight(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitConcurrent, Amount: 2})
		first := hold(t, k, demand(b, "", 1))
		hold(t, k, demand(b, "", 1))
		if short := refuse(t, k, request(demand(b, "", 1))); short[0].Exhausted {
			t.Errorf("%+v", short[0])
		}
		pay(t, k, first, 1)
		synctest.Wait()
		hold(t, k, demand(b, "", 1))
	})
}

// New values over max_values share one meter.
func TestValuesOverTheMaximumShareOneMeter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitRequests, Amount: 2, MaxValues: 1, Per: []string{"user"}})
		hold(t, k, demand(b, "u1", 1))
		for _, user := range []string{"u2", "u3"} {
			if held := hold(t, k, demand(b, user, 1)); held.Parts[0].Charges[0].Meter.Per != ledger.OthersPer {
				t.Errorf("%s counts on %+v", user, held.Parts[0].Charges[0].Meter)
			}
		}
		refuse(t, k, request(demand(b, "u4", 1)))
		hold(t, k, demand(b, "u1", 1))
	})
}

// A hold whose answer never left costs nothing, and a caller that went away while
// it waited has none.
func TestReleasedAndAbandonedHoldsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 10})
		c := w.config()
		c.HoldWait = time.Minute
		k, stop := w.start(c)
		held := hold(t, k, demand(b, "", 10))
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, _, err := k.Hold(ctx, request(demand(b, "", 10)))
			gone <- err
		}()
		time.Sleep(time.Second)
		leave()
		if err := <-gone; err == nil {
			t.Error("a caller that left was answered")
		}
		k.Release(held)
		k.Release(held)
		synctest.Wait()
		if got := balance(t, k, b.Incarnation); got.Spent != 0 || len(k.Open()) != 0 {
			t.Errorf("%+v, open %v", got, k.Open())
		}
		hold(t, k, demand(b, "", 10))
		stop()
	})
}

// Two replicas have one budget: what one has idle in hand, the other gets when it
// needs it.
func TestIdleMoneyOfAnotherReplicaIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		one, stopOne := w.start(w.config())
		two, stopTwo := w.start(w.config())
		for range 20 {
			pay(t, one, hold(t, one, demand(b, "", 2)), 1) // Busy: it asks ahead.
		}
		hold(t, two, demand(b, "", 80))
		stopOne()
		stopTwo()
	})
}

// The last call of a window and the first of the next one: leases for the next
// window are in hand when it begins.
func TestNextWindowIsAskedForBeforeItBegins(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: dollar, Window: journal.Window{Every: journal.EveryHour, Zone: "UTC"}})
		_, _, end, _ := ledger.Label(b.Window, b.Unit, time.Now())
		time.Sleep(time.Until(end.Add(-2500 * time.Millisecond)))
		for time.Now().Before(end.Add(-time.Second)) {
			pay(t, k, hold(t, k, demand(b, "", 1000)), 1000)
			time.Sleep(50 * time.Millisecond)
		}
		next, _, _, _ := ledger.Label(b.Window, b.Unit, end)
		for _, v := range k.Meters("acme") {
			if v.Meter.Label == next && v.Balance.Outstanding > 0 {
				return
			}
		}
		t.Errorf("no lease of %s: %+v", next, k.Meters("acme"))
	})
}

// Meters of windows that ended are forgotten, in time.
func TestMetersOfEndedWindowsAreForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: dollar, Window: journal.Window{Every: journal.EveryHour, Zone: "UTC"}})
		pay(t, k, hold(t, k, demand(b, "", 1000)), 1000)
		time.Sleep(4 * time.Hour)
		pay(t, k, hold(t, k, demand(b, "", 1000)), 1000)
		time.Sleep(time.Minute)
		if n := len(k.Meters("acme")); n != 1 {
			t.Errorf("%d meters after four hours", n)
		}
	})
}

// A hold that another replica settled is not open here any more.
func TestHoldSettledElsewhereIsClosedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 100})
		here, stopHere := w.start(w.config())
		there, stopThere := w.start(w.config())
		shared := demand(b, "", 10)
		shared.Key = journal.SharedKey
		held := hold(t, here, demand(b, "", 10), shared)
		pay(t, there, held, 4)
		synctest.Wait()
		if open := here.Open(); len(open) != 0 {
			t.Errorf("open: %+v", open)
		}
		if s, ok := here.Lookup(held.Parts[0].Hold, "acme"); !ok || s.Charges[0].Actual != 4 {
			t.Errorf("lookup: %+v, %v", s, ok)
		}
		if out := pay(t, here, held, 4); !out.Repeated || !out.Acknowledged {
			t.Errorf("again: %+v", out)
		}
		stopHere()
		stopThere()
	})
}
