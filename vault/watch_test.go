package vault_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/vault"
)

// said is a log that tests wait on: what is logged is what has happened.
type said struct{ lines chan string }

func (s said) Enabled(context.Context, slog.Level) bool { return true }
func (s said) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s said) WithGroup(string) slog.Handler            { return s }
func (s said) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	s.lines <- line
	return nil
}

// next waits for a log line that says this; what else is said in between is returned.
func (s said) next(t *testing.T, want string) (before []string) {
	t.Helper()
	enough := time.After(30 * time.Second) // a test that hangs says where
	for {
		select {
		case line := <-s.lines:
			if strings.Contains(line, want) {
				return before
			}
			before = append(before, line)
		case <-enough:
			t.Fatalf("never said %q, only %q", want, before)
		}
	}
}

const never = time.Hour

// watched are credentials whose folder is watched until the test ends.
func watched(t *testing.T, dir string, poll time.Duration, env ...string) (*vault.Credentials, said) {
	t.Helper()
	log := said{lines: make(chan string, 10_000)}
	c, err := vault.OpenCredentials(dir, env, slog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	c.Pace(poll, time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	return c, log
}

func is(t *testing.T, c *vault.Credentials, name, want string) {
	t.Helper()
	if s, ok := c.Credential(name); !ok || s.Reveal() != want {
		t.Errorf("%s: %v, and not what was written last", name, ok)
	}
}

// replace writes a file as careful programs do: beside it, then in its place.
func replace(t testing.TB, file, text string) {
	t.Helper()
	beside := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".new")
	put(t, beside, text)
	if err := os.Rename(beside, file); err != nil {
		t.Fatal(err)
	}
}

// rewrite writes a file as careless ones do: it is empty for a moment.
func rewrite(t testing.TB, file, text string) {
	t.Helper()
	put(t, file, text)
}

// save moves the old file away first, as some editors do: it is missing for a moment.
func save(t testing.TB, file, text string) {
	t.Helper()
	if err := os.Rename(file, file+"~"); err != nil {
		t.Fatal(err)
	}
	put(t, file, text)
}

func TestRotationIsTaken(t *testing.T) {
	for how, write := range map[string]func(testing.TB, string, string){"renamed": replace, "written over": rewrite, "saved": save} {
		for by, poll := range map[string]time.Duration{"by an event": never, "by polling": time.Millisecond} {
			t.Run(how+" "+by, func(t *testing.T) {
				dir := secrets(t, map[string]string{"openai": "sk-0"})
				c, log := watched(t, dir, poll)
				log.next(t, "credential taken")
				inFlight, _ := c.Credential("openai")
				// The first change may be found when Run begins; once it was taken the
				// watch stands, and the others are found by it.
				for i := 1; i <= 3; i++ {
					want := "sk-" + strconv.Itoa(i)
					write(t, filepath.Join(dir, "openai"), want)
					for s, ok := c.Credential("openai"); !ok || s.Reveal() != want; s, ok = c.Credential("openai") {
						log.next(t, "credential") // taken, rotated, or removed for a moment
					}
				}
				if inFlight.Reveal() != "sk-0" {
					t.Error("a credential in use was changed under its user")
				}
			})
		}
	}
}

// mount lays out a folder as kubelet does, and swaps it as kubelet does: a new
// folder, a link to it renamed into place, the links of new and old keys, and the
// old folder removed.
type mount struct {
	t       testing.TB
	dir     string
	version int
}

func (m *mount) update(files map[string]string) {
	m.t.Helper()
	m.version++
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	data := "..2026_03_01_12_00_00." + strconv.Itoa(m.version)
	must(os.Mkdir(filepath.Join(m.dir, data), 0o700))
	for name, text := range files {
		put(m.t, filepath.Join(m.dir, data, name), text)
	}
	before, _ := os.Readlink(filepath.Join(m.dir, "..data"))
	must(os.Symlink(data, filepath.Join(m.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
	for name := range files {
		if _, err := os.Lstat(filepath.Join(m.dir, name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
		}
	}
	entries, err := os.ReadDir(m.dir)
	must(err)
	for _, e := range entries {
		if _, kept := files[e.Name()]; !kept && !strings.HasPrefix(e.Name(), "..") {
			must(os.Remove(filepath.Join(m.dir, e.Name())))
		}
	}
	if before != "" {
		must(os.RemoveAll(filepath.Join(m.dir, before)))
	}
}

func TestKubernetesMounts(t *testing.T) {
	for by, poll := range map[string]time.Duration{"by an event": never, "by polling": time.Millisecond} {
		t.Run(by, func(t *testing.T) {
			m := &mount{t: t, dir: secrets(t, nil)}
			m.update(map[string]string{"openai": "sk-1", "azure-weu": "az-1"})
			c, log := watched(t, m.dir, poll)
			log.next(t, "credential=openai")

			m.update(map[string]string{"openai": "sk-2", "azure-weu": "az-1"})
			log.next(t, "credential rotated credential=openai")
			is(t, c, "openai", "sk-2")
			is(t, c, "azure-weu", "az-1")

			m.update(map[string]string{"openai": "sk-2", "claude": "an-1"})
			for len(c.Names()) != 2 || c.Names()[0] != "claude" {
				log.next(t, "credential ")
			}
			is(t, c, "claude", "an-1")
			if _, ok := c.Credential("azure-weu"); ok {
				t.Error("azure-weu was revoked, and is still given out")
			}
			for _, p := range c.Problems() {
				if !p.Warning {
					t.Errorf("%s", p)
				}
			}
		})
	}
}

func TestARemovedFileIsARevokedCredential(t *testing.T) {
	for by, poll := range map[string]time.Duration{"by an event": never, "by polling": time.Millisecond} {
		t.Run(by, func(t *testing.T) {
			dir := secrets(t, map[string]string{"openai": "sk-0", "other": "sk-1"})
			c, log := watched(t, dir, poll)
			replace(t, filepath.Join(dir, "openai"), "sk-2")
			log.next(t, "credential rotated") // the watch stands
			if err := os.Remove(filepath.Join(dir, "openai")); err != nil {
				t.Fatal(err)
			}
			log.next(t, "credential removed credential=openai environment_used=false")
			if _, ok := c.Credential("openai"); ok {
				t.Error("it is still given out")
			}
			is(t, c, "other", "sk-1")
		})
	}
}

// A credential that rotates hundreds of times under its users is always there,
// whole, and never goes back to an older one.
func TestNoCallIsWithoutACredential(t *testing.T) {
	dir := secrets(t, map[string]string{"openai": "sk-000000-sk-000000"})
	file := filepath.Join(dir, "openai")
	c, log := watched(t, dir, time.Millisecond)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := ""
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, ok := c.Credential("openai")
				value := s.Reveal()
				if a, b, _ := strings.Cut(strings.ReplaceAll(value, "sk-", ""), "-"); !ok || a != b || a < last {
					t.Errorf("there: %v; %q after %q", ok, value, last)
					return
				} else {
					last = a
				}
			}
		})
	}
	for i := 1; i <= 300; i++ {
		text := fmt.Sprintf("sk-%06d-sk-%06d\n", i, i)
		if i%2 == 0 {
			replace(t, file, text)
		} else {
			rewrite(t, file, text) // seen empty at times
		}
	}
	for s, _ := c.Credential("openai"); s.Reveal() != "sk-000300-sk-000300"; s, _ = c.Credential("openai") {
		log.next(t, "credential rotated")
	}
	close(stop)
	wg.Wait()
}

func TestRunWithoutAFolderWaits(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := open(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whoever asks for the change before reading the credentials misses none, and is not
// woken by what changed nothing.
func TestChangedIsTold(t *testing.T) {
	dir := secrets(t, map[string]string{"openai": "sk-0"})
	c, err := vault.OpenCredentials(dir, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "openai")
	told := func(changed <-chan struct{}) bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	for _, step := range []struct {
		what string
		do   func() error
		want bool
	}{
		{"nothing", func() error { return nil }, false},
		{"rotated", func() error { replace(t, file, "sk-1"); return nil }, true},
		{"written as it was", func() error { rewrite(t, file, "sk-1"); return nil }, false},
		{"broken, so that the last stays", func() error { rewrite(t, file, ""); return nil }, false},
		{"removed", func() error { return os.Remove(file) }, true},
		{"come", func() error { put(t, file, "sk-2"); return nil }, true},
	} {
		changed := c.Changed()
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		c.Look(func() {})
		if told(changed) != step.want {
			t.Errorf("%s: told %v", step.what, !step.want)
		}
		if told(c.Changed()) {
			t.Errorf("%s: told of it afterwards", step.what)
		}
	}
}
