package kafka_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/kafka"
)

// victimDir, in the environment, makes this test binary the process that is killed.
const victimDir = "SIGNALBOX_TEST_VICTIM"

const victimWriters = 8

// victim appends until it is killed, and prints each number once it is acknowledged.
func victim(dir string) {
	j, err := kafka.OpenEmbedded(context.Background(), dir, kafka.EmbeddedConfig{}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	start, _ := strconv.Atoi(os.Getenv(victimDir + "_START"))
	var out sync.Mutex
	var wg sync.WaitGroup
	for w := range victimWriters {
		wg.Go(func() {
			for n := start + w; ; n += victimWriters {
				if err := j.Append(context.Background(), numbered(fmt.Sprintf("tenant-%d", w), n)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(n)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestKillKeepsEveryAcknowledgedRecord is the promise of decision 001.
func TestKillKeepsEveryAcknowledgedRecord(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[int]bool{}
	for round := range 3 {
		for _, n := range killUnderLoad(t, dir, round*1_000_000) {
			acknowledged[n] = true
		}
		kept := everyNumber(t, dir)
		for n := range acknowledged {
			if kept[n] == 0 {
				t.Fatalf("round %d: %d was acknowledged and is gone", round, n)
			}
		}
		t.Logf("round %d: %d acknowledged so far, %d kept", round, len(acknowledged), len(kept))
	}
}

// killUnderLoad lets a process append, kills it in the middle and tells what it
// had acknowledged.
func killUnderLoad(t *testing.T, dir string, start int) (acknowledged []int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir, fmt.Sprintf("%s_START=%d", victimDir, start))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const enough = 2000
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			break // the line that was being written
		}
		if acknowledged = append(acknowledged, n); len(acknowledged) == enough {
			_ = cmd.Process.Kill() // what it printed meanwhile is still read
		}
	}
	_ = cmd.Wait()
	if len(acknowledged) < enough {
		t.Fatalf("the process ended after %d acknowledgements", len(acknowledged))
	}
	return acknowledged
}

func everyNumber(t *testing.T, dir string) map[int]int {
	t.Helper()
	j := openEmbedded(t, dir, kafka.EmbeddedConfig{})
	defer closeNow(t, j)
	ends, err := j.Ends(t.Context(), journal.TopicLedger)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[int]int{}
	stop := errors.New("read to the end")
	for p, end := range ends {
		if end == 0 {
			continue
		}
		err := j.Follow(t.Context(), journal.TopicLedger, p, 0, func(es []journal.Entry) error {
			for _, e := range es {
				kept[int(e.Event.(journal.Adjusted).Amount)]++
			}
			if es[len(es)-1].Offset == end-1 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	return kept
}

type durations []time.Duration

func (d durations) report(b *testing.B) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), "p99-µs")
}
