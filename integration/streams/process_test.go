package streams_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// goroutines is how many the process has, the journal's aside: its embedded broker
// and the clients of it come and go by their own clocks, whatever callers do.
func (l *line) goroutines(t *testing.T) (n int, err error) {
	raw, err := l.profile(t, "goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	_, stacks, ok := strings.Cut(raw, "\n")
	if !ok || !strings.HasPrefix(raw, "goroutine profile: total ") {
		return 0, fmt.Errorf("the profile begins with %.60q", raw)
	}
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		many, _, ok := strings.Cut(stack, " @ ")
		if !ok || strings.Contains(stack, "/twmb/franz-go/") || strings.Contains(stack, "net.(*pipe).") {
			continue
		}
		each, err := strconv.Atoi(strings.TrimSpace(many))
		if err != nil {
			return 0, err
		}
		n += each
	}
	return n, nil
}

// liveHeap is what the process uses once its garbage is collected, in KiB: the
// least of three looks, because callers make new garbage between the collection and
// the look.
func (l *line) liveHeap(t *testing.T) int64 {
	t.Helper()
	least := int64(1 << 60)
	for range 3 {
		raw, err := l.profile(t, "heap?gc=1&debug=1")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(raw, "# HeapAlloc = ")
		line, _, _ := strings.Cut(after, "\n")
		n, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, n>>10)
	}
	return least
}

// profile is one of the process's, as text.
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

// stray is how many goroutines come and go by the process's own clocks, such as a
// connection to the analytics engine. What callers leave behind is one for each.
const stray = 2

// quiet waits until no connection is left that nobody uses, and gives how many
// goroutines there are then: the fewest that are seen for some seconds.
func (l *line) quiet(t *testing.T) int {
	t.Helper()
	l.HTTPClient.CloseIdleConnections()
	fewest, since := 1<<30, time.Now()
	rigtest.Eventually(t, "the process is quiet", func() error {
		n, err := l.goroutines(t)
		if err != nil {
			return err
		}
		if n < fewest {
			fewest, since = n, time.Now()
		}
		if time.Since(since) < 5*time.Second {
			return fmt.Errorf("there are %d goroutines, and were %d", n, fewest)
		}
		return nil
	})
	return fewest
}
