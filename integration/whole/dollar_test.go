package whole_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// 300 callers on one dollar: never a nano-dollar above it, and at least 99 cents
// spent before anybody is told that it is gone.
func TestManyCallersOnOneDollar(t *testing.T) {
	for _, row := range []struct{ name, body string }{
		{"with max_tokens", `{"model":"gpt-4o","max_tokens":600,"messages":[{"role":"user","content":"Draft a reply to customer %d.%d about the parcel."}]}`},
		{"without max_tokens", `{"model":"gpt-4o","messages":[{"role":"user","content":"Draft a reply to customer %d.%d about the parcel."}]}`},
	} {
		t.Run(row.name, func(t *testing.T) { oneDollar(t, row.body) })
	}
}

func oneDollar(t *testing.T, body string) {
	const callers = 300
	box := startOf(t, people+"budgets: [{name: dollar, match: {tenant: globex}, unit: usd, amount: \"1.00\", window: total}]\n",
		rig.Config{Extra: "analytics: {disabled: true}\n", Env: []string{"SIGNALBOX_LEDGER_LEASE_WAIT=50ms"}}) // the default: many will be told to come again
	secret := key(t, box, "globex/notebook")
	var (
		charged     atomic.Int64
		first402    atomic.Int64 // what was charged when the first 402 came
		done        atomic.Bool
		allowed     atomic.Int64
		late        sync.WaitGroup
		callersDone sync.WaitGroup
	)
	first402.Store(-1)
	settle := func(a *rig.Answer, output int64) {
		receipt, err := box.Settle(ctx(t), rig.Report{ReportToken: a.ReportToken, Outcome: "completed", Status: 200,
			Usage: map[string]int64{"input_tokens": 20, "output_tokens": output}})
		if err != nil {
			t.Errorf("settle: %v", err)
			return
		}
		charged.Add(nano(t, receipt.Charged.USD))
	}
	for caller := range callers {
		callersDone.Add(1)
		go func() {
			defer callersDone.Done()
			random := rand.New(rand.NewPCG(uint64(caller), 7))
			for n := 0; !done.Load() && !t.Failed(); n++ {
				a, err := box.Chat(ctx(t), secret, fmt.Sprintf(body, caller, n), nil)
				if err != nil {
					t.Errorf("decide: %v", err)
					return
				}
				switch a.Denied() {
				case "":
					allowed.Add(1)
					output := 1 + random.Int64N(a.Hold.MaxOutputTokens)
					if random.IntN(10) == 0 {
						wait := time.Duration(50+random.IntN(200)) * time.Millisecond
						late.Go(func() {
							time.Sleep(wait)
							settle(a, output)
						})
						continue
					}
					settle(a, output)
				case "budget_held":
					time.Sleep(time.Duration(5+random.IntN(30)) * time.Millisecond)
				case "budget_exhausted":
					first402.CompareAndSwap(-1, charged.Load())
					done.Store(true)
				default:
					t.Errorf("denied with %s: %+v", a.Denied(), a.Reasons)
					return
				}
			}
		}()
	}
	callersDone.Wait()
	late.Wait()
	t.Logf("%d calls, charged %d nano-USD, %d when the first 402 came", allowed.Load(), charged.Load(), first402.Load())
	if charged.Load() > 1_000_000_000 {
		t.Errorf("callers were charged %d nano-USD, the limit is 1000000000", charged.Load())
	}
	balanced(t, box, "dollar", charged.Load())
	if first402.Load() < 990_000_000 {
		t.Errorf("the first 402 came with %d of 1000000000 nano-USD spent; want at least 990000000", first402.Load())
	}
}

// A user nobody has seen before has the budget's full limit and not one unit
// more, however many calls come at once.
func TestFirstSightOfAUser(t *testing.T) {
	box := start(t, people+"budgets: [{name: seven, match: {tenant: globex}, per: [user], unit: requests, amount: \"7\", window: {every: day, zone: UTC}}]\n", "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	for _, user := range []string{"ada", "grace"} {
		var allowed, refused atomic.Int64
		var wg sync.WaitGroup
		gun := make(chan struct{})
		for range 40 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				<-gun
				a, err := box.Chat(ctx(t), secret, `{"model":"gpt-4o","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`, map[string]string{"x-signalbox-user": user})
				switch {
				case err != nil:
					t.Error(err)
				case a.Denied() == "":
					allowed.Add(1)
				default:
					refused.Add(1)
				}
			}()
		}
		close(gun)
		wg.Wait()
		if allowed.Load() != 7 || refused.Load() != 33 {
			t.Errorf("%s: %d allowed and %d refused of 40 at once; want 7 and 33", user, allowed.Load(), refused.Load())
		}
	}
}
