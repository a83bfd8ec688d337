package registry_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/registry"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// story is one case of a testdata file: a title between dashes, then a text.
type story struct{ title, text string }

func stories(t *testing.T, file string) []story {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []story
	for line := range strings.Lines(string(data)) {
		if title, ok := strings.CutPrefix(line, "-- "); ok {
			out = append(out, story{title: strings.TrimSuffix(title, " --\n")})
		} else if len(out) > 0 {
			out[len(out)-1].text += line
		}
	}
	return out
}

// Each file of testdata/bad holds registry files that are wrong; beside it, in
// .golden, stands everything that is said of each: line, column, what is wrong
// and what to write. Read the golden files as a user would.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			var said strings.Builder
			for _, s := range stories(t, f) {
				b := newBench(t)
				_, err := b.Apply(context.Background(), file(s.text), registry.ApplyOptions{Confirmed: true})
				var bad *registry.FileError
				if !errors.As(err, &bad) {
					t.Errorf("%s: %v, want problems", s.title, err)
					continue
				}
				checkProblems(t, bad)
				if n := len(b.events()); n != 0 {
					t.Errorf("%s: %d events were written", s.title, n)
				}
				fmt.Fprintf(&said, "-- %s --\n%s\n", s.title, strings.ReplaceAll(bad.Error(), "registry.yaml:", ""))
			}
			golden(t, strings.TrimSuffix(f, ".txt")+".golden", said.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update to take it over):\n%s", name, diff)
	}
}

// checkProblems holds what every report promises.
func checkProblems(t testing.TB, e *registry.FileError) {
	t.Helper()
	if len(e.Problems) == 0 || len(e.Problems) > 50 || e.More > 0 && len(e.Problems) != 50 {
		t.Errorf("%d problems and %d more", len(e.Problems), e.More)
	}
	for i, p := range e.Problems {
		if p.Line < 1 || p.Column < 1 || p.What == "" || p.Want == "" || p.File == "" {
			t.Errorf("a problem without its place or its mending: %+v", p)
		}
		if i > 0 && (e.Problems[i-1].File > p.File || e.Problems[i-1].File == p.File && e.Problems[i-1].Line > p.Line) {
			t.Errorf("not sorted: %v before %v", e.Problems[i-1], p)
		}
	}
}

func TestBoundsOfFiles(t *testing.T) {
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	var bomb strings.Builder
	bomb.WriteString("tenants: &a0 [{name: x}]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&bomb, "x%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1)
	}
	wide := "tenants: [{name: acme, regions: &m [" + strings.Join(many(200), ", ") + "]}"
	for i := range 6000 {
		wide += ", {name: t" + itoa(i) + ", regions: *m}"
	}
	wide += "]"
	for _, c := range []struct{ name, text, want string }{
		{"too long", strings.Repeat("# comment\n", 1<<20), "the file is 10 MiB long"},
		{"too many values", "tenants: [" + strings.Repeat("a,", 2_100_000) + "]", "more than 2000000 values"},
		{"deeply nested", "tenants: " + deep, "this tenant is a list"},
		{"nested too deeply to parse", "tenants: " + strings.Repeat("[", 100_000), "exceeded max depth"},
		{"an alias bomb", bomb.String(), "unknown key"},
		{"aliases that add up", wide, "the files hold more than 1000000 values"},
		{"an anchor within itself", "tenants: &a [*a]", "this tenant is a list"},
		{"not UTF-8", "tenants: [{name: acme}]\n# \xff", "the byte 0xff is not text"},
		{"a control character", "tenants: [{name: \"a\x00\"}]", "the byte 0x00 is not text"},
		{"UTF-16", "\xff\xfet\x00e\x00", "the byte 0xff is not text"},
		{"a huge object", "tenants: [{name: acme, regions: [" + strings.Join(many(2000), ", ") + "]}]", "KiB long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newBench(t).Apply(context.Background(), file(c.text), registry.ApplyOptions{})
			var bad *registry.FileError
			if !errors.As(err, &bad) {
				t.Fatalf("%v, want problems", err)
			}
			checkProblems(t, bad)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q in:\n%.500s", c.want, err)
			}
		})
	}
}

// many are different regions that take some 80 KiB together.
func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("r%04d%s", i, strings.Repeat("x", 40))
	}
	return out
}

func TestMoreProblemsThanAreShown(t *testing.T) {
	text := "tenants:\n" + strings.Repeat("  - {name: Bad}\n", 80)
	_, err := newBench(t).Apply(context.Background(), file(text), registry.ApplyOptions{})
	var bad *registry.FileError
	if !errors.As(err, &bad) || len(bad.Problems) != 50 || bad.More != 30 || bad.Problems[0].Line != 2 {
		t.Fatalf("%+v", err)
	}
	if !strings.HasSuffix(err.Error(), "\nand 30 more") {
		t.Errorf("%s", err)
	}
}

// Several files are one: they refer to each other, and names are theirs together.
func TestSeveralFiles(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	files := []registry.File{
		{Name: "b.yaml", Data: []byte("teams: [{tenant: acme, name: support}]\n---\ntenants: [{name: acme}]\n")},
		{Name: "a.yaml", Data: []byte("apps: [{tenant: acme, team: support, name: helpdesk}]")},
	}
	if _, err := b.Apply(ctx, files, registry.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	files = append(files, registry.File{Name: "c.yaml", Data: []byte("tenants:\n  - {name: acme}\n")}, registry.File{Name: "d.yaml", Data: []byte("# nothing\n")})
	_, err := b.Apply(ctx, files, registry.ApplyOptions{})
	want := "c.yaml:2:5: tenant acme is declared twice, first in b.yaml:3; give one of them another name, or keep one\n" +
		"d.yaml:1:1: the file declares nothing; write at least one object, such as tenants: [{name: acme}]"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if _, err := b.Apply(ctx, nil, registry.ApplyOptions{}); err == nil {
		t.Error("no files were applied")
	}
}

// FuzzFile: whatever a file holds, it is either applied or refused with problems
// that name their places; and what is applied is applied.
func FuzzFile(f *testing.F) {
	f.Add([]byte(example(f)))
	files, _ := filepath.Glob("testdata/bad/*.txt")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for text := range strings.SplitSeq(string(data), "\n-- ") {
			if _, text, ok := strings.Cut(text, " --\n"); ok {
				f.Add([]byte(text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBench(t)
		files := []registry.File{{Name: "f.yaml", Data: data}}
		_, err := b.Apply(context.Background(), files, registry.ApplyOptions{Confirmed: true, Prune: true})
		var bad *registry.FileError
		if errors.As(err, &bad) {
			checkProblems(t, bad)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		d, err := b.Apply(context.Background(), files, registry.ApplyOptions{Prune: true})
		if err != nil || !d.Empty() {
			t.Fatalf("applied twice: %v\n%s", err, d.String())
		}
	})
}
