package whole_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// Asked to stop under load, the service answers what is in flight, says that it is
// not ready any more, writes everything down and ends with 0; the next start has
// the books at once, with nothing held and nothing left in the spool.
func TestDrainLosesNothing(t *testing.T) {
	box := start(t, people+`budgets:
  - {name: all, match: {tenant: globex}, unit: usd, amount: "1000", window: total}
  - {name: tight, match: {tenant: globex, session: tight}, unit: usd, amount: "0.20", window: total}
`, "analytics: {disabled: true}\n")
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	slow := beginSlowly(t, box, load.secret)
	stop := make(chan struct{})
	load.run(t, 16, 1, stop)
	rigtest.Eventually(t, "some calls are settled", func() error {
		if _, settled := load.counts(); settled < 200 {
			return fmt.Errorf("%d are", settled)
		}
		return nil
	})
	if err := box.Drain(); err != nil {
		t.Fatal(err)
	}
	rigtest.Eventually(t, "readiness says that it drains", func() error {
		if status, body, err := box.Ready(ctx(t)); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
			return fmt.Errorf("%v %d %s", err, status, body)
		}
		return nil
	})
	inFlight := slow.finish(t)
	if inFlight.Denied() != "" || inFlight.ReportToken == "" {
		t.Errorf("the call in flight is answered %+v", inFlight)
	}
	if err := box.Stop(); err != nil { // waits, and wants exit status 0
		t.Fatal(err)
	}
	close(stop)
	load.wg.Wait()
	if _, err := os.Stat(filepath.Join(box.Data(), "ledger", "ledger.snapshot")); err != nil {
		t.Errorf("no snapshot of the books: %v", err)
	}
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	load.settle(t, completed(inFlight, 12, 10))
	load.reportPending(t)
	charged, settled := load.counts()
	t.Logf("%d calls settled around the stop", settled)
	if ledger, _ := spent(t, box, "all"); ledger != charged {
		t.Errorf("the ledger has %d nano-USD; callers were told %d", ledger, charged)
	}
	wantGauge(t, box, "signalbox_holds_open", 0)
	wantGauge(t, box, "signalbox_spool_records", 0)
	balanced(t, box, "all", charged)
	wantGauge(t, box, "signalbox_leases", 0)
	load.repeat(t, "all")
}

func wantGauge(t *testing.T, box *rig.Box, name string, want int) {
	t.Helper()
	rigtest.Eventually(t, name, func() error {
		metrics, err := box.Metrics(ctx(t))
		if err != nil || strings.Contains(metrics, fmt.Sprintf("\n%s %d\n", name, want)) {
			return err
		}
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, name+" ") {
				return errors.New(line)
			}
		}
		return errors.New("it is not among the metrics")
	})
}

// slowRequest is a question whose body is still on its way.
type slowRequest struct {
	conn net.Conn
	read *bufio.Reader
	rest []byte
}

// beginSlowly sends a question's head, and returns when the service reads its
// body: it is in flight from then on.
func beginSlowly(t *testing.T, box *rig.Box, secret string) *slowRequest {
	t.Helper()
	body, err := json.Marshal(rig.Question{Request: chat(secret, hello)})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", box.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST /v1/decide HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", box.HTTP, len(body)); err != nil {
		t.Fatal(err)
	}
	s := &slowRequest{conn, bufio.NewReader(conn), body}
	line, err := s.read.ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%v %s", err, line)
	}
	_, _ = s.read.ReadString('\n')
	return s
}

// finish sends the rest and reads the answer.
func (s *slowRequest) finish(t *testing.T) *rig.Answer {
	t.Helper()
	if _, err := s.conn.Write(s.rest); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(s.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the call in flight: %v %d %s", err, resp.StatusCode, body)
	}
	var a rig.Answer
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatal(err)
	}
	return &a
}
