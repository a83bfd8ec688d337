// Package whole_test runs the real binary and speaks to it as gateways and
// operators do. Each file is one promise of the product.
package whole_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/registry"
)

// TestMain builds the binary unless the Makefile did.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getenv("SIGNALBOX_BIN") != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "signalbox-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin := filepath.Join(dir, "signalbox")
		build := exec.Command("go", "build", "-o", bin, "../../cmd/signalbox")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		os.Setenv("SIGNALBOX_BIN", bin)
		return m.Run()
	}())
}

// start runs a box on a registry, and stops it with the test.
func start(t *testing.T, world string, extra string) *rig.Box {
	t.Helper()
	box := newBox(t, extra)
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if world != "" {
		if err := box.Apply(ctx(t), world); err != nil {
			t.Fatal(err)
		}
	}
	return box
}

func newBox(t *testing.T, extra string) *rig.Box {
	t.Helper()
	var log logBuffer
	box, err := rig.New(rig.Config{Bin: os.Getenv("SIGNALBOX_BIN"), Dir: t.TempDir(), Extra: extra, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("signalbox said:\n%s", log.String())
		}
		if bytes.Contains([]byte(log.String()), []byte("sbx_")) {
			t.Error("a key stands in the log")
		}
	})
	return box
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return c
}

func key(t *testing.T, box *rig.Box, app string) string {
	t.Helper()
	k, err := box.CreateKey(ctx(t), app)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// spent is what a budget's meters have together, in nano-USD or its own unit.
func spent(t *testing.T, box *rig.Box, name string) (spent, held int64) {
	t.Helper()
	rows, err := box.Budgets(ctx(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range rows {
		if b.Budget == name {
			spent += nano(t, b.Spent)
			held += nano(t, b.Held)
		}
	}
	return spent, held
}

func nano(t *testing.T, usd string) int64 {
	t.Helper()
	n, err := registry.ParseUSD(usd)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// logBuffer keeps what a process printed.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*logBuffer)(nil)

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// people is the world most tests need; budgets are added to it.
const people = `
tenants: [{name: acme, regions: [eu]}, {name: globex}]
teams: [{tenant: acme, name: support}, {tenant: globex, name: research}]
apps:
  - {tenant: acme, team: support, name: helpdesk, models: [gpt-4o, claude], assert: [user, session, tags.feature]}
  - {tenant: globex, team: research, name: notebook, assert: [user, session]}
providers:
  - {name: openai, kind: openai, base_url: "https://api.openai.com/v1", credential: openai}
  - {name: anthropic, kind: anthropic, base_url: "https://api.anthropic.com", credential: anthropic}
models:
  - {name: gpt-4o, dialect: openai, context: 128000, max_output: 16384, default_max_output: 1024, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: gpt-4o-us, dialect: openai, context: 128000, max_output: 16384, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: secret-model, dialect: openai, context: 128000, max_output: 16384, output_limit: max_tokens, tokenizer: o200k_base}
  - {name: claude, dialect: anthropic, context: 200000, max_output: 8192, default_max_output: 1024, output_limit: max_tokens, tokenizer: claude}
deployments:
  - {name: paygo, provider: openai, model: gpt-4o, upstream_model: gpt-4o-2024-11-20, kind: paygo, region: eu}
  - {name: us, provider: openai, model: gpt-4o-us, upstream_model: gpt-4o, kind: paygo, region: us}
  - {name: secret, provider: openai, model: secret-model, upstream_model: gpt-4o, kind: paygo, region: eu}
  - {name: claude-eu, provider: anthropic, model: claude, upstream_model: claude-sonnet-4, kind: paygo, region: eu}
prices:
  - {deployment: paygo, from: 2024-01-01T00:00:00Z, input: "2.50", cached_input: "1.25", output: "10.00"}
  - {deployment: us, from: 2024-01-01T00:00:00Z, input: "2.50", cached_input: "1.25", output: "10.00"}
  - {deployment: secret, from: 2024-01-01T00:00:00Z, input: "2.50", cached_input: "1.25", output: "10.00"}
  - {deployment: claude-eu, from: 2024-01-01T00:00:00Z, input: "3.00", cached_input: "0.30", cache_write: "3.75", cache_write_long: "6.00", output: "15.00"}
`
