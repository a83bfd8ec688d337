package spool_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/kafka"
	"github.com/signalbox-dev/signalbox/journal/spool"
)

// victimDir, in the environment, makes this test binary the process that is killed.
const victimDir = "SIGNALBOX_TEST_SPOOL_VICTIM"

// victim puts until it is killed, and prints each number once Put has returned.
func victim(dir string) {
	start, _ := strconv.Atoi(os.Getenv(victimDir + "_START"))
	cfg := spool.Config{Dir: dir, Epoch: journal.Epoch{byte(start/1_000_000) + 1}, SegmentBytes: 32 << 10}
	s, err := spool.Open(cfg, kafka.Codec{}, journal.NewMemory(1, now), quiet)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := start + w; ; n += 4 {
				if err := s.Put(decided(n)); err != nil {
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

func TestKillKeepsEverythingThatWasPut(t *testing.T) {
	dir := t.TempDir()
	promised := map[string]bool{}
	for round := range 3 {
		for _, n := range killUnderLoad(t, dir, round*1_000_000) {
			promised[fmt.Sprint(n)] = true
		}
	}
	m := journal.NewMemory(1, now)
	s := open(t, spool.Config{Dir: dir, Epoch: journal.Epoch{9}}, m)
	run(t, s)
	flush(t, s)
	got := map[string]int{}
	for _, id := range seen(arrived(t, m)) {
		got[id]++
	}
	for id := range promised {
		if got[id] != 1 {
			t.Fatalf("%s was promised and arrived %d times", id, got[id])
		}
	}
	t.Logf("%d promised in 3 lives, %d arrived", len(promised), len(got))
}

// killUnderLoad lets a process put, kills it in the middle and tells what was
// promised.
func killUnderLoad(t *testing.T, dir string, start int) (promised []int) {
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
	const enough = 3000
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			break // the line that was being written
		}
		if promised = append(promised, n); len(promised) == enough {
			_ = cmd.Process.Kill() // what it printed meanwhile is still read
		}
	}
	_ = cmd.Wait()
	if len(promised) < enough {
		t.Fatalf("the process ended after %d", len(promised))
	}
	return promised
}
