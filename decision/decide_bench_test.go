package decision_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/guard"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
)

// nowhere takes every record and keeps none: what is measured is the decision, not
// a journal in memory that grows.
type nowhere struct{}

func (nowhere) Put(...journal.Record) error { return nil }

const benchWorld = `
deployments:
  - {name: paygo-two, provider: azure, model: gpt-4o, upstream_model: std, kind: paygo, region: eu}
prices: [{deployment: paygo-two, from: 2026-01-01T00:00:00Z, input: "2.60", cached_input: "1.25", output: "11"}]
budgets:
  - {name: month, match: {tenant: acme}, unit: usd, amount: "1000000", window: {every: month, zone: Europe/Berlin}}
  - {name: day, match: {tenant: acme, app: helpdesk}, unit: usd, amount: "1000000", window: {every: day, zone: Europe/Berlin}}
  - {name: user-tpm, match: {tenant: acme}, per: [user], unit: tokens, amount: "900000000000", window: {rolling: 1m}}
  - {name: session, match: {tenant: acme}, per: [session], unit: usd, amount: "1000000", window: total}
  - {name: parallel, match: {tenant: acme, app: helpdesk}, unit: concurrent, amount: "100000"}
`

// BenchmarkDecide is a decision over a 2 KB chat with five budgets, two of them
// per caller, and three deployments, by the default policy, leases in hand and
// facts seen before; and its settlement, which puts the money back.
func BenchmarkDecide(b *testing.B) {
	st := newBenchStage(b)
	req := st.request(question{Key: "helpdesk", Gateway: "edge-1",
		Headers: map[string]string{"x-signalbox-user": "alice@example.com", "x-signalbox-session": "s-42"},
		Body:    `{"model":"gpt-4o","max_tokens":200,"messages":[{"role":"user","content":"` + strings.Repeat("All work and no play. ", 90) + `"}]}`})
	ctx := context.Background()
	ask := func() decision.Answer {
		a, err := st.service.Decide(ctx, req)
		if err != nil || a.Plan == nil {
			b.Fatal(err, a.Refusal)
		}
		return a
	}
	settle := func(a decision.Answer) {
		if _, err := st.service.Settle(ctx, decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeNotSent}); err != nil {
			b.Fatal(err)
		}
	}
	for range 50 {
		settle(ask())
	}
	b.Run("decide", func(b *testing.B) {
		b.ReportAllocs()
		asked := make([]decision.Answer, 0, 512)
		for b.Loop() {
			if asked = append(asked, ask()); len(asked) < cap(asked) {
				continue
			}
			b.StopTimer() // it costs more than a decision: once for many
			for _, a := range asked {
				settle(a)
			}
			asked = asked[:0]
			b.StartTimer()
		}
	})
	b.Run("decide-and-settle", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			settle(ask())
		}
	})
}

// BenchmarkGuarded is the same decision where nobody reads what a guard finds, where
// a policy reads it and there is nothing, and where an address is removed.
func BenchmarkGuarded(b *testing.B) {
	prose := strings.Repeat("All work and no play. ", 90)
	for _, c := range []struct{ name, policy, prompt string }{
		{"unread", "", prose}, {"nothing", redacting, prose}, {"removed", redacting, prose + "bob@example.com"},
	} {
		b.Run(c.name, func(b *testing.B) {
			st := setStage(b, story{World: benchWorld, Policy: c.policy}, "", ready, func(_ *decision.Config, p *decision.Parts) { p.Recorder, p.Guard = nowhere{}, guard.Email{} })
			req := st.request(question{Key: "helpdesk", Gateway: "edge-1",
				Body: `{"model":"gpt-4o","max_tokens":200,"messages":[{"role":"user","content":"` + c.prompt + `"}]}`})
			b.ReportAllocs()
			for b.Loop() {
				a, err := st.service.Decide(context.Background(), req)
				if err != nil || a.Plan == nil {
					b.Fatal(err, a.Refusal)
				}
				b.StopTimer()
				if _, err := st.service.Settle(context.Background(), decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeNotSent}); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// newBenchStage is a stage outside of a bubble, whose holds and records touch no
// disk.
func newBenchStage(b *testing.B) *stage {
	return setStage(b, story{World: benchWorld}, "", ready, func(_ *decision.Config, p *decision.Parts) { p.Recorder = nowhere{} })
}

// ready waits for a keeper outside of a bubble.
func ready(k *ledger.Keeper) {
	for k.Ready() != nil {
		runtime.Gosched()
	}
}

// BenchmarkRemembered says what one settled call keeps in memory, ours alone: of
// one that was reported exactly, and of one that was charged by rule and may yet be
// corrected.
func BenchmarkRemembered(b *testing.B) {
	for _, known := range []struct {
		name  string
		usage *journal.Tokens
	}{{"exact", &journal.Tokens{Input: 10, Output: 9}}, {"by-rule", nil}} {
		b.Run(known.name, func(b *testing.B) {
			const calls = 4000
			for b.Loop() {
				st := newBenchStage(b)
				for i := range calls {
					a, err := st.service.Decide(context.Background(), st.request(question{Key: "helpdesk", CallID: fmt.Sprint("call-", i), Body: small}))
					if err != nil {
						b.Fatal(err)
					}
					if _, err := st.service.Settle(context.Background(), decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeCompleted, Usage: known.usage}); err != nil {
						b.Fatal(err)
					}
				}
				st.close()
				with := heap()
				st.service = nil
				b.ReportMetric(float64(with-heap())/calls, "B/call")
				runtime.KeepAlive(st)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
