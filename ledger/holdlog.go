package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// noteMost bounds the note that a caller keeps beside its hold.
const noteMost = 1536

// frameMost bounds one record of the hold log: a hold on very many meters.
const frameMost = 1 << 20

// compactAbove is the size of the hold log at which it is written anew, if most
// of it is settled. It is also how much it grows until the next try, after one
// that failed.
const compactAbove = 8 << 20

// holdLog is the file of one epoch's open holds: what a successor in this folder
// needs to settle what we leave behind. One record is one write, whole before the
// answer leaves; a tail that was cut is a hold whose answer never left.
//
//	record = length (4 bytes) · CRC-32C of the rest (4) · kind (1) · body
type holdLog struct {
	mu    sync.Mutex
	path  string
	file  *os.File
	sync  bool
	begun []byte // the first frame
	size  int64
	live  map[holdKey][]byte // frames of open holds
	bytes int64              // in live

	compactAt  int64 // the size at which it is written anew
	compacting bool
	tail       []byte // what was written since the compaction began
	closed     bool
}

const (
	frameHeld    = 1
	frameSettled = 2
	frameRenewed = 3
	frameBegun   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const holdLogSuffix = ".holds"

func holdLogPath(dir string, epoch journal.Epoch) string {
	return filepath.Join(dir, epoch.String()+holdLogSuffix)
}

// openHoldLog begins an epoch's file; with no folder it remembers nothing.
func openHoldLog(dir string, epoch journal.Epoch, boot string, sync bool) (*holdLog, error) {
	l := &holdLog{sync: sync, live: map[holdKey][]byte{}, compactAt: compactAbove}
	if dir == "" {
		return l, nil
	}
	err := removeUnfinished(dir)
	if err != nil {
		return nil, err
	}
	l.path = holdLogPath(dir, epoch)
	l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin the hold log: %w", err)
	}
	l.begun = encodeFrame(frameBegun, func(w *writer) {
		w.string(boot)
		w.bool(sync)
	})
	if err := errors.Join(l.write(l.begun), l.syncFolder()); err != nil {
		return nil, errors.Join(fmt.Errorf("begin the hold log: %w", err), l.file.Close())
	}
	return l, nil
}

// unfinished ends the name of a compaction that did not take its log's place.
const unfinished = ".new"

// removeUnfinished removes what compactions left that were cut off: everything in
// it stands in the log whose place it did not take.
func removeUnfinished(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*"+holdLogSuffix+unfinished))
	if err != nil {
		return fmt.Errorf("look for unfinished hold logs: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove an unfinished hold log: %w", err)
		}
	}
	return nil
}

// syncFolder makes the log's name as lasting as its records.
func (l *holdLog) syncFolder() error {
	if !l.sync {
		return nil
	}
	dir, err := os.Open(filepath.Dir(l.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (l *holdLog) held(key holdKey, frame []byte) error {
	if l.path == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(frame); err != nil {
		return err
	}
	l.bytes -= int64(len(l.live[key]))
	l.live[key] = frame
	l.bytes += int64(len(frame))
	return nil
}

func (l *holdLog) settled(part journal.HeldOn) error {
	if l.path == "" {
		return nil
	}
	due, err := l.markSettled(part)
	if err != nil || !due {
		return err
	}
	return l.compact()
}

func (l *holdLog) markSettled(part journal.HeldOn) (compact bool, err error) {
	frame := encodeFrame(frameSettled, func(w *writer) { w.hold(part) })
	l.mu.Lock()
	defer l.mu.Unlock()
	key := holdKey{part.Key, part.Hold}
	l.bytes -= int64(len(l.live[key]))
	delete(l.live, key)
	if err := l.write(frame); err != nil {
		return false, err
	}
	return !l.compacting && l.size > l.compactAt && l.size > 4*l.bytes, nil
}

func (l *holdLog) renewed(part journal.HeldOn, until time.Time) error {
	if l.path == "" {
		return nil
	}
	frame := encodeFrame(frameRenewed, func(w *writer) {
		w.hold(part)
		w.int(until.UnixNano())
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if key := (holdKey{part.Key, part.Hold}); l.live[key] != nil {
		l.live[key] = slices.Concat(l.live[key], frame)
		l.bytes += int64(len(frame))
	}
	return l.write(frame)
}

// write appends one frame with one write, so that the end of the process cannot
// cut it; only the end of the machine can.
func (l *holdLog) write(frame []byte) error {
	n, err := l.file.Write(frame)
	l.size += int64(n)
	if err == nil && l.sync {
		err = l.file.Sync()
	}
	if err != nil && n > 0 {
		// Half a frame would hide those behind it.
		if cut := l.file.Truncate(l.size - int64(n)); cut == nil {
			l.size -= int64(n)
		}
	}
	if err == nil && l.compacting {
		l.tail = append(l.tail, frame...)
	}
	return err
}

// compact writes the open holds to a new file in the old one's place. Holds go on
// meanwhile, in the old file: nobody waits for the disk but who compacts. The new
// one takes its place only when all of it is written; after any failure, a full
// disk above all, the old file stays and is whole.
func (l *holdLog) compact() error {
	frames, begun := l.beginCompaction()
	if !begun {
		return nil
	}
	next, err := os.OpenFile(l.path+unfinished, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	var size int64
	if err == nil {
		size, err = writeFrames(next, frames)
	}
	if err = l.endCompaction(next, size, err); err != nil {
		return fmt.Errorf("compact the hold log: %w", err)
	}
	return nil
}

func (l *holdLog) beginCompaction() (frames [][]byte, begun bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.compacting || l.closed {
		return nil, false
	}
	l.compacting = true
	return append([][]byte{l.begun}, slices.Collect(maps.Values(l.live))...), true
}

// writeFrames is done when the disk has them.
func writeFrames(to *os.File, frames [][]byte) (size int64, err error) {
	w := bufio.NewWriter(to)
	for _, frame := range frames {
		n, err := w.Write(frame)
		if err != nil {
			return size, err
		}
		size += int64(n)
	}
	if err := w.Flush(); err != nil {
		return size, err
	}
	return size, to.Sync()
}

// endCompaction lets the new file take the old one's place, or removes it.
func (l *holdLog) endCompaction(next *os.File, size int64, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := l.tail
	l.compacting, l.tail = false, nil
	if err == nil {
		err = l.takePlace(next, tail)
	}
	if err != nil {
		l.compactAt = l.size + compactAbove
		if next == nil {
			return err
		}
		return errors.Join(err, next.Close(), os.Remove(next.Name()))
	}
	old := l.file
	l.file, l.size, l.compactAt = next, size+int64(len(tail)), compactAbove
	return errors.Join(l.syncFolder(), old.Close())
}

// takePlace adds what was written meanwhile, which waits for the disk only where
// each record does.
func (l *holdLog) takePlace(next *os.File, tail []byte) error {
	if l.closed {
		return os.ErrClosed
	}
	if _, err := next.Write(tail); err != nil {
		return err
	}
	if l.sync {
		if err := next.Sync(); err != nil {
			return err
		}
	}
	return os.Rename(next.Name(), l.path)
}

func (l *holdLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	l.closed = true
	return l.file.Close()
}

func encodeFrame(kind byte, body func(*writer)) []byte {
	w := &writer{buf: make([]byte, 9, 512)}
	w.buf[8] = kind
	body(w)
	binary.LittleEndian.PutUint32(w.buf, uint32(len(w.buf)-8))
	binary.LittleEndian.PutUint32(w.buf[4:], crc32.Checksum(w.buf[8:], castagnoli))
	return w.buf
}

func (w *writer) hold(part journal.HeldOn) {
	w.string(part.Key)
	w.bytes(part.Hold.Epoch[:])
	w.uint(part.Hold.N)
}

func (r *reader) hold() holdKey {
	return holdKey{key: r.string(), hold: journal.HoldID{Epoch: r.epoch(), N: r.uint()}}
}

// frame is the hold as its record.
func (o *openHold) frame() []byte { return encodeFrame(frameHeld, o.encode) }

func (o *openHold) encode(w *writer) {
	w.string(o.callID)
	w.string(string(o.note))
	w.int(o.heldAt.UnixNano())
	w.int(o.expiresAt.UnixNano())
	w.uint(uint64(len(o.parts)))
	for _, part := range o.parts {
		w.hold(part)
		w.uint(uint64(len(part.Charges)))
		for _, c := range part.Charges {
			w.meter(c.Meter)
			w.uint(c.Lease)
			w.int(c.Held)
		}
	}
}
