package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/kafka"
)

func openEmbedded(t testing.TB, dir string, cfg kafka.EmbeddedConfig) *kafka.Journal {
	t.Helper()
	j, err := kafka.OpenEmbedded(t.Context(), dir, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(context.Background()) })
	return j
}

func named(key string, n int) journal.Record {
	return journal.Record{Topic: journal.TopicLedger, Key: key, Event: journal.Adjusted{ID: fmt.Sprint(n), Amount: int64(n)}}
}

// BenchmarkAppendToFollow measures what the first call on a cold meter waits for.
func BenchmarkAppendToFollow(b *testing.B) {
	for name, sync := range map[string]bool{"page cache": false, "fsync": true} {
		b.Run(name, func(b *testing.B) {
			j := openEmbedded(b, b.TempDir(), kafka.EmbeddedConfig{Sync: sync})
			ctx, cancel := context.WithCancel(b.Context())
			seen, done := make(chan int), make(chan error, 1)
			go func() {
				done <- j.Follow(ctx, journal.TopicLedger, j.PartitionFor(journal.TopicLedger, "acme"), 0, func(es []journal.Entry) error {
					for range es {
						seen <- 1
					}
					return nil
				})
			}()
			_ = j.Append(ctx, named("acme", -1))
			<-seen
			for n := 0; b.Loop(); n++ {
				if err := j.Append(ctx, named("acme", n)); err != nil {
					b.Fatal(err)
				}
				<-seen
			}
			cancel()
			<-done
		})
	}
}
