// Package envoytest is the rig of the real Envoy for tests: one ends with the test
// that started it, and what holds of each, whatever its test is about, is looked at
// then.
package envoytest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// Binary is a pinned Envoy's program.
func Binary(t *testing.T, version string) string {
	t.Helper()
	path, err := envoyrig.Binary(t.Context(), version, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Start runs an Envoy until the test ends, and waits until it serves. The hidden words
// may stand neither in its log nor in what it says of its configuration, and neither
// may any key of ours.
func Start(t *testing.T, version string, c envoyrig.Config, hidden ...string) *envoyrig.Envoy {
	t.Helper()
	e := Launch(t, version, c, hidden...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return e
}

// Launch is Start for an Envoy that is not expected to serve soon.
func Launch(t *testing.T, version string, c envoyrig.Config, hidden ...string) *envoyrig.Envoy {
	t.Helper()
	log := &rigtest.Log{}
	c.Binary, c.Dir, c.Log = Binary(t, version), t.TempDir(), log
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := envoyrig.Launch(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over.
		dump, err := e.ConfigDump(context.Background())
		if err != nil {
			t.Errorf("the configuration at the end: %v", err)
		}
		if err := e.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("envoy said:\n%s", log.String())
		}
		shown(t, "the log of Envoy", log.String(), hidden)
		shown(t, "the configuration that Envoy shows", string(dump), hidden)
	})
	return e
}

func shown(t *testing.T, where, text string, hidden []string) {
	t.Helper()
	if rigtest.ShowsKey(text) {
		t.Errorf("a key stands in %s", where)
	}
	for _, word := range hidden {
		if strings.Contains(text, word) {
			t.Errorf("what is hidden stands in %s", where) // and not in ours, too
		}
	}
}
