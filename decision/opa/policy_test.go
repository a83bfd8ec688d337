package opa

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
)

// Each story is a folder, a change to an ordinary call, and what comes of it.
func TestVerdicts(t *testing.T) {
	stories := map[string]struct {
		folder map[string]string
		call   func(*decision.Facts)
		want   decision.Verdict // without Raw and Revision
	}{
		"the default policy routes": {
			want: decision.Verdict{Allow: true, AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"ptu", "paygo", "us"}},
		},
		"a model the app was not given": {
			call: func(f *decision.Facts) { f.App.Models = []string{"gpt-4o-mini"} },
			want: decision.Verdict{AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"ptu", "paygo", "us"},
				Reasons: []decision.Reason{{Code: decision.ModelNotAllowed, Message: `this app may not call model "gpt-4o"`}}},
		},
		"regions keep some deployments": {
			call: func(f *decision.Facts) { f.Tenant.Regions = []string{"us"} },
			want: decision.Verdict{Allow: true, AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"us"}},
		},
		"regions keep none": {
			call: func(f *decision.Facts) { f.Tenant.Regions = []string{"ch"} },
			want: decision.Verdict{AllowClamp: true, Capture: "none", Attempts: 1, Reasons: []decision.Reason{{Code: decision.Residency,
				Message: `no deployment of model "gpt-4o" is in a region open to this tenant: ch`}}},
		},
		"a reason of its own": {
			folder: custom(`deny contains {"code": "finance_freeze", "message": "finance stopped spending in March"} if input.principal.tenant == "acme"`),
			want: decision.Verdict{AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"ptu", "paygo", "us"},
				Reasons: []decision.Reason{{Code: decision.PolicyDenied, Message: "finance_freeze: finance stopped spending in March"}}},
		},
		"a reason of its own that says no more": {
			folder: custom(`deny contains {"code": "finance_freeze"} if input.principal.tenant == "acme"`),
			want: decision.Verdict{AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"ptu", "paygo", "us"},
				Reasons: []decision.Reason{{Code: decision.PolicyDenied, Message: "finance_freeze"}}},
		},
		"a code that only the ledger can speak": {
			folder: custom(`deny contains {"code": "budget_exhausted", "message": "no"}`),
			want: decision.Verdict{AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"ptu", "paygo", "us"},
				Reasons: []decision.Reason{{Code: decision.PolicyDenied, Message: "budget_exhausted: no"}}},
		},
		"a code of the closed set": {
			folder: custom(`deny contains {"code": "killed", "message": "stopped by ops"}`),
			want: decision.Verdict{AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"ptu", "paygo", "us"},
				Reasons: []decision.Reason{{Code: decision.Killed, Message: "stopped by ops"}}},
		},
		"everything that can be added": {
			folder: custom(`
refuse contains "ptu"
prefer contains "us"
max_output contains 900
max_output contains 300 if input.request.stream == false
attempts contains 2
attempts contains 3 if input.principal.app == "helpdesk"
no_clamp if input.principal.app == "helpdesk"
redact contains "email"
capture := "hash"
tags.reviewed := "yes"
tags[name] := value if { name := "team"; value := input.principal.team }`),
			want: decision.Verdict{Allow: true, Deployments: []string{"us", "paygo"}, MaxOutput: 300, Redact: []string{"email"},
				Capture: "hash", Attempts: 3, Tags: map[string]string{"reviewed": "yes", "team": "support"}},
		},
		"a data file beside the rules": {
			folder: map[string]string{
				"custom.rego":       "package signalbox.decision.custom\n\ndeny contains {\"code\": \"banned\", \"message\": r} if r := data.teams.banned[input.principal.team]\n",
				"teams/data.json":   `{"banned": {"support": "see ticket 12"}}`,
				"custom_test.rego":  "package whatever\n\ntest_it if http.send({})",
				"README.md":         "not policy",
				".hidden/more.rego": "package broken {",
			},
			want: decision.Verdict{AllowClamp: true, Capture: "none", Attempts: 1, Deployments: []string{"ptu", "paygo", "us"},
				Reasons: []decision.Reason{{Code: decision.PolicyDenied, Message: "banned: see ticket 12"}}},
		},
		"a folder that replaces the default": {
			folder: replacing(`verdict := {"allow": true, "deployments": ["us"]} if input.principal.tenant == "acme"`),
			want:   decision.Verdict{Allow: true, Capture: "none", Attempts: 1, Deployments: []string{"us"}},
		},
		"a replacement made of parts": {
			folder: replacing("verdict.allow := false\n\nverdict.reasons := deny\n\ndeny contains {\"code\": c} if some c in [\"b\", \"a\"]"),
			want: decision.Verdict{Capture: "none", Attempts: 1, Reasons: []decision.Reason{
				{Code: decision.PolicyDenied, Message: "a"}, {Code: decision.PolicyDenied, Message: "b"}}},
		},
		"a denial without a reason": {
			folder: replacing(`verdict := {"allow": false}`),
			want:   decision.Verdict{Capture: "none", Attempts: 1, Reasons: []decision.Reason{{Code: decision.PolicyDenied, Message: "denied by policy"}}},
		},
		"another model, with its own deployments": {
			folder: replacing(`verdict := {"allow": true, "model": "gpt-4o-mini", "deployments": ["mini"]}`),
			want:   decision.Verdict{Allow: true, Capture: "none", Attempts: 1, Model: "gpt-4o-mini", Deployments: []string{"mini"}},
		},
		"nothing was offered": {
			call: func(f *decision.Facts) { f.Deployments = nil },
			want: decision.Verdict{Allow: true, AllowClamp: true, Capture: "none", Attempts: 1},
		},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			p := loaded(t, story.folder)
			call := aCall()
			if story.call != nil {
				story.call(call)
			}
			for _, which := range []string{"evaluated", "remembered"} {
				got, err := p.Evaluate(context.Background(), call)
				if err != nil {
					t.Fatal(err)
				}
				if got.Revision != p.Revision() || len(got.Raw) == 0 {
					t.Errorf("%s: revision %q, raw %q", which, got.Revision, got.Raw)
				}
				got.Revision, got.Raw = "", nil
				if !reflect.DeepEqual(got, story.want) {
					t.Errorf("%s:\n got %+v\nwant %+v", which, got, story.want)
				}
			}
			if s := p.Status(); s.Hits != 1 || s.Misses != 1 || s.Remembered != 1 {
				t.Errorf("the second was not remembered: %+v", s)
			}
		})
	}
}

// What a policy cannot say properly is an error, and the pipeline denies on one.
func TestWhatDoesNotComeOutIsAnError(t *testing.T) {
	stories := map[string]struct {
		folder map[string]string
		want   string
	}{
		"a function that fails":                   {custom(`deny contains {"code": "x"} if to_number(input.principal.tenant) > 3`), "to_number"},
		"a function that fails inside not":        {custom(`deny contains {"code": "x"} if not to_number(input.principal.tenant)`), "to_number"},
		"a function that fails in an else":        {custom("capture := \"none\" if {\n\tfalse\n} else := \"hash\" if {\n\tto_number(input.gateway) == 1\n}"), "to_number"},
		"two values for one rule":                 {custom("capture := \"hash\" if input.principal.tenant == \"acme\"\n\ncapture := \"full\" if input.principal.app == \"helpdesk\""), "conflict"},
		"no verdict":                              {replacing(`verdict := {"allow": true} if input.principal.tenant == "other"`), "data.signalbox.decision.verdict is undefined"},
		"not an object":                           {replacing(`verdict := true`), "verdict: want an object, got boolean"},
		"a field that does not exist":             {replacing(`verdict := {"allow": false, "reason": "no"}`), "verdict.reason: is no field"},
		"a field without a value":                 {replacing(`verdict := {"deployments": []}`), "verdict.allow: is missing"},
		"a word for a truth":                      {replacing(`verdict := {"allow": "yes"}`), "verdict.allow: want true or false, got string"},
		"a deployment that is not offered":        {replacing(`verdict := {"allow": true, "deployments": ["ptu", "elsewhere"]}`), `verdict.deployments[1]: names deployment "elsewhere", which does not serve model "gpt-4o"`},
		"a deployment twice":                      {replacing(`verdict := {"allow": true, "deployments": ["ptu", "ptu"]}`), "verdict.deployments[1]: names \"ptu\" a second time"},
		"deployments without order":               {replacing(`verdict := {"allow": true, "deployments": {"ptu", "us"}}`), "verdict.deployments: is a set"},
		"no deployment":                           {replacing(`verdict := {"allow": true}`), "verdict.deployments: allow is true, and none"},
		"another model without deployments":       {replacing(`verdict := {"allow": true, "model": "mini"}`), "verdict.deployments: model \"mini\""},
		"allowed, and yet a reason":               {replacing(`verdict := {"allow": true, "deployments": ["ptu"], "reasons": [{"code": "x"}]}`), "verdict.reasons: allow is true"},
		"a reason that is text":                   {custom(`deny contains "no"`), "verdict.reasons[0]: want an object, got string"},
		"a reason without a code":                 {custom(`deny contains {"message": "no"}`), "verdict.reasons[0].code: is missing"},
		"a reason with a misspelt field":          {custom(`deny contains {"code": "x", "mesage": "no"}`), "verdict.reasons[0].mesage: is no field"},
		"a code that is a sentence":               {custom(`deny contains {"code": "No way"}`), "verdict.reasons[0].code: \"No way\" is no code"},
		"half a token":                            {custom(`max_output contains 1.5`), "verdict.max_output: want a whole number"},
		"fewer tokens than none":                  {custom(`max_output contains -1`), "verdict.max_output: want a whole number"},
		"more tokens than can be counted":         {custom(`max_output contains 1e30`), "verdict.max_output: want a whole number"},
		"no try at all":                           {replacing(`verdict := {"allow": false, "attempts": 0}`), "verdict.attempts: want a whole number from 1 to 3, got 0"},
		"more tries than are sensible":            {custom(`attempts contains 4`), "verdict.attempts: want a whole number from 1 to 3, got 4"},
		"a capture that does not exist":           {custom(`capture := "all"`), `verdict.capture: "all" is none of`},
		"a tag that is a number":                  {custom(`tags.cost := 5`), `verdict.tags["cost"]: want a string, got number`},
		"a message without end":                   {custom(`deny contains {"code": "x", "message": concat("", [s | some _ in numbers.range(1, 5000); s := "no"])}`), "verdict.reasons[0].message: has 10000 characters"},
		"reasons without end":                     {custom(`deny contains {"code": sprintf("x%d", [n])} if some n in numbers.range(1, 5000)`), "verdict.reasons: has 5000 elements"},
		"much of everything":                      {custom(`deny contains {"code": sprintf("x%d", [n]), "message": m} if { some n in numbers.range(1, 32); m := concat("", ["\u0001" | some _ in numbers.range(1, 1024)]) }`), "verdict: has "},
		"a name that is not text":                 {replacing(`verdict := {"allow": false, 1: 2}`), "verdict: want names that are strings, got number"},
		"an error names the rule's file and line": {custom(`deny contains {"code": "x"} if 1 / count(input.principal.agent) == 1`), "custom.rego:3: eval_builtin_error: div: divide by zero"},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			p := loaded(t, story.folder)
			for range 2 { // an error is not remembered as something else
				got, err := p.Evaluate(context.Background(), aCall())
				if err == nil || !strings.Contains(err.Error(), story.want) {
					t.Fatalf("got %+v, error %v; want an error that says %q", got, err, story.want)
				}
				if !reflect.DeepEqual(got, decision.Verdict{Revision: p.Revision()}) {
					t.Errorf("an error came with the verdict %+v", got)
				}
			}
		})
	}
}

// A replacement often begins as a copy of the default, and decides the same.
func TestACopyOfTheDefaultPolicy(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(bundleDir, "verdict.rego"))
	if err != nil {
		t.Fatal(err)
	}
	p := loaded(t, map[string]string{"verdict.rego": string(text)})
	got, err := p.Evaluate(context.Background(), aCall())
	if err != nil || !slices.Equal(got.Deployments, []string{"ptu", "paygo", "us"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAWithdrawnQuestionIsNotAnswered(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := loaded(t, nil).Evaluate(ctx, aCall()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// endless rules take longer than anyone waits, and are pure all the same.
var endless = custom(`deny contains {"code": "x"} if {
	some a in numbers.range(1, 100000)
	some b in numbers.range(1, 100000)
	a * b < 0
}`)

func TestAPolicyThatTakesTooLongIsStopped(t *testing.T) {
	cfg := config(folder(t, endless))
	cfg.Timeout = 20 * time.Millisecond
	p, err := Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Evaluate(context.Background(), aCall()); err == nil || !strings.Contains(err.Error(), "stopped after 20ms") {
		t.Fatalf("got %v", err)
	}
}

func TestACallerWhoLeavesStopsThePolicy(t *testing.T) {
	cfg := config(folder(t, endless))
	cfg.Timeout = time.Hour
	p, err := Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Evaluate(ctx, aCall()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestTheRevisionNamesTheContent(t *testing.T) {
	alone := loaded(t, nil).Revision()
	one := loaded(t, custom(`capture := "hash"`)).Revision()
	other := loaded(t, custom(`capture := "full"`)).Revision()
	if alone == one || one == other || len(one) != 12 {
		t.Errorf("revisions %q, %q, %q", alone, one, other)
	}
	if again := loaded(t, custom(`capture := "hash"`)).Revision(); again != one {
		t.Errorf("the same content is %q and %q", one, again)
	}
	files := custom(`capture := "hash"`)
	files["custom_test.rego"] = "package x\n"
	if tested := loaded(t, files).Revision(); tested != one {
		t.Errorf("a test changed the revision from %q to %q", one, tested)
	}
	files[".manifest"] = `{"revision": "v7"}`
	if numbered := loaded(t, files).Revision(); !strings.HasPrefix(numbered, "v7@") || len(numbered) != len("v7@")+12 {
		t.Errorf("a numbered folder is %q", numbered)
	}
}
