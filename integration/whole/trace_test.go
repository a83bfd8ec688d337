package whole_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// A trace of real calls, decided and reported: the ledger and ClickHouse agree to
// the nano-dollar. SIGNALBOX_TRACE names a CSV TIMESTAMP,ContextTokens,
// GeneratedTokens; without it a seeded generator makes calls of its own.
func TestTraceBalances(t *testing.T) {
	calls := trace(t)
	box := start(t, people+`budgets:
  - {name: month, match: {tenant: globex}, unit: usd, amount: "100000", window: {every: month, zone: Europe/Berlin}}
  - {name: tokens, match: {tenant: globex}, per: [user], unit: tokens, amount: "2000000000", window: {every: day, zone: UTC}}
`, "")
	secret := key(t, box, "globex/notebook")
	var charged atomic.Int64
	var wg sync.WaitGroup
	work := make(chan traceCall)
	began := time.Now()
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for c := range work {
				charged.Add(c.play(t, box, secret))
			}
		}()
	}
	for _, c := range calls {
		work <- c
	}
	close(work)
	wg.Wait()
	took := time.Since(began)
	t.Logf("%d calls in %s: %.0f calls/s (each one decide and one report over HTTP)", len(calls), took.Round(time.Millisecond), float64(len(calls))/took.Seconds())
	balanced(t, box, "month", charged.Load())
	sqlSays(t, box, "SELECT sum(charged_nano_usd) AS a, count() AS b, uniqExact(decision_id) AS c FROM usage WHERE tenant = 'globex'", charged.Load(), len(calls), len(calls))
	sqlSays(t, box, "SELECT sum(cost_nano_usd) AS a FROM costs WHERE tenant = 'globex'", charged.Load())
	sqlSays(t, box, "SELECT sum(cost_nano_usd) AS a FROM spend_hourly WHERE tenant = 'globex'", charged.Load())
}

type traceCall struct{ n, context, generated int }

func (c traceCall) play(t *testing.T, box *rig.Box, secret string) int64 {
	// The byte bound holds for any text; four bytes a token is what English has.
	prompt := strings.Repeat("word", max(1, c.context))
	body := fmt.Sprintf(`{"model":"gpt-4o","max_tokens":%d,"messages":[{"role":"user","content":%q}]}`, max(1, c.generated), prompt)
	a, err := box.Chat(ctx(t), secret, body, map[string]string{"x-signalbox-user": fmt.Sprint("u", c.n%50)})
	if err != nil || a.Denied() != "" {
		t.Errorf("call %d: %v %+v", c.n, err, a)
		return 0
	}
	receipt, err := box.Settle(ctx(t), rig.Report{ReportToken: a.ReportToken, Outcome: "completed", Status: 200,
		Usage: map[string]int64{"input_tokens": int64(c.context), "output_tokens": int64(c.generated)}})
	if err != nil {
		t.Errorf("report %d: %v", c.n, err)
		return 0
	}
	return nano(t, receipt.Charged.USD)
}

func trace(t *testing.T) []traceCall {
	t.Helper()
	file := os.Getenv("SIGNALBOX_TRACE")
	if file == "" {
		return made(2000)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatalf("SIGNALBOX_TRACE: %v", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	if _, err := r.Read(); err != nil {
		t.Fatal(err)
	}
	var calls []traceCall
	for {
		row, err := r.Read()
		if err == io.EOF {
			return calls
		}
		if err != nil {
			t.Fatal(err)
		}
		c := traceCall{n: len(calls)}
		c.context, _ = strconv.Atoi(row[1])
		c.generated, _ = strconv.Atoi(row[2])
		calls = append(calls, c)
	}
}

// made has the shape of code completion: long prompts, short answers.
func made(n int) []traceCall {
	random := rand.New(rand.NewPCG(20231116, 1))
	calls := make([]traceCall, n)
	for i := range calls {
		calls[i] = traceCall{n: i, context: 200 + int(random.ExpFloat64()*1800), generated: 1 + int(random.ExpFloat64()*25)}
	}
	return calls
}
