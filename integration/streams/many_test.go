package streams_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

const (
	streams   = 2_000
	tokens    = 180                    // of each
	perToken  = 500 * time.Millisecond // so that all are open for more than a minute
	perStream = 192                    // KiB: what one may cost the process
	perPassed = 12                     // KiB: what one may add for the 24 that pass through it at the plateau
)

// 2,000 slow streams at once: the process's memory is flat while they run, no
// goroutine is left behind them, and all are settled as the provider counted.
func TestManySlowStreams(t *testing.T) {
	rigtest.NeedsFiles(t, 3*streams) // each has a connection's two ends here, and two in the process
	l := start(t)
	pid := l.Pid()
	transport := &http.Transport{MaxIdleConnsPerHost: streams}
	client := &http.Client{Transport: transport}
	// A first round to the last row, so that what the process makes once is there.
	l.stream(t, client, 50, time.Millisecond, nil)
	l.settledAsBilled(t, 50)
	transport.CloseIdleConnections()
	base, before := l.quiet(t), rss(t, pid)

	var seen plateau
	l.stream(t, client, streams, perToken, func() { seen = l.watchPlateau(t, pid) })
	transport.CloseIdleConnections()
	seen.check(t, before)

	var left int
	rigtest.Eventually(t, "no goroutine is left", func() (err error) {
		if left, err = l.goroutines(t); err == nil && left > base+stray {
			err = fmt.Errorf("%d, and %d before", left, base)
		}
		return err
	})
	after := rss(t, pid)
	l.settledAsBilled(t, streams+50)
	t.Logf("memory: %d MiB before, %d at the plateau (at most %d, %d KiB a stream), %d after; goroutines: %d before, %d at the plateau, %d after",
		before>>10, median(seen.rss)>>10, slices.Max(seen.rss)>>10, (slices.Max(seen.rss)-before)/streams, after>>10, base, seen.goroutines, left)
	t.Logf("live heap: %d KiB when all were open, %d KiB three quarters of a minute later", seen.heapFirst, seen.heapLast)
}

// plateau is what the process took while all streams were open, in KiB.
type plateau struct {
	rss                 []int64
	heapFirst, heapLast int64 // without its garbage
	goroutines          int
}

// plateauTime is how long the plateau is watched. All streams stay open for longer.
const plateauTime = 45 * time.Second

func (l *line) watchPlateau(t *testing.T, pid int) (p plateau) {
	p.heapFirst = l.liveHeap(t)
	w := rigtest.WatchMemory(pid, 250*time.Millisecond)
	for end := time.Now().Add(plateauTime); time.Now().Before(end); time.Sleep(time.Second) {
		if n, err := l.goroutines(t); err == nil {
			p.goroutines = max(p.goroutines, n)
		}
	}
	p.rss = w.End()
	p.heapLast = l.liveHeap(t)
	if n := l.provider.InFlight(); n != streams {
		t.Errorf("%d of %d streams were open to the plateau's end", n, streams)
	}
	return p
}

// check holds what a stream costs, and that it does not cost more the longer it
// lasts. The first half is the garbage collector's, which finds its pace in it, and
// on a busy machine swings by a tenth afterwards; what is in use does not swing.
func (p plateau) check(t *testing.T, before int64) {
	t.Helper()
	half := p.rss[len(p.rss)/2:]
	if third, fourth := median(half[:len(half)/2]), median(half[len(half)/2:]); fourth > third+third/5 {
		t.Errorf("memory grew from %d to %d KiB while the same streams ran", third, fourth)
	}
	if p.heapLast > p.heapFirst+perPassed*streams {
		t.Errorf("what is in use grew from %d to %d KiB while the same streams ran", p.heapFirst, p.heapLast)
	}
	if each := (slices.Max(p.rss) - before) / streams; each > perStream {
		t.Errorf("a stream costs %d KiB; want at most %d", each, perStream)
	}
}

// stream opens so many streams at once, half of them in each dialect, and reads
// all to their ends; meanwhile runs as soon as all are open.
func (l *line) stream(t *testing.T, client *http.Client, n int, perToken time.Duration, meanwhile func()) {
	t.Helper()
	var begun atomic.Int64
	group, gctx := errgroup.WithContext(ctx(t))
	for i := range n {
		group.Go(func() error {
			for begun.Load() < int64(i-100) { // a hundred knock at once, and not all
				if gctx.Err() != nil {
					return gctx.Err()
				}
				time.Sleep(5 * time.Millisecond)
			}
			return l.readOne(gctx, client, i, perToken, func() { begun.Add(1) })
		})
	}
	if meanwhile != nil {
		for l.provider.InFlight() < n && gctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		if gctx.Err() == nil {
			meanwhile()
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// readOne reads one stream to its end; begun is called when its head is there.
func (l *line) readOne(ctx context.Context, client *http.Client, i int, perToken time.Duration, begun func()) error {
	path, end := "/v1/chat/completions", "data: [DONE]"
	body := fmt.Sprintf(`{"model":"gpt-seen","stream":true,"max_tokens":%d,"messages":[{"role":"user","content":"Stream %d"}]}`, 2*tokens, i)
	if i%2 == 1 {
		path, end = "/v1/messages", "event: message_stop"
		body = strings.Replace(body, "gpt-seen", "claude-seen", 1)
	}
	resp, err := l.post(ctx, client, path, body, upstream.HeaderOutput, fmt.Sprint(tokens), upstream.HeaderChunkDelay, perToken.String())
	begun()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	ended := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		ended = ended || lines.Text() == end
	}
	if err := lines.Err(); err != nil || !ended {
		return fmt.Errorf("stream %d ended early: %v", i, err)
	}
	return nil
}

// post sends a call with the application's key and gives its answer's head, which
// must be a success.
func (l *line) post(ctx context.Context, client *http.Client, path, body string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+l.key)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s answered %d", path, resp.StatusCode)
	}
	return resp, nil
}

// settledAsBilled waits until ClickHouse has these calls, with the provider's own
// counts, and checks that the books have charged the same and hold nothing.
func (l *line) settledAsBilled(t *testing.T, calls int) {
	t.Helper()
	var charged int64
	for model, b := range l.provider.BilledByModel() {
		charged += cost(b.Input, b.Output)
		rigtest.Eventually(t, "ClickHouse's counts of "+model, func() error {
			for column, want := range map[string]int64{"sum(input_tokens)": b.Input, "sum(output_tokens)": b.Output,
				"sum(charged_nano_usd)": cost(b.Input, b.Output), "countIf(source != 'stream')": 0} {
				n, err := l.number(t, "SELECT "+column+" FROM usage WHERE deployment = '"+model+"'")
				if err != nil {
					return err
				}
				if n != want {
					return fmt.Errorf("%s is %d; want %d", column, n, want)
				}
			}
			return nil
		})
	}
	if n, err := l.number(t, "SELECT uniqExact(decision_id) FROM usage"); err != nil || n != int64(calls) {
		t.Errorf("%v: %d calls are settled; want %d", err, n, calls)
	}
	l.balanced(t, charged)
}

func rss(t *testing.T, pid int) int64 {
	t.Helper()
	kib, err := rigtest.Memory(pid)
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

func median(samples []int64) int64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[len(sorted)/2]
}
