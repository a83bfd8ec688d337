package decision_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/opa"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// story is one file of testdata: a world, what is asked and reported in it, what
// is answered, and the facts that must be written.
type story struct {
	Story   string // what it shows, in a sentence
	World   string // added to testdata/world.yaml; registry file text
	Policy  string // Rego of the tenant's own, beside the default
	Open    bool   // failure_mode open
	Steps   []step
	Journal []string // the facts of the decisions and ledger topics, in order
}

type step struct {
	Decide *question
	Report *report
	Pass   string // let this much time pass
	Cut    bool   // the journal can no longer be reached
	Want   map[string]any
}

type question struct {
	Key, Method, Path, Body, CallID, Gateway string
	Headers                                  map[string]string
	Cut                                      bool // only the first part of the body
}

type report struct {
	Of             int // the n-th answer's token, from 1
	CallID, Token  string
	Outcome        string
	Deployment     string
	Usage          map[string]int64
	Provider       string
	Seen, TTFT     int64
	Status         int
	FailedAttempts []string
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story.yaml"), func(t *testing.T) { tell(t, file) })
	}
}

func tell(t *testing.T, file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s story
	dec := yaml.NewDecoder(strings.NewReader(string(raw)))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	st := newStage(t, s)
	for i, step := range s.Steps {
		got := st.play(t, step)
		if step.Want == nil {
			continue
		}
		if diff := cmp.Diff(plain(step.Want), pick(got, step.Want)); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i+1, diff)
		}
	}
	if s.Journal != nil {
		if diff := cmp.Diff(s.Journal, st.facts(t)); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
	}
}

// stage is a whole decision room on an in-memory journal, with a clock that the
// story moves.
type stage struct {
	service *decision.Service
	journal *journal.Memory
	spooled *recorder
	names   *registry.Names
	mu      sync.Mutex
	clock   time.Time
	answers []decision.Answer
	keys    map[string]string
}

func (s *stage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

// recorder is the spool of a story: at once in the journal, or kept while it is cut.
type recorder struct {
	journal *journal.Memory
	kept    []journal.Record
}

func (r *recorder) Put(recs ...journal.Record) error {
	if err := r.journal.Append(context.Background(), recs...); err != nil {
		r.kept = append(r.kept, recs...)
	}
	return nil
}

func newStage(t *testing.T, s story) *stage {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	st := &stage{clock: time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC), keys: map[string]string{}}
	st.journal = journal.NewMemory(4, st.now)
	st.spooled = &recorder{journal: st.journal}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	hasher := registry.NewKeyHasher([32]byte{1})
	reg, err := registry.Open(ctx, st.journal, hasher, st.now, log)
	if err != nil {
		t.Fatal(err)
	}
	st.names = registry.NewNames(registry.NewPseudonymiser([32]byte{2}), st.journal)
	var loops sync.WaitGroup
	run := func(loop func(context.Context) error) { loops.Go(func() { _ = loop(ctx) }) }
	run(reg.Run)
	t.Cleanup(func() { cancel(); loops.Wait() })
	st.applyWorld(t, reg, s.World)
	policy, err := opa.Load(ctx, opa.Config{Dir: policyDir(t, s.Policy), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := ledger.NewKeeper(ledger.Config{Dir: t.TempDir(), Epoch: journal.Epoch{7}, LeaseWait: time.Second,
		HoldTTL: 15 * time.Minute, Spool: st.spooled, Drain: func(context.Context) error { return nil }}, st.journal, ledger.LimitsFunc(reg.Snapshot), st.now, log)
	if err != nil {
		t.Fatal(err)
	}
	run(keeper.Run)
	for deadline := time.Now().Add(10 * time.Second); keeper.Ready() != nil; {
		if time.Now().After(deadline) {
			t.Fatal(keeper.Ready())
		}
		time.Sleep(time.Millisecond)
	}
	config := decision.DefaultConfig()
	if s.Open {
		config.FailureMode = decision.FailOpen
	}
	st.service = decision.New(config, decision.Parts{Registry: reg, Hasher: hasher, Policy: policy, Ledger: keeper, Recorder: st.spooled,
		Names: st.names, Signer: ledger.Signer{Current: [32]byte{3}}, Now: st.now, Log: log})
	ids := 0
	st.service.NumberIDs(func() string { ids++; return fmt.Sprint("d-", ids) })
	return st
}

func (st *stage) applyWorld(t *testing.T, reg *registry.Registry, more string) {
	t.Helper()
	base, err := os.ReadFile("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := []registry.File{{Name: "world.yaml", Data: base}}
	if more != "" {
		files = append(files, registry.File{Name: "story.yaml", Data: []byte(more)})
	}
	if _, err := reg.Apply(t.Context(), files, registry.ApplyOptions{By: "test", Confirmed: true}); err != nil {
		t.Fatal(err)
	}
	for _, app := range reg.Snapshot().Apps("acme") {
		_, secret, err := reg.CreateKey(t.Context(), registry.KeyRequest{Kind: registry.KeyApp, Tenant: "acme", App: app.Name, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		st.keys[app.Name] = secret
	}
}

func policyDir(t *testing.T, rego string) string {
	t.Helper()
	if rego == "" {
		return ""
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "custom.rego"), []byte(rego), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// play does one step and says what came of it, as a flat map.
func (st *stage) play(t *testing.T, s step) map[string]any {
	t.Helper()
	switch {
	case s.Pass != "":
		d, err := time.ParseDuration(s.Pass)
		if err != nil {
			t.Fatal(err)
		}
		st.mu.Lock()
		st.clock = st.clock.Add(d)
		st.mu.Unlock()
		return nil
	case s.Cut:
		if err := st.journal.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return nil
	case s.Decide != nil:
		return st.decide(t, *s.Decide)
	case s.Report != nil:
		return st.report(t, *s.Report)
	}
	t.Fatal("a step is decide, report, pass or cut")
	return nil
}

func (st *stage) decide(t *testing.T, q question) map[string]any {
	t.Helper()
	headers := decision.Headers{}
	for k, v := range q.Headers {
		headers[k] = v
	}
	if q.Key != "" {
		secret, ok := st.keys[q.Key]
		if !ok {
			secret = q.Key
		}
		headers["authorization"] = "Bearer " + secret
	}
	req := decision.Request{CallID: q.CallID, Gateway: q.Gateway, Method: q.Method, Path: q.Path, Headers: headers, Body: []byte(q.Body), BodyComplete: !q.Cut}
	if req.Method == "" {
		req.Method = "POST"
	}
	if req.Path == "" {
		req.Path = "/v1/chat/completions"
	}
	a, err := st.service.Decide(t.Context(), req)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	st.answers = append(st.answers, a)
	return describe(a)
}

func (st *stage) report(t *testing.T, r report) map[string]any {
	t.Helper()
	rep := decision.Report{Token: r.Token, CallID: r.CallID, Outcome: journal.Outcome(r.Outcome), Deployment: r.Deployment,
		SeenOutputTokens: r.Seen, TTFTMS: r.TTFT, Status: r.Status}
	if r.Seen == 0 {
		rep.SeenOutputTokens = -1
	}
	if r.Of > 0 {
		rep.Token = st.answers[r.Of-1].Plan.ReportToken
	}
	if r.Usage != nil {
		rep.Usage = &journal.Tokens{Input: r.Usage["input"], Cached: r.Usage["cached"], CacheWrite: r.Usage["cache_write"], Output: r.Usage["output"], Reasoning: r.Usage["reasoning"]}
	}
	if r.Provider != "" {
		rep.ProviderUsage = []byte(r.Provider)
	}
	for _, d := range r.FailedAttempts {
		rep.Attempts = append(rep.Attempts, decision.ReportedAttempt{Deployment: d, Status: 429, Outcome: journal.OutcomeFailed})
	}
	settled, err := st.service.Settle(t.Context(), rep)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"charged": registry.FormatUSD(settled.ChargedNanoUSD), "released": registry.FormatUSD(settled.ReleasedNanoUSD),
		"repeated": settled.Repeated, "settled": settled.Settled, "over_hold": settled.OverHold}
}

func describe(a decision.Answer) map[string]any {
	m := map[string]any{"action": a.Action()}
	var changes []any
	for _, c := range a.Changes {
		changes = append(changes, string(c))
	}
	if changes != nil {
		m["changes"] = changes
	}
	if a.Refusal != nil {
		m["status"] = a.Refusal.Status()
		var codes []any
		for _, r := range a.Refusal.Reasons {
			codes = append(codes, string(r.Code))
		}
		m["reasons"] = codes
		m["message"] = a.Refusal.Reasons[0].Message
		m["retry_after"] = a.Refusal.RetryAfter.String()
	}
	if a.Served != nil {
		m["body"] = string(a.Served.Body)
	}
	if p := a.Plan; p != nil {
		var to []any
		for _, d := range p.Deployments {
			to = append(to, d.Name)
		}
		m["deployments"] = to
		m["held"] = registry.FormatUSD(p.Hold.NanoUSD)
		m["max_output"] = int(p.Hold.MaxOutputTokens)
		m["body"] = string(p.Body)
	}
	return m
}

// pick keeps of what was got only what the story speaks of.
func pick(got, want map[string]any) map[string]any {
	picked := map[string]any{}
	for k := range want {
		if v, ok := got[k]; ok {
			picked[k] = v
		}
	}
	return picked
}

// plain undoes YAML's number types.
func plain(want map[string]any) map[string]any {
	p := map[string]any{}
	for k, v := range want {
		p[k] = v
	}
	return p
}

// facts are the journal's, a line each: what a reader of the story must find.
func (st *stage) facts(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, topic := range []journal.Topic{journal.TopicDecisions, journal.TopicLedger} {
		for _, e := range entries(t, st.journal, topic) {
			switch ev := e.Event.(type) {
			case journal.Decided:
				line := fmt.Sprintf("decided %s %s", ev.DecisionID, ev.Action)
				for _, r := range ev.Reasons {
					line += " " + r.Code
				}
				lines = append(lines, line)
			case journal.Settled:
				line := fmt.Sprintf("settled %s on %s %s rank %d", ev.DecisionID, e.Key, ev.Outcome, ev.Rank)
				if ev.Usage != nil {
					line += " charged " + registry.FormatUSD(ev.Usage.ChargedNanoUSD)
				}
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func entries(t *testing.T, j *journal.Memory, topic journal.Topic) []journal.Entry {
	t.Helper()
	ends, err := j.Ends(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	var all []journal.Entry
	for partition := range j.Partitions(topic) {
		if ends[partition] == 0 {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		_ = j.Follow(ctx, topic, partition, 0, func(batch []journal.Entry) error {
			all = append(all, batch...)
			if batch[len(batch)-1].Offset+1 >= ends[partition] {
				cancel()
			}
			return nil
		})
		cancel()
	}
	return all
}
