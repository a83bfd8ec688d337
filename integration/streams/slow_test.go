package streams_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

const (
	huge     = 400_000 // tokens, which are more than 100 MB of chunks
	hugeMB   = 100     // at least, in megabytes
	growthMB = 32      // what the process may take for it
	pausedMB = 48      // what may lie in sockets and buffers between a caller who reads nothing and the provider
	hugeBody = `{"model":"%s","stream":true,"max_tokens":400000,"messages":[{"role":"user","content":"Everything, please."}]}`
)

// A caller who reads nothing makes the provider wait: what the provider could send
// does not pile up in the process. When the caller reads on, all of it comes, and
// is charged as the provider counted.
func TestASlowCallerSlowsTheProviderDown(t *testing.T) {
	l := start(t)
	pid := l.Pid()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l.stream(t, client, 20, time.Millisecond, nil) // what the process makes once
	l.quiet(t)
	before, sentBefore := rss(t, pid), l.sent.total()

	resp, err := l.post(ctx(t), client, "/v1/chat/completions", fmt.Sprintf(hugeBody, "gpt-seen"), upstream.HeaderOutput, fmt.Sprint(huge))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w := rigtest.WatchMemory(pid, 100*time.Millisecond)
	stuck := l.stuck(t)
	paused := slices.Max(w.End())
	if mb := (stuck - sentBefore) >> 20; mb > pausedMB {
		t.Errorf("the provider sent %d MB to a caller who read nothing", mb)
	}

	w = rigtest.WatchMemory(pid, 100*time.Millisecond)
	read, chunks, ended := readAll(t, resp)
	most := max(paused, slices.Max(w.End()))
	if chunks < huge || !ended || read>>20 < hugeMB {
		t.Errorf("%d chunks of %d MB came, with the end: %v", chunks, read>>20, ended)
	}
	if grew := (most - before) >> 10; grew > growthMB {
		t.Errorf("memory grew by %d MB for a stream of %d", grew, read>>20)
	}
	l.settledAsBilled(t, 21)
	t.Logf("memory: %d MiB before, %d while the caller read nothing (the provider had sent %d MB), %d at most while %d MB passed through",
		before>>10, paused>>10, (stuck-sentBefore)>>20, most>>10, read>>20)
}

// Callers who open huge streams, read nothing and hang up: the provider stops, the
// calls are charged once each, and the memory is flat.
func TestCallersWhoReadNothingAndHangUp(t *testing.T) {
	l := start(t)
	pid := l.Pid()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l.stream(t, client, 20, time.Millisecond, nil)
	base, before := l.quiet(t), rss(t, pid)
	for _, model := range []string{"gpt-seen", "gpt-ceiling", "gpt-seen", "gpt-ceiling"} {
		c, hangUp := context.WithCancel(ctx(t))
		resp, err := l.post(c, client, "/v1/chat/completions", fmt.Sprintf(hugeBody, model), upstream.HeaderOutput, fmt.Sprint(huge))
		if err != nil {
			t.Fatal(err)
		}
		l.stuck(t)
		hangUp()
		resp.Body.Close()
	}
	rigtest.Eventually(t, "the provider has stopped", func() error {
		if n := l.provider.InFlight(); n != 0 {
			return fmt.Errorf("it still writes %d answers", n)
		}
		return nil
	})
	charged := l.charges(t, 24)
	var sum int64
	for id, c := range charged {
		if c.rows != 1 || c.nano > c.held {
			t.Errorf("call %s is charged %d times, %d of %d held", id, c.rows, c.nano, c.held)
		}
		sum += c.nano
	}
	l.balanced(t, sum)
	if n := l.quiet(t); n > base+stray {
		t.Errorf("%d goroutines are left, and there were %d before", n, base)
	}
	if grew := (rss(t, pid) - before) >> 10; grew > growthMB {
		t.Errorf("memory grew by %d MB", grew)
	}
}

// stuck waits until the provider has written nothing for a second, because nobody
// takes it, and gives how much it had written.
func (l *line) stuck(t *testing.T) int64 {
	t.Helper()
	last, since := int64(-1), time.Now()
	rigtest.Eventually(t, "the provider waits", func() error {
		if now := l.sent.total(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < time.Second || last == 0 {
			return fmt.Errorf("it has sent %d bytes and goes on", last)
		}
		return nil
	})
	if l.provider.InFlight() == 0 {
		t.Fatal("the provider has sent everything to a caller who reads nothing")
	}
	return last
}

// readAll reads a stream to its end, whatever its length.
func readAll(t *testing.T, resp *http.Response) (bytes int64, chunks int, ended bool) {
	t.Helper()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		bytes += int64(len(lines.Bytes())) + 1
		if strings.HasPrefix(lines.Text(), "data: ") {
			chunks++
			ended = lines.Text() == "data: [DONE]"
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return bytes, chunks, ended
}
