package decision_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/guard"
	"github.com/signalbox-dev/signalbox/journal"
)

const redacting = `package signalbox.decision.custom

redact contains finding.kind if some finding in input.findings
`

// Whatever a prompt holds, and however its JSON is written, no address is left in
// what goes out, nothing else is changed, and the journal names none.
func TestNoProviderSeesAnAddress(t *testing.T) {
	st := setStage(t, story{Policy: redacting}, "", ready) // a property draws outside of bubbles
	rapid.Check(t, func(t *rapid.T) {
		const address = "zebra@example.com"
		texts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return strings.ReplaceAll(rapid.StringOf(rapid.RuneFrom([]rune("az .@<\"\\\n\té字😀#"))).Draw(t, "text"), "#", " "+address+" ")
		}), 1, 4).Draw(t, "texts")
		var messages []string
		for i, text := range texts {
			messages = append(messages, `{"role":"user","content":`+spelt(t, text)+`,"name":"n`+fmt.Sprint(i)+`"}`)
		}
		body := `{ "model" : "mini", "max_tokens":9, "x":1.50, "messages":[` + strings.Join(messages, " , ") + `]}`
		a, err := st.service.Decide(context.Background(), st.request(question{Key: "helpdesk", Body: body}))
		if err != nil || a.Plan == nil {
			t.Fatalf("%v %+v", err, a.Refusal)
		}
		sent := a.Plan.Body
		if sent == nil {
			sent = []byte(body)
		}
		var got struct{ Messages []struct{ Content string } }
		if err := json.Unmarshal(sent, &got); err != nil {
			t.Fatalf("%s: %v", sent, err)
		}
		for i, text := range texts {
			if want := without(text); got.Messages[i].Content != want {
				t.Fatalf("%q became %q, want %q", text, got.Messages[i].Content, want)
			}
		}
		if frame(string(sent)) != frame(body) {
			t.Fatalf("%s became %s", body, sent)
		}
	})
	for _, e := range st.entries(t, journal.TopicDecisions) {
		if strings.Contains(fmt.Sprintf("%+v", e), "zebra") {
			t.Fatalf("the journal holds what was removed: %+v", e)
		}
	}
}

// without is what must be left of a text.
func without(text string) string {
	var b strings.Builder
	from := 0
	guard.Email{}.Find(text, func(f guard.Finding) {
		b.WriteString(text[from:f.Start] + "[email]")
		from = f.End
	})
	return b.String() + text[from:]
}

// frame is a body without the texts of its messages.
func frame(body string) string {
	return regexp.MustCompile(`"content":"([^"\\]|\\.)*"`).ReplaceAllString(body, "")
}

// spelt writes a text as a JSON string, each character escaped or not.
func spelt(t *rapid.T, text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		quoted, _ := json.Marshal(string(r))
		switch {
		case r < 0x10000 && rapid.Bool().Draw(t, "escaped"):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.Write(quoted[1 : len(quoted)-1])
		}
	}
	b.WriteByte('"')
	return b.String()
}

// What is held bounds the body that goes out, however much longer placeholders are
// than what they stand for.
func TestTheHoldBoundsTheRedactedBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{Policy: redacting})
		for _, n := range []int{1, 10, 1000} {
			content := strings.Repeat("a@b.co ", n)
			ask := func(content string) decision.Answer {
				a, err := st.service.Decide(t.Context(), st.request(question{Key: "helpdesk", Body: `{"model":"mini","max_tokens":9,"messages":[{"role":"user","content":"` + content + `"}]}`}))
				if err != nil || a.Plan == nil {
					t.Fatal(err, a.Refusal)
				}
				return a
			}
			redacted := ask(content)
			if plain := ask(strings.Repeat("[email] ", n)); plain.Plan.Hold.Tokens > redacted.Plan.Hold.Tokens {
				t.Errorf("%d: what goes out may use %d tokens, and %d are held", n, plain.Plan.Hold.Tokens, redacted.Plan.Hold.Tokens)
			}
		}
	})
}

// More findings than are kept: every one is removed, or the call is refused.
func TestTooManyFindings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{Policy: redacting + `
deny contains {"code": "guard_secret"} if {
	some finding in input.findings
	finding.kind == "ticket"
}

capture := "redacted"
`})
		ask := func(content string) decision.Answer {
			a, err := st.service.Decide(t.Context(), st.request(question{Key: "helpdesk", Body: `{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":"` + content + `"}]}`}))
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		most := ask(strings.Repeat("bob@example.com ", 10_000))
		if most.Plan == nil || strings.Contains(string(most.Plan.Body), "bob") || strings.Count(string(most.Plan.Body), "[email]") != 10_000 {
			t.Fatalf("%+v", most.Refusal)
		}
		if len(most.Findings) != 256 {
			t.Errorf("told of %d", len(most.Findings))
		}
		if more := ask(strings.Repeat("bob@example.com ", 10_001)); more.Refusal == nil || more.Refusal.Reasons[0].Code != decision.GuardPII {
			t.Errorf("%+v", more)
		}
		// What stands behind them is not overlooked.
		if more := ask(strings.Repeat("bob@example.com ", 10_001) + "ticket-1"); more.Refusal == nil || more.Refusal.Reasons[0].Code != decision.GuardSecret {
			t.Errorf("%+v", more)
		}
		decisions := st.entries(t, journal.TopicDecisions)
		written := decisions[0].Event.(journal.Decided).Findings
		if len(written) != 257 || written[0] != "email messages[0].content 71-86" || written[256] != "email and 9744 more" {
			t.Errorf("%d: %s … %s", len(written), written[0], written[len(written)-1])
		}
		if facts := string(decisions[2].Event.(journal.Decided).Facts); !strings.Contains(facts, `"findings":[{"kind":"email","count":10000},{"kind":"ticket","count":1}]`) {
			t.Error(facts)
		}
		// And nothing is kept in the clear of a prompt that could not be redacted.
		for i, want := range []string{"redacted", "hash", "hash"} {
			if traced := st.entries(t, journal.TopicTraces)[i].Event.(journal.Traced); traced.Capture != want || strings.Contains(string(traced.Prompt), "bob") {
				t.Errorf("%d: kept as %s", i, traced.Capture)
			}
		}
	})
}

// The page on policies shows a rule, what a caller sends, what the provider gets, and
// what is written down: it is what happens.
func TestThePageOnRedaction(t *testing.T) {
	page, err := os.ReadFile("../docs/write-a-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile("(?s)```rego\n# policies/redact.rego\n(.*?)```").FindSubmatch(page)
	shown := regexp.MustCompile("(?s)## Redact\n.*?```text\n(.*?)\n(.*?)\n```.*?```text\n(.*?)\n```").FindSubmatch(page)
	if rule == nil || shown == nil {
		t.Fatal("the page no longer shows it")
	}
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{Policy: string(rule[1]), World: `
models: [{name: gpt-4o-mini, dialect: openai, context: 128000, max_output: 16384, output_limit: max_tokens}]
deployments: [{name: there, provider: azure, model: gpt-4o-mini, upstream_model: gpt-4o-mini, kind: provisioned, region: eu, hourly_usd: "1"}]`})
		got := st.decide(t, question{Key: "silent", Body: string(shown[1])})
		if got["body"] != string(shown[2]) || got["action"] != "redact" {
			t.Errorf("%s: %v\nwant %s", got["action"], got["body"], shown[2])
		}
		if written := st.entries(t, journal.TopicDecisions)[0].Event.(journal.Decided).Findings; len(written) != 1 || written[0] != string(shown[3]) {
			t.Errorf("written %q, the page shows %q", written, shown[3])
		}
	})
}

// counted counts how often somebody is searched.
type counted struct {
	guard.Email
	searched atomic.Int64
}

func (c *counted) Find(text string, found func(guard.Finding)) {
	c.searched.Add(1)
	c.Email.Find(text, found)
}

// A prompt is searched when somebody wants to know, and the journal says whether it
// was: null is not none.
func TestNobodyLooksInVain(t *testing.T) {
	for name, c := range map[string]struct {
		policy   string
		searched int64
		facts    string
	}{
		"the default policy": {"", 0, `"findings":null`},
		"a policy that reads findings": {`package signalbox.decision.custom

deny contains {"code": "guard_pii"} if count(input.findings) > 1
`, 1, `"findings":[{"kind":"email","count":1}]`},
		"a policy that reads none and redacts": {`package signalbox.decision.custom

redact contains "email"
`, 1, `"findings":[{"kind":"email","count":1}]`},
		"a policy that keeps redacted prompts": {`package signalbox.decision.custom

capture := "redacted"
`, 1, `"findings":[{"kind":"email","count":1}]`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &counted{}
				st := newStage(t, story{Policy: c.policy}, func(_ *decision.Config, p *decision.Parts) { p.Guard = g })
				got := st.decide(t, question{Key: "helpdesk", Body: `{"model":"mini","max_tokens":9,"messages":[{"role":"user","content":"bob@example.com"}]}`})
				if got["status"] != nil {
					t.Fatal(got)
				}
				if n := g.searched.Load(); n != c.searched {
					t.Errorf("searched %d times", n)
				}
				d := st.entries(t, journal.TopicDecisions)[0].Event.(journal.Decided)
				if !strings.Contains(string(d.Facts), c.facts) {
					t.Errorf("facts: %s", d.Facts)
				}
			})
		})
	}
}

// Where nothing can look, a verdict that redacts is a mistake; a policy that reads
// findings sees none.
func TestWithoutAGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unguarded := func(_ *decision.Config, p *decision.Parts) { p.Guard = nil }
		body := `{"model":"mini","max_tokens":9,"messages":[{"role":"user","content":"bob@example.com"}]}`
		for policy, want := range map[string]string{
			redacting: "allow",
			"package signalbox.decision.custom\n\nredact contains \"email\"\n": "deny",
		} {
			st := newStage(t, story{Policy: policy}, unguarded)
			if got := st.decide(t, question{Key: "helpdesk", Body: body}); got["action"] != want {
				t.Errorf("%s: %v", policy, got)
			}
		}
	})
}

// half finds places that cut characters in two, as no detector should.
type half struct{}

func (half) Kinds() []string { return []string{"half"} }

func (half) Find(text string, found func(guard.Finding)) {
	found(guard.Finding{Kind: "half", Start: 1, End: 2})
	found(guard.Finding{Kind: "half", Start: 3, End: 4})
}

// A detector's mistake costs the text, and lets nothing out.
func TestADetectorsMistakeTakesTheWholeText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{Policy: redacting}, func(_ *decision.Config, p *decision.Parts) { p.Guard = half{} })
		got := st.decide(t, question{Key: "helpdesk", Body: `{"model":"mini","max_tokens":9,"messages":[{"content":"ébb\u00e9"}]}`})
		if got["body"] != `{"model":"mini","max_tokens":9,"messages":[{"content":"[half]"}]}` {
			t.Error(got)
		}
	})
}
