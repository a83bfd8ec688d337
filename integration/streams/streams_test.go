// Package streams_test holds what is promised of streams: that one which breaks
// off, whoever breaks it, is charged once and by rule; and that many slow ones, or
// a caller who reads none of it, cost the process no more than they must. It runs
// the real binary between the official SDKs and a simulated provider.
//
// Start at cut_test.go; many_test.go and slow_test.go watch the process's memory.
package streams_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

// line is a provider, a Signalbox before it, and an application's key.
type line struct {
	*rig.Box
	provider *upstream.Provider
	key      string
	sent     *sent
}

const credential = "sk-provider-0a1b2c3d"

// world is one application and, for each rule of what a broken stream costs, a
// model in each dialect. Every call is charged to the one budget.
const world = `
tenants: [{name: globex}]
teams: [{tenant: globex, name: research}]
apps: [{tenant: globex, team: research, name: notebook}]
providers:
  - {name: openai-seen, kind: openai, base_url: "{{.}}/v1", credential: provider, on_abort: seen}
  - {name: openai-ceiling, kind: openai, base_url: "{{.}}/v1", credential: provider, on_abort: ceiling}
  - {name: openai-drain, kind: openai, base_url: "{{.}}/v1", credential: provider, on_abort: drain}
  - {name: anthropic-seen, kind: anthropic, base_url: "{{.}}", credential: provider, on_abort: seen}
  - {name: anthropic-ceiling, kind: anthropic, base_url: "{{.}}", credential: provider, on_abort: ceiling}
  - {name: anthropic-drain, kind: anthropic, base_url: "{{.}}", credential: provider, on_abort: drain}
models:
  - {name: gpt-seen, dialect: openai, context: 1000000, max_output: 500000, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: gpt-ceiling, dialect: openai, context: 1000000, max_output: 500000, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: gpt-drain, dialect: openai, context: 1000000, max_output: 500000, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: claude-seen, dialect: anthropic, context: 1000000, max_output: 500000, output_limit: max_tokens, tokenizer: claude}
  - {name: claude-ceiling, dialect: anthropic, context: 1000000, max_output: 500000, output_limit: max_tokens, tokenizer: claude}
  - {name: claude-drain, dialect: anthropic, context: 1000000, max_output: 500000, output_limit: max_tokens, tokenizer: claude}
deployments:
  - {name: gpt-seen, provider: openai-seen, model: gpt-seen, upstream_model: gpt-seen, kind: paygo}
  - {name: gpt-ceiling, provider: openai-ceiling, model: gpt-ceiling, upstream_model: gpt-ceiling, kind: paygo}
  - {name: gpt-drain, provider: openai-drain, model: gpt-drain, upstream_model: gpt-drain, kind: paygo}
  - {name: claude-seen, provider: anthropic-seen, model: claude-seen, upstream_model: claude-seen, kind: paygo}
  - {name: claude-ceiling, provider: anthropic-ceiling, model: claude-ceiling, upstream_model: claude-ceiling, kind: paygo}
  - {name: claude-drain, provider: anthropic-drain, model: claude-drain, upstream_model: claude-drain, kind: paygo}
prices:
  - {deployment: gpt-seen, from: 2024-01-01T00:00:00Z, input: "2.50", output: "10.00"}
  - {deployment: gpt-ceiling, from: 2024-01-01T00:00:00Z, input: "2.50", output: "10.00"}
  - {deployment: gpt-drain, from: 2024-01-01T00:00:00Z, input: "2.50", output: "10.00"}
  - {deployment: claude-seen, from: 2024-01-01T00:00:00Z, input: "2.50", output: "10.00"}
  - {deployment: claude-ceiling, from: 2024-01-01T00:00:00Z, input: "2.50", output: "10.00"}
  - {deployment: claude-drain, from: 2024-01-01T00:00:00Z, input: "2.50", output: "10.00"}
budgets: [{name: all, match: {tenant: globex}, unit: usd, amount: "100000", window: total}]
`

// cost is what all models cost, in nano-USD.
func cost(input, output int64) int64 { return 2_500*input + 10_000*output }

// start runs a provider and a Signalbox before it.
func start(t *testing.T) *line {
	t.Helper()
	l := &line{provider: upstream.New(map[string]bool{"Bearer " + credential: true, credential: true}), sent: &sent{}}
	server := httptest.NewUnstartedServer(l.sent.counting(l.provider))
	// Connections that nobody uses end soon, so that what they cost the process on
	// the other side can be told from what a stream leaves behind.
	server.Config.IdleTimeout = time.Second
	server.Start()
	t.Cleanup(server.Close)
	l.Box = rigtest.Start(t, rig.Config{
		Env:   []string{"SIGNALBOX_CREDENTIAL_PROVIDER=" + credential, "SIGNALBOX_LEDGER_LEASE_WAIT=5s", "SIGNALBOX_OPS_PPROF=true"},
		Extra: "log: {level: warn}\n",
	}, strings.ReplaceAll(world, "{{.}}", server.URL), credential)
	var err error
	if l.key, err = l.CreateKey(ctx(t), "globex/notebook"); err != nil {
		t.Fatal(err)
	}
	return l
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return c
}

// balanced waits until nothing is held and exactly this is spent.
func (l *line) balanced(t *testing.T, want int64) {
	t.Helper()
	rigtest.Eventually(t, "the books", func() error {
		rows, err := l.Budgets(ctx(t), "")
		if err != nil {
			return err
		}
		if len(rows) != 1 {
			return fmt.Errorf("there are %d rows of budgets", len(rows))
		}
		spent, err := registry.ParseUSD(rows[0].Spent)
		if err != nil {
			return err
		}
		held, err := registry.ParseUSD(rows[0].Held)
		if err != nil {
			return err
		}
		if spent != want || held != 0 {
			return fmt.Errorf("%d nano-USD are spent and %d held; want %d and 0", spent, held, want)
		}
		return nil
	})
}

// number is the one number that a query answers.
func (l *line) number(t *testing.T, query string) (n int64, err error) {
	t.Helper()
	rows, err := l.SQL(ctx(t), query)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return 0, fmt.Errorf("%s: %d rows", query, len(rows))
	}
	for _, v := range rows[0] {
		_, err = fmt.Sscan(fmt.Sprint(v), &n)
	}
	return n, err
}

// sent counts what the provider has written to its connections, answers' heads aside.
type sent struct {
	mu    sync.Mutex
	bytes int64
}

func (s *sent) total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

func (s *sent) counting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&countingWriter{w, s}, r) })
}

type countingWriter struct {
	http.ResponseWriter
	sent *sent
}

// Unwrap lets http.ResponseController flush.
func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.mu.Lock()
	defer c.sent.mu.Unlock()
	c.sent.bytes += int64(n)
	return n, err
}
