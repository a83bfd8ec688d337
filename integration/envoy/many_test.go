package envoy_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

const (
	streams  = 2_000
	perToken = 2 * time.Second
	opening  = 30 * time.Second // until all are open, on a machine that has much else to do
	perOne   = 192              // KiB of the service: what a stream may cost it
)

// plateauTime is how long all are held open. A minute is what is promised; every test
// run holds them for as long as shows that they can be, and STREAMS_FOR says otherwise.
func plateauTime(t *testing.T) time.Duration {
	t.Helper()
	said := os.Getenv("STREAMS_FOR")
	if said == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(said)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// 2,000 streams at once through an Envoy whose filter reads every chunk of each: none
// fails, the service's memory is bounded and flat while they run, and each is charged
// what the provider counted.
func TestManyStreams(t *testing.T) {
	rigtest.NeedsFiles(t, 3*streams)
	l := start(t, rig.Config{Extra: "log: {level: warn}\n"}, "gpt", "claude")
	front := envoytest.Before(t, l.Box, []string{"--mode", "ext_proc"}, alphaKey, betaKey)
	l.stream(t, front, 50, call{steer: []string{upstream.HeaderOutput, "5"}}, nil) // what both processes make once
	before, envoyBefore := rss(t, l.Pid()), rss(t, front.Pid())

	plateau := plateauTime(t)
	tokens := fmt.Sprint(int((opening + plateau) / perToken))
	var service, envoy []int64
	l.stream(t, front, streams, call{max: 100_000, steer: []string{upstream.HeaderOutput, tokens, upstream.HeaderChunkDelay, perToken.String()}}, func() {
		service, envoy = l.watch(t, front, plateau)
	})
	half := service[len(service)/2:]
	if third, fourth := median(half[:len(half)/2]), median(half[len(half)/2:]); fourth > third+third/5 {
		t.Errorf("memory grew from %d to %d KiB while the same streams ran", third, fourth)
	}
	if each := (slices.Max(service) - before) / streams; each > perOne {
		t.Errorf("a stream costs the service %d KiB; want at most %d", each, perOne)
	}
	t.Logf("held for %v. The service's memory: %d MiB before, %d at most (%d KiB a stream), %d after; Envoy's: %d before, %d at most", plateau,
		before>>10, slices.Max(service)>>10, (slices.Max(service)-before)/streams, rss(t, l.Pid())>>10, envoyBefore>>10, slices.Max(envoy)>>10)

	var charged int64
	for _, tries := range l.settled(t, streams+50) {
		if len(tries) != 1 || tries[0].known != "exact" || tries[0].outcome != "completed" {
			t.Errorf("a stream is settled as %+v", tries)
		}
		charged += tries[0].charged
	}
	_, in, out := l.alpha.Totals()
	if _, more, also := l.beta.Totals(); charged != cost(in+more, out+also) {
		t.Errorf("%d was charged; want %d, what the providers counted", charged, cost(in+more, out+also))
	}
}

// watch samples both processes' memory, in KiB, while all streams are open.
func (l *lab) watch(t *testing.T, front *envoytest.Front, d time.Duration) (service, envoy []int64) {
	ours, theirs := rigtest.WatchMemory(l.Pid(), 100*time.Millisecond), rigtest.WatchMemory(front.Pid(), 100*time.Millisecond)
	time.Sleep(d) // the plateau itself
	if n := l.alpha.InFlight() + l.beta.InFlight(); n != streams {
		t.Errorf("%d of %d streams were open to the plateau's end", n, streams)
	}
	return ours.End(), theirs.End()
}

// stream opens so many streams at once, half of them in each dialect, and reads all to
// their ends; meanwhile runs as soon as all are open.
func (l *lab) stream(t *testing.T, front *envoytest.Front, n int, c call, meanwhile func()) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	defer client.CloseIdleConnections()
	var begun atomic.Int64
	group, gctx := errgroup.WithContext(ctx(t))
	for i := range n {
		one := c
		one.model, one.stream = l.models[i%len(l.models)], true
		group.Go(func() error {
			for begun.Load() < int64(i-50) { // fifty knock at once, and not all
				if gctx.Err() != nil {
					return gctx.Err()
				}
				time.Sleep(5 * time.Millisecond)
			}
			return l.readOne(gctx, client, front.URL(), one, func() { begun.Add(1) })
		})
	}
	if meanwhile != nil {
		for l.alpha.InFlight()+l.beta.InFlight() < n && gctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		if gctx.Err() == nil {
			meanwhile()
		}
	}
	if err := group.Wait(); err != nil {
		stats, statsErr := front.Stats(ctx(t), "http.signalbox.")
		maps.DeleteFunc(stats, func(_ string, n int64) bool { return n == 0 })
		t.Fatal(err, stats, statsErr)
	}
}

// readOne reads one stream to its end; begun is called when its head is there.
func (l *lab) readOne(ctx context.Context, client *http.Client, url string, c call, begun func()) error {
	req, err := l.request(ctx, url, c)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	begun()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	ended := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		ended = ended || lines.Text() == "data: [DONE]" || lines.Text() == "event: message_stop"
	}
	if err := lines.Err(); err != nil || !ended || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a stream of %s ended early: %d %v", c.model, resp.StatusCode, err)
	}
	return nil
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
