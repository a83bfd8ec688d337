package opa

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
)

// folder writes a policy folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func config(dir string) Config {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	return Config{Dir: dir, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return at }}
}

// loaded is the policy of a folder with these files; none: the default policy.
func loaded(t testing.TB, files map[string]string) *Policy {
	t.Helper()
	dir := ""
	if files != nil {
		dir = folder(t, files)
	}
	p, err := Load(context.Background(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// custom is a folder of one file in the package that adds to the default policy.
func custom(rules string) map[string]string {
	return map[string]string{"custom.rego": "package signalbox.decision.custom\n\n" + rules + "\n"}
}

// replacing is a folder of one file that defines the verdict itself.
func replacing(rules string) map[string]string {
	return map[string]string{"verdict.rego": "package signalbox.decision\n\n" + rules + "\n"}
}

// aCall is one that nothing speaks against.
func aCall() *decision.Facts {
	return &decision.Facts{
		Principal: decision.PrincipalFacts{Tenant: "acme", Team: "support", App: "helpdesk", Key: "k-1",
			User: "ann", Session: "s-1", Agent: "", Tags: map[string]string{"env": "prod"}},
		Request: decision.RequestFacts{Dialect: "openai", Endpoint: "chat_completions", Method: "POST",
			Path: "/v1/chat/completions", SizeBand: "small"},
		Model: decision.ModelFacts{Name: "gpt-4o"},
		Deployments: []decision.DeploymentFacts{
			{Name: "paygo", Provider: "azure", Kind: "paygo", Region: "eu", PriceRank: 1, Priced: true, Healthy: true},
			{Name: "ptu", Provider: "azure", Kind: "provisioned", Region: "eu", Healthy: true},
			{Name: "us", Provider: "openai", Kind: "paygo", Region: "us", PriceRank: 2, Priced: true, Healthy: true},
		},
		Time:    decision.TimeFacts{Hour: 9, Weekday: "Monday", Date: "2026-03-02"},
		Gateway: "edge-1",
	}
}
