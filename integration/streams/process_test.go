package streams_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pid is the process's: the one whose command line names its folder. The
// analytics engine is a process of its own, and its memory is none of the streams'.
func (l *line) pid(t *testing.T) int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		raw, err := os.ReadFile(line)
		if err != nil || !bytes.Contains(raw, []byte("\x00serve\x00-c\x00"+l.Dir+"/")) {
			continue // gone meanwhile, or another
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatal("the process is not to be found in /proc")
	return 0
}

// memory is what the process has in memory, in KiB.
func memory(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(raw), "VmRSS:")
	line, _, _ := strings.Cut(after, "\n")
	return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
}

// goroutines is how many the process has.
func (l *line) goroutines(t *testing.T) (int, error) {
	raw, err := l.profile(t, "goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(raw, "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("the profile begins with %.60q: %w", raw, err)
	}
	return n, nil
}

// profile is one of the process's, as text. Asking for the heap's with gc=1 collects
// what is garbage first.
func (l *line) profile(t *testing.T, name string) (string, error) {
	req, err := http.NewRequestWithContext(ctx(t), http.MethodGet, "http://"+l.Ops+"/debug/pprof/"+name, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(raw), err
}

// quiet waits until the process has no goroutine for connections that nobody uses,
// and gives how many there are then: the fewest that are seen for a second.
func (l *line) quiet(t *testing.T) int {
	t.Helper()
	l.HTTPClient.CloseIdleConnections()
	fewest, since := 1<<30, time.Now()
	eventually(t, "the process is quiet", func() error {
		n, err := l.goroutines(t)
		if err != nil {
			return err
		}
		if n < fewest {
			fewest, since = n, time.Now()
		}
		if quiet := time.Since(since); quiet < 3*time.Second {
			return fmt.Errorf("%d goroutines, and %d three seconds ago", fewest, n)
		}
		return nil
	})
	return fewest
}

// needs makes sure that so many files can be open, or says what is missing.
func needs(t *testing.T, files uint64) {
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

// watch samples the process's memory until it is stopped.
type watch struct {
	mu      sync.Mutex
	samples []int64 // KiB
	stop    chan struct{}
	done    sync.WaitGroup
}

func watchMemory(pid int, every time.Duration) *watch {
	w := &watch{stop: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
			if kib, err := memory(pid); err == nil {
				w.mu.Lock()
				w.samples = append(w.samples, kib)
				w.mu.Unlock()
			}
		}
	})
	return w
}

// end stops the watch and gives its samples.
func (w *watch) end() []int64 {
	close(w.stop)
	w.done.Wait()
	return w.samples
}
