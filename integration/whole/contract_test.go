package whole_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// The contract's own question, its answer's shape, and the report behind it.
func TestDecideAndReport(t *testing.T) {
	box := start(t, people+"budgets: [{name: month, match: {tenant: globex}, unit: usd, amount: \"5000\", window: {every: month, zone: Europe/Berlin}}]\n", "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	question := rig.Question{CallID: "c-1", Request: session(secret, "s-42", `{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}`)}
	a, err := box.Decide(ctx(t), question)
	if err != nil {
		t.Fatal(err)
	}
	if a.CallID != "c-1" || a.DecisionID == "" || a.Denied() != "" || a.ReportToken == "" || a.PolicyRevision == "" || a.RegistryVersion == 0 {
		t.Errorf("answer %+v", a)
	}
	if !slices.Contains(a.Changes, "defaulted") || a.Request == nil || !strings.Contains(a.Request.Body, "1024") {
		t.Errorf("a call without a limit gets its model's default: %+v %+v", a.Changes, a.Request)
	}
	if span := a.Request.ModelSpan; len(span) != 2 || a.Request.Body[span[0]:span[1]] != "gpt-4o" {
		t.Errorf("model_span %v in %s", a.Request.ModelSpan, a.Request.Body)
	}
	if len(a.Deployments) != 1 || a.Deployments[0].Name != "paygo" || a.Deployments[0].UpstreamModel != "gpt-4o-2024-11-20" || a.Deployments[0].Host != "api.openai.com" || a.Deployments[0].Path != "/v1/chat/completions" {
		t.Errorf("deployments %+v", a.Deployments)
	}
	if a.Hold == nil || a.Hold.MaxOutputTokens != 1024 || nano(t, a.Hold.USD) < 1024*10_000 {
		t.Errorf("hold %+v", a.Hold)
	}
	if _, err := time.Parse(time.RFC3339, a.Hold.ExpiresAt); err != nil {
		t.Errorf("expires_at: %v", err)
	}
	again, err := box.Decide(ctx(t), question)
	if err != nil || again.DecisionID != a.DecisionID || again.ReportToken != a.ReportToken {
		t.Errorf("the same question under the same call_id: %v %+v", err, again)
	}
	other := question
	other.Request.Body = strings.Replace(other.Request.Body, "Hello", "Goodbye", 1)
	wantStatus(t, box, other, http.StatusConflict)
	receipt, err := box.Settle(ctx(t), rig.Report{CallID: "c-1", Outcome: "completed", Status: 200,
		ProviderUsage: json.RawMessage(`{"prompt_tokens":812,"completion_tokens":120,"prompt_tokens_details":{"cached_tokens":512}}`)})
	if err != nil {
		t.Fatal(err)
	}
	// (300 × 2.50 + 512 × 1.25 + 120 × 10.00) ÷ 10⁶
	if receipt.Charged.USD != "0.00259" || !receipt.Settled || receipt.Repeated {
		t.Errorf("receipt %+v; want 0.00259 charged", receipt)
	}
	repeat, err := box.Settle(ctx(t), rig.Report{ReportToken: a.ReportToken, CallID: "c-1", Outcome: "completed",
		Usage: map[string]int64{"input_tokens": 1, "output_tokens": 1}})
	if err != nil || !repeat.Repeated || repeat.Charged.USD != "0.00259" {
		t.Errorf("repeat: %v %+v", err, repeat)
	}
	wantStatus(t, box, question, http.StatusConflict) // settled
}

func wantStatus(t *testing.T, box *rig.Box, q rig.Question, want int) {
	t.Helper()
	_, err := box.Decide(ctx(t), q)
	status, ok := err.(*rig.StatusError)
	if !ok || status.Status != want {
		t.Errorf("answered %v; want %d", err, want)
	}
}

// What a call is charged when its usage is not known, by outcome.
func TestUnknownIsNotZero(t *testing.T) {
	box := start(t, people+"budgets: [{name: month, match: {tenant: globex}, unit: usd, amount: \"5000\", window: {every: month, zone: UTC}}]\n", "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	for _, row := range []struct {
		name   string
		report rig.Report
		hold   bool // charged what was held; else nothing
	}{
		{"completed without usage", rig.Report{Outcome: "completed", Status: 200}, true},
		{"failed before the first byte", rig.Report{Outcome: "failed", Status: 500}, false},
		{"failed in the middle", rig.Report{Outcome: "failed", Status: 200, TTFTMS: 120}, true},
		{"aborted", rig.Report{Outcome: "aborted", Status: 200, TTFTMS: 120}, true},
		{"not sent", rig.Report{Outcome: "not_sent"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := box.Chat(ctx(t), secret, `{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":"x"}]}`, nil)
			if err != nil || a.Denied() != "" {
				t.Fatalf("%v %+v", err, a)
			}
			row.report.ReportToken = a.ReportToken
			receipt, err := box.Settle(ctx(t), row.report)
			if err != nil {
				t.Fatal(err)
			}
			want := "0"
			if row.hold {
				want = a.Hold.USD
			}
			if receipt.Charged.USD != want {
				t.Errorf("charged %s; want %s", receipt.Charged.USD, want)
			}
		})
	}
}

// serve with no file at all runs the whole of it in ./signalbox-data, which is
// nobody else's to read.
func TestServeWithNoFile(t *testing.T) {
	engine(t)
	box := rigtest.New(t, rig.Config{NoFile: true})
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if err := box.Apply(ctx(t), people+month); err != nil {
		t.Fatal(err)
	}
	a := open(t, box, key(t, box, "globex/notebook"), "")
	if _, err := box.Settle(ctx(t), completed(a, 20, 30)); err != nil {
		t.Fatal(err)
	}
	sqlSays(t, box, "SELECT sum(charged_nano_usd) AS a FROM usage", 350_000)
	for _, private := range []string{"", "cluster_secret"} {
		info, err := os.Stat(filepath.Join(box.Data(), private))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v; others may read it", filepath.Join(box.Data(), private), err, info)
		}
	}
}

// serve --check says what would hold, and what is wrong, where it stands.
func TestServeCheck(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(rigtest.Bin(), "serve", "--check")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"listen: 127.0.0.1:8080", "listen: 127.0.0.1:9090", "listen: 127.0.0.1:9091", "data_dir: ./signalbox-data", "failure_mode: lease"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("--check does not say %q:\n%s", want, out)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("--check left something behind: %v", entries)
	}
	file := filepath.Join(dir, "signalbox.yaml")
	if err := os.WriteFile(file, []byte("ledger:\n  hold_tll: 15m\n  lease_wait: soon\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command(rigtest.Bin(), "serve", "-c", file, "--check").CombinedOutput()
	if err == nil || !strings.Contains(string(out), file+":2:3: unknown key") || !strings.Contains(string(out), file+":3:15: ledger.lease_wait") {
		t.Errorf("a misspelt key: %v\n%s", err, out)
	}
}

// Readiness: an empty registry and a missing engine are said, and stop nothing.
func TestReadinessTellsTheTruth(t *testing.T) {
	box := newBox(t, "analytics: {engine: /nowhere/libchdb.so}\n")
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	status, body, err := box.Ready(ctx(t))
	if err != nil || status != http.StatusOK {
		t.Fatalf("%v %d", err, status)
	}
	for _, want := range []string{"registry: empty", "engine install"} {
		if !strings.Contains(body, want) {
			t.Errorf("readyz does not say %q: %s", want, body)
		}
	}
	if err := box.Apply(ctx(t), people); err != nil {
		t.Fatal(err)
	}
	secret := key(t, box, "globex/notebook")
	a, err := box.Chat(ctx(t), secret, `{"model":"gpt-4o","messages":[]}`, nil)
	if err != nil || a.Denied() != "" {
		t.Errorf("decisions go on without analytics: %v %+v", err, a)
	}
	metrics, err := box.Metrics(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"signalbox_decisions_total", "signalbox_decision_seconds", "signalbox_holds_open 1", "signalbox_leases", "signalbox_journal_lag_entries", "signalbox_spool_records", "signalbox_analytics_lag_entries"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
