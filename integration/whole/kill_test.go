package whole_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// Three kill -9 under load: what was acknowledged is in the books afterwards, the
// cap holds, and calls go out again as soon as the service is ready.
func TestThreeKills(t *testing.T) {
	box := newBox(t, "analytics: {disabled: true}\n")
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if err := box.Apply(ctx(t), people+"budgets: [{name: cap, match: {tenant: globex}, unit: usd, amount: \"40\", window: total}]\n"); err != nil {
		t.Fatal(err)
	}
	secret := key(t, box, "globex/notebook")
	var book acknowledged
	for kill := range 3 {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for caller := range 24 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				load(t, box, secret, &book, rand.New(rand.NewPCG(uint64(kill), uint64(caller))), stop)
			}()
		}
		time.Sleep(700 * time.Millisecond) // so that the kill comes in the middle of the load
		if err := box.Kill(); err != nil {
			t.Fatal(err)
		}
		close(stop)
		wg.Wait()
		if err := box.Start(ctx(t)); err != nil {
			t.Fatal(err)
		}
		ready := time.Now()
		a, err := box.Chat(ctx(t), secret, `{"model":"gpt-4o","max_tokens":50,"messages":[{"role":"user","content":"after the kill"}]}`, nil)
		if err != nil || a.Denied() != "" {
			t.Fatalf("the first call after ready: %v, %+v", err, a)
		}
		t.Logf("kill %d: %d acknowledged charges so far; first allowed call %s after ready", kill+1, book.count(), time.Since(ready).Round(time.Millisecond))
		book.settle(t, box, a, 10)
		book.reportPending(t, box)
	}
	ledger, held := spent(t, box, "cap")
	sum, calls := book.total()
	t.Logf("%d acknowledged charges of %d nano-USD; the ledger has %d, %d held", calls, sum, ledger, held)
	if ledger < sum {
		t.Errorf("the ledger lost acknowledged charges: it has %d nano-USD, callers were told %d", ledger, sum)
	}
	if ledger+held > 40_000_000_000 {
		t.Errorf("spent %d and held %d pass the cap", ledger, held)
	}
	book.repeatAll(t, box)
}

// acknowledged is what callers were told is settled.
type acknowledged struct {
	mu      sync.Mutex
	sum     int64
	settled []settledCall
	pending []rig.Report // whose report did not get an answer
}

type settledCall struct {
	report rig.Report
	usd    string
}

func (k *acknowledged) settle(t *testing.T, box *rig.Box, a *rig.Answer, output int64) {
	r := rig.Report{ReportToken: a.ReportToken, Outcome: "completed", Status: 200,
		Usage: map[string]int64{"input_tokens": 12, "output_tokens": output}}
	receipt, err := box.Settle(ctx(t), r)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.pending = append(k.pending, r)
		return
	}
	k.sum += nano(t, receipt.Charged.USD)
	k.settled = append(k.settled, settledCall{r, receipt.Charged.USD})
}

// reportPending reports again what the killed process did not answer, as a
// gateway does.
func (k *acknowledged) reportPending(t *testing.T, box *rig.Box) {
	k.mu.Lock()
	pending := k.pending
	k.pending = nil
	k.mu.Unlock()
	for _, r := range pending {
		receipt, err := box.Settle(ctx(t), r)
		if err != nil {
			t.Errorf("a report that the killed process did not answer was refused afterwards: %v", err)
			continue
		}
		k.mu.Lock()
		k.sum += nano(t, receipt.Charged.USD)
		k.settled = append(k.settled, settledCall{r, receipt.Charged.USD})
		k.mu.Unlock()
	}
}

// repeatAll reports everything once more: each gets its first charge again, and
// nothing moves.
func (k *acknowledged) repeatAll(t *testing.T, box *rig.Box) {
	before, _ := spent(t, box, "cap")
	for i, s := range k.settled {
		if i%7 != 0 {
			continue
		}
		receipt, err := box.Settle(ctx(t), s.report)
		if err != nil {
			t.Errorf("repeat of an acknowledged report: %v", err)
			continue
		}
		if !receipt.Repeated || receipt.Charged.USD != s.usd {
			t.Errorf("repeat: %+v; the first charge was %s", receipt, s.usd)
		}
	}
	if after, _ := spent(t, box, "cap"); after != before {
		t.Errorf("repeats moved the ledger from %d to %d", before, after)
	}
}

func (k *acknowledged) count() int { k.mu.Lock(); defer k.mu.Unlock(); return len(k.settled) }

func (k *acknowledged) total() (int64, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sum, len(k.settled)
}

func load(t *testing.T, box *rig.Box, secret string, book *acknowledged, random *rand.Rand, stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		body := fmt.Sprintf(`{"model":"gpt-4o","max_tokens":200,"messages":[{"role":"user","content":"call %d of %d"}]}`, n, random.Int())
		a, err := box.Chat(ctx(t), secret, body, map[string]string{"x-signalbox-user": fmt.Sprint("u", random.IntN(5))})
		if err != nil || a.Denied() != "" {
			if err == nil && a.Denied() != "budget_held" {
				t.Errorf("denied: %+v", a.Reasons)
			}
			continue // the process may be dead; a gateway asks again
		}
		book.settle(t, box, a, 1+random.Int64N(a.Hold.MaxOutputTokens))
	}
}
