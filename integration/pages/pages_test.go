package pages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/agents"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/sdk"
)

const root = "../.."

// page is a document with blocks in it.
type page struct {
	path  string
	after string // the page that its reader has done before, on the same machine
	// heldBy is the test that runs the page, where it is not this one.
	heldBy string
	// files are those of another page, which this one sends its reader to.
	files string
	// bare are the languages of blocks that name none, by how they begin. Others
	// that name none are pictures.
	bare map[string]string
}

// The pages. One that is not listed and has blocks fails.
var listed = []page{
	{path: "README.md", files: "docs/try-it.md", bare: map[string]string{
		"SIGNALBOX_CREDENTIAL_OPENAI=": "sh",
		"bin/signalbox budgets":        "sh",
	}},
	{path: "docs/try-it.md"},
	{path: "docs/set-budgets.md", after: "docs/try-it.md"},
	{path: "docs/the-proxy.md", after: "docs/try-it.md"},
	{path: "docs/put-it-before-envoy.md", after: "docs/try-it.md"},
	{path: "docs/is-it-wired.md", after: "docs/try-it.md"},
	{path: "docs/use/python.md", after: "docs/try-it.md"},
	{path: "docs/use/node.md", after: "docs/try-it.md"},
	{path: "docs/use/claude-code.md", after: "docs/try-it.md"},
	{path: "docs/use/codex.md", after: "docs/try-it.md"},
	{path: "docs/query-cost.md", heldBy: "analytics/docs_test.go"},
	{path: "docs/write-a-policy.md", heldBy: "decision/opa/docs_test.go"},
}

// notRun are the blocks that are not run, by their first lines, and why. Each of
// them shows it on the page: its first line ends in the mark, or something is left
// out in it.
var notRun = map[string]string{
	`OpenAI(base_url="http://localhost:8080/v1", api_key="sbx_…").chat.completions.create(model="gpt-4o-mini", messages=[…])`: "two lines that show what changes; docs/use/python.md has whole programs",
}

const mark = "# not run by the test"

// fails are the blocks whose command is to fail, by their first lines: the page
// shows what is said then.
var fails = map[string]bool{
	"sed -i 's/every: month/every: week/' budgets/month.yaml":                                                             true,
	`ANTHROPIC_CUSTOM_HEADERS="x-signalbox-session: s-42" ANTHROPIC_AUTH_TOKEN=$KEY claude -p "Say hello" --model sonnet`: true,
	`SIGNALBOX_KEY=sbx_unknown codex exec --skip-git-repo-check "Say hello" 2>&1 | grep ERROR | tail -n 1`:                true,
}

// TestMain builds the two programs unless the Makefile built the first.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "signalbox-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		builds := map[string]string{"SIGNALBOX_UPSTREAM": "./integration/upstream/serve"}
		if os.Getenv("SIGNALBOX_BIN") == "" {
			builds["SIGNALBOX_BIN"] = "./cmd/signalbox"
		}
		for name, what := range builds {
			bin := filepath.Join(dir, name)
			build := exec.Command("go", "build", "-o", bin, what)
			build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build %s: %v\n%s", what, err, out)
				return 1
			}
			os.Setenv(name, bin)
		}
		return m.Run()
	}())
}

// tools are this machine's; what is missing is fetched, or said.
func tools(t *testing.T) Tools {
	t.Helper()
	kit, err := sdk.Install(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	coding, err := agents.Install(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := envoyrig.Binary(t.Context(), envoyrig.Newest, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return Tools{Root: here, Bin: os.Getenv("SIGNALBOX_BIN"), Upstream: os.Getenv("SIGNALBOX_UPSTREAM"), Cache: cache,
		Python: kit.Python, Node: kit.Node, Modules: kit.Modules, Claude: coding.Claude, Codex: coding.Codex, Envoy: envoy}
}

// TestPages reads every page as its reader does.
func TestPages(t *testing.T) {
	machine := tools(t)
	for _, p := range listed {
		if p.heldBy != "" {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			m, err := NewMachine(t.TempDir(), machine)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			r, err := NewReader(m)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				said := r.Said()
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Log(said)
				}
			}()
			if p.after != "" {
				read(t, r, named(t, p.after), false) // it is compared where it is read for itself
			}
			for _, b := range filesOf(t, p) {
				if err := r.Do(t.Context(), b, nil, false); err != nil {
					t.Fatal(err)
				}
			}
			read(t, r, p, true)
			for _, c := range m.Provider.Calls() {
				if strings.Contains(fmt.Sprint(c.Header, c.Body), "sbx_") {
					t.Errorf("a caller's key reached the provider in %s %s", c.Method, c.Path)
				}
			}
		})
	}
}

func named(t *testing.T, path string) page {
	t.Helper()
	i := slices.IndexFunc(listed, func(p page) bool { return p.path == path })
	if i < 0 {
		t.Fatalf("no page is called %s", path)
	}
	return listed[i]
}

// filesOf are the files of the page that this one sends its reader to.
func filesOf(t *testing.T, p page) []Block {
	t.Helper()
	if p.files == "" {
		return nil
	}
	return slices.DeleteFunc(blocksOf(t, named(t, p.files)), func(b Block) bool { return b.Lang != "yaml" && b.Lang != "toml" })
}

// blocksOf are a page's, each in a language.
func blocksOf(t *testing.T, p page) []Block {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, p.path))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := Blocks(p.path, string(raw))
	if err != nil {
		t.Fatal(err)
	}
	for i := range blocks {
		for begins, lang := range p.bare {
			if blocks[i].Lang == "" && strings.HasPrefix(blocks[i].Text, begins) {
				blocks[i].Lang = lang
			}
		}
	}
	return blocks
}

// read does a page, to its first block that does not do what it says.
func read(t *testing.T, r *Reader, p page, compared bool) {
	t.Helper()
	blocks := blocksOf(t, p)
	for i := 0; i < len(blocks); i++ {
		b := blocks[i]
		if _, not := notRun[b.First()]; not || b.Lang == "" {
			continue
		}
		var prints *Block
		if i+1 < len(blocks) && blocks[i+1].Lang == "text" {
			if i++; compared {
				prints = &blocks[i]
			}
		}
		if err := r.Do(t.Context(), b, prints, fails[b.First()]); err != nil {
			t.Fatal(err)
		}
	}
}

// A page that nobody runs may say anything. What is not run says so.
func TestEveryPageIsRead(t *testing.T) {
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	used := map[string]bool{}
	for _, path := range found {
		path, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(listed, func(p page) bool { return p.path == path })
		p := page{path: path}
		if i >= 0 {
			p = listed[i]
		}
		if p.heldBy != "" {
			if _, err := os.Stat(filepath.Join(root, p.heldBy)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		for _, b := range blocksOf(t, p) {
			why, not := notRun[b.First()]
			used[b.First()] = true
			switch {
			case not && !strings.HasSuffix(b.First(), mark) && !strings.Contains(b.Text, anything):
				t.Errorf("%s: it is not run, because of %q, and does not say so", b, why)
			case !not && strings.HasSuffix(b.First(), mark):
				t.Errorf("%s: it says that it is not run, and the table does not say why", b)
			case i < 0 && b.Lang != "":
				t.Errorf("%s: nobody reads this page; list it", b)
			}
		}
	}
	for first := range notRun {
		if !used[first] {
			t.Errorf("no block begins with %q", first)
		}
	}
	for first := range fails {
		if !used[first] {
			t.Errorf("no block begins with %q", first)
		}
	}
}
