package decision_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// update rewrites the journal part of each story: go test ./decision -run Stories
// -update. Read the difference before you believe it.
var update = flag.Bool("update", false, "rewrite the journal facts of the stories")

// story is one file of testdata: a world, what is asked and reported in it, what
// is answered, and the facts that must be written.
type story struct {
	Story   string   // what it shows, in a sentence
	World   string   // added to testdata/world.yaml; registry file text
	Policy  string   // Rego of the tenant's own, beside the default
	Mode    string   // failure mode: lease (default), closed, open
	Steps   []step   // in order
	Journal []string // the facts of the decisions and ledger topics, in order
}

// step is one thing that happens; Want says what of its outcome matters.
type step struct {
	Decide    *question
	Report    *report
	Undecided *undecided
	Pass      string // let this much time pass
	Cut       bool   // the journal can no longer be reached
	Mend      bool   // it can again
	Crash     bool   // the process ends without a word, and another begins in its folder
	Down      string // this deployment no longer answers
	Up        string // it does again
	Apply     string // registry file text: what operators change
	Revoke    string // this app's key
	Want      map[string]any
}

type question struct {
	Key, Method, Path, Body, Gateway string
	CallID                           string `yaml:"call_id"`
	Header                           string // that the key stands in; authorization
	Headers                          map[string]string
	Cut                              bool // only the first part of the body
	Fixed                            bool // the gateway cannot change it
}

// undecided is what a gateway tells of a call that it got no decision for.
type undecided struct {
	Gateway, Method, Path string
	Ago                   string // when it began
	Passed                bool
	Status                int
	Why                   string
}

type report struct {
	Of             int    // the n-th answer's token, from 1
	CallID         string `yaml:"call_id"`
	Token, Gateway string
	Outcome        string
	Deployment     string
	Usage          map[string]int64 // by kind of token, and other things by their names
	Provider       string           // provider_usage, as the provider wrote it
	Tier           string
	Source         string
	Rank           int
	Seen           *int64           // output tokens seen; nil: unknown
	SeenInput      map[string]int64 `yaml:"seen_input"`
	TTFT           int64
	Status         int
	Failed         []string // deployments that turned it away before
	Broke          []string // deployments tried before that, whose answer broke off
}

// No goroutine of the room outlives what started it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".story.yaml")
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tell(t, file) })
		})
	}
}

func tell(t *testing.T, file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s story
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	st := newStage(t, s)
	for i, step := range s.Steps {
		got := st.play(t, step)
		if diff := cmp.Diff(step.Want, pick(got, step.Want)); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i+1, diff)
		}
	}
	st.close()
	facts := st.facts(t)
	if *update {
		rewrite(t, file, raw, facts)
		return
	}
	if diff := cmp.Diff(s.Journal, facts); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	st.nobodyIsNamed(t, s)
}

// rewrite puts the facts in place of a story's own.
func rewrite(t *testing.T, file string, raw []byte, facts []string) {
	t.Helper()
	told, _, _ := bytes.Cut(raw, []byte("\njournal:"))
	var b bytes.Buffer
	b.Write(bytes.TrimRight(told, "\n"))
	b.WriteString("\njournal:\n")
	for _, fact := range facts {
		if strings.ContainsAny(fact, ":#") {
			fact = "'" + strings.ReplaceAll(fact, "'", "''") + "'"
		}
		b.WriteString("  - " + fact + "\n")
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pick keeps of what was got only what the story speaks of.
func pick(got, want map[string]any) map[string]any {
	if want == nil {
		return nil
	}
	picked := map[string]any{}
	for k := range want {
		if v, ok := got[k]; ok {
			picked[k] = v
		}
	}
	return picked
}

// facts are the journal's, a line each: what a reader of the story must find.
func (st *stage) facts(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, topic := range []journal.Topic{journal.TopicDecisions, journal.TopicLedger} {
		for _, e := range st.entries(t, topic) {
			if line := fact(e.Key, e.Event); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func fact(key string, event journal.Event) string {
	switch ev := event.(type) {
	case journal.Decided:
		line := fmt.Sprintf("decided %s %s", ev.DecisionID, ev.Action)
		if ev.HeldNanoUSD > 0 {
			line += " held " + registry.FormatUSD(ev.HeldNanoUSD)
		}
		for _, r := range ev.Reasons {
			if r.Warning {
				line += " warning"
			}
			line += " " + r.Code
			if r.Budget != "" {
				line += " of " + r.Budget
			}
		}
		for _, f := range ev.Findings {
			line += ", found " + f
		}
		return line
	case journal.Settled:
		line := fmt.Sprintf("settled %s on %s %s rank %d", ev.DecisionID, key, ev.Outcome, ev.Rank)
		if ev.DecisionID == "" {
			line = fmt.Sprintf("gave up %s on %s", ev.CallID, key)
		}
		if u := ev.Usage; u != nil {
			line += " charged " + registry.FormatUSD(u.ChargedNanoUSD)
			for _, a := range u.Attempts {
				line += fmt.Sprintf(", %s %d+%d", a.Deployment, a.Tokens.Input, a.Tokens.Output)
				for _, name := range slices.Sorted(maps.Keys(a.Tokens.Other)) {
					line += fmt.Sprintf(" and %d of %s", a.Tokens.Other[name], name)
				}
			}
			if u.OverHold {
				line += ", over hold"
			}
			return line
		}
		for _, c := range ev.Charges {
			line += fmt.Sprintf(", %d %s", c.Actual, c.Meter.Unit)
		}
		return line
	case journal.Reported:
		return fmt.Sprintf("reported %s on %s charged %s", ev.CallID, key, registry.FormatUSD(ev.Usage.ChargedNanoUSD))
	}
	return ""
}

// naming are the headers that name somebody.
var naming = []string{"x-signalbox-user", "x-signalbox-session", "x-signalbox-agent", "x-claude-code-session-id", "x-claude-code-agent-id", "session-id"}

// nobodyIsNamed holds that the journal keeps pseudonyms: a name that a caller gave
// stands in the names topic and nowhere else.
func (st *stage) nobodyIsNamed(t *testing.T, s story) {
	t.Helper()
	var names []string
	for _, step := range s.Steps {
		if step.Decide == nil {
			continue
		}
		for header, value := range step.Decide.Headers {
			if slices.Contains(naming, header) && len(value) > 4 {
				names = append(names, value)
			}
		}
	}
	for _, topic := range []journal.Topic{journal.TopicDecisions, journal.TopicLedger} {
		for _, e := range st.entries(t, topic) {
			written := fmt.Sprintf("%+v", e)
			if d, ok := e.Event.(journal.Decided); ok {
				written += string(d.Facts) + string(d.Verdict)
			}
			for _, name := range names {
				if strings.Contains(written, name) {
					t.Errorf("%s holds the readable name %q: %s", topic, name, written)
				}
			}
		}
	}
}
