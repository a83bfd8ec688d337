package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// service answers one request after another with what a test wrote down, and
// keeps what it was asked.
type service struct {
	*httptest.Server
	replies []reply
	asked   []sentRequest
}

type reply struct {
	status int
	body   string
}

type sentRequest struct {
	Line   string // method and path with its query
	Token  string
	Header http.Header
	Body   map[string]any
}

func newService(t *testing.T, replies ...reply) *service {
	t.Helper()
	s := &service{replies: replies}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a := sentRequest{Line: r.Method + " " + r.URL.String(), Token: r.Header.Get("Authorization"), Header: r.Header}
		_ = json.Unmarshal(body, &a.Body)
		s.asked = append(s.asked, a)
		if len(s.asked) > len(s.replies) {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		next := s.replies[len(s.asked)-1]
		w.WriteHeader(next.status)
		_, _ = io.WriteString(w, next.body)
	}))
	t.Cleanup(s.Close)
	t.Setenv("SIGNALBOX_URL", s.URL)
	t.Setenv("SIGNALBOX_TOKEN", "sba_test")
	return s
}

// typed is what somebody typed and what came of it.
type typed struct {
	exit           int
	stdout, stderr string
}

// typeIn runs a command as the shell would. stdin "" is no terminal.
func typeIn(stdin string, args ...string) typed {
	var stdout, stderr bytes.Buffer
	exit := run(context.Background(), args, strings.NewReader(stdin), &stdout, &stderr)
	return typed{exit, stdout.String(), stderr.String()}
}

// atTerminal runs one client command with somebody there to answer.
func atTerminal(t *testing.T, s *service, answer string, command func(g *globals) *cobra.Command, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, complaints bytes.Buffer
	g := &globals{URL: s.URL, Output: "table", Stdin: strings.NewReader(answer), Stdout: &out, Stderr: &complaints, Terminal: true}
	cmd := command(g)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(t.Context())
	return out.String(), complaints.String(), err
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const diffJSON = `{"base":3,"version":4,"unchanged":7,"changes":[
	{"op":"added","kind":"app","tenant":"acme","name":"helpdesk","fields":[{"field":"team","from":"","to":"support"}]},
	{"op":"changed","kind":"budget","tenant":"acme","name":"month","fields":[{"field":"amount","from":"5000","to":"4000"}]},
	{"op":"removed","kind":"tenant","name":"beta","consequences":["2 keys are revoked"],"asks":true}],"warnings":["late"]}`

func TestApplyPrintsTheDifference(t *testing.T) {
	s := newService(t, reply{200, `{"applied":true,"diff":` + diffJSON + `}`})
	got := typeIn("", "apply", "-f", file(t, "r.yaml", "tenants: []"), "--yes", "--prune", "--why", "moved")
	want := typed{0, ` + app acme/helpdesk
 ~ budget acme/month
      amount: 5000 → 4000
!- tenant beta
      ! 2 keys are revoked
1 added, 1 changed, 1 removed, 7 unchanged, registry version 4
`, "warning: late\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(typed{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	sent := s.asked[0]
	if sent.Line != "POST /admin/v1/apply" || sent.Token != "Bearer sba_test" || sent.Body["confirm"] != true || sent.Body["prune"] != true || sent.Body["why"] != "moved" {
		t.Errorf("sent %+v", sent)
	}
}

// --exit-code is 1 for a difference, and for scripts only: what is printed is
// the same.
func TestApplyExitCode(t *testing.T) {
	newService(t, reply{200, `{"applied":false,"diff":` + diffJSON + `}`}, reply{200, `{"applied":false,"diff":{"base":3,"changes":[],"unchanged":9}}`})
	path := file(t, "r.yaml", "x")
	if got := typeIn("", "apply", "-f", path, "--dry-run", "--exit-code"); got.exit != 1 || !strings.Contains(got.stdout, "(dry run: nothing was written)") {
		t.Errorf("a difference: %+v", got)
	}
	if got := typeIn("", "apply", "-f", path, "--dry-run", "--exit-code"); got.exit != 0 || got.stdout != "0 added, 0 changed, 0 removed, 9 unchanged (dry run: nothing was written)\n" {
		t.Errorf("no difference: %+v", got)
	}
}

func TestApplyPrintsProblemsWhereEditorsFindThem(t *testing.T) {
	newService(t, reply{422, `{"error":{"code":"registry_invalid","message":"nothing was changed","problems":[
		{"file":"r.yaml","line":3,"column":7,"what":"unknown team \"x\"","want":"declare it under teams"},{"file":"r.yaml","line":9,"column":1,"what":"no\u001b[2Jtricks"}]}}`})
	got := typeIn("", "apply", "-f", file(t, "r.yaml", "x"))
	want := "r.yaml:3:7: unknown team \"x\"; declare it under teams\nr.yaml:9:1: no [2Jtricks\nsignalbox: nothing was changed\n"
	if got.exit != 1 || got.stderr != want {
		t.Errorf("%+v", got)
	}
}

// What removes or resets is asked about at a terminal, and the yes is for the
// difference that was shown; without a terminal it needs --yes.
func TestApplyAsks(t *testing.T) {
	wants := reply{409, `{"error":{"code":"confirmation_needed","message":"look"},"diff":` + diffJSON + `}`}
	path := file(t, "r.yaml", "x")

	s := newService(t, wants, reply{200, `{"applied":true,"diff":` + diffJSON + `}`})
	if _, stderr, err := atTerminal(t, s, "y\n", newApplyCmd, "-f", path); err != nil || !strings.Contains(stderr, "!- tenant beta") {
		t.Errorf("yes: %v %s", err, stderr)
	}
	if second := s.asked[1].Body; second["confirm"] != true || second["if_version"] != 3.0 {
		t.Errorf("confirmed with %v", second)
	}
	s = newService(t, wants)
	if _, _, err := atTerminal(t, s, "\n", newApplyCmd, "-f", path); err == nil || err.Error() != "nothing was changed" || len(s.asked) != 1 {
		t.Errorf("no: %v", err)
	}
	s = newService(t, wants)
	if got := typeIn("", "apply", "-f", path); got.exit != 1 || !strings.Contains(got.stderr, "give --yes") || len(s.asked) != 1 {
		t.Errorf("nobody there: %+v", got)
	}
}

func TestApplyReadsFolders(t *testing.T) {
	s := newService(t, reply{200, `{"applied":true,"diff":{"changes":[]}}`}, reply{200, `{"applied":true,"diff":{"changes":[]}}`})
	dir := t.TempDir()
	for name, content := range map[string]string{"b.yml": "2", "a.yaml": "1", "notes.txt": "no", ".hidden.yaml": "no", "sub/c.yaml": "3", ".git/d.yaml": "no"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := typeIn("", "apply", "-f", dir); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	var contents []string
	for _, f := range s.asked[0].Body["files"].([]any) {
		contents = append(contents, f.(map[string]any)["content"].(string))
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, contents); diff != "" {
		t.Error(diff)
	}
	if got := typeIn("from stdin", "apply", "-f", "-"); got.exit != 0 || s.asked[1].Body["files"].([]any)[0].(map[string]any)["content"] != "from stdin" {
		t.Errorf("stdin: %+v", got)
	}
	if got := typeIn("", "apply", "-f", filepath.Join(dir, "none.yaml")); got.exit != 1 {
		t.Errorf("no file: %+v", got)
	}
	if got := typeIn("", "apply", "-f", t.TempDir()); got.exit != 1 {
		t.Errorf("an empty folder: %+v", got)
	}
}

const keyJSON = `{"id":"key-1","kind":"app","app":"acme/helpdesk","prefix":"sbx_ab","state":"active","created_at":"2026-03-01T00:00:00Z","expires_at":"2026-06-01T00:00:00Z"}`

// A key is printed alone, so that it can be piped, and once.
func TestKeys(t *testing.T) {
	s := newService(t,
		reply{200, `{"key":` + keyJSON + `,"secret":"sbx_secret"}`},
		reply{200, `{"keys":[` + keyJSON + `,{"id":"key-2","kind":"gateway","gateway":"edge-1","prefix":"sbg_","state":"revoked"},{"id":"key-3","kind":"admin","prefix":"sba_","state":"active"}]}`},
		reply{200, `{"key":` + keyJSON + `,"secret":"sbx_next"}`},
		reply{200, `{"key":` + keyJSON + `}`})
	made := typeIn("", "keys", "create", "--app", "acme/helpdesk", "--expires", "90d")
	if made.exit != 0 || made.stdout != "sbx_secret\n" || made.stderr != "key key-1, expires 2026-06-01 00:00:00Z; it is shown this once, keep it now:\n" {
		t.Errorf("create: %+v", made)
	}
	list := typeIn("", "keys", "list")
	want := `ID     APP             PREFIX  STATE    EXPIRES_AT
key-1  acme/helpdesk   sbx_ab  active   2026-06-01 00:00:00Z
key-2  gateway edge-1  sbg_    revoked  never
key-3  (admin)         sba_    active   never
`
	if list.exit != 0 || list.stdout != want {
		t.Errorf("list:\n%s", cmp.Diff(want, list.stdout))
	}
	if got := typeIn("", "keys", "rotate", "key-1", "--overlap", "24h"); got.exit != 0 || got.stdout != "sbx_next\n" {
		t.Errorf("rotate: %+v", got)
	}
	if got := typeIn("", "keys", "revoke", "key-1", "--yes", "--why", "leaked"); got.exit != 0 || got.stdout != "key key-1 is revoked\n" {
		t.Errorf("revoke: %+v", got)
	}
	var lines []string
	for _, a := range s.asked {
		lines = append(lines, a.Line)
	}
	if diff := cmp.Diff([]string{"POST /admin/v1/keys", "GET /admin/v1/keys", "POST /admin/v1/keys/key-1/rotate", "POST /admin/v1/keys/key-1/revoke"}, lines); diff != "" {
		t.Error(diff)
	}
	if s.asked[0].Body["expires"] != "90d" || s.asked[2].Body["overlap"] != "1d" || s.asked[3].Body["why"] != "leaked" {
		t.Errorf("sent %+v", s.asked)
	}
}

const budgetJSON = `{"budget":"session-cap","tenant":"acme","per":{"session":"s\n42"},"unit":"usd","limit":"2.5","spent":"0.000000001","held":"0","left":"2.499999999","window":"total","mode":"enforce"}`

func TestBudgets(t *testing.T) {
	s := newService(t,
		reply{200, `{"budgets":[` + budgetJSON + `,{"budget":"cap","per":{},"unit":"tokens","limit":"1","adjusted":"5","spent":"0","held":"0","left":"6","resets_at":"2026-04-01T00:00:00Z"}],"truncated":true}`},
		reply{200, `{"budgets":[` + budgetJSON + `]}`}, reply{200, `{"budget":` + budgetJSON + `}`}, reply{200, `{"epoch":"0a"}`})
	got := typeIn("", "budgets", "--match", "tenant=acme", "--match", "session=s 42")
	want := `BUDGET       TENANT  PER           UNIT    LIMIT  SPENT        HELD  LEFT         RESETS_AT
session-cap  acme    session=s 42  usd     2.5    0.000000001  0     2.499999999  never
cap          (all)   -             tokens  1 +5   0            0     6            2026-04-01 00:00:00Z
`
	if got.exit != 0 || got.stdout != want || !strings.Contains(got.stderr, "--match") {
		t.Errorf("%s%s", got.stderr, cmp.Diff(want, got.stdout))
	}
	var parsed []adminapi.Budget
	if got := typeIn("", "budgets", "-o", "json"); got.exit != 0 || json.Unmarshal([]byte(got.stdout), &parsed) != nil || parsed[0].Spent != "0.000000001" {
		t.Errorf("json: %+v", got)
	}
	if got := typeIn("", "budgets", "adjust", "acme/session-cap", "--per", "session=s-42", "--add", "50", "--why", "launch"); got.exit != 0 || !strings.Contains(got.stdout, "session-cap") {
		t.Errorf("adjust: %+v", got)
	}
	if got := typeIn("", "budgets", "release", "0a", "--why", "burnt", "--yes"); got.exit != 0 {
		t.Errorf("release: %+v", got)
	}
	if s.asked[0].Line != "GET /admin/v1/budgets?match=tenant%3Dacme&match=session%3Ds+42" {
		t.Errorf("asked %s", s.asked[0].Line)
	}
	if b := s.asked[2].Body; b["tenant"] != "acme" || b["budget"] != "session-cap" || b["add"] != "50" || b["per"].(map[string]any)["session"] != "s-42" {
		t.Errorf("sent %v", b)
	}
}

// decide asks as a gateway does: with the caller's key, and a gateway's token.
func TestDecide(t *testing.T) {
	allowed := `{"decision_id":"d-1","call_id":"","action":"allow","changes":["defaulted"],"deployments":[{"name":"paygo","scheme":"https","host":"api.openai.com","path":"/v1/chat/completions","upstream_model":"gpt-4o"}],"reasons":[],"hold":{"usd":"0.01","tokens":7,"max_output_tokens":5,"expires_at":"2026-03-01T00:00:00Z"},"policy_revision":"p","registry_version":17}`
	denied := `{"decision_id":"d-2","action":"deny","changes":[],"deployments":[],"response":{"status":429,"headers":{"retry-after":"17"},"body":"{}"},"reasons":[{"code":"rate_limited","message":"slow\ndown"}],"policy_revision":"p","registry_version":17}`
	s := newService(t, reply{200, allowed}, reply{200, denied}, reply{200, denied}, reply{409, `{"error":{"code":"call_conflict","message":"used before","where":"call_id"}}`})
	t.Setenv("SIGNALBOX_TOKEN", "sbg_edge")
	t.Setenv("SIGNALBOX_KEY", "sbx_key")
	got := typeIn(`{"model":"gpt-4o"}`, "decide", "-f", "-", "-H", "X-Signalbox-User: alice", "--call-id", "c-1")
	want := `FIELD       VALUE
decision    d-1
action      allow
changes     defaulted
deployment  paygo (https://api.openai.com/v1/chat/completions as gpt-4o)
held        0.01 usd, 7 tokens, at most 5 of output, until 2026-03-01 00:00:00Z
policy      p
registry    17
`
	if got.exit != 0 || got.stdout != want {
		t.Errorf("%s%s", got.stderr, cmp.Diff(want, got.stdout))
	}
	sent := s.asked[0]
	request := sent.Body["request"].(map[string]any)
	wantHeaders := map[string]any{"authorization": "Bearer sbx_key", "x-signalbox-user": "alice"}
	if diff := cmp.Diff(wantHeaders, request["headers"]); diff != "" || request["body"] != `{"model":"gpt-4o"}` || sent.Body["call_id"] != "c-1" || sent.Token != "" || sent.Header.Get("X-Signalbox-Gateway-Token") != "sbg_edge" {
		t.Errorf("sent %+v %s", sent, diff)
	}
	if got := typeIn("", "decide"); got.exit != 1 || !strings.Contains(got.stdout, "retry after  17") || got.stderr != "signalbox: refused: rate_limited: slow down\n" {
		t.Errorf("denied: %+v", got)
	}
	if got := typeIn("\xff", "decide", "-f", "-", "-o", "json"); got.exit != 1 || !json.Valid([]byte(got.stdout)) || s.asked[2].Body["request"].(map[string]any)["body_base64"] != "/w==" {
		t.Errorf("json: %+v", got)
	}
	if got := typeIn("", "decide"); got.exit != 1 || got.stderr != "signalbox: call_id: used before\n" {
		t.Errorf("conflict: %+v", got)
	}
}

const rowsJSON = `{"columns":[{"name":"team","type":"String"},{"name":"n","type":"Int64"},{"name":"n","type":"Array(Int64)"}]}
{"row":["a<b","9007199254740993",["1"]]}
{"row":[null,"2",[]]}
{"rows":2}
`

func TestSQL(t *testing.T) {
	s := newService(t, reply{200, rowsJSON}, reply{200, rowsJSON}, reply{200, `{"columns":[{"name":"a","type":"Int8"}]}` + "\n" + `{"rows":0}`},
		reply{200, `{}` + "\n" + `{"rows":0}`}, // an older service, whose engine names no columns where there are no rows
		reply{200, rowsJSON[:len(rowsJSON)-12]}, reply{422, `{"error":{"code":"query_failed","message":"Code: 62"}}`})
	if got := typeIn("", "sql", "SELECT 1"); got.exit != 0 || got.stdout != "team  n                 n\na<b   9007199254740993  [\"1\"]\nNULL  2                 []\n" {
		t.Errorf("table: %+v", got)
	}
	if got := typeIn("SELECT 2", "sql", "-", "-o", "json"); got.exit != 0 || got.stdout != "[\n"+`{"team":"a<b","n":"9007199254740993","n_2":["1"]},`+"\n"+`{"team":null,"n":"2","n_2":[]}`+"]\n" || s.asked[1].Body["query"] != "SELECT 2" {
		t.Errorf("json: %+v", got)
	}
	if got := typeIn("", "sql", "-o", "json", "SELECT 1 WHERE 0"); got.exit != 0 || got.stdout != "[]\n" {
		t.Errorf("no rows: %+v", got)
	}
	if got := typeIn("", "sql", "-o", "json", "SELECT 1 WHERE 0"); got.exit != 0 || got.stdout != "[]\n" {
		t.Errorf("no rows and no columns: %+v", got)
	}
	if got := typeIn("", "sql", "SELECT 1"); got.exit != 1 || !strings.Contains(got.stderr, "cut short") || !strings.Contains(got.stdout, "a<b") {
		t.Errorf("cut short: %+v", got)
	}
	if got := typeIn("", "sql", "SELEC"); got.exit != 1 || got.stderr != "signalbox: Code: 62\n" {
		t.Errorf("an error: %+v", got)
	}
}

// Mistakes of typing are exit 2 and say what to do; nothing is sent.
func TestWrongUsage(t *testing.T) {
	s := newService(t)
	for _, line := range []string{
		"apply", "apply -f x extra", "apply --file", "apply -f x --frobnicate", "keys create", "keys create --admin --gateway edge-1",
		"keys create --admin --expires soon", "keys create --admin --expires 5w", "keys revoke", "keys revoke key-1", "keys rotate key-1", "keys frobnicate",
		"budgets --match tenant", "budgets adjust", "budgets adjust month --add 5", "budgets adjust month --why x", "budgets adjust month --add 5 --why x --per s",
		"budgets release", "budgets release 0a", "budgets release 0a --why x", "sql", "sql a b", "decide extra", "decide -H nocolon",
		"version extra", "version -o yaml", "keys list -o csv", "keys list --url ftp://x", "keys list --url nonsense", "frobnicate",
	} {
		got := typeIn("", strings.Fields(line)...)
		if got.exit != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, "signalbox: ") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if len(s.asked) != 0 {
		t.Errorf("asked %+v", s.asked)
	}
}

// A service that is not there, is something else, or does not let us in.
func TestTroubleWithTheService(t *testing.T) {
	s := newService(t, reply{200, "<html>"}, reply{502, "<html>"}, reply{401, `{"error":{"code":"operator_unknown","message":"unknown token"}}`})
	if got := typeIn("", "keys", "list"); got.exit != 1 || !strings.Contains(got.stderr, "is it Signalbox") {
		t.Errorf("another program: %+v", got)
	}
	if got := typeIn("", "keys", "list"); got.exit != 1 || !strings.Contains(got.stderr, "502 Bad Gateway") {
		t.Errorf("a proxy: %+v", got)
	}
	t.Setenv("SIGNALBOX_TOKEN", "")
	if got := typeIn("", "keys", "list"); got.exit != 1 || got.stderr != "signalbox: unknown token; SIGNALBOX_TOKEN is not set\n" {
		t.Errorf("not let in: %+v", got)
	}
	s.Close()
	if got := typeIn("", "keys", "list"); got.exit != 1 || !strings.Contains(got.stderr, "signalbox serve") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("nobody there: %+v", got)
	}
}

// Every command explains itself with an example.
func TestHelp(t *testing.T) {
	g := &globals{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no summary", c.CommandPath())
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	for _, c := range []*cobra.Command{newApplyCmd(g), newKeysCmd(g), newBudgetsCmd(g), newDecideCmd(g), newSQLCmd(g), newVersionCmd(g)} {
		walk(c)
	}
	if got := typeIn("", "keys", "create", "--help"); got.exit != 0 || !strings.Contains(got.stdout, "signalbox keys create --app acme/helpdesk") {
		t.Errorf("%+v", got)
	}
}

func TestVersion(t *testing.T) {
	got := typeIn("", "version", "-o", "json")
	var build buildInfo
	if err := json.Unmarshal([]byte(got.stdout), &build); err != nil || got.exit != 0 || build.Version == "" || build.Go == "" {
		t.Errorf("%+v %v", got, err)
	}
	if got := typeIn("", "version"); got.exit != 0 || !strings.HasPrefix(got.stdout, "signalbox ") {
		t.Errorf("%+v", got)
	}
}
