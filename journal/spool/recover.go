package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// leftover is what a start finds: the segments that still hold unsent frames, in
// order, and what stands in them.
type leftover struct {
	segments []*segment
	sent     place
	records  int64
	bytes    int64
	oldest   int64 // when the first unsent frame was put, Unix nanoseconds
	next     uint64
}

// recoverAll reads what earlier processes left. Files that were sent are removed,
// a torn tail is cut off, damage before a tail is an error: what stands behind it
// was promised to somebody.
func (s *Spool) recoverAll(sent place) (leftover, error) {
	numbers, err := segmentNumbers(s.cfg.Dir)
	if err != nil {
		return leftover{}, err
	}
	l := leftover{sent: sent, next: sent.segment + 1}
	for i, n := range numbers {
		path := segmentName(s.cfg.Dir, n)
		l.next = max(l.next, n+1)
		if n < sent.segment {
			if err := os.Remove(path); err != nil {
				return leftover{}, fmt.Errorf("remove a sent spool file: %w", err)
			}
			continue
		}
		if err := s.recoverSegment(&l, n, path, i == len(numbers)-1); err != nil {
			return leftover{}, err
		}
	}
	if len(l.segments) > 0 && l.segments[0].n != sent.segment {
		l.sent = place{segment: l.segments[0].n, at: int64(segmentHead)}
	}
	return l, nil
}

func (s *Spool) recoverSegment(l *leftover, n uint64, path string, last bool) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read spool file: %w", err)
	}
	seg := &segment{n: n, path: path, size: int64(segmentHead)}
	if seg.epoch, err = parseSegmentHead(raw); err != nil {
		if last && (len(raw) < segmentHead || allZero(raw)) { // it died beginning the file: nothing was put there
			return os.Remove(path)
		}
		return seg.errorAt(0, err)
	}
	if seg.epoch == s.cfg.Epoch {
		return seg.errorAt(0, fmt.Errorf("epoch %s is this process's own: an epoch is one start of one process, used once", seg.epoch))
	}
	for seg.size < int64(len(raw)) {
		f, err := parseFrame(raw[seg.size:])
		if errors.Is(err, errTorn) && last {
			s.log.Warn("the spool ends in a write that was cut short; it was never promised and is dropped", "file", path, "offset", seg.size, "bytes", int64(len(raw))-seg.size)
			if err := os.Truncate(path, seg.size); err != nil {
				return fmt.Errorf("cut off the torn end of a spool file: %w", err)
			}
			break
		}
		unsent := n > l.sent.segment || seg.size >= l.sent.at
		if err == nil && unsent { // better said at the start than when Run comes to it
			_, err = f.records(s.codec, seg.epoch, nil)
		}
		if err != nil {
			return seg.errorAt(seg.size, fmt.Errorf("%w; move the file away to start without what it holds", err))
		}
		if unsent {
			l.count(f)
		}
		seg.size += f.size
	}
	if n == l.sent.segment && l.sent.at > seg.size {
		l.sent.at = seg.size // the place was remembered and the frames before it were not: power was lost
	}
	l.segments = append(l.segments, seg)
	return nil
}

func (l *leftover) count(f frame) {
	if l.records == 0 {
		l.oldest = f.at
	}
	l.records += int64(f.count)
	l.bytes += f.size
}

func segmentNumbers(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look into the spool: %w", err)
	}
	var numbers []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(filepath.Base(e.Name()), ".spool")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(name, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("file %s in the spool %s does not belong there", e.Name(), dir)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}
