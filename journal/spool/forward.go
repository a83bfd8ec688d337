package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/signalbox-dev/signalbox/journal"
)

const (
	batchRecords = 512     // sent in one Append, at about
	batchBytes   = 1 << 20 // or this many bytes
	backoffFirst = 50 * time.Millisecond
	backoffMost  = 5 * time.Second
)

// Run sends what is put to the journal, in order, until ctx ends. A journal that
// fails is asked again, less and less often; a spool file that cannot be read ends
// Run with an error naming the file and the byte.
//
// One batch is on its way at a time. The next gathers meanwhile, so that batches
// grow under load by themselves, and nothing can overtake what failed.
func (s *Spool) Run(ctx context.Context) error {
	r := &segmentReader{}
	defer r.close()
	for {
		b, err := s.next(r)
		if err != nil {
			return err
		}
		if len(b.records) == 0 {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := s.send(ctx, b.records); err != nil {
			return err
		}
		if err := s.advance(b); err != nil {
			return err
		}
	}
}

// send gives up only when ctx ends.
func (s *Spool) send(ctx context.Context, recs []journal.Record) error {
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval, policy.MaxInterval = backoffFirst, backoffMost
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, s.to.Append(ctx, recs...) },
		backoff.WithBackOff(policy), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, in time.Duration) {
			records, bytes := s.Depth()
			s.log.Warn("the journal does not take what is spooled", "error", err, "again_in", in, "records", records, "bytes", bytes)
		}))
	return err
}

// batch is what stands at the place, and the place behind it.
type batch struct {
	records []journal.Record
	bytes   int64
	to      place
	oldest  int64 // when its first frame was put
}

// next reads a batch at the place. Empty: everything is sent.
func (s *Spool) next(r *segmentReader) (batch, error) {
	b := batch{to: s.at}
	for len(b.records) < batchRecords && b.bytes < batchBytes {
		seg, size, following := s.segmentAt(b.to.segment)
		if b.to.at >= size {
			if following == 0 {
				break
			}
			b.to = place{segment: following, at: int64(segmentHead)}
			continue
		}
		f, err := r.frame(seg, b.to.at, size)
		if err != nil {
			return batch{}, err
		}
		if len(b.records) == 0 {
			b.oldest = f.at
		}
		if b.records, err = f.records(s.codec, seg.epoch, b.records); err != nil {
			return batch{}, seg.errorAt(b.to.at, err)
		}
		b.bytes += f.size
		b.to.at += f.size
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b.records) > 0 {
		s.oldest = b.oldest
	}
	return b, nil
}

// segmentAt gives a segment, its size now, and the number of the one after it or 0.
func (s *Spool) segmentAt(n uint64) (seg *segment, size int64, following uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.segments {
		if c.n != n {
			continue
		}
		if i+1 < len(s.segments) {
			following = s.segments[i+1].n
		}
		return c, c.size, following
	}
	return nil, 0, 0 // the place is always in a segment that is there
}

// advance remembers that a batch is in the journal and removes files that are
// sent whole. The place comes first: a crash between the two sends nothing twice.
func (s *Spool) advance(b batch) error {
	s.at = b.to
	if err := s.place.store(b.to); err != nil {
		return err
	}
	s.mu.Lock()
	var done []*segment
	for len(s.segments) > 1 && s.segments[0].n < b.to.segment {
		done, s.segments = append(done, s.segments[0]), s.segments[1:]
	}
	s.sent += int64(len(b.records))
	s.bytes -= b.bytes
	close(s.moved)
	s.moved = make(chan struct{})
	s.mu.Unlock()
	for _, seg := range done {
		if err := os.Remove(seg.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a sent spool file: %w", err)
		}
	}
	return nil
}

// segmentReader keeps the file open that is being sent, and a window of it.
type segmentReader struct {
	path   string
	file   *os.File
	window []byte
	begins int64 // where the window stands in the file
}

// windowBytes are read at once; most frames are a fraction of it.
const windowBytes = 256 << 10

// frame reads the frame at a place; size is how far the file is written.
func (r *segmentReader) frame(seg *segment, at, size int64) (frame, error) {
	if r.path != seg.path {
		r.close()
		f, err := os.Open(seg.path)
		if err != nil {
			return frame{}, fmt.Errorf("read the spool: %w", err)
		}
		r.path, r.file = seg.path, f
	}
	f, err := frame{}, errTorn
	if at >= r.begins && at < r.begins+int64(len(r.window)) {
		f, err = parseFrame(r.window[at-r.begins:])
	}
	for n := int64(windowBytes); errors.Is(err, errTorn) && n <= 2*(frameHead+frameMax); n *= 4 {
		if err := r.load(at, min(n, size-at)); err != nil {
			return frame{}, seg.errorAt(at, err)
		}
		f, err = parseFrame(r.window)
	}
	if err != nil {
		return frame{}, seg.errorAt(at, err)
	}
	return f, nil
}

func (r *segmentReader) load(at, n int64) error {
	if int64(cap(r.window)) < n {
		r.window = make([]byte, n)
	}
	r.window, r.begins = r.window[:n], at
	if _, err := r.file.ReadAt(r.window, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (r *segmentReader) close() {
	if r.file != nil {
		_ = r.file.Close() // read only: nothing can be lost
	}
	*r = segmentReader{window: r.window[:0]}
}
