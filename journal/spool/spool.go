package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/folder"
)

// ErrFull says that the spool holds MaxBytes that the journal has not taken.
// Nothing of the Put that got it was written.
var ErrFull = errors.New("the spool is full: the journal has not taken what it holds")

// ErrClosed is returned by a spool that was closed.
var ErrClosed = errors.New("the spool is closed")

// Codec turns records into bytes and back.
type Codec interface {
	Encode(journal.Record) ([]byte, error)
	Decode(journal.Topic, []byte) journal.Record
}

// Appender is the part of a journal that the spool needs.
type Appender interface {
	Append(ctx context.Context, recs ...journal.Record) error
}

// Config says where the spool is and how far it goes.
type Config struct {
	Dir          string
	Epoch        journal.Epoch    // this process's; new at each start
	MaxBytes     int64            // what may wait for the journal; 0: 1 GiB
	SegmentBytes int64            // a file is followed by the next beyond this; 0: 16 MiB
	Sync         bool             // Put returns when it is on the platter, not in the page cache
	Now          func() time.Time // nil: time.Now; for Lag
}

const (
	maxBytesDefault     = 1 << 30
	segmentBytesDefault = 16 << 20
)

// Spool holds records until the journal has them. Its methods may be called from
// many goroutines; Run from one.
type Spool struct {
	cfg   Config
	codec Codec
	to    Appender
	log   *slog.Logger
	lock  *folder.Lock

	mu       sync.Mutex // guards everything below but place
	segments []*segment // the first is being sent, the last is being written
	file     *os.File   // of the last
	seq      uint64     // of the last record put
	put      int64      // records ever put, those found at the start included
	sent     int64      // of them, acknowledged
	bytes    int64      // frames put and not acknowledged
	oldest   int64      // when the oldest of them was put
	broken   error      // a write that could not be undone: what follows it would be lost with it
	closed   bool
	moved    chan struct{} // closed and replaced when sent grows

	wake  chan struct{} // holds one: there is something to send
	syncs syncs

	place *placeFile // Run's, and Close's after it
	at    place
}

// Open locks the folder, reads what earlier processes left in it and begins a new
// file behind that.
func Open(cfg Config, codec Codec, to Appender, log *slog.Logger) (*Spool, error) {
	if cfg.Epoch.IsZero() {
		return nil, errors.New("open the spool: it needs this process's epoch")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = maxBytesDefault
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = segmentBytesDefault
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	lock, err := folder.Hold(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	s := &Spool{cfg: cfg, codec: codec, to: to, log: log, lock: lock, moved: make(chan struct{}), wake: make(chan struct{}, 1)}
	if err := s.begin(); err != nil {
		if s.place != nil {
			_ = s.place.close() // nothing was written to it
		}
		return nil, errors.Join(fmt.Errorf("open the spool: %w", err), lock.Release())
	}
	return s, nil
}

func (s *Spool) begin() error {
	placeFile, sent, err := openPlace(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.place = placeFile
	left, err := s.recoverAll(sent)
	if err != nil {
		return err
	}
	seg, file, err := createSegment(s.cfg.Dir, left.next, s.cfg.Epoch, s.cfg.Sync)
	if err != nil {
		return err
	}
	s.segments, s.file = append(left.segments, seg), file
	s.put, s.bytes, s.oldest = left.records, left.bytes, left.oldest
	s.at = left.sent
	if len(left.segments) == 0 {
		s.at = place{segment: seg.n, at: int64(segmentHead)}
	}
	if left.records > 0 {
		s.log.Info("the spool holds records of an earlier start; they are sent first", "records", left.records, "bytes", left.bytes)
	}
	s.nudge()
	return nil
}

var frames = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// Put writes the records as one frame, all or none of which survive a crash, and
// numbers their origins. When it returns nil they are in the page cache, or with
// Sync on the platter. Records of one Put are sent in their order.
func (s *Spool) Put(recs ...journal.Record) error {
	if len(recs) == 0 {
		return nil
	}
	buf := frames.Get().(*[]byte)
	defer func() { frames.Put(buf) }()
	b := newFrame(*buf)
	for _, r := range recs {
		r.Origin = journal.Origin{} // it stands in the frame, where it can still be numbered
		encoded, err := s.codec.Encode(r)
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		b = appendRecord(b, r.Topic, encoded)
	}
	*buf = b
	if len(b) > frameMax {
		return fmt.Errorf("spool: %d records of %d bytes together, at most %d: %w", len(recs), len(b), frameMax, journal.ErrTooLarge)
	}
	mark, err := s.write(b, len(recs))
	if err != nil {
		return err
	}
	if s.cfg.Sync {
		if err := s.syncs.wait(mark, s.syncFile); err != nil {
			return fmt.Errorf("spool: sync: %w", err)
		}
	}
	return nil
}

// write seals the frame under the lock, so that numbers rise in the order of the
// file, and gives the count of records put so far.
func (s *Spool) write(b []byte, count int) (mark int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, ErrClosed
	case s.broken != nil:
		return 0, s.broken
	case s.bytes+int64(len(b)) > s.cfg.MaxBytes:
		return 0, ErrFull
	}
	if last := s.segments[len(s.segments)-1]; last.size >= s.cfg.SegmentBytes {
		if err := s.roll(last); err != nil {
			return 0, err
		}
	}
	last := s.segments[len(s.segments)-1]
	at := s.cfg.Now().UnixNano()
	sealFrame(b, s.seq+1, at, count)
	if _, err := s.file.Write(b); err != nil {
		return 0, s.undo(last, err)
	}
	last.size += int64(len(b))
	s.seq += uint64(count)
	s.put += int64(count)
	if s.bytes == 0 {
		s.oldest = at
	}
	s.bytes += int64(len(b))
	s.nudge()
	return s.put, nil
}

// undo takes back a write that failed half way; a frame behind its remains could
// not be found again.
func (s *Spool) undo(last *segment, cause error) error {
	err := fmt.Errorf("spool: write %s: %w", last.path, cause)
	if undone := s.file.Truncate(last.size); undone != nil {
		s.broken = fmt.Errorf("spool: file %s ends in half a frame: %w", last.path, errors.Join(cause, undone))
	}
	return err
}

// roll begins the next file. With Sync, what is in the old one is synced first,
// because later syncs reach only the new one.
func (s *Spool) roll(last *segment) error {
	if s.cfg.Sync {
		if err := s.file.Sync(); err != nil {
			s.broken = fmt.Errorf("spool: sync %s: %w", last.path, err)
			return s.broken
		}
	}
	seg, file, err := createSegment(s.cfg.Dir, last.n+1, s.cfg.Epoch, s.cfg.Sync)
	if err != nil {
		return err
	}
	if err := s.file.Close(); err != nil {
		s.log.Warn("the spool could not close a file that it had finished", "file", last.path, "error", err)
	}
	s.segments, s.file = append(s.segments, seg), file
	return nil
}

// syncFile brings to the platter what is written, and says up to which record.
func (s *Spool) syncFile() (mark int64, err error) {
	s.mu.Lock()
	mark, file, err := s.put, s.file, s.broken
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	err = file.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.file != file {
		return mark, nil // rolled meanwhile, and roll has synced it
	}
	if err != nil {
		// After a failed sync the kernel may have thrown the pages away: trying again
		// would succeed and mean nothing.
		s.broken = fmt.Errorf("spool: sync %s: %w", file.Name(), err)
		return 0, s.broken
	}
	return mark, nil
}

// Depth is what the journal has not acknowledged yet.
func (s *Spool) Depth() (records, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put - s.sent, s.bytes
}

// Full reports whether the spool should take no new work: there is no room for
// another frame of the largest size, or it cannot write.
func (s *Spool) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != nil || s.bytes+min(frameMax, s.cfg.MaxBytes/8) > s.cfg.MaxBytes
}

// Lag is how long the oldest record that the journal has not acknowledged waits.
func (s *Spool) Lag() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes == 0 {
		return 0
	}
	return max(0, s.cfg.Now().Sub(time.Unix(0, s.oldest)))
}

// Flush returns when everything put before it was called is in the journal. It
// needs Run to be running.
func (s *Spool) Flush(ctx context.Context) error {
	s.mu.Lock()
	goal := s.put
	s.mu.Unlock()
	for {
		s.mu.Lock()
		sent, moved, closed := s.sent, s.moved, s.closed
		s.mu.Unlock()
		switch {
		case sent >= goal:
			return nil
		case closed:
			return ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("flush the spool: %d records are not in the journal yet: %w", goal-sent, context.Cause(ctx))
		}
	}
}

// Close takes no more records and lets the folder go. What is not sent stays for
// the next start. Run must have returned.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.moved)
	s.moved = make(chan struct{})
	var err error
	if s.cfg.Sync {
		err = s.file.Sync()
	}
	if err = errors.Join(err, s.file.Close(), s.place.close(), s.lock.Release()); err != nil {
		return fmt.Errorf("close the spool: %w", err)
	}
	return nil
}

// nudge tells Run that there may be something to send.
func (s *Spool) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it has been told
	}
}
