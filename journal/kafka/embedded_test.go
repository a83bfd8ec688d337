package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/journaltest"
	"github.com/signalbox-dev/signalbox/journal/kafka"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func openEmbedded(t testing.TB, dir string, cfg kafka.EmbeddedConfig) *kafka.Journal {
	t.Helper()
	j, err := kafka.OpenEmbedded(t.Context(), dir, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(context.Background()) })
	return j
}

func closeNow(t testing.TB, j *kafka.Journal) {
	t.Helper()
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func numbered(key string, n int) journal.Record {
	return journal.Record{Topic: journal.TopicLedger, Key: key, Event: journal.Adjusted{ID: fmt.Sprint(n), Amount: int64(n)}}
}

func TestEmbeddedIsAJournal(t *testing.T) {
	for name, sync := range map[string]bool{"page cache": false, "fsync": true} {
		t.Run(name, func(t *testing.T) {
			journaltest.Run(t, func(t *testing.T) journaltest.Opened {
				dir := t.TempDir()
				j := openEmbedded(t, dir, kafka.EmbeddedConfig{Sync: sync})
				return journaltest.Opened{
					Journal: j,
					Reopen: func(t *testing.T) journaltest.Journal {
						closeNow(t, j)
						j = openEmbedded(t, dir, kafka.EmbeddedConfig{Sync: sync})
						return j
					},
					Damage: func(t *testing.T, topic journal.Topic, key string) {
						if err := j.AppendRaw(t.Context(), topic, key, []byte("no envelope")); err != nil {
							t.Fatal(err)
						}
					},
				}
			})
		})
	}
}

func TestTheFolderIsOneProcesss(t *testing.T) {
	dir := t.TempDir()
	j := openEmbedded(t, dir, kafka.EmbeddedConfig{})
	_, err := kafka.OpenEmbedded(t.Context(), dir, kafka.EmbeddedConfig{}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use by another signalbox") {
		t.Fatalf("a second one on the folder: %v", err)
	}
	closeNow(t, j)
	closeNow(t, openEmbedded(t, dir, kafka.EmbeddedConfig{}))
}

func TestTheAppendTimeIsTheProcesssClock(t *testing.T) {
	at := time.Date(2026, 3, 29, 1, 0, 0, int(123*time.Millisecond), time.UTC)
	j := openEmbedded(t, t.TempDir(), kafka.EmbeddedConfig{Now: func() time.Time { return at }})
	if err := j.Append(t.Context(), numbered("acme", 1)); err != nil {
		t.Fatal(err)
	}
	if e := first(t, j, "acme"); !e.At.Equal(at) {
		t.Errorf("appended at %v; the clock said %v", e.At, at)
	}
}

func first(t *testing.T, j *kafka.Journal, key string) (first journal.Entry) {
	t.Helper()
	stop := errors.New("stop")
	err := j.Follow(t.Context(), journal.TopicLedger, j.PartitionFor(journal.TopicLedger, key), 0, func(es []journal.Entry) error {
		first = es[0]
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	return first
}

func TestThePartitionCountCannotChange(t *testing.T) {
	dir := t.TempDir()
	closeNow(t, openEmbedded(t, dir, kafka.EmbeddedConfig{Partitions: 4}))
	_, err := kafka.OpenEmbedded(t.Context(), dir, kafka.EmbeddedConfig{Partitions: 6}, slog.New(slog.DiscardHandler))
	var wrong *kafka.TopicsError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "topic signalbox.ledger has 4 partitions and this program is set to 6") {
		t.Fatalf("got %v", err)
	}
	closeNow(t, openEmbedded(t, dir, kafka.EmbeddedConfig{Partitions: 4})) // and the failure released the folder
}

func TestARecordThatIsTooLargeIsRefusedAtOnce(t *testing.T) {
	j := openEmbedded(t, t.TempDir(), kafka.EmbeddedConfig{})
	big := journal.Record{Topic: journal.TopicTraces, Key: "acme", Event: journal.Traced{Prompt: make([]byte, journal.MaxRecordBytes)}}
	if err := j.Append(t.Context(), numbered("acme", 1), big); !errors.Is(err, journal.ErrTooLarge) {
		t.Fatalf("got %v; want %v", err, journal.ErrTooLarge)
	}
	fits := journal.Record{Topic: journal.TopicTraces, Key: "acme", Event: journal.Traced{Prompt: make([]byte, journal.MaxRecordBytes-100)}}
	if err := j.Append(t.Context(), fits, fits, fits); err != nil {
		t.Fatal(err)
	}
}

// One Append may be larger than what may be in flight at once.
func TestALargeAppendGoesInPieces(t *testing.T) {
	j := openEmbedded(t, t.TempDir(), kafka.EmbeddedConfig{Partitions: 1})
	var recs []journal.Record
	for range 100 {
		recs = append(recs, journal.Record{Topic: journal.TopicTraces, Key: "acme", Event: journal.Traced{Prompt: make([]byte, 900_000)}})
	}
	if err := j.Append(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	ends, err := j.Ends(t.Context(), journal.TopicTraces)
	if err != nil || ends[0] != 100 {
		t.Errorf("ends %v, %v; want 100", ends, err)
	}
}

// The broker would cut the log at the damage and lose what follows it in silence.
func TestDamageInTheMiddleIsAnError(t *testing.T) {
	dir := t.TempDir()
	segment := writeSegment(t, dir, 20)
	raw, _ := os.ReadFile(segment)

	flip := func(at int) []byte { b := bytes.Clone(raw); b[at] ^= 1; return b }
	for name, c := range map[string]struct {
		file []byte
		want string // in the error; empty: it opens
	}{
		"whole":                       {raw, ""},
		"a torn last write":           {raw[:len(raw)-7], ""},
		"a torn head of a last write": {append(bytes.Clone(raw), 0, 0, 0, 0, 0), ""},
		"zeros at the end":            {append(bytes.Clone(raw), make([]byte, 4096)...), ""},
		"a bit in the last write":     {flip(len(raw) - 3), ""},
		"a bit in the first record":   {flip(30), "0.dat is damaged at byte 0"},
		"a much longer length":        {flip(8), "0.dat is damaged at byte 0"},
		"a somewhat longer length":    {flip(9), "0.dat is damaged at byte 0"},
		"a slightly longer length":    {flip(11), "0.dat is damaged at byte 0"},
		"a hole of zeros":             {append(append(bytes.Clone(raw[:20]), make([]byte, 100)...), raw[120:]...), "0.dat is damaged at byte 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(segment, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			err := kafka.Verify(filepath.Join(dir, "kafka"), slog.New(slog.DiscardHandler))
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), segment)) {
				t.Errorf("got %v; want %q and the file's name", err, c.want)
			}
		})
	}
}

// writeSegment leaves a closed journal with n batches in one segment file.
func writeSegment(t *testing.T, dir string, n int) string {
	t.Helper()
	j := openEmbedded(t, dir, kafka.EmbeddedConfig{Partitions: 1})
	for i := range n {
		if err := j.Append(t.Context(), numbered("acme", i)); err != nil {
			t.Fatal(err)
		}
	}
	closeNow(t, j)
	return filepath.Join(dir, "kafka", "partitions", "signalbox.ledger-0", "0.dat")
}

func TestATornTailIsDroppedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	segment := writeSegment(t, dir, 20)
	info, _ := os.Stat(segment)
	if err := os.Truncate(segment, info.Size()-7); err != nil {
		t.Fatal(err)
	}
	j := openEmbedded(t, dir, kafka.EmbeddedConfig{Partitions: 1})
	if ends, err := j.Ends(t.Context(), journal.TopicLedger); err != nil || ends[0] != 19 {
		t.Errorf("the log ends at %v, %v; want 19", ends, err)
	}
}

// BenchmarkAppendToFollow measures what the first call on a cold meter waits for:
// one append, and its way to a follower.
func BenchmarkAppendToFollow(b *testing.B) {
	for name, sync := range map[string]bool{"page cache": false, "fsync": true} {
		b.Run(name, func(b *testing.B) {
			j := openEmbedded(b, b.TempDir(), kafka.EmbeddedConfig{Sync: sync})
			ctx, cancel := context.WithCancel(b.Context())
			seen, done := make(chan struct{}), make(chan error, 1)
			go func() {
				done <- j.Follow(ctx, journal.TopicLedger, j.PartitionFor(journal.TopicLedger, "acme"), 0, func(es []journal.Entry) error {
					for range es {
						seen <- struct{}{}
					}
					return nil
				})
			}()
			var took durations
			for n := 0; b.Loop(); n++ {
				began := time.Now()
				if err := j.Append(ctx, numbered("acme", n)); err != nil {
					b.Fatal(err)
				}
				<-seen
				took = append(took, time.Since(began))
			}
			took.report(b)
			cancel()
			<-done
		})
	}
}

// BenchmarkAppend measures acknowledged records of about 1 kB: one writer alone,
// and many at once, whose records share batches and, with fsync, syncs.
func BenchmarkAppend(b *testing.B) {
	for name, sync := range map[string]bool{"page cache": false, "fsync": true} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d writers", name, writers), func(b *testing.B) {
				j := openEmbedded(b, b.TempDir(), kafka.EmbeddedConfig{Sync: sync})
				r := journal.Record{Topic: journal.TopicDecisions, Key: "acme", Event: journal.Decided{Facts: bytes.Repeat([]byte("fact"), 250)}}
				b.SetParallelism(max(1, writers/2)) // times GOMAXPROCS
				if writers == 1 {
					var took durations
					for b.Loop() {
						began := time.Now()
						if err := j.Append(b.Context(), r); err != nil {
							b.Fatal(err)
						}
						took = append(took, time.Since(began))
					}
					took.report(b)
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := j.Append(b.Context(), r); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
