// Package rigtest is the rig for tests: the binary is built once for all of them,
// and a box ends with the test that started it. What holds of every box whatever
// the test is about is looked at when it ends: that it stops when told to, that no
// key stands in its log, and that it leaves no engine behind.
package rigtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// binary names the variable that says where the binary is.
const binary = "SIGNALBOX_BIN"

// Bin is the binary that the tests run.
func Bin() string { return os.Getenv(binary) }

// Main is a TestMain's: it builds the binary, unless the Makefile did, and runs
// the tests. What it gives is for os.Exit.
func Main(m *testing.M) int {
	if Bin() != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "signalbox-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "signalbox")
	build := exec.Command("go", "build", "-o", bin, "github.com/signalbox-dev/signalbox/cmd/signalbox")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	os.Setenv(binary, bin)
	return m.Run()
}

// Start runs a box in a folder of its own, and applies a registry, if there is
// one. It ends with the test.
func Start(t *testing.T, c rig.Config, registry string, hidden ...string) *rig.Box {
	t.Helper()
	box := New(t, c, hidden...)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if err := box.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if registry != "" {
		if err := box.Apply(ctx, registry); err != nil {
			t.Fatal(err)
		}
	}
	return box
}

// New is a box that is not started yet. The hidden words may not stand in its log,
// and neither may any key.
func New(t *testing.T, c rig.Config, hidden ...string) *rig.Box {
	t.Helper()
	log := &Log{}
	c.Bin, c.Dir, c.Log = Bin(), t.TempDir(), log
	// Calls wait for money longer than they do by default: a busy machine must not
	// look like a held budget.
	c.Env = append([]string{"SIGNALBOX_LEDGER_LEASE_WAIT=500ms"}, c.Env...)
	box, err := rig.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		said := log.String()
		if t.Failed() {
			t.Logf("signalbox said:\n%s", said)
		}
		if ShowsKey(said) {
			t.Error("a key stands in the log")
		}
		for _, word := range hidden {
			if strings.Contains(said, word) {
				t.Error("what is hidden stands in the log") // and not in ours, too
			}
		}
		Eventually(t, "no analytics engine is left", func() error {
			engines, err := box.Engines()
			if err == nil && len(engines) > 0 {
				err = fmt.Errorf("engines %v still work in %s", engines, box.Data())
			}
			return err
		})
	})
	return box
}

// shownOnce is a key or a token as it is shown when it is made.
var shownOnce = regexp.MustCompile(`sb[xga]_[0-9A-Za-z]{16}`)

// ShowsKey reports whether a key or a token stands in a text.
func ShowsKey(text string) bool { return shownOnce.MatchString(text) }

// Eventually asks until there is no complaint. Its bound is for a machine that has
// much else to do, and says nothing about speed.
func Eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within two minutes: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Log keeps what a process printed.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
