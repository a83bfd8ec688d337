package opa

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
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

// watched is a policy whose folder is watched until the test ends.
func watched(t *testing.T, dir string, poll time.Duration) (*Policy, said) {
	t.Helper()
	log := said{lines: make(chan string, 100)}
	cfg := config(dir)
	cfg.Log, cfg.Poll, cfg.Settle = slog.New(log), poll, time.Millisecond
	p, err := Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	return p, log
}

// next waits for a log line that says this. What else is logged in between is
// returned: a folder may be seen half written.
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

func capture(t *testing.T, p *Policy) string {
	t.Helper()
	v, err := p.Evaluate(context.Background(), aCall())
	if err != nil {
		t.Fatal(err)
	}
	return v.Capture
}

// replace writes a file as careful programs do: beside it, then in its place.
func replace(t *testing.T, dir, name, text string) {
	t.Helper()
	write(t, dir, "."+name, text)
	if err := os.Rename(filepath.Join(dir, "."+name), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

const rulesThatCapture = "package signalbox.decision.custom\n\ncapture := "

func TestAChangeIsTaken(t *testing.T) {
	for name, poll := range map[string]time.Duration{"by an event": time.Hour, "by polling": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, custom(`capture := "hash"`))
			p, log := watched(t, dir, poll)
			if got := capture(t, p); got != "hash" {
				t.Fatalf("capture %q", got)
			}
			// The first change may be found when Run begins; once it was taken the
			// watch stands, and the second one is found by it.
			for _, want := range []string{"redacted", "full"} {
				before := p.Revision()
				replace(t, dir, "custom.rego", rulesThatCapture+`"`+want+`"`+"\n")
				log.next(t, "policy taken")
				if got := capture(t, p); got != want || p.Revision() == before {
					t.Errorf("capture %q by revision %s; want %q by another than %s", got, p.Revision(), want, before)
				}
			}
		})
	}
}

func TestAPolicyThatDoesNotCompileReplacesNothing(t *testing.T) {
	dir := folder(t, custom(`capture := "hash"`))
	p, log := watched(t, dir, time.Millisecond)
	before := p.Revision()

	replace(t, dir, "custom.rego", rulesThatCapture+"http.send({}).body\n")
	log.next(t, "policy not taken")
	if p.Revision() != before || capture(t, p) != "hash" {
		t.Fatalf("revision %s captures %q", p.Revision(), capture(t, p))
	}
	s := p.Status()
	if s.LastError == nil || !strings.Contains(s.LastError.Error(), "custom.rego:3: http.send is not open to policies") || s.FailedAt.IsZero() {
		t.Errorf("status %+v", s)
	}

	// It is said once, however often the folder is read; the next thing said is
	// that the mended folder was taken.
	replace(t, dir, "custom.rego", rulesThatCapture+"\"redacted\"\n")
	if between := log.next(t, "policy taken"); len(between) != 0 {
		t.Errorf("said in between: %q", between)
	}
	if s := p.Status(); capture(t, p) != "redacted" || s.LastError != nil || !s.FailedAt.IsZero() {
		t.Errorf("mended, yet %+v", s)
	}
}

func TestAFolderThatGoesAwayLeavesThePolicy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	write(t, dir, "custom.rego", rulesThatCapture+"\"hash\"\n")
	p, log := watched(t, dir, time.Millisecond)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	log.next(t, "there is no such policy folder")
	if got := capture(t, p); got != "hash" {
		t.Errorf("capture %q", got)
	}
	write(t, dir, "new/place.rego", rulesThatCapture+"\"full\"\n")
	log.next(t, "policy taken")
	if got := capture(t, p); got != "full" {
		t.Errorf("capture %q", got)
	}
}

// The memo dies with its policy: what was remembered under one revision is not
// said under the next.
func TestWhatIsRememberedEndsWithThePolicy(t *testing.T) {
	dir := folder(t, custom(`capture := "hash"`))
	cfg := config(dir)
	p, err := Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // evaluated, then remembered
		if got := capture(t, p); got != "hash" {
			t.Fatalf("capture %q", got)
		}
	}
	write(t, dir, "custom.rego", rulesThatCapture+"\"full\"\n")
	own, err := ownSource(dir)
	p.take(context.Background(), own, err)
	if got := capture(t, p); got != "full" {
		t.Errorf("capture %q", got)
	}
}

func TestRunWithoutAFolderWaits(t *testing.T) {
	defer goleak.VerifyNone(t)
	p := loaded(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
