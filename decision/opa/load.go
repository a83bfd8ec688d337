package opa

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	_ "embed" // the schemas
)

//go:embed schema/input.json
var inputSchema []byte

//go:embed schema/verdict.json
var verdictSchema []byte

// The names of the contract.
const (
	decisionPackage = "signalbox.decision"
	customPackage   = "signalbox.decision.custom"
	entryRule       = "verdict"
	entryPath       = "data.signalbox.decision.verdict"
)

// rules is one policy, compiled: immutable but for what it remembers.
type rules struct {
	revision string
	from     string // the folder, or "" for the default policy alone
	sum      string // of the folder it was read from
	loadedAt time.Time
	reads    []string

	compiler *ast.Compiler
	store    storage.Store
	query    ast.Body
	view     *view
	memo     *memo
}

// compile makes rules of the default policy and of what a folder adds to it; own
// is nil when there is no folder. It refuses whatever would make a policy say
// something else than it reads like: docs/write-a-policy.md says each of these.
func compile(ctx context.Context, cfg Config, own *source) (*rules, error) {
	standard, err := defaultSource()
	if err != nil {
		return nil, err
	}
	build, err := parse(standard, own)
	if err != nil {
		return nil, err
	}
	if err := refused(build.misplaced()); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // the compiler itself cannot be stopped
		return nil, fmt.Errorf("compile policy: %w", err)
	}
	if err := build.compile(); err != nil {
		return nil, err
	}
	entry := ast.MustParseRef(entryPath)
	reading := readingOf(build.compiler, entry)
	if err := refused(append(build.nowhere(reading), build.unread(reading)...)); err != nil {
		return nil, err
	}
	query, err := build.compiler.QueryCompiler().Compile(ast.NewBody(
		ast.Equality.Expr(ast.NewTerm(entry), ast.VarTerm(resultVar))))
	if err != nil {
		return nil, fmt.Errorf("compile the query %s: %w", entryPath, err)
	}
	r := &rules{
		revision: build.revision(), loadedAt: cfg.Now(), reads: reading.names(),
		compiler: build.compiler, query: query, view: reading.view(),
		store: inmem.NewFromObjectWithOpts(build.data, inmem.OptReturnASTValuesOnRead(true)),
		memo:  newMemo(cfg.Remember, memoBytes),
	}
	if own != nil {
		r.from, r.sum = own.name, own.sum
	}
	return r, nil
}

// build is a policy on its way from files to rules.
type build struct {
	standard *source // nil when the folder replaces it
	own      *source // nil when there is no folder
	modules  map[string]*ast.Module
	data     map[string]any
	compiler *ast.Compiler
}

// parse reads the modules, and leaves the default policy out when the folder
// defines the verdict itself.
func parse(standard, own *source) (*build, error) {
	b := &build{own: own, modules: map[string]*ast.Module{}, data: map[string]any{}}
	if own != nil {
		b.data = own.data
		if err := b.add(own); err != nil {
			return nil, err
		}
	}
	if b.replaces() {
		return b, nil
	}
	b.standard = standard
	return b, b.add(standard)
}

func (b *build) add(s *source) error {
	options := ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities(), ProcessAnnotation: true}
	var problems []Problem
	for _, file := range s.rego {
		module, err := ast.ParseModuleWithOpts(file.name, string(file.text), options)
		if err != nil {
			problems = append(problems, problemsOf(err)...)
			continue
		}
		b.modules[file.name] = module
	}
	return refused(problems)
}

// replaces says whether the folder has a verdict of its own.
func (b *build) replaces() bool {
	for _, module := range b.modules {
		if packageOf(module) == decisionPackage && slices.ContainsFunc(module.Rules, isEntry) {
			return true
		}
	}
	return false
}

func isEntry(rule *ast.Rule) bool {
	ref := rule.Head.Ref()
	return len(ref) > 0 && ref[0].Value.Compare(ast.Var(entryRule)) == 0
}

// compile checks names, types and safety as `opa check --strict --schema` does,
// with the schema of the input applied whether the module asks for it or not.
func (b *build) compile() error {
	schemas := ast.NewSchemaSet()
	for name, text := range map[string][]byte{"input": inputSchema, "verdict": verdictSchema} {
		var schema any
		if err := json.Unmarshal(text, &schema); err != nil {
			return fmt.Errorf("read the schema of the %s: %w", name, err)
		}
		schemas.Put(ast.SchemaRootRef.Append(ast.StringTerm(name)), schema)
		if name == "input" {
			schemas.Put(ast.SchemaRootRef, schema)
		}
	}
	b.compiler = ast.NewCompiler().
		WithCapabilities(capabilities()).
		WithSchemas(schemas).
		WithUseTypeCheckAnnotations(true).
		WithStrict(true).
		WithPathConflictsCheck(func(path []string) (bool, error) { return hasData(b.data, path), nil }).
		SetErrorLimit(0)
	if b.compiler.Compile(b.modules); b.compiler.Failed() {
		return refused(problemsOf(b.compiler.Errors))
	}
	return nil
}

// revision names the content that decides: the author's own number where there is
// one, and a hash, which cannot be forgotten to change.
func (b *build) revision() string {
	sum := sha256.New()
	number := ""
	for _, s := range []*source{b.standard, b.own} {
		if s != nil {
			fmt.Fprintln(sum, s.sum)
			number = s.revision
		}
	}
	hash := hex.EncodeToString(sum.Sum(nil))[:12]
	if number == "" {
		return hash
	}
	return number + "@" + hash
}

func packageOf(module *ast.Module) string {
	return strings.TrimPrefix(module.Package.Path.String(), "data.")
}
