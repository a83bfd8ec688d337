package whole_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// traffic is callers that ask and report until they are told to stop, as gateways
// do: what got no answer is asked or reported again. It remembers what it was
// told, which is what the books are measured against.
type traffic struct {
	box    *rig.Box
	secret string
	wg     sync.WaitGroup

	mu       sync.Mutex
	charged  int64
	settled  []settledCall
	pending  []rig.Report // whose report did not get an answer
	answered []string     // decision ids, refusals too
}

type settledCall struct {
	report rig.Report
	usd    string
}

// run lets callers call until stop is closed; wait waits for the last of them.
func (l *traffic) run(t *testing.T, callers int, seed uint64, stop <-chan struct{}) {
	for caller := range callers {
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			random := rand.New(rand.NewPCG(seed, uint64(caller)))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				l.call(t, random, fmt.Sprintf("call %d of %d", n, random.Int()))
			}
		}()
	}
}

// call is one call. One in eight is of the session "tight", which may be out of
// money; another that is refused is a fault.
func (l *traffic) call(t *testing.T, random *rand.Rand, prompt string) {
	body := fmt.Sprintf(`{"model":"gpt-4o","max_tokens":200,"messages":[{"role":"user","content":%q}]}`, prompt)
	headers := map[string]string{"x-signalbox-user": fmt.Sprint("u", random.IntN(5))}
	if random.IntN(8) == 0 {
		headers["x-signalbox-session"] = "tight"
	}
	a, err := l.box.Chat(ctx(t), l.secret, body, headers)
	if err != nil {
		time.Sleep(time.Millisecond) // the process may be gone
		return
	}
	l.mu.Lock()
	l.answered = append(l.answered, a.DecisionID)
	l.mu.Unlock()
	switch code := a.Denied(); {
	case code == "":
		l.settle(t, rig.Report{ReportToken: a.ReportToken, Outcome: "completed", Status: 200,
			Usage: map[string]int64{"input_tokens": 12, "output_tokens": 1 + random.Int64N(a.Hold.MaxOutputTokens)}})
	case code == "budget_held", code == "budget_exhausted" && headers["x-signalbox-session"] == "tight":
	default:
		t.Errorf("refused: %+v", a.Reasons)
	}
}

func (l *traffic) settle(t *testing.T, r rig.Report) {
	receipt, err := l.box.Settle(ctx(t), r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.pending = append(l.pending, r)
		return
	}
	l.charged += nano(t, receipt.Charged.USD)
	l.settled = append(l.settled, settledCall{r, receipt.Charged.USD})
}

// reportPending reports again what was not answered; by now it must be.
func (l *traffic) reportPending(t *testing.T) {
	l.mu.Lock()
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	for _, r := range pending {
		l.settle(t, r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 0 {
		_, err := l.box.Settle(ctx(t), l.pending[0])
		t.Errorf("%d of %d reports that were not answered are refused afterwards, such as: %v", len(l.pending), len(pending), err)
	}
}

// repeat reports some of what is settled once more: each gets its first charge
// again, and nothing moves.
func (l *traffic) repeat(t *testing.T, budget string) {
	t.Helper()
	before, _ := spent(t, l.box, budget)
	for i, s := range l.settled {
		if i%(len(l.settled)/200+1) != 0 {
			continue
		}
		receipt, err := l.box.Settle(ctx(t), s.report)
		if err != nil || !receipt.Repeated || receipt.Charged.USD != s.usd {
			t.Fatalf("call %d of %d, repeated: %v %+v; its first charge was %s", i, len(l.settled), err, receipt, s.usd)
		}
	}
	if after, _ := spent(t, l.box, budget); after != before {
		t.Errorf("repeats moved the ledger from %d to %d", before, after)
	}
}

func (l *traffic) counts() (charged int64, settled int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.charged, len(l.settled)
}

// recorded waits until ClickHouse has every decision that somebody was told, and
// none twice.
func (l *traffic) recorded(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	told := slices.Clone(l.answered)
	l.mu.Unlock()
	rigtest.Eventually(t, "every decision stands in ClickHouse once", func() error {
		rows, err := l.box.SQL(ctx(t), "SELECT decision_id, count() AS n FROM decisions GROUP BY decision_id")
		if err != nil {
			return err
		}
		times := make(map[string]string, len(rows))
		for _, row := range rows {
			times[fmt.Sprint(row["decision_id"])] = fmt.Sprint(row["n"])
			if n := fmt.Sprint(row["n"]); n != "1" {
				return fmt.Errorf("decision %v stands there %s times", row["decision_id"], n)
			}
		}
		for _, id := range told {
			if times[id] == "" {
				return fmt.Errorf("decision %s, which was answered, is not there (%d of %d are)", id, len(times), len(told))
			}
		}
		return nil
	})
}
