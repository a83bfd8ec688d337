package opa

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/open-policy-agent/opa/v1/rego"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
)

// traps are the ways in which Rego reads the input without saying so plainly.
// Each is the body of a rule that denies; `x` is a variable it may use.
var traps = map[string]struct {
	rules string
	reads []string // beside those that every view has
}{
	"plainly":            {`deny contains "x" if input.gateway == "a"`, []string{"gateway"}},
	"by brackets":        {`deny contains "x" if input["time"]["hour"] > 8`, []string{"time.hour"}},
	"an alias":           {`deny contains "x" if { i := input; p := i.principal; p.user == "a" }`, []string{"principal.*", "*"}},
	"an imported alias":  {"import input.principal as who\n\ndeny contains \"x\" if who.user == \"a\"", []string{"principal.user"}},
	"an argument":        {"deny contains \"x\" if same(input.principal)\n\nsame(p) if p.user == p.agent", []string{"principal.*"}},
	"all as an argument": {"deny contains \"x\" if same(input)\n\nsame(p) if p.principal.user == p.principal.agent", []string{"*"}},
	"object.get":         {`deny contains "x" if object.get(input, ["principal", "user"], "") == "a"`, []string{"*"}},
	"object.get below":   {`deny contains "x" if object.get(input.principal, "user", "") == "a"`, []string{"principal.*"}},
	"walk":               {`deny contains "x" if { some value; walk(input.principal, [_, value]); value == "a" }`, []string{"principal.*"}},
	"a comprehension":    {`deny contains "x" if count([k | some k, v in input.principal; v == "a"]) > 1`, []string{"principal.*"}},
	"a set in a set":     {`deny contains "x" if "a" in {input.principal.user, input.principal.agent}`, []string{"principal.user", "principal.agent"}},
	"every":              {`deny contains "x" if every f in input.findings { f.count > 1; f.kind != input.gateway }`, []string{"findings", "gateway"}},
	"a dynamic field":    {`deny contains "x" if { some field in ["user", "agent"]; input.principal[field] == "a" }`, []string{"principal.*"}},
	"a field by a field": {`deny contains "x" if input.principal[input.gateway] == "a"`, []string{"principal.*", "gateway"}},
	"not":                {`deny contains "x" if not input.request.stream`, []string{"request.stream"}},
	"not a helper":       {"deny contains \"x\" if not streams\n\nstreams if input.request.stream", []string{"request.stream"}},
	"else":               {"deny contains \"x\" if level == 3\n\nlevel := 1 if {\n\tinput.request.stream\n} else := 2 if {\n\tinput.gateway == \"a\"\n} else := 3", []string{"request.stream", "gateway"}},
	"default":            {"deny contains \"x\" if level == 3\n\ndefault level := 3\n\nlevel := 1 if input.time.weekday == \"Monday\"", []string{"time.weekday"}},
	"with":               {"deny contains \"x\" if level == 1 with input.gateway as input.principal.user\n\nlevel := 1 if input.gateway == \"a\"", []string{"principal.user"}},
	"with all":           {"deny contains \"x\" if level with input as {\"gateway\": input.principal.user}\n\nlevel if input.gateway == \"a\"", []string{"gateway", "principal.user"}},
	"with data":          {"deny contains \"x\" if level with data.signalbox.decision.a as input.principal.user\n\nlevel if a == \"a\"\n\na := \"b\"", []string{"principal.user"}},
	"a mocked function":  {"deny contains \"x\" if count([]) == 1 with count as mine\n\nmine(_) := 1 if input.gateway == \"a\"", []string{"gateway"}},
	"a rule by its name": {"deny contains \"x\" if { some n in [\"one\", \"two\"]; helpers[n] }\n\nhelpers.one if input.gateway == \"a\"\n\nhelpers.two if input.principal.user == \"a\"", []string{"gateway", "principal.user"}},
	"a rule's own key":   {"deny contains \"x\" if by.a\n\nby[input.principal.user] := true", []string{"principal.user"}},
	"a set's own member": {"deny contains \"x\" if some \"a\" in users\n\nusers contains input.principal.user", []string{"principal.user"}},
	"its value":          {"deny contains \"x\" if who == \"a\"\n\nwho := input.principal.user", []string{"principal.user"}},
	"a function's value": {"deny contains \"x\" if who(1) == \"a\"\n\nwho(_) := input.principal.user", []string{"principal.user"}},
	"a template":         {"deny contains \"x\" if $\"{input.principal.user}!\" == \"a!\"", []string{"principal.user"}},
	"one tag":            {`deny contains "x" if input.principal.tags.team == "a"`, []string{"tags.team"}},
	"a missing tag":      {`deny contains "x" if not input.principal.tags.team`, []string{"tags.team"}},
	"two tags":           {`deny contains "x" if input.principal.tags.team == input.principal.tags.other`, []string{"tags.team", "tags.other"}},
	"all tags":           {`deny contains "x" if { input.principal.tags.team; count(input.principal.tags) > 1 }`, []string{"tags.*"}},
	"tags by name":       {`deny contains "x" if input.principal.tags[input.gateway] == "a"`, []string{"tags.*", "gateway"}},
	"data by the input":  {"deny contains \"x\" if table[input.principal.user]\n\ntable := {\"a\": true}", []string{"principal.user"}},
	"nested references":  {"deny contains \"x\" if table[table[input.principal.user]]\n\ntable := {\"a\": \"b\", \"b\": \"c\"}", []string{"principal.user"}},
	"an object pattern":  {`deny contains "x" if { {"user": "a", "agent": _, "app": _, "key": _, "session": _, "tags": _, "team": _, "tenant": _} = input.principal }`, []string{"principal.*"}},
	"an array pattern":   {`deny contains "x" if { [first, _] = input.tenant.regions; first == input.principal.user }`, []string{"tenant.regions", "principal.user"}},
	"its own constants":  {`deny contains "x" if 1 == 2`, nil},
	"deployments only":   {`deny contains "x" if input.deployments[0].region == "a"`, nil},
}

// trapPolicy replaces the default policy with one that routes to what is offered
// and denies by the trap's rule.
func trapPolicy(rules string) map[string]string {
	imports, rest := "", rules
	if i := strings.Index(rules, "deny contains"); i > 0 {
		imports, rest = rules[:i], rules[i:]
	}
	return replacing(imports + `verdict := {
	"allow": count(deny) == 0,
	"deployments": [d.name | some d in input.deployments],
	"reasons": [{"code": "trap", "message": name} | some name in deny],
}

` + rest)
}

func TestThePathsAPolicyReads(t *testing.T) {
	for name, trap := range traps {
		t.Run(name, func(t *testing.T) {
			got := fieldNames(loaded(t, trapPolicy(trap.rules)).current.Load().view)
			for _, want := range expand(append(trap.reads, "deployments", "model.name")) {
				if !got[want] {
					t.Errorf("%s is read and not in the view: %v", want, slices.Sorted(maps.Keys(got)))
				}
			}
		})
	}
}

// The walk is held against OPA's own analysis, written by others for another use.
func TestThePathsCoverThoseOPAFinds(t *testing.T) {
	policies := map[string]map[string]string{"the default policy": nil}
	for name, trap := range traps {
		policies[name] = trapPolicy(trap.rules)
	}
	for name, files := range policies {
		t.Run(name, func(t *testing.T) {
			r := loaded(t, files).current.Load()
			refs, err := dependencies.Base(r.compiler, ast.NewBody(ast.NewExpr(ast.NewTerm(ast.MustParseRef(entryPath)))))
			if err != nil {
				t.Fatal(err)
			}
			shown := fieldNames(r.view)
			for _, ref := range refs {
				if !ref.HasPrefix(ast.InputRootRef) {
					continue
				}
				for _, f := range fields() {
					name := strings.TrimSuffix(f.section+"."+f.name, ".")
					if !f.on(constantPrefix(ref)) || name == "principal.tags" {
						continue
					}
					if !shown[name] {
						t.Errorf("OPA finds %s; the view shows %v", ref, slices.Sorted(maps.Keys(shown)))
					}
				}
			}
		})
	}
}

// fieldNames are the fields of a view; tags shown one by one count as tags.<name>.
func fieldNames(v *view) map[string]bool {
	names := map[string]bool{}
	probe := aCall()
	probe.Principal.Tags = map[string]string{"team": "t", "other": "o", "never": "n"}
	for _, f := range v.fields {
		name := strings.TrimSuffix(f.section+"."+f.name, ".")
		if name != "principal.tags" {
			names[name] = true
			continue
		}
		f.term(probe).Value.(ast.Object).Foreach(func(tag, _ *ast.Term) {
			names["tags."+string(tag.Value.(ast.String))] = true
		})
		if names["tags.never"] {
			delete(names, "tags.never")
			names["tags.*"] = true
		}
	}
	return names
}

// expand writes principal.* and * out as the fields they stand for.
func expand(names []string) []string {
	var all []string
	for _, name := range names {
		section, below := strings.CutSuffix(name, ".*")
		for _, f := range fields() {
			full := strings.TrimSuffix(f.section+"."+f.name, ".")
			if full == "principal.tags" {
				full = "tags.*"
			}
			if name == full || name == "*" || below && section == f.section {
				all = append(all, full)
			}
		}
		if strings.HasPrefix(name, "tags.") {
			all = append(all, name)
		}
	}
	return all
}

// The verdict of the memo is the verdict that stock OPA finds on the whole input
// as JSON: with the facts' own encoding, nothing left out, nothing remembered.
func TestRememberedEqualsEvaluated(t *testing.T) {
	policies := map[string]map[string]string{
		"the default policy": nil,
		"one that adds to it": custom(`
deny contains {"code": "night", "message": sprintf("%s at %d", [input.principal.user, input.time.hour])} if input.time.hour < 2
refuse contains d.name if { some d in input.deployments; d.region == input.principal.tags.team }
prefer contains d.name if { some d in input.deployments; d.provider == "b" }
max_output contains n if { n := input.request.tools; n > 0 }
capture := "hash" if input.request.stream
tags[name] := value if some name, value in input.principal.tags`),
		"one that names a place whatever is offered": replacing(`verdict := {"allow": true, "deployments": ["a"]}`),
		"one that names a model whatever is asked":   replacing(`verdict := {"allow": true, "model": "b", "deployments": ["a"]}`),
	}
	for name, trap := range traps {
		policies["trap: "+name] = trapPolicy(trap.rules)
	}
	for name, files := range policies {
		t.Run(name, func(t *testing.T) {
			p := loaded(t, files)
			stock := stockOPA(t, p)
			rapid.Check(t, func(t *rapid.T) {
				one, other := someFacts(t), someFacts(t)
				for range 5 {
					facts := mixed(t, one, other)
					got, gotErr := p.Evaluate(context.Background(), facts)
					want, wantErr := stock(facts)
					if (gotErr == nil) != (wantErr == nil) {
						t.Fatalf("%+v:\n got %v\nwant %v", facts, gotErr, wantErr)
					}
					got.Revision = ""
					if gotErr == nil && !reflect.DeepEqual(got, want) {
						t.Fatalf("%+v:\n got %+v\nwant %+v", facts, got, want)
					}
				}
			})
			if s := p.Status(); s.Hits == 0 && s.Remembered > 0 {
				t.Errorf("nothing was ever remembered: %+v", s)
			}
		})
	}
}

// stockOPA evaluates the policy as `opa eval` would: the public API, JSON input.
func stockOPA(t *testing.T, p *Policy) func(*decision.Facts) (decision.Verdict, error) {
	r := p.current.Load()
	query, err := rego.New(rego.Query(entryPath), rego.Compiler(r.compiler), rego.Store(r.store),
		rego.StrictBuiltinErrors(true)).PrepareForEval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return func(facts *decision.Facts) (decision.Verdict, error) {
		results, err := query.Eval(context.Background(), rego.EvalInput(asJSON(t, facts)))
		if err != nil {
			return decision.Verdict{}, err
		}
		if len(results) != 1 {
			return decision.Verdict{}, fmt.Errorf("%d results", len(results))
		}
		value, err := ast.InterfaceToValue(results[0].Expressions[0].Value)
		if err != nil {
			return decision.Verdict{}, err
		}
		return verdictOf(ast.NewTerm(value), facts)
	}
}

// asJSON is the input document by the facts' own JSON, where nothing is null.
func asJSON(t interface{ Fatal(...any) }, facts *decision.Facts) any {
	whole := *facts
	whole.Principal.Tags = orEmpty(whole.Principal.Tags)
	whole.Tenant.Regions = append([]string{}, whole.Tenant.Regions...)
	whole.App.Models = append([]string{}, whole.App.Models...)
	whole.Deployments = append([]decision.DeploymentFacts{}, whole.Deployments...)
	whole.Findings = append([]decision.FindingFacts{}, whole.Findings...)
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

func orEmpty(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// mixed is the one call with up to two values of the other: mostly the same facts
// again, and now and then a difference that the policy sees, or does not.
func mixed(t *rapid.T, one, other *decision.Facts) *decision.Facts {
	facts := *one
	into, from := leaves(reflect.ValueOf(&facts).Elem()), leaves(reflect.ValueOf(other).Elem())
	for range rapid.IntRange(0, 2).Draw(t, "differences") {
		i := rapid.IntRange(0, len(into)-1).Draw(t, "field")
		into[i].Set(from[i])
	}
	return &facts
}

// leaves are the values of the facts; a list or a map is one of them.
func leaves(v reflect.Value) []reflect.Value {
	if v.Kind() != reflect.Struct {
		return []reflect.Value{v}
	}
	var all []reflect.Value
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			all = append(all, leaves(v.Field(i))...)
		}
	}
	return all
}

// someFacts draws from few values, so that what a policy tells apart meets what
// it does not.
func someFacts(t *rapid.T) *decision.Facts {
	word := rapid.SampledFrom([]string{"", "a", "b", "user"})
	words := rapid.SliceOfN(word, 0, 2)
	small := rapid.IntRange(0, 2)
	truth := rapid.Bool()
	f := &decision.Facts{
		Principal: decision.PrincipalFacts{Tenant: word.Draw(t, "tenant"), Team: word.Draw(t, "team"), App: word.Draw(t, "app"),
			Key: word.Draw(t, "key"), User: word.Draw(t, "user"), Session: word.Draw(t, "session"), Agent: word.Draw(t, "agent"),
			Tags: rapid.MapOfN(rapid.SampledFrom([]string{"team", "other", "a"}), word, 0, 3).Draw(t, "tags")},
		Tenant: decision.TenantFacts{Regions: words.Draw(t, "regions")},
		App:    decision.AppFacts{Models: words.Draw(t, "models")},
		Request: decision.RequestFacts{Dialect: word.Draw(t, "dialect"), Endpoint: word.Draw(t, "endpoint"), Method: word.Draw(t, "method"),
			Path: word.Draw(t, "path"), Stream: truth.Draw(t, "stream"), Tools: small.Draw(t, "tools"), Images: small.Draw(t, "images"),
			Files: small.Draw(t, "files"), TokenIDs: truth.Draw(t, "ids"), SizeBand: word.Draw(t, "size"), MaxOutput: int64(small.Draw(t, "max"))},
		Model:   decision.ModelFacts{Name: word.Draw(t, "model")},
		Time:    decision.TimeFacts{Hour: small.Draw(t, "hour"), Weekday: word.Draw(t, "weekday"), Date: word.Draw(t, "date")},
		Gateway: word.Draw(t, "gateway"),
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID).Draw(t, "deployments") {
		f.Deployments = append(f.Deployments, decision.DeploymentFacts{Name: name, Provider: word.Draw(t, "provider"),
			Kind: rapid.SampledFrom([]string{"paygo", "provisioned"}).Draw(t, "kind"), Region: word.Draw(t, "region"),
			PriceRank: small.Draw(t, "rank"), Priced: truth.Draw(t, "priced"), Healthy: truth.Draw(t, "healthy")})
	}
	for range small.Draw(t, "findings") {
		f.Findings = append(f.Findings, decision.FindingFacts{Kind: word.Draw(t, "kind"), Count: small.Draw(t, "count")})
	}
	return f
}
