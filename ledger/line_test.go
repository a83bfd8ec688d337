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

// of makes a request of another tenant.
func of(tenant string, demands ...ledger.Demand) *ledger.HoldRequest {
	for i := range demands {
		demands[i].Key = tenant
	}
	req := request(demands...)
	req.Key = tenant
	return req
}

// One tenant's calls that wait do not keep the others out of the line.
func TestOneTenantCannotFillTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.HoldWait = time.Second
		k, stop := w.start(c)
		few := w.budget(registry.Budget{Name: "few", Unit: journal.UnitUSD, Amount: 10})
		plenty := w.budget(registry.Budget{Name: "plenty", Unit: journal.UnitUSD, Amount: 1_000_000})
		hold(t, k, demand(few, "", 10))
		var calls sync.WaitGroup
		for range 5000 {
			calls.Go(func() { k.Hold(context.Background(), request(demand(few, "", 5))) })
		}
		synctest.Wait()
		if waiting := k.Stats().Waiting; waiting == 0 || waiting >= 4096 {
			t.Errorf("%d calls of one tenant wait", waiting)
		}
		// Nothing is in hand for this tenant yet: its call has to wait for a lease.
		if _, short, err := k.Hold(t.Context(), of("globex", demand(plenty, "", 5))); err != nil || len(short) > 0 {
			t.Errorf("another tenant is refused: %+v, %v", short, err)
		}
		calls.Wait()
		if waiting := k.Stats().Waiting; waiting != 0 {
			t.Errorf("%d still wait", waiting)
		}
		stop()
	})
}

// Who stands behind a call for a meter goes on when that call has had its money or
// has gone, though nothing moved on that meter.
func TestThoseBehindGoOnWhenTheFirstLeaves(t *testing.T) {
	for name, first := range map[string]func(t *testing.T, k *ledger.Keeper, ctx context.Context, req *ledger.HoldRequest){
		"served": func(t *testing.T, k *ledger.Keeper, _ context.Context, req *ledger.HoldRequest) {
			if _, short, err := k.Hold(context.Background(), req); err != nil || len(short) > 0 {
				t.Error(short, err)
			}
		},
		"gone": func(t *testing.T, k *ledger.Keeper, ctx context.Context, req *ledger.HoldRequest) {
			if _, _, err := k.Hold(ctx, req); err == nil {
				t.Error("held")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.config()
				c.HoldWait = time.Minute
				k, stop := w.start(c)
				a := w.budget(registry.Budget{Name: "a", Unit: journal.UnitUSD, Amount: 10})
				b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 10})
				all := hold(t, k, demand(a, "", 10))
				ctx, cancel := context.WithCancel(context.Background())
				var calls sync.WaitGroup
				calls.Go(func() { first(t, k, ctx, request(demand(a, "", 10), demand(b, "", 5))) })
				synctest.Wait()
				served := make(chan struct{})
				for range 2 {
					calls.Go(func() {
						if _, short, err := k.Hold(context.Background(), request(demand(b, "", 2))); err != nil || len(short) > 0 {
							t.Error(short, err)
						}
						served <- struct{}{}
					})
				}
				time.Sleep(time.Second)
				select {
				case <-served:
					t.Error("passed the first")
				default:
				}
				if name == "served" {
					pay(t, k, all, 0)
				}
				cancel()
				<-served
				<-served
				calls.Wait()
				stop()
			})
		})
	}
}

// Whoever waits for money that is spent meanwhile is told at once, wherever it
// stands in line.
func TestSpentIsToldToAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.HoldWait = time.Minute
		k, stop := w.start(c)
		b := w.budget(registry.Budget{Name: "b", Unit: journal.UnitUSD, Amount: 10})
		small, large := hold(t, k, demand(b, "", 2)), hold(t, k, demand(b, "", 8))
		var calls sync.WaitGroup
		for _, amount := range []int64{4, 9, 5} {
			calls.Go(func() {
				begin := time.Now()
				held, short, err := k.Hold(context.Background(), request(demand(b, "", amount)))
				switch waited := time.Since(begin); {
				case err != nil:
					t.Error(err)
				case amount == 4 && len(short) > 0:
					t.Errorf("4 of 8: %+v", short)
				case amount == 9 && (!exhausted(short) || waited > 2*time.Second):
					t.Errorf("9 of 8: %+v, %+v after %s", held.Amounts, short, waited)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		pay(t, k, small, 2) // 8 are left: 9 will never come.
		time.Sleep(time.Minute / 2)
		pay(t, k, large, 0)
		calls.Wait()
		stop()
	})
}

// A tenant's holds, while callers of another wait for money that does not come.
func BenchmarkHoldWhileOthersWait(b *testing.B) {
	for _, waiting := range []int{0, 100, 1000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			w := newWorld(b)
			c := w.config()
			c.LeaseWait = 50 * time.Millisecond
			k, stop := w.start(c)
			defer stop()
			var full, half []ledger.Demand
			for i := range 5 {
				m := w.budget(registry.Budget{Name: fmt.Sprint("full", i), Unit: journal.UnitUSD, Amount: 10})
				full, half = append(full, demand(m, "", 10)), append(half, demand(m, "", 5))
			}
			if _, short, err := k.Hold(context.Background(), request(full...)); err != nil || len(short) > 0 {
				b.Fatal(short, err)
			}
			warm := w.budget(registry.Budget{Name: "warm", Unit: journal.UnitUSD, Amount: 1 << 40})
			cycle := func() bool {
				held, short, err := k.Hold(context.Background(), of("globex", demand(warm, "", 10)))
				if err != nil || len(short) > 0 {
					return false
				}
				pay(b, k, held, 1)
				return true
			}
			for range 200 { // A lease in hand, asked ahead.
				cycle()
			}
			end := make(chan struct{})
			var calls sync.WaitGroup
			for range waiting {
				calls.Go(func() {
					for {
						select {
						case <-end:
							return
						default:
							_, _, _ = k.Hold(context.Background(), request(half...))
						}
					}
				})
			}
			refused := 0
			for b.Loop() {
				if !cycle() {
					refused++
				}
			}
			b.ReportMetric(float64(refused)/float64(b.N), "refused/op")
			close(end)
			calls.Wait()
		})
	}
}
