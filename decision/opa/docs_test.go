package opa

import (
	"context"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision"
)

const page = "../../docs/write-a-policy.md"

var block = regexp.MustCompile("(?s)```(rego|json)\n(.*?)```")

// blocks are the page's Rego files by their names; the JSON is the agents' list.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		if found[1] == "json" {
			files["agents/data.json"] = found[2]
			continue
		}
		first, _, _ := strings.Cut(found[2], "\n")
		name, ok := strings.CutPrefix(first, "# policies/")
		if !ok {
			t.Fatalf("a block does not begin with its file's name: %s", found[2])
		}
		files[name] = found[2]
	}
	return files
}

// What the page says its rules do is what they do.
func TestThePageOnWritingPolicies(t *testing.T) {
	stories := []struct {
		file string
		call func(*decision.Facts)
		want func(decision.Verdict) bool
	}{
		{"freeze.rego", func(f *decision.Facts) { f.Principal.Team = "marketing" }, func(v decision.Verdict) bool {
			return !v.Allow && v.Reasons[0] == decision.Reason{Code: decision.PolicyDenied, Message: "finance_freeze: spending is frozen until April"}
		}},
		{"freeze.rego", func(*decision.Facts) {}, allowed},
		{"agents.rego", func(f *decision.Facts) { f.Principal.Agent = "triage" }, func(v decision.Verdict) bool {
			return !v.Allow && v.Reasons[0].Message == `agent_not_listed: agent "triage" is not listed for model "gpt-4o"`
		}},
		{"agents.rego", func(f *decision.Facts) { f.Principal.Agent = "stranger" }, func(v decision.Verdict) bool { return !v.Allow }},
		{"agents.rego", func(f *decision.Facts) { f.Principal.Agent = "researcher" }, allowed},
		{"agents.rego", func(*decision.Facts) {}, allowed},
		{"places.rego", func(f *decision.Facts) { f.Deployments[2].Region = "sweden" }, first("us")},
		{"places.rego", func(f *decision.Facts) {
			f.Deployments[2].Region = "sweden"
			f.Principal.Tags = map[string]string{"data_class": "confidential"}
		}, func(v decision.Verdict) bool { return v.Allow && !slices.Contains(v.Deployments, "us") }},
		{"places.rego", func(f *decision.Facts) {
			f.Deployments[2].Region = "sweden"
			f.Tenant.Regions = []string{"eu"}
		}, first("ptu")},
		{"limits.rego", func(f *decision.Facts) {
			f.Principal.Tags = map[string]string{"env": "dev"}
			f.Principal.Agent = "triage"
		}, func(v decision.Verdict) bool { return v.MaxOutput == 1024 && v.AllowClamp }},
		{"limits.rego", func(f *decision.Facts) { f.Principal.App = "contracts" }, func(v decision.Verdict) bool { return v.Allow && !v.AllowClamp }},
		{"redact.rego", found("email", 100), func(v decision.Verdict) bool { return v.Allow && slices.Equal(v.Redact, []string{"email"}) }},
		{"redact.rego", found("name", 101), allowed},
		{"redact.rego", func(f *decision.Facts) { f.Principal.Team = "billing" }, func(v decision.Verdict) bool { return v.Allow && len(v.Redact) == 0 }},
		{"redact.rego", found("email", 101), func(v decision.Verdict) bool {
			return !v.Allow && v.Reasons[0] == decision.Reason{Code: decision.GuardPII, Message: "the prompt holds 101 e-mail addresses"}
		}},
		{"tries.rego", func(*decision.Facts) {}, func(v decision.Verdict) bool { return v.Attempts == 2 }},
		{"tries.rego", func(f *decision.Facts) { f.Principal.Tags = nil }, func(v decision.Verdict) bool { return v.Attempts == 1 }},
		{"records.rego", func(*decision.Facts) {}, func(v decision.Verdict) bool { return v.Capture == "hash" && v.Tags["size"] == "small" }},
		{"verdict.rego", func(*decision.Facts) {}, func(v decision.Verdict) bool {
			return !v.Allow && v.Reasons[0].Message == "not_in_switzerland"
		}},
		{"verdict.rego", func(f *decision.Facts) { f.Deployments[0].Region = "ch" }, first("paygo")},
	}
	all := blocks(t)
	told := map[string]bool{}
	for _, story := range stories {
		files := map[string]string{story.file: all[story.file]}
		if story.file == "agents.rego" {
			files["agents/data.json"] = all["agents/data.json"]
		}
		call := aCall()
		story.call(call)
		v, err := loaded(t, files).Evaluate(context.Background(), call)
		if err != nil || !story.want(v) {
			t.Errorf("%s: got %+v, %v", story.file, v, err)
		}
		told[story.file] = true
	}
	for name := range all {
		if strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego") && !told[name] {
			t.Errorf("nothing says what %s does", name)
		}
	}
}

func found(kind string, count int) func(*decision.Facts) {
	return func(f *decision.Facts) { f.Findings = []decision.FindingFacts{{Kind: kind, Count: count}} }
}

func allowed(v decision.Verdict) bool { return v.Allow }

func first(name string) func(decision.Verdict) bool {
	return func(v decision.Verdict) bool { return v.Allow && v.Deployments[0] == name }
}

// The page's files stand beside each other, its tests pass, and `opa check` as
// the page spells it has nothing to say.
func TestThePagesFilesTogether(t *testing.T) {
	files := blocks(t)
	delete(files, "verdict.rego") // it replaces what the others add to
	dir := folder(t, files)
	if _, err := Load(context.Background(), config(dir)); err != nil {
		t.Error(err)
	}
	if n := regoTests(t, dir); n != 1 {
		t.Errorf("%d tests ran", n)
	}
	if n := regoTests(t, dir, bundleDir); n < 10 {
		t.Errorf("%d tests ran with the default policy", n)
	}
	if err := check(t, dir); err != nil {
		t.Error(err)
	}
}

// Files that the page links to are there.
func TestThePagesLinks(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`\]\((\.\./[^)]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(path.Join(path.Dir(page), found[1])); err != nil {
			t.Error(err)
		}
	}
}
