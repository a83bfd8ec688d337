package spool_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/spool"
)

// nowhere takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Append(context.Context, ...journal.Record) error { return nil }

// BenchmarkPut measures a decision of about 1 kB: one writer alone, and many at
// once, which share syncs.
func BenchmarkPut(b *testing.B) {
	r := journal.Record{Topic: journal.TopicDecisions, Key: "acme", Event: journal.Decided{DecisionID: "d", Facts: bytes.Repeat([]byte("fact"), 250)}}
	for name, sync := range map[string]bool{"page cache": false, "fsync": true} {
		b.Run(name+"/1 writer", func(b *testing.B) {
			s := open(b, spool.Config{Dir: b.TempDir(), Sync: sync, MaxBytes: 1 << 40}, nowhere{})
			run(b, s)
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				put(b, s, r)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
		})
		b.Run(name+"/64 writers", func(b *testing.B) {
			s := open(b, spool.Config{Dir: b.TempDir(), Sync: sync, MaxBytes: 1 << 40}, nowhere{})
			run(b, s)
			b.SetParallelism(32) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Put(r); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
