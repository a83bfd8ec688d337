package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/journaltest"
	"github.com/signalbox-dev/signalbox/journal/kafka"
	"github.com/signalbox-dev/signalbox/journal/spool"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func now() time.Time { return time.Now().UTC() }

var quiet = slog.New(slog.DiscardHandler)

func open(t testing.TB, cfg spool.Config, to spool.Appender) *spool.Spool {
	t.Helper()
	if cfg.Epoch.IsZero() {
		cfg.Epoch = journal.Epoch{1}
	}
	s, err := spool.Open(cfg, kafka.Codec{}, to, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func run(t testing.TB, s *spool.Spool) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func flush(t testing.TB, s *spool.Spool) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func decided(n int) journal.Record {
	return journal.Record{Topic: journal.TopicDecisions, Key: "acme", Event: journal.Decided{DecisionID: fmt.Sprint(n), Action: "allow"}}
}

func put(t testing.TB, s *spool.Spool, recs ...journal.Record) {
	t.Helper()
	if err := s.Put(recs...); err != nil {
		t.Fatal(err)
	}
}

// from gives a record the origin that the spool is to give it.
func from(epoch journal.Epoch, seq uint64, r journal.Record) journal.Record {
	r.Origin = journal.Origin{Epoch: epoch, Seq: seq}
	return r
}

// arrived is what stands in the journal.
func arrived(t testing.TB, m *journal.Memory) (recs []journal.Record) {
	t.Helper()
	ends, err := m.Ends(t.Context(), journal.TopicDecisions)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	for p, end := range ends {
		if end == 0 {
			continue
		}
		err := m.Follow(t.Context(), journal.TopicDecisions, p, 0, func(es []journal.Entry) error {
			for _, e := range es {
				recs = append(recs, e.Record)
			}
			if es[len(es)-1].Offset == end-1 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	return recs
}

// seen is what a reader makes of it that drops an epoch's numbers at or below the
// last it saw.
func seen(recs []journal.Record) (ids []string) {
	last := map[journal.Epoch]uint64{}
	for _, r := range recs {
		if r.Origin.Seq > last[r.Origin.Epoch] {
			last[r.Origin.Epoch] = r.Origin.Seq
			ids = append(ids, r.Event.(journal.Decided).DecisionID)
		}
	}
	return ids
}

func ids(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(i))
	}
	return ids
}

func TestWhatIsPutArrivesInOrderUnderItsNumbers(t *testing.T) {
	m := journal.NewMemory(1, now)
	s := open(t, spool.Config{Dir: t.TempDir()}, m)
	run(t, s)
	put(t, s, decided(0), decided(1))
	put(t, s, decided(2))
	flush(t, s)
	want := []journal.Record{from(journal.Epoch{1}, 1, decided(0)), from(journal.Epoch{1}, 2, decided(1)), from(journal.Epoch{1}, 3, decided(2))}
	if diff := cmp.Diff(want, arrived(t, m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if records, size := s.Depth(); records != 0 || size != 0 || s.Lag() != 0 {
		t.Errorf("after a flush: %d records, %d bytes, lag %s", records, size, s.Lag())
	}
}

func TestTheNextProcessSendsWhatTheLastCouldNot(t *testing.T) {
	dir, m := t.TempDir(), journal.NewMemory(1, now)
	first := open(t, spool.Config{Dir: dir, Epoch: journal.Epoch{1}}, m)
	put(t, first, decided(0), decided(1))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, spool.Config{Dir: dir, Epoch: journal.Epoch{2}}, m)
	if records, _ := second.Depth(); records != 2 {
		t.Errorf("it found %d records; want 2", records)
	}
	put(t, second, decided(2))
	run(t, second)
	flush(t, second)
	want := []journal.Record{from(journal.Epoch{1}, 1, decided(0)), from(journal.Epoch{1}, 2, decided(1)), from(journal.Epoch{2}, 1, decided(2))}
	if diff := cmp.Diff(want, arrived(t, m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsInTheJournalIsNotSentAgain(t *testing.T) {
	dir, m := t.TempDir(), journal.NewMemory(1, now)
	for epoch := range byte(5) {
		s := open(t, spool.Config{Dir: dir, Epoch: journal.Epoch{epoch + 1}, SegmentBytes: 200}, m)
		stop := run(t, s)
		for n := range 10 {
			put(t, s, decided(int(epoch)*10+n))
		}
		flush(t, s)
		stop()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(arrived(t, m)); got != 50 {
		t.Errorf("%d records arrived; want 50, none twice", got)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.spool")); len(files) > 2 {
		t.Errorf("%d files are left of what was sent", len(files))
	}
}

// The journal loses appends, and acknowledgements, and takes some twice.
func TestAFailingJournalGetsEverythingOnceForItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := journal.NewMemory(1, now)
		calls := 0
		faulty := journaltest.NewFaulty(m, func([]journal.Record) journaltest.Fault {
			calls++
			return []journaltest.Fault{journaltest.Lose, journaltest.Lie, journaltest.None, journaltest.Repeat}[calls%4]
		})
		s := open(t, spool.Config{Dir: t.TempDir(), SegmentBytes: 500}, faulty)
		stop := run(t, s)
		const n = 2000
		for i := range n {
			put(t, s, decided(i))
			if i%100 == 0 {
				synctest.Wait() // Run goes on in between, so that there are many batches
			}
		}
		flush(t, s)
		stop()
		got := arrived(t, m)
		if diff := cmp.Diff(ids(n), seen(got)); diff != "" {
			t.Errorf("what a reader sees (-want +got):\n%s", diff)
		}
		if len(got) == n {
			t.Error("no record arrived twice: the faults were not planted")
		}
	})
}

func TestAFullSpoolSaysSoBeforeAnythingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := journal.NewMemory(1, now)
		slow := journaltest.NewFaulty(m, nil)
		resume := slow.Stall()
		s := open(t, spool.Config{Dir: t.TempDir(), MaxBytes: 4096}, slow)
		stop := run(t, s)
		n := 0
		for ; s.Put(decided(n)) == nil; n++ {
		}
		if err := s.Put(decided(n)); !errors.Is(err, spool.ErrFull) {
			t.Fatalf("got %v; want %v", err, spool.ErrFull)
		}
		if !s.Full() || n == 0 {
			t.Errorf("full %t after %d records", s.Full(), n)
		}
		time.Sleep(time.Minute) // the bubble's
		if s.Lag() != time.Minute {
			t.Errorf("lag %s; want the minute that passed", s.Lag())
		}
		resume()
		flush(t, s)
		if s.Full() || s.Lag() != 0 {
			t.Errorf("after the journal took it all: full %t, lag %s", s.Full(), s.Lag())
		}
		put(t, s, decided(n))
		flush(t, s)
		stop()
		if diff := cmp.Diff(ids(n+1), seen(arrived(t, m))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestFlushGivesUpWithItsContext(t *testing.T) {
	s := open(t, spool.Config{Dir: t.TempDir()}, journal.NewMemory(1, now))
	put(t, s, decided(0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 records") {
		t.Errorf("got %v", err)
	}
}

// filled leaves a closed spool with n frames in one file.
func filled(t *testing.T, n int) (dir, file string, raw []byte) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, spool.Config{Dir: dir}, journal.NewMemory(1, now))
	for i := range n {
		put(t, s, decided(i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.spool"))
	raw, err := os.ReadFile(files[0])
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return dir, files[0], raw
}

func TestATornTailIsDroppedWithALine(t *testing.T) {
	dir, file, raw := filled(t, 5)
	frameSize := (len(raw) - 28) / 5
	for name, c := range map[string]struct {
		raw  []byte
		left int
	}{
		"whole":                        {raw, 5},
		"cut in the last body":         {raw[:len(raw)-1], 4},
		"cut in the last head":         {raw[:len(raw)-frameSize+5], 4},
		"zeros behind it":              {append(bytes.Clone(raw), make([]byte, 100)...), 5},
		"pages of the last write lost": {append(bytes.Clone(raw[:len(raw)-8]), make([]byte, 8)...), 4},
		"cut in the head of the file":  {raw[:10], 0},
		"nothing but zeros":            {make([]byte, 64), 0},
		"empty":                        {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, c.raw, 0o600); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			m := journal.NewMemory(1, now)
			s, err := spool.Open(spool.Config{Dir: dir, Epoch: journal.Epoch{2}}, kafka.Codec{}, m, slog.New(slog.NewTextHandler(&said, nil)))
			if err != nil {
				t.Fatal(err)
			}
			stop := run(t, s)
			flush(t, s)
			stop()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ids(c.left), seen(arrived(t, m))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			torn := name != "whole" && len(c.raw) > 28 && name != "nothing but zeros"
			if strings.Contains(said.String(), "cut short") != torn {
				t.Errorf("the log says: %s", said.String())
			}
			for _, f := range []string{"place", "0000000000000002.spool"} { // as it was
				_ = os.Remove(filepath.Join(dir, f))
			}
		})
	}
}

func TestDamageInTheMiddleNamesFileAndByte(t *testing.T) {
	dir, file, raw := filled(t, 5)
	frameSize := (len(raw) - 28) / 5
	for at := 0; at < len(raw)-frameSize; at++ { // one bit anywhere before the last frame
		broken := bytes.Clone(raw)
		broken[at] ^= 0x10
		if err := os.WriteFile(file, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := spool.Open(spool.Config{Dir: dir, Epoch: journal.Epoch{2}}, kafka.Codec{}, journal.NewMemory(1, now), quiet)
		place := 0
		if at >= 28 {
			place = 28 + (at-28)/frameSize*frameSize
		}
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("spool file %s, byte %d:", file, place)) {
			t.Fatalf("a bit at byte %d: %v; want the file and byte %d", at, err, place)
		}
	}
}

func TestAnEpochIsUsedOnce(t *testing.T) {
	dir, _, _ := filled(t, 1)
	_, err := spool.Open(spool.Config{Dir: dir, Epoch: journal.Epoch{1}}, kafka.Codec{}, journal.NewMemory(1, now), quiet)
	if err == nil || !strings.Contains(err.Error(), "used once") {
		t.Errorf("got %v", err)
	}
	if _, err := spool.Open(spool.Config{Dir: dir}, kafka.Codec{}, journal.NewMemory(1, now), quiet); err == nil {
		t.Error("no epoch at all was accepted")
	}
}

func TestTwoSpoolsCannotShareAFolder(t *testing.T) {
	dir := t.TempDir()
	open(t, spool.Config{Dir: dir}, journal.NewMemory(1, now))
	_, err := spool.Open(spool.Config{Dir: dir, Epoch: journal.Epoch{2}}, kafka.Codec{}, journal.NewMemory(1, now), quiet)
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v; want an error naming the folder", err)
	}
}

func TestWhatCannotBeWrittenIsRefusedWhole(t *testing.T) {
	m := journal.NewMemory(1, now)
	s := open(t, spool.Config{Dir: t.TempDir()}, m)
	run(t, s)
	big := journal.Record{Topic: journal.TopicTraces, Key: "acme", Event: journal.Traced{Prompt: make([]byte, journal.MaxRecordBytes)}}
	if err := s.Put(decided(9), big); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("got %v; want %v", err, journal.ErrTooLarge)
	}
	if err := s.Put(slices.Repeat([]journal.Record{{Topic: journal.TopicTraces, Key: "acme", Event: journal.Traced{Prompt: make([]byte, 900_000)}}}, 10)...); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("ten large ones in one frame: %v; want %v", err, journal.ErrTooLarge)
	}
	put(t, s, decided(0))
	put(t, s, slices.Repeat([]journal.Record{{Topic: journal.TopicTraces, Key: "acme", Event: journal.Traced{Prompt: make([]byte, 900_000)}}}, 8)...)
	put(t, s, decided(1))
	put(t, s)
	flush(t, s)
	if diff := cmp.Diff(ids(2), seen(arrived(t, m))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestManyPutAtOnceWithSync(t *testing.T) {
	m := journal.NewMemory(1, now)
	s := open(t, spool.Config{Dir: t.TempDir(), Sync: true, SegmentBytes: 4096}, m)
	run(t, s)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 20 {
				if err := s.Put(decided(w*20 + n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	flush(t, s)
	got := seen(arrived(t, m))
	if len(got) != 320 {
		t.Errorf("%d of 320 arrived", len(got))
	}
}

func TestAClosedSpoolRefuses(t *testing.T) {
	s := open(t, spool.Config{Dir: t.TempDir()}, journal.NewMemory(1, now))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(decided(0)); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("got %v; want %v", err, spool.ErrClosed)
	}
}
