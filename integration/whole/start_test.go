package whole_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// Two processes on one folder would both be the holder of its money.
func TestTheDataFolderIsOneProcesss(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	second := refusesToStart(t, rig.Config{Dir: box.Dir, Extra: "analytics: {disabled: true}\n"})
	wantSentence(t, second, box.Data(), "in use by another signalbox")
	open(t, box, key(t, box, "globex/notebook"), "")
}

// What keeps serve from starting is said in a sentence, with what to do.
func TestWhatKeepsItFromStarting(t *testing.T) {
	taken := start(t, "", "analytics: {disabled: true}\n")
	wantSentence(t, refusesToStart(t, rig.Config{Dir: t.TempDir(), HTTP: taken.HTTP, Extra: "analytics: {disabled: true}\n"}), "http.listen", taken.HTTP, "another port")
	wantSentence(t, refusesToStart(t, rig.Config{Dir: t.TempDir(), Extra: "analytics: {disabled: true}\npolicy: {dir: /nowhere/policies}\n"}), "policy", "/nowhere/policies")
	wantSentence(t, refusesToStart(t, rig.Config{Dir: t.TempDir(), Extra: "cluster_secret: {file: /dev/null/secret}\n"}), "secret", "/dev/null/secret")
	if status, _, err := taken.Ready(ctx(t)); err != nil || status != http.StatusOK {
		t.Errorf("the one that was there first: %v %d", err, status)
	}
}

// refusesToStart is what serve says when it cannot start.
func refusesToStart(t *testing.T, c rig.Config) string {
	t.Helper()
	c.Bin = rigtest.Bin()
	box, err := rig.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(ctx(t)); err == nil {
		t.Error("it started")
		_ = box.Stop()
	}
	return box.Tail()
}

// wantSentence wants a last line that says all of this.
func wantSentence(t *testing.T, said string, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for _, w := range want {
		if last := lines[len(lines)-1]; !strings.Contains(last, w) {
			t.Errorf("it ends with %q, which does not say %q", last, w)
		}
	}
	if strings.Contains(said, "panic:") || strings.Contains(said, "goroutine ") {
		t.Errorf("it panicked:\n%s", said)
	}
}
