package fetch_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/signalbox-dev/signalbox/integration/fetch"
)

// tool is a thing whose making is a file, and counted.
func tool(pins fstest.MapFS, made *atomic.Int32) fetch.Thing[string] {
	return fetch.Thing[string]{
		Name: "tool", Pins: pins,
		Make: func(_ context.Context, dir string, _ io.Writer) error {
			made.Add(1)
			return os.WriteFile(filepath.Join(dir, "program"), nil, 0o755)
		},
		Find: func(_ context.Context, dir string) (string, error) {
			path := filepath.Join(dir, "program")
			_, err := os.Stat(path)
			return path, err
		},
	}
}

func pinned(version string) fstest.MapFS {
	return fstest.MapFS{"pins/version.txt": {Data: []byte(version)}}
}

// Many at once: one makes it, all have it, and nobody makes it again until the pins
// change or it is broken.
func TestMadeOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	var made atomic.Int32
	install := func(pins fstest.MapFS) string {
		path, err := tool(pins, &made).Install(t.Context(), t.Output())
		if err != nil {
			t.Error(err)
		}
		return path
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { install(pinned("1")) })
	}
	all.Wait()
	first := install(pinned("1"))
	if made.Load() != 1 {
		t.Errorf("it was made %d times", made.Load())
	}
	if raw, err := os.ReadFile(filepath.Join(filepath.Dir(first), "version.txt")); err != nil || string(raw) != "1" {
		t.Errorf("beside it lies the pin %q (%v)", raw, err)
	}
	if second := install(pinned("2")); second == first || made.Load() != 2 {
		t.Errorf("other pins: %s, and before %s; made %d times", second, first, made.Load())
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if again := install(pinned("1")); again != first || made.Load() != 3 {
		t.Errorf("a broken one is made anew in its place: %s, made %d times", again, made.Load())
	}
}

// What failed to be made is no thing, whatever it left in its folder.
func TestHalfMade(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	var made atomic.Int32
	half := tool(pinned("1"), &made)
	whole := half.Make
	half.Make = func(ctx context.Context, dir string, say io.Writer) error {
		return errors.Join(whole(ctx, dir, say), errors.New("the registry is away"))
	}
	if _, err := half.Install(t.Context(), t.Output()); err == nil || !strings.Contains(err.Error(), "the registry is away") {
		t.Errorf("what could not be installed is said as %v", err)
	}
	if _, err := tool(pinned("1"), &made).Install(t.Context(), t.Output()); err != nil || made.Load() != 2 {
		t.Errorf("after a half made one it was made %d times: %v", made.Load(), err)
	}
}

// A part that is needed and cannot be had must be named: whoever reads the failure
// has to know what to install.
func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, row := range []struct {
		what string
		err  error
		want []string
	}{
		{"pip", fetch.Pip(t.Context(), t.TempDir(), t.Output()), []string{"python3", "venv", "apt-get install python3 python3-venv"}},
		{"npm", fetch.NPM(t.Context(), t.TempDir(), t.Output()), []string{"npm", "apt-get install npm"}},
	} {
		if row.err == nil {
			t.Errorf("%s: nothing is there to install it with, and nobody says so", row.what)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(row.err.Error(), want) {
				t.Errorf("%s: %q does not name %q", row.what, row.err, want)
			}
		}
	}
}

// Of the programs of several platforms, the one that starts is taken.
func TestFirstThatRuns(t *testing.T) {
	dir := t.TempDir()
	for name, exit := range map[string]string{"a-other": "1", "b-ours": "0"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexit "+exit+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if path, err := fetch.FirstThatRuns(t.Context(), filepath.Join(dir, "*")); err != nil || filepath.Base(path) != "b-ours" {
		t.Errorf("%q, %v", path, err)
	}
	if _, err := fetch.FirstThatRuns(t.Context(), filepath.Join(dir, "a-*")); err == nil {
		t.Error("a program that does not start was taken")
	}
}
