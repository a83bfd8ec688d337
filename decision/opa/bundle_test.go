package opa

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/signalbox-dev/signalbox/deploy/policies"
)

const (
	bundleDir = "../../deploy/policies/default"
	schemaDir = "schema"
)

// `opa check --strict --schema decision/opa/schema deploy/policies/default`, with
// everything stock OPA can do, passes.
func TestStockOPAChecksTheDefaultPolicy(t *testing.T) {
	if err := check(t, bundleDir); err != nil {
		t.Fatal(err)
	}
	// And the schema is looked at: the same policy with one field misspelt fails.
	text, err := os.ReadFile(filepath.Join(bundleDir, "verdict.rego"))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{"verdict.rego": strings.Replace(string(text), "input.tenant.regions", "input.tenant.region", 1)})
	if err := check(t, dir); err == nil || !strings.Contains(err.Error(), "undefined ref: input.tenant.region") {
		t.Fatalf("a misspelt field: %v", err)
	}
}

// check does what the command does (cmd/check.go of OPA).
func check(t *testing.T, dir string) error {
	t.Helper()
	schemas, err := loader.Schemas(schemaDir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := loader.NewFileLoader().WithRegoVersion(ast.RegoV1).WithProcessAnnotation(true).
		Filtered([]string{dir}, func(_ string, info fs.FileInfo, _ int) bool {
			return !info.IsDir() && path.Ext(info.Name()) != ".rego"
		})
	if err != nil {
		return err
	}
	compiler := ast.NewCompiler().WithCapabilities(ast.CapabilitiesForThisVersion()).WithSchemas(schemas).
		WithEnablePrintStatements(true).WithStrict(true).WithUseTypeCheckAnnotations(true)
	if compiler.Compile(files.ParsedModules()); compiler.Failed() {
		return compiler.Errors
	}
	return nil
}

// `opa test deploy/policies/default` passes.
func TestTheDefaultPolicysOwnTests(t *testing.T) {
	if n := regoTests(t, bundleDir); n < 10 {
		t.Errorf("only %d tests ran", n)
	}
}

// regoTests runs the tests of folders as `opa test -b` does, and counts them.
func regoTests(t *testing.T, dirs ...string) int {
	t.Helper()
	ctx := context.Background()
	modules, store, err := tester.LoadWithRegoVersion(dirs, nil, ast.RegoV1)
	if err != nil {
		t.Fatal(err)
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(ctx, txn)
	results, err := tester.NewRunner().SetStore(store).SetModules(modules).CapturePrintOutput(true).RunTests(ctx, txn)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := range results {
		n++
		if !r.Pass() {
			t.Errorf("%s", r)
		}
	}
	return n
}

// `opa fmt` has nothing to say.
func TestTheDefaultPolicyIsFormatted(t *testing.T) {
	files, err := policies.Default()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.rego")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(formatted, text) {
			t.Errorf("%s: run opa fmt -w", name)
		}
	}
}

// The binary carries the folder that users read.
func TestTheEmbeddedPolicyIsTheFolder(t *testing.T) {
	embedded, err := defaultSource()
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := readSource(os.DirFS(bundleDir), "there")
	if err != nil {
		t.Fatal(err)
	}
	if embedded.sum != onDisk.sum {
		t.Error("they differ")
	}
}
