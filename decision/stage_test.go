package decision_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/opa"
	"github.com/signalbox-dev/signalbox/guard"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// stage is a whole decision room on an in-memory journal: the real registry,
// ledger and policy, inside a bubble whose clock a story moves.
type stage struct {
	service  *decision.Service
	keeper   *ledger.Keeper
	registry *registry.Registry
	journal  *line
	spool    *spool
	names    *registry.Names
	answers  []decision.Answer
	keys     map[string]string // secrets, by app; app-brief expires in an hour
	ids      map[string]string // of keys, by app
	epochs   *atomic.Int32     // of all replicas of the stage
	down     down
	hasher   registry.KeyHasher
	now      func() time.Time
	start    func()
	stop     func() // the ledger and the service, as a crash would
	close    func()
}

// beginning is when every story begins: a Sunday whose night changed the clocks.
var beginning = time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)

// line is a journal that can be cut off.
type line struct {
	*journal.Memory
	cut atomic.Bool
}

var errCut = errors.New("the journal cannot be reached")

func (l *line) Append(ctx context.Context, recs ...journal.Record) error {
	if l.cut.Load() {
		return errCut
	}
	return l.Memory.Append(ctx, recs...)
}

func (l *line) Healthy() error {
	if l.cut.Load() {
		return errCut
	}
	return nil
}

// spool is at once in the journal, cut off or not: a story reads what will be
// there in the end.
type spool struct{ journal *journal.Memory }

func (s *spool) Put(recs ...journal.Record) error {
	return s.journal.Append(context.Background(), recs...)
}

// down are the deployments that do not answer.
type down map[string]bool

func (d down) Healthy(deployment string, _ time.Time) bool { return !d[deployment] }

// guarded is what stands guard in every story: the detector there is, and one of a
// kind of its own, whose things may stand in an address.
var guarded = guard.All{guard.Email{}, tickets{}}

// tickets finds ticket-<digits>.
type tickets struct{}

var ticket = regexp.MustCompile(`ticket-[0-9]+`)

func (tickets) Kinds() []string { return []string{"ticket"} }

func (tickets) Find(text string, found func(guard.Finding)) {
	for _, at := range ticket.FindAllStringIndex(text, -1) {
		found(guard.Finding{Kind: "ticket", Start: at[0], End: at[1]})
	}
}

// newStage sets the stage for a story; tamper may put other parts in.
func newStage(t testing.TB, s story, tamper ...func(*decision.Config, *decision.Parts)) *stage {
	t.Helper()
	return setStage(t, s, t.TempDir(), func(*ledger.Keeper) { synctest.Wait() }, tamper...)
}

// setStage sets the stage outside of a bubble too, where rest returns when the
// keeper is ready. holds is the folder of the holds; empty: in memory only.
func setStage(t testing.TB, s story, holds string, rest func(*ledger.Keeper), tamper ...func(*decision.Config, *decision.Parts)) *stage {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	run := func(loop func(context.Context) error) { loops.Go(func() { _ = loop(ctx) }) }
	st := &stage{keys: map[string]string{}, ids: map[string]string{}, down: down{}, epochs: &atomic.Int32{}}
	st.stop = func() {}
	st.close = sync.OnceFunc(func() { cancel(); st.stop(); loops.Wait() })
	t.Cleanup(st.close)

	begun := time.Now()
	now := func() time.Time { return beginning.Add(time.Since(begun)) }
	st.now = now
	st.journal = &line{Memory: journal.NewMemory(4, now)}
	st.spool = &spool{st.journal.Memory}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	st.hasher = registry.NewKeyHasher([32]byte{1})
	var err error
	if st.registry, err = registry.Open(ctx, st.journal, st.hasher, now, log); err != nil {
		t.Fatal(err)
	}
	run(st.registry.Run)
	st.names = registry.NewNames(registry.NewPseudonymiser([32]byte{2}), st.journal)
	st.settle(t, s.World)

	st.start = st.house(t, s, ctx, holds, rest, now, log, tamper)
	st.start()
	return st
}

// twin is another replica: a ledger and a service of its own, over the same journal.
func (st *stage) twin(t testing.TB, s story) *stage {
	t.Helper()
	twin := *st
	twin.answers, twin.stop = nil, func() {}
	ctx, cancel := context.WithCancel(context.Background())
	twin.close = sync.OnceFunc(func() { cancel(); twin.stop() })
	t.Cleanup(twin.close)
	twin.start = twin.house(t, s, ctx, t.TempDir(), func(*ledger.Keeper) { synctest.Wait() }, st.now, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	twin.start()
	return &twin
}

// house gives what starts the ledger and the service, once, and again after a stop
// in the middle of everything: another epoch in the same folder.
func (st *stage) house(t testing.TB, s story, ctx context.Context, holds string, rest func(*ledger.Keeper), now func() time.Time, log *slog.Logger,
	tamper []func(*decision.Config, *decision.Parts)) func() {
	policy, err := opa.Load(ctx, opa.Config{Dir: policyDir(t, s.Policy), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	config := decision.DefaultConfig()
	mode := ledger.ModeLease
	switch s.Mode {
	case "open":
		config.FailureMode = decision.FailOpen
	case "closed":
		config.FailureMode, mode = decision.FailClosed, ledger.ModeClosed
	}
	var ids atomic.Int64
	return func() {
		ctx, cancel := context.WithCancel(ctx)
		var loops sync.WaitGroup
		run := func(loop func(context.Context) error) { loops.Go(func() { _ = loop(ctx) }) }
		st.stop = sync.OnceFunc(func() { cancel(); loops.Wait() })
		epoch := byte(st.epochs.Add(1))
		keeper, err := ledger.NewKeeper(ledger.Config{Dir: holds, Epoch: journal.Epoch{epoch}, Mode: mode, Spool: st.spool,
			BootID: "boot", Drain: func(context.Context) error { return nil }}, st.journal, ledger.LimitsFunc(st.registry.Snapshot), now, log)
		if err != nil {
			t.Fatal(err)
		}
		run(keeper.Run)
		rest(keeper)
		if err := keeper.Ready(); err != nil {
			t.Fatal(err)
		}
		parts := decision.Parts{Registry: st.registry, Hasher: st.hasher, Policy: policy, Ledger: keeper,
			Recorder: st.spool, Names: st.names, Signer: ledger.Signer{Current: [32]byte{3}}, Health: st.down, Guard: guarded, Now: now, Log: log}
		for _, change := range tamper {
			change(&config, &parts)
		}
		st.keeper, st.service = keeper, decision.New(config, parts)
		st.service.NumberIDs(func() string { return fmt.Sprint("d-", ids.Add(1)) })
		run(st.service.Run)
	}
}

// settle writes the world: the one of every story, what this one adds, and keys.
func (st *stage) settle(t testing.TB, more string) {
	t.Helper()
	base, err := os.ReadFile("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	st.apply(t, string(base), more)
	for _, app := range st.registry.Snapshot().Apps("") {
		st.createKey(t, app.Name, registry.KeyRequest{Kind: registry.KeyApp, Tenant: app.Tenant, App: app.Name})
		st.createKey(t, app.Name+"-brief", registry.KeyRequest{Kind: registry.KeyApp, Tenant: app.Tenant, App: app.Name, Expires: time.Hour})
	}
	for _, g := range st.registry.Snapshot().Gateways() {
		st.createKey(t, g.Name, registry.KeyRequest{Kind: registry.KeyGateway, Gateway: g.Name})
	}
}

func (st *stage) createKey(t testing.TB, name string, req registry.KeyRequest) {
	t.Helper()
	req.By = "test"
	key, secret, err := st.registry.CreateKey(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	st.keys[name], st.ids[name] = secret, key.ID
}

func (st *stage) apply(t testing.TB, texts ...string) {
	t.Helper()
	var files []registry.File
	for i, text := range texts {
		if text != "" {
			files = append(files, registry.File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(text)})
		}
	}
	if _, err := st.registry.Apply(t.Context(), files, registry.ApplyOptions{By: "test", Confirmed: true}); err != nil {
		t.Fatal(err)
	}
}

func policyDir(t testing.TB, rego string) string {
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
	defer synctest.Wait() // what a step set going has come to rest
	switch {
	case s.Pass != "":
		d, err := time.ParseDuration(s.Pass)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(d)
	case s.Cut:
		st.journal.cut.Store(true)
	case s.Mend:
		st.journal.cut.Store(false)
	case s.Crash:
		st.stop()
		st.start()
	case s.Down != "":
		st.down[s.Down] = true
	case s.Up != "":
		delete(st.down, s.Up)
	case s.Apply != "":
		st.apply(t, s.Apply)
	case s.Revoke != "":
		if _, err := st.registry.RevokeKey(t.Context(), st.ids[s.Revoke], "test", ""); err != nil {
			t.Fatal(err)
		}
	case s.Decide != nil:
		return st.decide(t, *s.Decide)
	case s.Report != nil:
		return st.report(t, *s.Report)
	case s.Undecided != nil:
		st.undecided(t, *s.Undecided)
	default:
		t.Fatal("a step is decide, report, undecided, pass, cut, mend, crash, down, up, apply or revoke")
	}
	return nil
}

func (st *stage) request(q question) decision.Request {
	headers := decision.Headers{}
	for k, v := range q.Headers {
		headers[k] = v
	}
	if q.Key != "" {
		secret, ok := st.keys[q.Key]
		if !ok {
			secret = q.Key
		}
		if q.Header == "" {
			q.Header, secret = "authorization", "Bearer "+secret
		}
		headers[q.Header] = secret
	}
	req := decision.Request{CallID: q.CallID, Gateway: q.Gateway, Method: q.Method, Path: q.Path, Headers: headers, Body: []byte(q.Body), BodyComplete: !q.Cut, Fixed: q.Fixed}
	if req.Method == "" {
		req.Method = "POST"
	}
	if req.Path == "" {
		req.Path = "/v1/chat/completions"
	}
	return req
}

func (st *stage) decide(t *testing.T, q question) map[string]any {
	t.Helper()
	a, err := st.service.Decide(t.Context(), st.request(q))
	var away *decision.Unavailable
	if errors.As(err, &away) {
		m := describe(away.Answer)
		m["error"] = "unavailable"
		return m
	}
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	st.answers = append(st.answers, a)
	return describe(a)
}

func (st *stage) report(t *testing.T, r report) map[string]any {
	t.Helper()
	rep := decision.Report{Token: r.Token, CallID: r.CallID, Gateway: r.Gateway, Outcome: journal.Outcome(r.Outcome), Deployment: r.Deployment,
		SeenOutputTokens: -1, TTFTMS: r.TTFT, Status: r.Status, ServiceTier: r.Tier, Source: journal.Source(r.Source), Rank: journal.Rank(r.Rank)}
	if r.Seen != nil {
		rep.SeenOutputTokens = *r.Seen
	}
	if r.SeenInput != nil {
		rep.SeenInput = tokens(r.SeenInput)
	}
	if r.Of > 0 {
		rep.Token = st.answers[r.Of-1].Plan.ReportToken
	}
	if r.Usage != nil {
		rep.Usage = tokens(r.Usage)
	}
	if r.Provider != "" {
		rep.ProviderUsage = []byte(r.Provider)
	}
	for _, d := range r.Failed {
		rep.Attempts = append(rep.Attempts, decision.ReportedAttempt{Deployment: d, Status: 429, Outcome: journal.OutcomeFailed})
	}
	for _, d := range r.Broke {
		rep.Attempts = append(rep.Attempts, decision.ReportedAttempt{Deployment: d, Outcome: journal.OutcomeAborted})
	}
	settled, err := st.service.Settle(t.Context(), rep)
	var refused *decision.ReportError
	if errors.As(err, &refused) {
		return map[string]any{"status": refused.Status, "error": refused.Message}
	}
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"charged": registry.FormatUSD(settled.ChargedNanoUSD), "released": registry.FormatUSD(settled.ReleasedNanoUSD),
		"repeated": settled.Repeated, "settled": settled.Settled, "over_hold": settled.OverHold}
}

func (st *stage) undecided(t *testing.T, u undecided) {
	t.Helper()
	at := st.now()
	if u.Ago != "" {
		ago, err := time.ParseDuration(u.Ago)
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(-ago)
	}
	if err := st.service.Undecided(t.Context(), decision.Undecided{Gateway: u.Gateway, At: at, Method: u.Method, Path: u.Path, Passed: u.Passed, Status: u.Status, Why: u.Why}); err != nil {
		t.Fatal(err)
	}
}

func tokens(u map[string]int64) *journal.Tokens {
	t := &journal.Tokens{Input: u["input"], Cached: u["cached"], CacheWrite: u["cache_write"], CacheWriteLong: u["cache_write_long"],
		Output: u["output"], Reasoning: u["reasoning"]}
	for name, n := range u {
		if !slices.Contains([]string{"input", "cached", "cache_write", "cache_write_long", "output", "reasoning"}, name) {
			if t.Other == nil {
				t.Other = map[string]int64{}
			}
			t.Other[name] = n
		}
	}
	return t
}

// describe flattens an answer. What is not said is not there.
func describe(a decision.Answer) map[string]any {
	m := map[string]any{"action": a.Action(), "id": a.DecisionID, "changes": words(a.Changes)}
	warnings := []any{}
	for _, w := range a.Warnings {
		warnings = append(warnings, string(w.Code))
	}
	m["warnings"] = warnings
	found := []any{}
	for _, f := range a.Findings {
		found = append(found, fmt.Sprintf("%s %s %d-%d", f.Kind, f.Where, f.At[0], f.At[1]))
	}
	m["findings"] = found
	if r := a.Refusal; r != nil {
		m["status"] = r.Status()
		var codes, budgets []any
		for _, reason := range r.Reasons {
			codes = append(codes, string(reason.Code))
			budgets = append(budgets, reason.Budget)
		}
		m["reasons"], m["budgets"], m["message"] = codes, budgets, r.Reasons[0].Message
		if r.RetryAfter > 0 {
			m["retry_after"] = r.RetryAfter.Round(time.Millisecond).String()
		}
	}
	if a.Served != nil {
		m["status"], m["body"] = a.Served.Status, string(a.Served.Body)
	}
	if p := a.Plan; p != nil {
		to := []any{}
		for _, d := range p.Deployments {
			to = append(to, d.Name)
		}
		m["deployments"], m["held"], m["max_output"] = to, registry.FormatUSD(p.Hold.NanoUSD), int(p.Hold.MaxOutputTokens)
		m["held_tokens"], m["attempts"] = int(p.Hold.Tokens), p.Hold.Attempts
		if p.Body != nil {
			m["body"] = string(p.Body)
			m["model_at"] = string(p.Body[p.ModelSpan[0]:p.ModelSpan[1]])
		}
		if p.Budget != nil {
			m["left"] = p.Budget.Name + " " + p.Budget.Left
		}
	}
	return m
}

func words[T ~string](list []T) []any {
	all := []any{}
	for _, w := range list {
		all = append(all, string(w))
	}
	return all
}

// entries are a topic's, partition by partition.
func (st *stage) entries(t testing.TB, topic journal.Topic) []journal.Entry {
	t.Helper()
	ends, err := st.journal.Ends(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("read to the end")
	var all []journal.Entry
	for partition := range st.journal.Partitions(topic) {
		if ends[partition] == 0 {
			continue
		}
		err := st.journal.Follow(t.Context(), topic, partition, 0, func(batch []journal.Entry) error {
			all = append(all, batch...)
			if batch[len(batch)-1].Offset+1 >= ends[partition] {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
	}
	return all
}
