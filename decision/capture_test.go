package decision_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/signalbox-dev/signalbox/journal"
)

// What policy lets be kept of a prompt is kept, and nothing more.
func TestCapture(t *testing.T) {
	const body = `{"model":"gpt-4o","max_tokens":5,"messages":[{"role":"user","content":"the parcel is late"}]}`
	long := strings.Replace(body, "late", strings.Repeat("late ", 200_000), 1)
	for name, c := range map[string]struct {
		rule, body  string
		kept        string // the trace's own word; "": no trace
		whole, hash bool
	}{
		"nothing said":    {body: body},
		"none":            {rule: `capture := "none"`, body: body},
		"hash":            {rule: `capture := "hash"`, body: body, kept: "hash", hash: true},
		"full":            {rule: `capture := "full"`, body: body, kept: "full", whole: true},
		"full, long":      {rule: `capture := "full"`, body: long, kept: "cut"},
		"to be redacted":  {rule: `capture := "redacted"`, body: body, kept: "redacted", whole: true},
		"redacted":        {rule: `capture := "redacted"`, body: strings.Replace(body, "late", "late, bob@example.com", 1), kept: "redacted"},
		"redacted, long":  {rule: `capture := "redacted"`, body: long, kept: "redacted_cut"},
		"of the redacted": {rule: "capture := \"full\"\n\nredact contains \"email\"", body: strings.Replace(body, "late", "late, bob@example.com", 1), kept: "full", whole: true},
		"full for others": {rule: `capture := "full" if input.principal.app == "silent"`, body: body},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				policy := ""
				if c.rule != "" {
					policy = "package signalbox.decision.custom\n\nimport rego.v1\n\n" + c.rule + "\n"
				}
				st := newStage(t, story{Policy: policy})
				if got := st.decide(t, question{Key: "helpdesk", Body: c.body}); got["status"] != nil {
					t.Fatal(got)
				}
				traces := st.entries(t, journal.TopicTraces)
				if c.kept == "" {
					if len(traces) != 0 {
						t.Fatalf("kept %+v", traces)
					}
					return
				}
				if len(traces) != 1 {
					t.Fatalf("%d traces", len(traces))
				}
				got := traces[0].Event.(journal.Traced)
				if got.Capture != c.kept || got.DecisionID != "d-1" || traces[0].Key != "acme" || len(got.Response) != 0 {
					t.Errorf("%s %s on %s", got.Capture, got.DecisionID, traces[0].Key)
				}
				if strings.Contains(string(got.Prompt), "bob@") == strings.HasPrefix(c.kept, "redacted") && strings.Contains(c.body, "bob@") {
					t.Errorf("kept %s", got.Prompt)
				}
				if (string(got.Prompt) == c.body) != c.whole || strings.Contains(string(got.Prompt), "parcel") == c.hash || len(got.Prompt) == 0 || len(got.Prompt) > 512<<10 {
					t.Errorf("kept %d bytes", len(got.Prompt))
				}
			})
		})
	}
}
