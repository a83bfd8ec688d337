package rigtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Memory is what a process has in memory, in KiB.
func Memory(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(raw), "VmRSS:")
	line, _, _ := strings.Cut(after, "\n")
	return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
}

// NeedsFiles makes sure that so many files can be open, or says what is missing.
func NeedsFiles(t *testing.T, files uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < files {
		t.Fatalf("this test needs %d open files and may have %d; raise the hard limit (ulimit -Hn)", files, limit.Max)
	}
	if limit.Cur < files {
		limit.Cur = files
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatalf("raise the limit of open files to %d: %v", files, err)
		}
	}
}

// MemoryWatch samples a process's memory until it is stopped.
type MemoryWatch struct {
	mu      sync.Mutex
	samples []int64 // KiB
	stop    chan struct{}
	done    sync.WaitGroup
}

// WatchMemory samples a process's memory from now on.
func WatchMemory(pid int, every time.Duration) *MemoryWatch {
	w := &MemoryWatch{stop: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
			if kib, err := Memory(pid); err == nil {
				w.mu.Lock()
				w.samples = append(w.samples, kib)
				w.mu.Unlock()
			}
		}
	})
	return w
}

// End stops the watch and gives its samples.
func (w *MemoryWatch) End() []int64 {
	close(w.stop)
	w.done.Wait()
	return w.samples
}
