package watch_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const never = time.Hour

// Both ways of noticing. Events come with polling too; what only polling finds has
// a test of its own.
var both = map[string]time.Duration{"by an event": never, "by polling": time.Millisecond}

// text is what stands in a file, and nothing where there is none.
func text(file string) string {
	raw, _ := os.ReadFile(file)
	return string(raw)
}

// seen tells what a watched file says at each look, until the test ends.
func seen(t *testing.T, f watch.Folder, file string) <-chan string {
	t.Helper()
	f.Settle, f.Log = time.Millisecond, slog.New(slog.DiscardHandler)
	looks := make(chan string)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx, func(watch.Rest) {
			select {
			case looks <- text(file):
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return looks
}

// until waits for a look that sees this.
func until(t *testing.T, looks <-chan string, want string) {
	t.Helper()
	enough := time.After(30 * time.Second) // a test that hangs says where
	last := "nothing yet"
	for {
		select {
		case last = <-looks:
			if last == want {
				return
			}
		case <-enough:
			t.Fatalf("never saw %q; the last was %q", want, last)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, file, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(text), 0o644))
}

// The first look is at what is there; each later one was told of.
func TestWhatChangesIsLookedAt(t *testing.T) {
	for by, poll := range both {
		t.Run(by, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "one")
			put(t, file, "0")
			looks := seen(t, watch.Folder{Dir: dir, Poll: poll}, file)
			until(t, looks, "0")
			put(t, file, "1")
			until(t, looks, "1")
			put(t, filepath.Join(dir, ".one"), "2")
			must(t, os.Rename(filepath.Join(dir, ".one"), file))
			until(t, looks, "2")
			must(t, os.Remove(file))
			until(t, looks, "")
		})
	}
}

// A folder that appears, goes, and comes back as another is followed.
func TestTheFolderItself(t *testing.T) {
	for by, poll := range both {
		t.Run(by, func(t *testing.T) {
			around := t.TempDir()
			dir := filepath.Join(around, "folder")
			file := filepath.Join(dir, "one")
			looks := seen(t, watch.Folder{Dir: dir, Poll: poll}, file)
			until(t, looks, "")
			for i := range 3 {
				made := filepath.Join(around, "made-"+strconv.Itoa(i))
				put(t, filepath.Join(made, "one"), "made "+strconv.Itoa(i))
				if i > 0 {
					must(t, os.Rename(dir, dir+".old-"+strconv.Itoa(i)))
				}
				must(t, os.Rename(made, dir))
				until(t, looks, "made "+strconv.Itoa(i))
				put(t, file, "written "+strconv.Itoa(i)) // the new folder is watched, not the old one
				until(t, looks, "written "+strconv.Itoa(i))
			}
			must(t, os.RemoveAll(dir))
			until(t, looks, "")
		})
	}
}

// A folder by a name without a place, as a command line gives it.
func TestWhereWeStand(t *testing.T) {
	for by, poll := range both {
		t.Run(by, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			looks := seen(t, watch.Folder{Dir: ".", Poll: poll}, filepath.Join(dir, "one"))
			until(t, looks, "")
			put(t, "one", "1")
			until(t, looks, "1")
		})
	}
}

// No event tells of what a link leads to.
func TestBehindALink(t *testing.T) {
	dir, there := t.TempDir(), filepath.Join(t.TempDir(), "one")
	put(t, there, "0")
	must(t, os.Symlink(there, filepath.Join(dir, "one")))
	looks := seen(t, watch.Folder{Dir: dir, Poll: time.Millisecond}, filepath.Join(dir, "one"))
	until(t, looks, "0")
	put(t, there, "1")
	until(t, looks, "1")
}

// kubelet swaps a link to a hidden folder, behind the links that stand for files.
func TestKubernetesMounts(t *testing.T) {
	for by, poll := range both {
		t.Run(by, func(t *testing.T) {
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			put(t, at("..1/one"), "1")
			must(t, os.Symlink("..1", at("..data")))
			must(t, os.Symlink("..data/one", at("one")))
			looks := seen(t, watch.Folder{Dir: dir, Deep: true, Poll: poll}, at("one"))
			until(t, looks, "1")
			for _, next := range []string{"2", "3"} {
				put(t, at(".."+next+"/one"), next)
				must(t, os.Symlink(".."+next, at("..data_tmp")))
				must(t, os.Rename(at("..data_tmp"), at("..data")))
				until(t, looks, next)
			}
		})
	}
}

// Folders in the folder are followed as they come, and behind a link that stands
// for the folder itself.
func TestFoldersInTheFolder(t *testing.T) {
	for by, poll := range both {
		t.Run(by, func(t *testing.T) {
			around := t.TempDir()
			there, dir := filepath.Join(around, "there"), filepath.Join(around, "folder")
			put(t, filepath.Join(there, "a/b/one"), "0")
			must(t, os.Symlink("there", dir))
			file := filepath.Join(dir, "a/b/one")
			looks := seen(t, watch.Folder{Dir: dir, Deep: true, Poll: poll}, file)
			until(t, looks, "0")
			put(t, file, "1")
			until(t, looks, "1")
			must(t, os.RemoveAll(filepath.Join(dir, "a")))
			until(t, looks, "")
			put(t, file, "2")
			until(t, looks, "2")
			put(t, file, "3")
			until(t, looks, "3")
		})
	}
}

// A look that misses something rests, and sees what came meanwhile by a watch that
// stands again.
func TestALookRests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	file := filepath.Join(dir, "one")
	f := watch.Folder{Dir: dir, Poll: never, Settle: time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	looks := 0
	f.Run(ctx, func(rest watch.Rest) {
		looks++
		switch {
		case looks == 1:
			put(t, file, "1") // the folder was not there when it was asked for events
			if !rest() {
				t.Error("it did not rest")
			}
			put(t, file, "2") // this is told of by the watch that rest renewed
		case text(file) == "2":
			cancel()
			if rest() {
				t.Error("it rested, though we are stopping")
			}
		}
	})
}

func TestWithoutAFolderThereIsNothingToLookAt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	watch.Folder{}.Run(ctx, func(watch.Rest) { t.Error("looked") })
}
