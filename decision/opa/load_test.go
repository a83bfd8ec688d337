package opa

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// What is refused at load, and the sentence that says where and why. The file is
// named as the operator can open it.
func TestRefusedAtLoad(t *testing.T) {
	stories := map[string]struct {
		folder map[string]string
		want   []string
	}{
		"the network":                    {custom(`deny contains {"code": "x"} if http.send({"method": "get", "url": "http://x"}).status_code == 200`), []string{"custom.rego:3: http.send is not open to policies: it asks another service"}},
		"chance":                         {custom(`deny contains {"code": "x"} if rand.intn("x", 2) == 1`), []string{"custom.rego:3: rand.intn is not open to policies: its result differs"}},
		"the clock":                      {custom(`deny contains {"code": "x"} if time.now_ns() > 1`), []string{"custom.rego:3: time.now_ns is not open", "input.time.hour"}},
		"the machine's zones":            {custom(`deny contains {"code": "x"} if time.clock([1, "Europe/Berlin"])[0] > 8`), []string{"time.clock is not open", "input.time.hour"}},
		"the environment":                {custom(`deny contains {"code": "x"} if opa.runtime().env.A == "b"`), []string{"opa.runtime is not open", "environment"}},
		"the name service":               {custom(`deny contains {"code": "x"} if count(net.lookup_ip_addr("x")) > 0`), []string{"net.lookup_ip_addr is not open"}},
		"certificates against the clock": {custom(`deny contains {"code": "x"} if crypto.x509.parse_and_verify_certificates("x")[0]`), []string{"crypto.x509.parse_and_verify_certificates is not open", "clock"}},
		"tokens against the clock":       {custom(`deny contains {"code": "x"} if io.jwt.decode_verify("x", {})[0]`), []string{"io.jwt.decode_verify is not open"}},
		"the clock in a mock":            {custom("deny contains {\"code\": \"x\"} if now with count as time.now_ns\n\nnow if count([]) == 0"), []string{"custom.rego:3: "}},
		"the network in a function that nothing calls": {custom("capture := \"hash\"\n\nlater(x) := http.send(x)"), []string{"custom.rego:5: http.send is not open"}},
		"the network by way of a schema":               {map[string]string{"custom.rego": "# METADATA\n# scope: package\n# schemas:\n#   - input.model: {\"$ref\": \"http://127.0.0.1:1/schema\"}\npackage signalbox.decision.custom\n\ncapture := \"hash\"\n"}, []string{"custom.rego", "remote reference loading disabled"}},
		"a function that does not exist":               {custom(`deny contains {"code": "x"} if cuont([]) == 0`), []string{"custom.rego:3: there is no function cuont"}},
		"a field that does not exist":                  {custom(`deny contains {"code": "x"} if input.principal.tennant == "acme"`), []string{"custom.rego:3: undefined ref: input.principal.tennant (known here: ", "tenant"}},
		"a type that cannot be":                        {custom(`deny contains {"code": "x"} if input.time.hour == "9"`), []string{"custom.rego:3: match error (left : number, right : string)"}},
		"a value that nobody uses":                     {custom("deny contains {\"code\": \"x\"} if {\n\tunused := 1\n\tinput.gateway == \"x\"\n}"), []string{"custom.rego:4: assigned var unused unused"}},
		"Rego as it was":                               {custom(`deny[x] { x := "no" }`), []string{"custom.rego:3: `if` keyword is required"}},
		"half a file":                                  {custom(`deny contains {"code": "x"} if {`), []string{"custom.rego:"}},
		"an empty file":                                {map[string]string{"custom.rego": ""}, []string{"custom.rego", "empty module"}},
		"a circle":                                     {custom(`capture := data.signalbox.decision.verdict.capture`), []string{"recursive"}},
		"a misspelt rule":                              {custom(`denny contains {"code": "x"}`), []string{"custom.rego:3: no rule reads denny", "deny, max_output, no_clamp, prefer, redact, refuse, tags"}},
		"a package that nobody reads":                  {map[string]string{"finance.rego": "package finance\n\ndeny contains \"x\"\n"}, []string{"finance.rego:1: no rule reads package finance", "signalbox.decision.custom"}},
		"a package that a replacement does not read":   {map[string]string{"v.rego": "package signalbox.decision\n\nverdict := {\"allow\": false}\n", "c.rego": "package signalbox.decision.custom\n\ndeny contains \"x\"\n"}, []string{"c.rego:1: no rule reads package signalbox.decision.custom"}},
		"data that is nowhere":                         {custom(`deny contains {"code": "x"} if data.teams.banned[input.principal.team]`), []string{"custom.rego:3: data.teams.banned is nowhere"}},
		"data under another name":                      {withFile(custom(`deny contains {"code": "x"} if data.teams.banned[input.principal.team]`), "data.json", `{"teams": {"baned": {}}}`), []string{"custom.rego:3: data.teams.banned is nowhere"}},
		"data in place of the rules":                   {withFile(custom(`capture := "hash"`), "data.json", `{"signalbox": {"decision": {"custom": {"deny": []}}}}`), []string{"data.signalbox, which belongs to the rules"}},
		"data twice":                                   {withFile(withFile(custom(`capture := "hash"`), "data.json", `{"a": {"b": 1}}`), "a/data.yaml", `b: 2`), []string{"data.json", "in another data file"}},
		"data that is no object":                       {withFile(custom(`capture := "hash"`), "data.json", `[1]`), []string{"data.json: is not a JSON or YAML object"}},
		"data where a rule is":                         {withFile(map[string]string{"custom.rego": "package signalbox.decision.custom\n\nimport data.lib\n\ncapture := lib.a\n", "lib.rego": "package lib\n\na := \"hash\"\n"}, "lib/data.json", `{"a": "full"}`), []string{"lib.rego:3", "conflict"}},
		"rules among the default's":                    {map[string]string{"mine.rego": "package signalbox.decision\n\ndeny contains {\"code\": \"x\"}\n"}, []string{"mine.rego:1: package signalbox.decision is the default policy's", "signalbox.decision.custom"}},
		"a truth where a set is read":                  {custom(`deny if input.principal.tenant == "acme"`), []string{"custom.rego:3: deny is a set that rules add to"}},
		"one value where a set is read":                {custom(`max_output := 5`), []string{"custom.rego:3: max_output is a set"}},
		"a set where one value is read":                {custom(`capture contains "hash"`), []string{"custom.rego:3: capture is one value"}},
		"no rules":                                     {map[string]string{"README.md": "later"}, []string{"holds no .rego file"}},
		"a manifest that is none":                      {withFile(custom(`capture := "hash"`), ".manifest", `{`), []string{".manifest: is not JSON"}},
		"a number that is a sentence":                  {withFile(custom(`capture := "hash"`), ".manifest", `{"revision": "version 7"}`), []string{".manifest: revision: want at most 64"}},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, story.folder)
			_, err := Load(context.Background(), config(dir))
			var refusal *LoadError
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v; want a refusal", err)
			}
			said := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
			for _, want := range story.want {
				if !strings.Contains(said, want) {
					t.Errorf("said %q\nwant %q", said, want)
				}
			}
			if len(refusal.Problems) == 0 || strings.Contains(err.Error(), "rego_") {
				t.Errorf("not a sentence of ours: %q", err)
			}
		})
	}
}

func withFile(files map[string]string, name, text string) map[string]string {
	files[name] = text
	return files
}

func TestEveryProblemIsSaidAtOnce(t *testing.T) {
	files := map[string]string{}
	for i := range 8 {
		files[fmt.Sprintf("f%d.rego", i)] = fmt.Sprintf("package signalbox.decision.custom\n\ndeny contains {\"code\": \"x\"} if input.f%d\n", i)
	}
	_, err := Load(context.Background(), config(folder(t, files)))
	var refusal *LoadError
	if !errors.As(err, &refusal) || len(refusal.Problems) != 8 {
		t.Fatalf("got %v", err)
	}
	if said := err.Error(); !strings.Contains(said, "f4.rego") || strings.Contains(said, "f5.rego") || !strings.Contains(said, "and 3 more") {
		t.Errorf("said %q", said)
	}
}

func TestAFolderThatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	_, err := Load(context.Background(), config(dir))
	if err == nil || !strings.Contains(err.Error(), dir+": there is no such policy folder") {
		t.Fatalf("got %v", err)
	}
}

// Kubernetes mounts a ConfigMap as links to files in a hidden folder that is
// swapped; each file must be read once, through its link.
func TestAMountedConfigMap(t *testing.T) {
	dir := folder(t, map[string]string{"..2026/custom.rego": "package signalbox.decision.custom\n\ncapture := \"hash\"\n"})
	link(t, "..2026", filepath.Join(dir, "..data"))
	link(t, filepath.Join("..data", "custom.rego"), filepath.Join(dir, "custom.rego"))
	p, err := Load(context.Background(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Evaluate(context.Background(), aCall()); err != nil || v.Capture != "hash" {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestALinkedFolderIsRefused(t *testing.T) {
	dir := folder(t, custom(`capture := "hash"`))
	link(t, t.TempDir(), filepath.Join(dir, "more"))
	_, err := Load(context.Background(), config(dir))
	if err == nil || !strings.Contains(err.Error(), "more: is a link to a folder") {
		t.Fatalf("got %v", err)
	}
}

func TestAFolderNamedByMistake(t *testing.T) {
	big := custom(`capture := "hash"`)
	big["data.json"] = `{"a": "` + strings.Repeat("x", sourceBytes) + `"}`
	deep := custom(`capture := "hash"`)
	deep[strings.Repeat("d/", sourceDepth+1)+"x.rego"] = "package x\n"
	for want, files := range map[string]map[string]string{"16 MiB": big, "deeper than 16": deep} {
		if _, err := Load(context.Background(), config(folder(t, files))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

func link(t *testing.T, to, from string) {
	t.Helper()
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
}

// The list of pure functions names functions that exist, none that OPA itself
// calls non-deterministic, and whoever asks for another one is told why not.
func TestTheListOfPureFunctions(t *testing.T) {
	known := map[string]*ast.Builtin{}
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		known[b.Name] = b
	}
	open := map[string]bool{}
	for _, name := range pureBuiltins {
		switch b := known[name]; {
		case b == nil:
			t.Errorf("%s does not exist", name)
		case b.Nondeterministic:
			t.Errorf("%s is not deterministic", name)
		case open[name]:
			t.Errorf("%s is listed twice", name)
		}
		open[name] = true
	}
	for name := range known {
		why, refused := refusedBuiltin(name)
		if refused == open[name] || refused && why == "" {
			t.Errorf("%s: open %v, refused %v because %q", name, open[name], refused, why)
		}
	}
	if len(capabilities().Builtins) != len(pureBuiltins) || len(capabilities().AllowNet) != 0 {
		t.Errorf("policies are compiled with %d functions and the network %v", len(capabilities().Builtins), capabilities().AllowNet)
	}
}

// The default policy reads exactly the openings that a folder is held to.
func TestTheOpeningsAreThoseOfTheDefaultPolicy(t *testing.T) {
	standard, err := defaultSource()
	if err != nil {
		t.Fatal(err)
	}
	build, err := parse(standard, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := build.compile(); err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	for _, ref := range readingOf(build.compiler, ast.MustParseRef(entryPath)).datas {
		if path := constantPrefix(ref); len(path) > 3 && strings.Join(path[:3], ".") == customPackage {
			read[path[3]] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(openings)); !slices.Equal(got, want) {
		t.Errorf("the default policy reads %v; a folder is held to %v", got, want)
	}
}
