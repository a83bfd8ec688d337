package whole_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// Without the engine decisions go on; when it is installed, it catches up.
func TestTheEngineComesLater(t *testing.T) {
	library := engine(t)
	place := filepath.Join(t.TempDir(), "engine")
	box := start(t, people+month, "analytics: {engine: "+place+"}\n")
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	some(t, load, 300)
	if status, body, err := box.Ready(ctx(t)); err != nil || status != 200 || !strings.Contains(body, "signalbox engine install") {
		t.Errorf("readiness without an engine: %v %d %s", err, status, body)
	}
	done, err := box.Command(ctx(t), "sql", "SELECT 1")
	if err != nil || done.Exit != 1 || !strings.Contains(done.Stderr, "analytics") {
		t.Errorf("sql without an engine: %v %+v", err, done)
	}
	if err := os.Mkdir(place, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(library, filepath.Join(place, "libchdb.so")); err != nil {
		t.Fatal(err)
	}
	some(t, load, 100)
	same(t, load)
	rigtest.Eventually(t, "readiness has nothing more to say of analytics", func() error {
		status, body, err := box.Ready(ctx(t))
		if err == nil && (status != 200 || strings.Contains(body, "analytics")) {
			err = errors.New(body)
		}
		return err
	})
}

// The engine is killed under load, again and again: nothing is lost and nothing
// stands there twice.
func TestTheEngineIsKilledUnderLoad(t *testing.T) {
	engine(t)
	box := start(t, people+month, "")
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	stop := make(chan struct{})
	load.run(t, 8, 1, stop)
	var last int
	for kill := range 3 {
		rigtest.Eventually(t, "another engine works, and has rows", func() error {
			engines, err := box.Engines()
			if err != nil || len(engines) != 1 || engines[0] == last {
				return fmt.Errorf("%v %v", err, engines)
			}
			rows, err := box.SQL(ctx(t), "SELECT count() AS n FROM usage")
			if err != nil || len(rows) != 1 || fmt.Sprint(rows[0]["n"]) == "0" {
				return fmt.Errorf("%v %v", err, rows)
			}
			last = engines[0]
			return nil
		})
		if t.Failed() {
			break
		}
		if err := syscall.Kill(last, syscall.SIGKILL); err != nil {
			t.Errorf("kill %d: %v", kill+1, err)
		}
	}
	close(stop)
	load.wg.Wait()
	same(t, load)
}

// Everything is killed under load, analytics included.
func TestKilledWithAnalytics(t *testing.T) {
	engine(t)
	box := start(t, people+month, "")
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	for kill := range 2 {
		stop := make(chan struct{})
		load.run(t, 8, uint64(kill), stop)
		rows := 300 * (kill + 1)
		rigtest.Eventually(t, "rows are being written", func() error {
			found, err := box.SQL(ctx(t), fmt.Sprintf("SELECT count() >= %d AS enough FROM usage", rows))
			if err != nil || fmt.Sprint(found) != "[map[enough:1]]" {
				return fmt.Errorf("%v %v", err, found)
			}
			return nil
		})
		if err := box.Kill(); err != nil {
			t.Fatal(err)
		}
		close(stop)
		load.wg.Wait()
		if err := box.Start(ctx(t)); err != nil {
			t.Fatal(err)
		}
		load.reportPending(t)
	}
	same(t, load)
}

// some is a number of calls, one after the other.
func some(t *testing.T, load *traffic, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(n), 0))
	for i := range n {
		load.call(t, random, fmt.Sprint("call ", i))
	}
}

// same wants what callers were told, the ledger and ClickHouse to be one.
func same(t *testing.T, load *traffic) {
	t.Helper()
	charged, settled := load.counts()
	t.Logf("%d calls settled, %d nano-USD", settled, charged)
	if ledger, _ := spent(t, load.box, "month"); ledger != charged {
		t.Errorf("the ledger has %d nano-USD; callers were told %d", ledger, charged)
	}
	sqlSays(t, load.box, "SELECT sum(charged_nano_usd) AS a, count() AS b, uniqExact(decision_id) AS c FROM usage", charged, settled, settled)
	sqlSays(t, load.box, "SELECT sum(cost_nano_usd) AS a FROM costs", charged)
	load.recorded(t)
}

// engine is where ClickHouse's engine lies; a test that needs it fails without.
func engine(t *testing.T) string {
	t.Helper()
	where := exec.Command(rigtest.Bin(), "engine", "where")
	out, err := where.Output()
	if err != nil {
		t.Fatalf("ClickHouse's engine is not here; run: signalbox engine install (%v)", err)
	}
	return strings.TrimSpace(string(out))
}
