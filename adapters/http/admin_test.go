package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	httpdoor "github.com/signalbox-dev/signalbox/adapters/http"
	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/analytics"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

var noon = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

const registryYAML = `
tenants: [{name: acme}, {name: beta}]
teams: [{tenant: acme, name: support}]
apps: [{tenant: acme, team: support, name: helpdesk}]
providers: [{name: openai, kind: openai, base_url: "https://api.openai.com/v1", credential: openai}]
models: [{name: gpt-4o, dialect: openai, context: 128000, max_output: 16384}]
deployments: [{name: paygo, provider: openai, model: gpt-4o, upstream_model: gpt-4o, kind: paygo, region: eu, capacity: {unit: tokens, amount: "300000", window: {rolling: 1m}}}]
prices: [{deployment: paygo, from: 2026-01-01T00:00:00Z, input: "2.50", output: "10.00"}]
gateways: [{name: edge-1}]
budgets:
  - {name: month, match: {tenant: acme}, unit: usd, amount: "5000", window: {every: month, zone: UTC}}
  - {name: month, match: {tenant: beta}, unit: usd, amount: "10", window: total}
  - {name: session-cap, match: {tenant: acme, app: helpdesk}, per: [session], unit: usd, amount: "2.50", window: total}
  - {name: stop, match: {tenant: acme}, unit: requests, amount: "0", window: total, mode: shadow}
`

// books is the ledger as operators see it: meters that stand still.
type books struct {
	meters   []ledger.MeterView
	adjusted []journal.Adjusted
	released []string
	err      error
}

func (b *books) Meters(key string) []ledger.MeterView {
	var of []ledger.MeterView
	for _, m := range b.meters {
		if m.Key == key {
			of = append(of, m)
		}
	}
	return of
}

func (b *books) Adjust(_ context.Context, key string, a journal.Adjusted) error {
	b.adjusted = append(b.adjusted, a)
	return b.err
}

func (b *books) ReleaseEpoch(_ context.Context, e journal.Epoch, by, why string) error {
	b.released = append(b.released, e.String()+" "+by+" "+why)
	return b.err
}

// names are pseudonyms that anybody can read.
type names struct{}

func (names) Name(_, pseudonym string) string           { return strings.TrimPrefix(pseudonym, "p:") }
func (names) Pseudonym(_, _ string, name string) string { return "p:" + name }

type answers struct {
	result *analytics.Result
	err    error
}

func (a *answers) Query(context.Context, string) (*analytics.Result, error) { return a.result, a.err }

type operators struct{}

func (operators) OperatorByToken(token string) (string, bool) {
	return "key-alice", token == "sba_alice"
}

// office is an admin API over a real registry.
type office struct {
	http.Handler
	registry *registry.Registry
	books    *books
	answers  *answers
	log      *bytes.Buffer
}

func newOffice(t *testing.T) *office {
	t.Helper()
	now := func() time.Time { return noon }
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	reg, err := registry.Open(t.Context(), journal.NewMemory(4, now), registry.NewKeyHasher([32]byte{1}), now, logger)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = reg.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	o := &office{registry: reg, books: &books{}, answers: &answers{}, log: log}
	o.Handler = httpdoor.NewAdmin(httpdoor.AdminConfig{
		Registry: reg, Ledger: o.books, Names: names{}, Analytics: o.answers, Operators: operators{}, TrustLocal: true,
		Version: adminapi.VersionResponse{Version: "1.2.3", Go: "go1.26"}, Now: now, Log: logger,
	})
	return o
}

// do sends one request and reads the answer into out, if it is a success.
func do[T any](t *testing.T, o *office, method, path string, in any) (out T, failure *adminapi.ErrorResponse) {
	t.Helper()
	body := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	w := ask(o, method, "/admin/v1/"+path, body)
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		return out, nil
	}
	failure = &adminapi.ErrorResponse{}
	if err := json.Unmarshal(w.Body.Bytes(), failure); err != nil || failure.Error.Code == "" || failure.Error.Message == "" {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return out, failure
}

func yaml(content string) []adminapi.File {
	return []adminapi.File{{Name: "registry.yaml", Content: content}}
}

func applied(t *testing.T, o *office) {
	t.Helper()
	if _, failure := do[adminapi.ApplyResponse](t, o, "POST", "apply", adminapi.ApplyRequest{Files: yaml(registryYAML)}); failure != nil {
		t.Fatalf("apply: %+v", failure)
	}
}

// A file is looked at, applied, and asked about before it removes anything.
func TestApply(t *testing.T) {
	o := newOffice(t)
	looked, failure := do[adminapi.ApplyResponse](t, o, "POST", "apply", adminapi.ApplyRequest{Files: yaml(registryYAML), DryRun: true})
	if failure != nil || looked.Applied || looked.Diff.Version != 0 || len(looked.Diff.Changes) == 0 || o.registry.Snapshot().Version != 0 {
		t.Fatalf("dry run: %+v %+v", looked, failure)
	}
	done, failure := do[adminapi.ApplyResponse](t, o, "POST", "apply", adminapi.ApplyRequest{Files: yaml(registryYAML), By: adminapi.By{Who: "alice", Why: "first"}})
	if failure != nil || !done.Applied || done.Diff.Version == 0 || len(done.Diff.Changes) != len(looked.Diff.Changes) {
		t.Fatalf("apply: %+v %+v", done, failure)
	}
	fewer := strings.Replace(registryYAML, "  - {name: stop, match: {tenant: acme}, unit: requests, amount: \"0\", window: total, mode: shadow}\n", "", 1)
	req := adminapi.ApplyRequest{Files: yaml(fewer), Prune: true}
	_, failure = do[adminapi.ApplyResponse](t, o, "POST", "apply", req)
	if failure == nil || failure.Error.Code != adminapi.CodeConfirm || failure.Diff == nil || len(failure.Diff.Changes) != 1 || !failure.Diff.Changes[0].Asks {
		t.Fatalf("a removal was not asked about: %+v", failure)
	}
	req.Confirm, req.IfVersion = true, failure.Diff.Base+1000
	if _, failure = do[adminapi.ApplyResponse](t, o, "POST", "apply", req); failure == nil || failure.Error.Code != adminapi.CodeMoved {
		t.Errorf("a yes for another difference: %+v", failure)
	}
	req.IfVersion = 0
	if done, failure = do[adminapi.ApplyResponse](t, o, "POST", "apply", req); failure != nil || done.Diff.Changes[0].Op != "removed" {
		t.Errorf("confirmed: %+v %+v", done, failure)
	}
}

func TestApplyTellsWhereAFileIsWrong(t *testing.T) {
	o := newOffice(t)
	_, failure := do[adminapi.ApplyResponse](t, o, "POST", "apply", adminapi.ApplyRequest{Files: yaml("tenants:\n  - {name: acme, colour: red}\n")})
	if failure == nil || failure.Error.Code != adminapi.CodeInvalid || len(failure.Error.Problems) != 1 {
		t.Fatalf("got %+v", failure)
	}
	if p := failure.Error.Problems[0]; p.File != "registry.yaml" || p.Line != 2 || p.Column == 0 || p.What == "" {
		t.Errorf("got %+v", p)
	}
	for name, req := range map[string]adminapi.ApplyRequest{
		"no files":      {},
		"a long reason": {Files: yaml(registryYAML), By: adminapi.By{Why: strings.Repeat("x", 513)}},
		"two lines":     {Files: yaml(registryYAML), By: adminapi.By{Who: "a\nb"}},
	} {
		if _, failure := do[adminapi.ApplyResponse](t, o, "POST", "apply", req); failure == nil || failure.Error.Code != "bad_request" {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

// A key's life: made once readable, listed without its secret, rotated, revoked.
func TestKeys(t *testing.T) {
	o := newOffice(t)
	applied(t, o)
	made, failure := do[adminapi.KeyResponse](t, o, "POST", "keys", adminapi.CreateKeyRequest{App: "acme/helpdesk", Expires: adminapi.Duration(90 * 24 * time.Hour)})
	if failure != nil || !strings.HasPrefix(made.Secret, "sbx_") || made.Key.App != "acme/helpdesk" || !made.Key.ExpiresAt.Equal(noon.AddDate(0, 0, 90)) {
		t.Fatalf("create: %+v %+v", made, failure)
	}
	successor, failure := do[adminapi.KeyResponse](t, o, "POST", "keys/"+made.Key.ID+"/rotate", adminapi.RotateKeyRequest{Overlap: adminapi.Duration(24 * time.Hour)})
	if failure != nil || successor.Secret == made.Secret || successor.Key.ID == made.Key.ID {
		t.Fatalf("rotate: %+v %+v", successor, failure)
	}
	if revoked, failure := do[adminapi.KeyResponse](t, o, "POST", "keys/"+successor.Key.ID+"/revoke", adminapi.RevokeKeyRequest{By: adminapi.By{Why: "leaked"}}); failure != nil || revoked.Key.State != "revoked" || revoked.Secret != "" {
		t.Fatalf("revoke: %+v %+v", revoked, failure)
	}
	gateway, failure := do[adminapi.KeyResponse](t, o, "POST", "keys", adminapi.CreateKeyRequest{Gateway: "edge-1"})
	if failure != nil || !strings.HasPrefix(gateway.Secret, "sbg_") || gateway.Key.Gateway != "edge-1" {
		t.Fatalf("gateway: %+v %+v", gateway, failure)
	}
	w := ask(o, "GET", "/admin/v1/keys", "")
	var list adminapi.KeysResponse
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Keys) != 3 {
		t.Fatalf("list: %s %v", w.Body, err)
	}
	states := map[string]string{}
	for _, k := range list.Keys {
		states[k.ID] = k.State
	}
	want := map[string]string{made.Key.ID: "expiring", successor.Key.ID: "revoked", gateway.Key.ID: "active"}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	for _, secret := range []string{made.Secret, successor.Secret, gateway.Secret} {
		if strings.Contains(w.Body.String(), secret) || strings.Contains(o.log.String(), secret) {
			t.Error("a secret is shown twice")
		}
	}
}

func TestKeysThatCannotBe(t *testing.T) {
	o := newOffice(t)
	applied(t, o)
	for name, c := range map[string]struct {
		path string
		body any
		code string
	}{
		"of nobody":         {"keys", adminapi.CreateKeyRequest{}, "bad_request"},
		"of two":            {"keys", adminapi.CreateKeyRequest{Admin: true, Gateway: "edge-1"}, "bad_request"},
		"of half an app":    {"keys", adminapi.CreateKeyRequest{App: "acme"}, "bad_request"},
		"of no app":         {"keys", adminapi.CreateKeyRequest{App: "acme/nothing"}, "not_found"},
		"of no gateway":     {"keys", adminapi.CreateKeyRequest{Gateway: "edge-9"}, "not_found"},
		"revoked unmade":    {"keys/key-none/revoke", adminapi.RevokeKeyRequest{}, "not_found"},
		"rotated unmade":    {"keys/key-none/rotate", adminapi.RotateKeyRequest{}, "not_found"},
		"a duration's word": {"keys", map[string]any{"admin": true, "expires": "soon"}, "bad_request"},
		"an unknown field":  {"keys", map[string]any{"admin": true, "for": "me"}, "bad_request"},
	} {
		if _, failure := do[adminapi.KeyResponse](t, o, "POST", c.path, c.body); failure == nil || failure.Error.Code != c.code {
			t.Errorf("%s: %+v, want %s", name, failure, c.code)
		}
	}
}

// Budgets show the meters of the window that is open, and one row where there
// are none.
func TestBudgets(t *testing.T) {
	o := newOffice(t)
	applied(t, o)
	id := map[string]int64{}
	for _, b := range o.registry.Snapshot().Limits() {
		id[b.Tenant+"/"+b.Name] = b.Incarnation
	}
	usd := int64(registry.NanoPerUSD)
	o.books.meters = []ledger.MeterView{
		{Key: "acme", Meter: journal.Meter{Budget: id["acme/month"], Unit: journal.UnitUSD, Label: "2026-03"}, Balance: ledger.Balance{Limit: 5000 * usd, Spent: 4999 * usd, Outstanding: usd / 2, Suspense: usd}},
		{Key: "acme", Meter: journal.Meter{Budget: id["acme/month"], Unit: journal.UnitUSD, Label: "2026-02"}, Balance: ledger.Balance{Spent: 7}},
		{Key: "acme", Meter: journal.Meter{Budget: id["acme/session-cap"], Unit: journal.UnitUSD, Per: "p:s-2", Label: "total"}, Balance: ledger.Balance{Spent: 3 * usd}},
		{Key: "acme", Meter: journal.Meter{Budget: id["acme/session-cap"], Unit: journal.UnitUSD, Per: "p:s-1", Label: "total"}, Balance: ledger.Balance{Spent: -usd, Adjusted: 2 * usd}},
		{Key: "acme", Meter: journal.Meter{Budget: id["acme/session-cap"], Unit: journal.UnitUSD, Per: "", Label: "total"}, Balance: ledger.Balance{}},
	}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"?match=tenant%3Dacme", []string{
			"month acme  usd limit 5000 spent 4999 held 0.5 left 0.5 resets 2026-04-01T00:00:00Z",
			"session-cap acme session= usd limit 2.5 spent 0 held 0 left 2.5",
			"session-cap acme session=s-1 usd limit 2.5 +2 spent 1 held 0 left 3.5",
			"session-cap acme session=s-2 usd limit 2.5 spent 3 held 0 left 0",
			"stop acme  requests limit 0 spent 0 held 0 left 0",
		}},
		{"?match=session%3Ds-1", []string{"session-cap acme session=s-1 usd limit 2.5 +2 spent 1 held 0 left 3.5"}},
		{"?match=app%3Dhelpdesk&match=session%3Ds-2", []string{"session-cap acme session=s-2 usd limit 2.5 spent 3 held 0 left 0"}},
		{"?match=tenant%3Dbeta", []string{"month beta  usd limit 10 spent 0 held 0 left 10"}},
		{"?match=tenant%3Dnobody", nil},
	} {
		got, failure := do[adminapi.BudgetsResponse](t, o, "GET", "budgets"+c.query, nil)
		if failure != nil {
			t.Fatalf("%s: %+v", c.query, failure)
		}
		var rows []string
		for _, b := range got.Budgets {
			rows = append(rows, budgetLine(b))
		}
		if diff := cmp.Diff(c.want, rows); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.query, diff)
		}
	}
	// Capacity is a budget too.
	all, _ := do[adminapi.BudgetsResponse](t, o, "GET", "budgets", nil)
	if len(all.Budgets) != 7 || all.Budgets[0].Tenant != "" || all.Budgets[0].Limit != "300000" {
		t.Errorf("all: %+v", all)
	}
	if _, failure := do[adminapi.BudgetsResponse](t, o, "GET", "budgets?match=tenant", nil); failure == nil {
		t.Error("a match without a value is taken")
	}
}

func budgetLine(b adminapi.Budget) string {
	per := ""
	for name, value := range b.Per {
		per = name + "=" + value
	}
	limit := b.Limit
	if b.Adjusted != "" {
		limit += " +" + b.Adjusted
	}
	line := strings.Join([]string{b.Budget, b.Tenant, per, b.Unit, "limit", limit, "spent", b.Spent, "held", b.Held, "left", b.Left}, " ")
	if !b.ResetsAt.IsZero() {
		line += " resets " + b.ResetsAt.Format(time.RFC3339)
	}
	return line
}

// An adjustment lands on one meter, with who and why.
func TestAdjust(t *testing.T) {
	o := newOffice(t)
	applied(t, o)
	why := adminapi.By{Who: "alice", Why: "launch week"}
	for name, req := range map[string]adminapi.AdjustRequest{
		"no reason":             {Budget: "stop", Add: "5"},
		"no such budget":        {By: why, Budget: "nothing", Add: "5"},
		"whose":                 {By: why, Budget: "month", Add: "5"},
		"which meter":           {By: why, Budget: "session-cap", Add: "5"},
		"another meter":         {By: why, Budget: "session-cap", Add: "5", Per: map[string]string{"user": "u"}},
		"not a number":          {By: why, Budget: "stop", Add: "five"},
		"half a request":        {By: why, Budget: "stop", Add: "0.5"},
		"nothing":               {By: why, Budget: "stop", Add: "0"},
		"two signs":             {By: why, Budget: "stop", Add: "--5"},
		"a reason of two lines": {By: adminapi.By{Why: "a\nb"}, Budget: "stop", Add: "5"},
	} {
		if _, failure := do[adminapi.AdjustResponse](t, o, "POST", "budgets/adjust", req); failure == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if len(o.books.adjusted) != 0 {
		t.Fatalf("adjusted %+v", o.books.adjusted)
	}
	for _, req := range []adminapi.AdjustRequest{
		{By: why, Budget: "month", Tenant: "acme", Add: "50"},
		{By: why, Budget: "month", Tenant: "beta", Add: "-0.000000001"},
		{By: why, Budget: "session-cap", Per: map[string]string{"session": "s-42"}, Add: "+1.5"},
	} {
		if _, failure := do[adminapi.AdjustResponse](t, o, "POST", "budgets/adjust", req); failure != nil {
			t.Errorf("%+v: %+v", req, failure)
		}
	}
	var got []string
	for _, a := range o.books.adjusted {
		got = append(got, strings.Join([]string{a.Meter.Label, a.Meter.Per, registry.FormatUSD(a.Amount), a.By, a.Why}, "|"))
		if a.ID == "" || a.Meter.Budget == 0 || a.Meter.Unit != journal.UnitUSD {
			t.Errorf("adjusted %+v", a)
		}
	}
	want := []string{"2026-03||50|local:alice|launch week", "total||-0.000000001|local:alice|launch week", "total|p:s-42|1.5|local:alice|launch week"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRelease(t *testing.T) {
	o := newOffice(t)
	epoch := strings.Repeat("0a", 16)
	for _, bad := range []string{"", "0a", strings.Repeat("00", 16), strings.Repeat("zz", 16)} {
		if _, failure := do[adminapi.ReleaseResponse](t, o, "POST", "budgets/release", adminapi.ReleaseRequest{By: adminapi.By{Why: "x"}, Epoch: bad}); failure == nil {
			t.Errorf("epoch %q is taken", bad)
		}
	}
	if _, failure := do[adminapi.ReleaseResponse](t, o, "POST", "budgets/release", adminapi.ReleaseRequest{By: adminapi.By{Why: "burnt"}, Epoch: epoch}); failure != nil {
		t.Errorf("%+v", failure)
	}
	if diff := cmp.Diff([]string{epoch + " local burnt"}, o.books.released); diff != "" {
		t.Error(diff)
	}
	o.books.err = errors.New("the journal is away")
	_, failure := do[adminapi.ReleaseResponse](t, o, "POST", "budgets/release", adminapi.ReleaseRequest{By: adminapi.By{Why: "burnt"}, Epoch: epoch})
	if failure == nil || failure.Error.Code != "failed" || !strings.Contains(o.log.String(), "the journal is away") {
		t.Errorf("%+v, logged %s", failure, o.log)
	}
}

// Rows come exactly, in the shapes the database's client gives: wide integers as
// strings, narrow ones as numbers, typed lists and maps as such.
func TestSQL(t *testing.T) {
	o := newOffice(t)
	o.answers.result = &analytics.Result{
		Columns: []analytics.Column{{Name: "a", Type: "Int64"}, {Name: "b", Type: "UInt8"}, {Name: "c", Type: "Array(UInt64)"}, {Name: "d", Type: "DateTime64(6, 'UTC')"},
			{Name: "e", Type: "Nullable(Float64)"}, {Name: "f", Type: "Map(String, Int64)"}, {Name: "g", Type: "Int256"}},
		Rows: [][]any{{int64(9007199254740993), uint8(7), []uint64{1}, noon, nil, map[string]int64{"x": 2}, big.NewInt(3)}},
	}
	w := ask(o, "POST", "/admin/v1/sql", `{"query":"SELECT 1"}`)
	want := `{"columns":[{"name":"a","type":"Int64"},{"name":"b","type":"UInt8"},{"name":"c","type":"Array(UInt64)"},{"name":"d","type":"DateTime64(6, 'UTC')"},{"name":"e","type":"Nullable(Float64)"},{"name":"f","type":"Map(String, Int64)"},{"name":"g","type":"Int256"}]}
{"row":["9007199254740993",7,["1"],"2026-03-15 12:00:00.000000",null,{"x":"2"},"3"]}
{"rows":1}
`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	o.answers.err = errors.New("Code: 62. Syntax error")
	if _, failure := do[any](t, o, "POST", "sql", adminapi.SQLRequest{Query: "SELEC"}); failure == nil || !strings.Contains(failure.Error.Message, "Syntax error") {
		t.Errorf("%+v", failure)
	}
	if _, failure := do[any](t, o, "POST", "sql", adminapi.SQLRequest{Query: " "}); failure == nil || failure.Error.Where != "query" {
		t.Errorf("%+v", failure)
	}
}

// Operators prove themselves, and on this machine without a token only what no
// page and no proxy can send is let in.
func TestOperators(t *testing.T) {
	o := newOffice(t)
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"this machine", nil, 200},
		{"a token", []string{"Authorization", "Bearer sba_alice", "Host", "signalbox.internal"}, 200},
		{"a token in another case", []string{"Authorization", "bearer sba_alice"}, 200},
		{"a wrong token", []string{"Authorization", "Bearer sba_bob"}, 401},
		{"a rebound name", []string{"Host", "evil.example"}, 403},
		{"another page", []string{"Origin", "https://evil.example"}, 403},
		{"behind a proxy", []string{"X-Forwarded-For", "192.0.2.1"}, 401},
		{"behind a proxy, with a token", []string{"X-Forwarded-For", "192.0.2.1", "Authorization", "Bearer sba_alice"}, 200},
	} {
		if w := ask(o, "GET", "/admin/v1/version", "", c.headers...); w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		} else if c.status == 401 && w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: no challenge", c.name)
		}
	}
	// What a token did is written under its holder's name, whoever it says it is.
	if w := ask(o, "POST", "/admin/v1/budgets/release", `{"who":"mallory","why":"x","epoch":"`+strings.Repeat("0a", 16)+`"}`, "Authorization", "Bearer sba_alice"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := o.books.released[0]; !strings.Contains(got, " key-alice x") {
		t.Errorf("released by %s", got)
	}
	for path, method := range map[string]string{"apply": "GET", "keys": "PUT", "keys/x/revoke": "GET", "budgets": "POST", "sql": "GET", "version": "POST", "nothing": "GET"} {
		if w := ask(o, method, "/admin/v1/"+path, ""); w.Code != 405 && w.Code != 404 {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
}

func TestVersion(t *testing.T) {
	o := newOffice(t)
	applied(t, o)
	v, failure := do[adminapi.VersionResponse](t, o, "GET", "version", nil)
	if failure != nil || v.Version != "1.2.3" || v.RegistryVersion != o.registry.Snapshot().Version {
		t.Errorf("%+v %+v", v, failure)
	}
}
