package whole_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// The brokers go away under a service that is in use. With leases in hand calls
// go on, and reports are kept on disk; what is new waits for nothing and is
// refused with a reason. When the brokers are back, the books have everything.
func TestTheJournalIsAway(t *testing.T) {
	brokers := newBrokers(t)
	box := start(t, people+month, "analytics: {disabled: true}\n"+brokers.config(t))
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	some(t, load, 50)
	kept := open(t, box, load.secret, "")
	brokers.cluster.Close()

	receipt, err := box.Settle(ctx(t), completed(kept, 20, 30))
	if err != nil || receipt.Settled || receipt.Charged.USD != "0.00035" {
		t.Fatalf("a report without a journal: %v %+v; want its charge, and settled: false", err, receipt)
	}
	rigtest.Eventually(t, "leases are used up, and calls are refused with a reason", func() error {
		a, err := box.Chat(ctx(t), load.secret, strings.Replace(hello, "100", "16000", 1), nil)
		status, ok := err.(*rig.StatusError)
		switch {
		case ok && status.Status == http.StatusServiceUnavailable && strings.Contains(status.Body, "journal_unavailable"):
			return nil
		case err != nil:
			t.Fatalf("%v", err)
		case a.Denied() != "":
			return fmt.Errorf("refused with %+v", a.Reasons)
		}
		if _, err := box.Settle(ctx(t), completed(a, 20, 30)); err != nil {
			t.Fatal(err)
		}
		load.charged += 350_000
		return fmt.Errorf("it is let out")
	})
	_, body, err := box.Ready(ctx(t))
	if err != nil || !strings.Contains(body, "journal") {
		t.Errorf("readiness says nothing of the journal: %v %s", err, body)
	}
	brokers.open(t)
	rigtest.Eventually(t, "calls go out again", func() error {
		a, err := box.Chat(ctx(t), load.secret, hello, nil)
		if err != nil || a.Denied() != "" {
			return fmt.Errorf("%v %+v", err, a)
		}
		load.settle(t, completed(a, 20, 30))
		return nil
	})
	wantGauge(t, box, "signalbox_spool_records", 0)
	charged, _ := load.counts()
	balanced(t, box, "month", charged+350_000)
	again, err := box.Settle(ctx(t), completed(kept, 20, 40))
	if err != nil || !again.Repeated || again.Charged.USD != "0.00035" {
		t.Errorf("the report again: %v %+v", err, again)
	}
}

// A service that is asked to stop while the brokers are away ends in order; what
// it could not say is said by the next start in its folder.
func TestStoppedWhileTheJournalIsAway(t *testing.T) {
	brokers := newBrokers(t)
	box := start(t, people+month, "analytics: {disabled: true}\n"+brokers.config(t))
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	some(t, load, 50)
	kept, later := open(t, box, load.secret, ""), open(t, box, load.secret, "")
	brokers.cluster.Close()
	if receipt, err := box.Settle(ctx(t), completed(kept, 20, 30)); err != nil || receipt.Settled {
		t.Fatalf("a report without a journal: %v %+v; want it kept, and settled: false", err, receipt)
	}
	if err := box.Stop(); err != nil {
		t.Fatal(err)
	}
	brokers.open(t)
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if receipt, err := box.Settle(ctx(t), completed(later, 20, 30)); err != nil || !receipt.Settled {
		t.Errorf("the report of a call from before the stop: %v %+v", err, receipt)
	}
	wantGauge(t, box, "signalbox_spool_records", 0)
	wantGauge(t, box, "signalbox_holds_open", 0)
	charged, _ := load.counts()
	balanced(t, box, "month", charged+2*350_000)
}

// brokersOn is Kafka on loopback that keeps its data between two lives.
type brokersOn struct {
	port    int
	dir     string
	cluster *kfake.Cluster
}

func newBrokers(t *testing.T) *brokersOn {
	t.Helper()
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	b := &brokersOn{dir: t.TempDir()}
	if b.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	t.Cleanup(func() { b.cluster.Close() })
	return b
}

func (b *brokersOn) open(t *testing.T) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(b.port), kfake.DataDir(b.dir))
	if err != nil {
		t.Fatal(err)
	}
	b.cluster = cluster
}

func (b *brokersOn) config(t *testing.T) string {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	file := filepath.Join(t.TempDir(), "cluster_secret")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("journal: {brokers: [\"127.0.0.1:%d\"]}\ncluster_secret: {file: %s}\n", b.port, file)
}

// A spool that is full stops decisions, because they could not be written down;
// it is said, and it is over when the journal is back.
func TestAFullSpoolStopsDecisions(t *testing.T) {
	brokers := newBrokers(t)
	config := strings.Replace(brokers.config(t), "journal: {", "journal: {spool_max: 64KiB, ", 1)
	box := start(t, people, "analytics: {disabled: true}\n"+config)
	load := &traffic{box: box, secret: key(t, box, "globex/notebook")}
	brokers.cluster.Close()
	rigtest.Eventually(t, "calls are refused for want of a place to write them down", func() error {
		a, err := box.Chat(ctx(t), load.secret, hello, nil)
		if status, ok := err.(*rig.StatusError); ok && status.Status == http.StatusServiceUnavailable && strings.Contains(status.Body, "journal_unavailable") {
			return nil
		}
		if err != nil || a.Denied() != "" {
			t.Fatalf("%v %+v", err, a)
		}
		for range 20 {
			_, _ = box.Chat(ctx(t), load.secret, hello, nil) // what fills it
		}
		return fmt.Errorf("they are let out")
	})
	status, body, err := box.Ready(ctx(t))
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "spool: full") {
		t.Errorf("readiness with a full spool: %v %d %s", err, status, body)
	}
	brokers.open(t)
	rigtest.Eventually(t, "it is ready again", func() error {
		status, body, err := box.Ready(ctx(t))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	open(t, box, load.secret, "")
}
