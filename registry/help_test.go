package registry_test

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// clock is a hand that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)} }

var testHasher = registry.NewKeyHasher([32]byte{1, 2, 3})

// bench is a registry on a journal in memory.
type bench struct {
	t       testing.TB
	clock   *clock
	journal *journal.Memory
	*registry.Registry
}

func newBench(t testing.TB) *bench {
	t.Helper()
	c := newClock()
	b := &bench{t: t, clock: c, journal: journal.NewMemory(4, c.now)}
	b.Registry = b.open(testHasher)
	return b
}

// open is another replica on the same journal.
func (b *bench) open(h registry.KeyHasher) *registry.Registry {
	b.t.Helper()
	r, err := registry.Open(context.Background(), b.journal, h, b.clock.now, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func file(text string) []registry.File {
	return []registry.File{{Name: "registry.yaml", Data: []byte(text)}}
}

// apply applies a text that is right, with a yes to everything.
func (b *bench) apply(text string) registry.Diff {
	b.t.Helper()
	d, err := b.Apply(context.Background(), file(text), registry.ApplyOptions{Confirmed: true, By: "test", Why: "test"})
	if err != nil {
		b.t.Fatalf("apply: %v", err)
	}
	return d
}

// events are the registry's topic.
func (b *bench) events() []journal.Entry {
	b.t.Helper()
	ends, err := b.journal.Ends(context.Background(), journal.TopicRegistry)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []journal.Entry
	if ends[0] == 0 {
		return nil
	}
	_ = b.journal.Follow(context.Background(), journal.TopicRegistry, 0, 0, func(batch []journal.Entry) error {
		if out = append(out, batch...); int64(len(out)) >= ends[0] {
			return context.Canceled
		}
		return nil
	})
	return out
}

func example(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("../deploy/examples/registry.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func itoa(n int) string { return strconv.Itoa(n) }
