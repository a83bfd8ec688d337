package envoy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// perSecond is how many calls come while things are changed below them.
const perSecond = 200

// A provider's key is rotated and then its deployment removed, under 200 calls a
// second: no call fails, the new key is what the provider sees and the old one never
// again, and once the deployment is gone nothing reaches its provider.
func TestChangesUnderLoad(t *testing.T) {
	l := start(t, rig.Config{}, "gpt")
	front := envoytest.Before(t, l.Box, []string{"--mode", "ext_proc"}, alphaKey, alphaNew, betaKey)
	load := l.load(t, front.URL(), call{model: "gpt", max: 50, steer: []string{upstream.HeaderOutput, "5"}})
	load.more(t, perSecond/2)

	l.credential(t, "alpha", alphaNew)
	rigtest.Eventually(t, "the new key is in use", func() error {
		calls := l.alpha.Calls()
		if len(calls) == 0 || !strings.Contains(calls[len(calls)-1].Header.Get("Authorization"), alphaNew) {
			return fmt.Errorf("of %d calls, the last had the old one", len(calls))
		}
		return nil
	})
	load.more(t, perSecond) // those that were on their way with the old one are answered
	rotated := len(l.alpha.Calls())
	load.more(t, perSecond)
	for _, c := range l.alpha.Calls()[rotated:] {
		if !strings.Contains(c.Header.Get("Authorization"), alphaNew) {
			t.Fatal("a key that was rotated away was shown again")
		}
	}

	if err := l.Apply(ctx(t), l.world("gpt-alpha"), "--prune"); err != nil {
		t.Fatal(err)
	}
	load.flush(t) // whatever was decided before it was removed
	removed := len(l.alpha.Calls())
	rigtest.Eventually(t, "its cluster is gone", func() error {
		stats, err := front.Stats(ctx(t), "cluster.deployment/gpt-alpha.")
		if err == nil && len(stats) > 0 {
			err = fmt.Errorf("it still has %d figures", len(stats))
		}
		return err
	})
	load.more(t, 2*perSecond)
	if n := len(l.alpha.Calls()); n != removed {
		t.Errorf("%d calls reached a deployment after it was removed", n-removed)
	}
	answered := load.end(t)
	rows := l.settled(t, answered)
	for id, tries := range rows {
		if last := tries[len(tries)-1]; last.outcome != "completed" || last.known != "exact" {
			t.Errorf("call %s was settled as %+v", id, tries)
		}
	}
	t.Logf("%d calls; %d and %d at the providers", answered, len(l.alpha.Calls()), len(l.beta.Calls()))
}

// load is callers who send so many calls a second, whatever becomes of them.
type load struct {
	stop, done chan struct{}

	mu       sync.Mutex
	begun    int
	answered int
	failed   []string
}

func (l *lab) load(t *testing.T, url string, c call) *load {
	t.Helper()
	d := &load{stop: make(chan struct{}), done: make(chan struct{})}
	inner, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	go func() {
		defer close(d.done)
		var flying sync.WaitGroup
		defer flying.Wait()
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for {
			select {
			case <-d.stop:
				return
			case <-tick.C:
			}
			d.mu.Lock()
			d.begun++
			d.mu.Unlock()
			flying.Go(func() { d.note(l.ask(inner, url, c)) })
		}
	}()
	t.Cleanup(func() { d.halt() })
	return d
}

func (d *load) note(a answer, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answered++
	if err != nil || a.status != http.StatusOK {
		d.failed = append(d.failed, fmt.Sprintf("%d %v: %s %v", a.status, err, a.body, a.header))
	}
}

func (d *load) counts() (begun, answered int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun, d.answered
}

// more waits for so many more answers.
func (d *load) more(t *testing.T, n int) {
	t.Helper()
	_, before := d.counts()
	d.until(t, before+n)
}

// flush waits until all calls that had begun before now are answered. They need not
// be answered in their order, so as many again come between.
func (d *load) flush(t *testing.T) {
	t.Helper()
	begun, _ := d.counts()
	d.until(t, begun+perSecond/2)
}

func (d *load) until(t *testing.T, n int) {
	t.Helper()
	rigtest.Eventually(t, "calls are answered", func() error {
		if _, answered := d.counts(); answered < n {
			return fmt.Errorf("%d of %d are", answered, n)
		}
		return nil
	})
}

func (d *load) halt() {
	d.mu.Lock()
	select {
	case <-d.stop:
	default:
		close(d.stop)
	}
	d.mu.Unlock()
	<-d.done
}

// end stops it, and says how many calls were answered, none of which may have failed.
func (d *load) end(t *testing.T) int {
	t.Helper()
	d.halt()
	if len(d.failed) > 0 {
		t.Errorf("%d of %d calls failed; the first: %s", len(d.failed), d.answered, d.failed[0])
	}
	return d.answered
}
