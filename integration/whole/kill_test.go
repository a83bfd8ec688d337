package whole_test

import (
	"testing"
	"time"
)

// Three kill -9 under load: what was acknowledged is in the books afterwards, no
// more and no less, the cap holds, and calls go out again as soon as the service
// is ready.
func TestThreeKills(t *testing.T) {
	box := start(t, people+`budgets:
  - {name: all, match: {tenant: globex}, unit: usd, amount: "1000", window: total}
  - {name: cap, match: {tenant: globex, session: tight}, unit: usd, amount: "0.20", window: total}
`, "analytics: {disabled: true}\n")
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	for kill := range 3 {
		stop := make(chan struct{})
		load.run(t, 24, uint64(kill), stop)
		time.Sleep(700 * time.Millisecond) // so that the kill comes in the middle of the load
		if err := box.Kill(); err != nil {
			t.Fatal(err)
		}
		close(stop)
		load.wg.Wait()
		if err := box.Start(ctx(t)); err != nil {
			t.Fatal(err)
		}
		ready := time.Now()
		a, err := box.Chat(ctx(t), load.secret, `{"model":"gpt-4o","max_tokens":50,"messages":[{"role":"user","content":"after the kill"}]}`, nil)
		if err != nil || a.Denied() != "" {
			t.Fatalf("the first call after ready: %v, %+v", err, a)
		}
		took := time.Since(ready)
		load.settle(t, completed(a, 12, 10))
		load.reportPending(t)
		_, settled := load.counts()
		t.Logf("kill %d: %d acknowledged charges so far; first allowed call %s after ready", kill+1, settled, took.Round(time.Millisecond))
	}
	charged, _ := load.counts()
	ledger, _ := spent(t, box, "all")
	if ledger != charged {
		t.Errorf("the ledger has %d nano-USD; callers were told %d", ledger, charged)
	}
	if capped, held := spent(t, box, "cap"); capped+held > 200_000_000 {
		t.Errorf("spent %d and held %d pass the cap of 200000000", capped, held)
	}
	load.repeat(t, "all")
}
