package analytics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/analytics/embedded"
	"github.com/signalbox-dev/signalbox/journal"
)

// TestMain lets the test binary be the engine's child, as the real program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "engine" && os.Args[2] == "serve" {
		if err := embedded.Serve(context.Background(), os.Args[3:]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// startEngine runs a real engine on a folder of its own.
func startEngine(t testing.TB, dir string) *embedded.Engine {
	t.Helper()
	if _, err := embedded.Find(""); err != nil {
		if _, err := embedded.Install(t.Context(), "", nil); err != nil {
			t.Fatalf("the tests need ClickHouse's engine: %v", err)
		}
	}
	engine, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{Dir: dir}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	if err := engine.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return engine
}

// openStore is a store over an engine, with the schema made.
func openStore(t testing.TB, engine *embedded.Engine) *Store {
	t.Helper()
	store, err := Open(t.Context(), Config{DSN: engine.DSN(), Ready: engine.Err}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, startEngine(t, t.TempDir()))
}

// ask is a query's rows, each as JSON without its keys: "[1,\"a\"]".
func ask(t *testing.T, s *Store, sql string) []string {
	t.Helper()
	result, err := s.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var out []string
	for _, row := range result.Rows {
		cells := make([]any, len(row))
		for i, v := range row {
			cells[i] = Exact(v)
		}
		b, err := json.Marshal(cells)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func one(t *testing.T, s *Store, sql string) string {
	t.Helper()
	rows := ask(t, s, sql)
	if len(rows) != 1 {
		t.Fatalf("%s: %d rows, want 1: %v", sql, len(rows), rows)
	}
	return strings.TrimSuffix(strings.TrimPrefix(rows[0], "["), "]")
}

// fakeCatalog is a registry of our making.
type fakeCatalog struct {
	prices  []PriceVersion
	budgets map[int64]Budget
}

func (c *fakeCatalog) Prices() []PriceVersion { return c.prices }
func (c *fakeCatalog) Budget(incarnation int64) (Budget, bool) {
	b, ok := c.budgets[incarnation]
	return b, ok
}

// canonical stands for the journal's codec, which analytics does not know.
func canonical(r journal.Record) ([]byte, error) { return json.Marshal(r) }

// running starts a sink and stops it at the end of the test.
func running(t *testing.T, store sinkStore, j Journal, c Catalog, cfg SinkConfig) *Sink {
	t.Helper()
	if cfg.Encode == nil {
		cfg.Encode = canonical
	}
	sink := newSink(store, j, c, cfg, quiet())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sink.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the sink ended with %v", err)
		}
	})
	return sink
}

func caughtUp(t *testing.T, k *Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := k.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
}

var morning = time.Date(2026, 3, 29, 8, 30, 0, 123456000, time.UTC)

func epoch(b byte) journal.Epoch { return journal.Epoch{0: b, 15: 1} }

func put(t *testing.T, j *journal.Memory, records ...journal.Record) {
	t.Helper()
	if err := j.Append(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

func newJournal() *journal.Memory { return journal.NewMemory(2, func() time.Time { return morning }) }

func decided(tenant string, e journal.Epoch, seq uint64) journal.Record {
	return journal.Record{Topic: journal.TopicDecisions, Key: tenant, Origin: journal.Origin{Epoch: e, Seq: seq},
		Event: journal.Decided{
			DecisionID: fmt.Sprintf("d-%s-%d", tenant, seq), CallID: fmt.Sprintf("c-%d", seq), At: morning.Add(time.Duration(seq) * time.Second),
			Action: "allow", Latency: 42 * time.Microsecond, Model: "gpt-4o", Gateway: "edge-1",
			Principal:   journal.Principal{Tenant: tenant, Team: "support", App: "helpdesk", Key: "k1", User: "p-alice", Tags: map[string]string{"env": "prod"}},
			Deployments: []string{"ptu", "paygo"}, InputTokens: 100, MaxOutputTokens: 50, HeldNanoUSD: 1_234_567,
			Facts: []byte(`{"a":";"}`), Verdict: []byte(`{}`),
		}}
}

func settled(tenant string, e journal.Epoch, hold uint64, rank journal.Rank, attempts ...journal.Attempt) journal.Record {
	var charged int64
	for _, a := range attempts {
		charged += a.ChargedNanoUSD
	}
	return journal.Record{Topic: journal.TopicLedger, Key: tenant, Origin: journal.Origin{Epoch: e, Seq: hold*10 + uint64(rank)},
		Event: journal.Settled{Hold: journal.HoldID{Epoch: e, N: hold}, CallID: fmt.Sprintf("c-%d", hold), DecisionID: fmt.Sprintf("d-%s-%d", tenant, hold),
			Rank: rank, Outcome: journal.OutcomeCompleted,
			Charges: []journal.Charge{{Meter: journal.Meter{Budget: 7, Unit: journal.UnitUSD, Per: "p-alice", Label: "2026-03"}, Lease: 1, Held: 5000, Actual: charged}},
			Usage: &journal.Usage{At: morning.Add(time.Duration(hold) * time.Second), Principal: journal.Principal{Tenant: tenant, Team: "support", App: "helpdesk", User: "p-alice"},
				Model: "gpt-4o", Attempts: attempts, ChargedNanoUSD: charged}}}
}

func attempt(deployment string, input, output, charged int64) journal.Attempt {
	return journal.Attempt{Deployment: deployment, Provider: "azure", Status: 200, Outcome: journal.OutcomeCompleted,
		Tokens: journal.Tokens{Input: input, Output: output, Other: map[string]int64{"web_search": 1}}, Source: journal.SourceBody,
		ChargedNanoUSD: charged, TTFT: 140 * time.Millisecond, Latency: 912 * time.Millisecond}
}

func registryOf(prices ...PriceVersion) *fakeCatalog {
	return &fakeCatalog{prices: prices, budgets: map[int64]Budget{
		7: {Tenant: "acme", Name: "acme-month", Per: []string{"user"}, Unit: journal.UnitUSD, Window: journal.Window{Every: journal.EveryMonth, Zone: "Europe/Berlin"}}}}
}
