package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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
// of it is settled.
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
	l := &holdLog{sync: sync, live: map[holdKey][]byte{}}
	if dir == "" {
		return l, nil
	}
	l.path = holdLogPath(dir, epoch)
	var err error
	l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin the hold log: %w", err)
	}
	l.begun = encodeFrame(frameBegun, func(w *writer) {
		w.string(boot)
		w.bool(sync)
	})
	if err := l.write(l.begun); err != nil {
		return nil, errors.Join(fmt.Errorf("begin the hold log: %w", err), l.file.Close())
	}
	return l, nil
}

func (l *holdLog) held(key holdKey, frame []byte) error {
	if l.file == nil {
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
	if l.file == nil {
		return nil
	}
	frame := encodeFrame(frameSettled, func(w *writer) { w.hold(part) })
	l.mu.Lock()
	defer l.mu.Unlock()
	key := holdKey{part.Key, part.Hold}
	l.bytes -= int64(len(l.live[key]))
	delete(l.live, key)
	if err := l.write(frame); err != nil {
		return err
	}
	if l.size > compactAbove && l.size > 4*l.bytes {
		return l.compact()
	}
	return nil
}

func (l *holdLog) renewed(part journal.HeldOn, until time.Time) error {
	if l.file == nil {
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
	return err
}

// compact writes the open holds to a new file in the old one's place.
func (l *holdLog) compact() error {
	next, err := os.OpenFile(l.path+".new", os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("compact the hold log: %w", err)
	}
	w := bufio.NewWriter(next)
	if _, err := w.Write(l.begun); err != nil {
		return errors.Join(fmt.Errorf("compact the hold log: %w", err), next.Close())
	}
	for _, frame := range l.live {
		if _, err := w.Write(frame); err != nil {
			return errors.Join(fmt.Errorf("compact the hold log: %w", err), next.Close())
		}
	}
	if err := errors.Join(w.Flush(), next.Sync(), os.Rename(next.Name(), l.path)); err != nil {
		return errors.Join(fmt.Errorf("compact the hold log: %w", err), next.Close())
	}
	old := l.file
	l.file, l.size = next, l.bytes+int64(len(l.begun))
	return old.Close()
}

func (l *holdLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
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
