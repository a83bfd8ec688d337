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
	"github.com/open-policy-agent/opa/v1/rego"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
)

// jsonSchema is what we use of JSON Schema.
type jsonSchema struct {
	Type                 string                 `json:"type"`
	Description          string                 `json:"description"`
	Properties           map[string]*jsonSchema `json:"properties"`
	Required             []string               `json:"required"`
	Items                *jsonSchema            `json:"items"`
	AdditionalProperties json.RawMessage        `json:"additionalProperties"`
}

// schema/input.json has the fields of decision.Facts, all of them, with their
// types, and says of each what it is.
func TestTheInputSchemaIsTheFacts(t *testing.T) {
	matches(t, "input", parsed(t, inputSchema), reflect.TypeFor[decision.Facts](), true)
}

// schema/verdict.json has the fields that verdictOf reads.
func TestTheVerdictSchemaIsTheVerdict(t *testing.T) {
	schema := parsed(t, verdictSchema)
	if !slices.Equal(schema.Required, []string{"allow"}) || !slices.Equal(schema.Properties["reasons"].Items.Required, []string{"code"}) {
		t.Errorf("requires %v and %v", schema.Required, schema.Properties["reasons"].Items.Required)
	}
	matches(t, "verdict", schema, reflect.TypeFor[verdictDocument](), false)
	// Every field of the document reaches the pipeline, under its own name.
	for _, f := range reflect.VisibleFields(reflect.TypeFor[verdictDocument]()) {
		if _, ok := reflect.TypeFor[decision.Verdict]().FieldByName(f.Name); !ok {
			t.Errorf("decision.Verdict has no field %s", f.Name)
		}
	}
}

func parsed(t *testing.T, text []byte) *jsonSchema {
	t.Helper()
	var schema jsonSchema
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return &schema
}

func matches(t *testing.T, at string, schema *jsonSchema, goType reflect.Type, allRequired bool) {
	t.Helper()
	if schema == nil {
		t.Errorf("%s: is not in the schema", at)
		return
	}
	kinds := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer",
		reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object"}
	if schema.Type != kinds[goType.Kind()] {
		t.Errorf("%s: is %q in the schema and %s in Go", at, schema.Type, goType)
		return
	}
	switch goType.Kind() {
	case reflect.Slice:
		matches(t, at+"[]", schema.Items, goType.Elem(), allRequired)
	case reflect.Map:
		var values jsonSchema
		if err := json.Unmarshal(schema.AdditionalProperties, &values); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		matches(t, at+".*", &values, goType.Elem(), allRequired)
	case reflect.Struct:
		if string(schema.AdditionalProperties) != "false" {
			t.Errorf("%s: lets unknown fields through, and a misspelt one is not found", at)
		}
		var names []string
		for _, f := range reflect.VisibleFields(goType) {
			if !f.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
			matches(t, at+"."+name, schema.Properties[name], f.Type, allRequired)
			if p := schema.Properties[name]; p != nil && p.Description == "" {
				t.Errorf("%s.%s: the schema does not say what it is", at, name)
			}
		}
		for name := range schema.Properties {
			if !slices.Contains(names, name) {
				t.Errorf("%s.%s: is in the schema and not in Go", at, name)
			}
		}
		if allRequired && !slices.Equal(slices.Sorted(slices.Values(schema.Required)), slices.Sorted(slices.Values(names))) {
			t.Errorf("%s: requires %v of %v", at, schema.Required, names)
		}
	}
}

// A document is a verdict for verdictOf exactly when it is one for the schema, as
// OPA's own validator reads it. (What a verdict says of the call at hand is not
// the schema's: those checks are in agrees.)
func TestTheVerdictSchemaIsWhatIsRead(t *testing.T) {
	fits := validator(t, verdictSchema)
	rapid.Check(t, func(t *rapid.T) {
		document := someVerdict(t)
		value, err := ast.InterfaceToValue(document)
		if err != nil {
			t.Fatal(err)
		}
		_, err = documentOf(ast.NewTerm(value))
		if ok, why := fits(document); ok != (err == nil) {
			t.Fatalf("%s\nschema: %v %v\n  read: %v", value, ok, why, err)
		}
	})
}

// What the journal keeps of a verdict is one, too.
func TestTheRawVerdictFitsTheSchema(t *testing.T) {
	fits := validator(t, verdictSchema)
	for _, files := range []map[string]string{nil, custom(`deny contains {"code": "x", "message": "<no> & \u0001"}`),
		custom("redact contains \"a\"\n\ncapture := \"full\"\n\ntags.a := \"b\"\n\nmax_output contains 5"), replacing(`verdict := {"allow": false}`)} {
		v, err := loaded(t, files).Evaluate(context.Background(), aCall())
		if err != nil {
			t.Fatal(err)
		}
		var document any
		if err := json.Unmarshal(v.Raw, &document); err != nil {
			t.Fatal(err)
		}
		if ok, why := fits(document); !ok {
			t.Errorf("%s: %s", v.Raw, why)
		}
		value, err := ast.InterfaceToValue(document)
		if err != nil {
			t.Fatal(err)
		}
		again, err := verdictOf(ast.NewTerm(value), aCall())
		if again.Revision = v.Revision; err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("read again, %s is %+v, %v; it was %+v", v.Raw, again, err, v)
		}
	}
}

func TestTheFactsFitTheSchema(t *testing.T) {
	if ok, why := validator(t, inputSchema)(asJSON(t, aCall())); !ok {
		t.Error(why)
	}
}

// validator asks OPA's json.match_schema.
func validator(t *testing.T, schema []byte) func(any) (bool, string) {
	t.Helper()
	query, err := rego.New(rego.Query("json.match_schema(input.document, input.schema)")).PrepareForEval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var rules any
	if err := json.Unmarshal(schema, &rules); err != nil {
		t.Fatal(err)
	}
	return func(document any) (bool, string) {
		results, err := query.Eval(context.Background(), rego.EvalInput(map[string]any{"document": document, "schema": rules}))
		if err != nil || len(results) != 1 {
			return false, fmt.Sprint(err, len(results))
		}
		answer := results[0].Expressions[0].Value.([]any)
		return answer[0].(bool), fmt.Sprint(answer[1])
	}
}

// someVerdict draws verdicts, most of them right and some with one thing wrong.
func someVerdict(t *rapid.T) any {
	text := rapid.SampledFrom([]any{"a", "b", "none", "hash", "", "model_not_allowed", "Not a code", "1a", strings.Repeat("é", 256), strings.Repeat("x", 257),
		strings.Repeat("x", 1025), 1, true, nil})
	texts := rapid.OneOf(rapid.Map(rapid.SliceOfN(text, 0, 3), asAny), rapid.Just[any](repeated(65)), rapid.Just[any]("a"))
	reason := rapid.OneOf(
		rapid.Just[any](map[string]any{"code": "a"}),
		rapid.Just[any](map[string]any{"message": "a"}),
		rapid.Custom(func(t *rapid.T) any {
			return map[string]any{"code": text.Draw(t, "code"), "message": text.Draw(t, "message")}
		}),
		rapid.Just[any](map[string]any{"code": "a", "why": "b"}), text)
	fields := map[string]*rapid.Generator[any]{
		"allow":       rapid.SampledFrom([]any{true, false, "true", nil}),
		"reasons":     rapid.OneOf(rapid.Map(rapid.SliceOfN(reason, 0, 3), asAny), rapid.Just[any](map[string]any{})),
		"deployments": texts,
		"model":       text,
		"max_output":  rapid.SampledFrom([]any{0, 5, -1, 1.5, maxOutput, maxOutput + 1, 1e300, "5", nil}),
		"attempts":    rapid.SampledFrom([]any{0, 1, 3, 4, -1, 1.5, "1", nil}),
		"allow_clamp": rapid.SampledFrom([]any{true, false, 1}),
		"redact":      texts,
		"capture":     text,
		"tags": rapid.OneOf(rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "", strings.Repeat("é", 256), strings.Repeat("x", 257)}), text, 0, 2),
			func(m map[string]any) any { return m }), rapid.Just[any](numbered(65)), text),
		"unknown": text,
	}
	document := map[string]any{"allow": false}
	for _, name := range rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(fields))), 0, 3).Draw(t, "fields") {
		document[name] = fields[name].Draw(t, name)
	}
	if rapid.IntRange(0, 20).Draw(t, "complete") == 0 {
		delete(document, "allow")
	}
	return document
}

func asAny(values []any) any { return values }

func repeated(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

func numbered(n int) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprint(i)] = "a"
	}
	return all
}
