package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

func decodeOpenHold(r *reader) *openHold {
	o := &openHold{callID: r.string(), note: []byte(r.string()), inherited: true, kept: true}
	o.heldAt, o.expiresAt = time.Unix(0, r.int()).UTC(), time.Unix(0, r.int()).UTC()
	o.parts = make([]journal.HeldOn, r.count())
	for i := range o.parts {
		key := r.hold()
		o.parts[i] = journal.HeldOn{Key: key.key, Hold: key.hold, Charges: make([]journal.Charge, r.count())}
		for j := range o.parts[i].Charges {
			o.parts[i].Charges[j] = journal.Charge{Meter: r.meter(), Lease: r.uint(), Held: r.int()}
		}
	}
	if r.err == nil && len(o.parts) == 0 {
		r.fail("a hold on nothing")
	}
	return o
}

// leftBehind is what a hold log of an earlier epoch says.
type leftBehind struct {
	path    string
	epoch   journal.Epoch
	open    map[holdKey]*openHold
	settled map[holdKey]bool
	boot    string // of the machine, when the epoch began
	synced  bool   // each record was fsynced
	// damaged: the file is wrong before its end, so holds may be missing, and the
	// epoch must not be ended: that would free money of calls in flight.
	damaged error
	torn    int64 // bytes of a cut tail
}

// readHoldLogs reads what earlier epochs left in a folder.
func readHoldLogs(dir string) ([]*leftBehind, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for hold logs: %w", err)
	}
	var all []*leftBehind
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), holdLogSuffix)
		if !ok {
			continue
		}
		epoch, err := journal.ParseEpoch(name)
		if err != nil {
			continue // Not ours.
		}
		lb := &leftBehind{path: filepath.Join(dir, e.Name()), epoch: epoch, open: map[holdKey]*openHold{}, settled: map[holdKey]bool{}}
		data, err := os.ReadFile(lb.path)
		if err != nil {
			return nil, fmt.Errorf("read hold log: %w", err)
		}
		lb.read(data)
		all = append(all, lb)
	}
	return all, nil
}

func (lb *leftBehind) read(data []byte) {
	in := bytes.NewReader(data)
	for in.Len() > 0 {
		at := int64(len(data) - in.Len())
		kind, body, err := readFrame(in)
		if err != nil {
			if last := frameReaches(data[at:]); last {
				lb.torn = int64(len(data)) - at
			} else {
				lb.damaged = fmt.Errorf("hold log %s, offset %d: %w", lb.path, at, err)
			}
			return
		}
		r := &reader{rest: body}
		switch kind {
		case frameHeld:
			if o := decodeOpenHold(r); r.err == nil && !lb.settled[o.key()] {
				lb.open[o.key()] = o
			}
		case frameSettled:
			key := r.hold()
			lb.settled[key] = true
			delete(lb.open, key)
		case frameRenewed:
			key, until := r.hold(), r.int()
			if o := lb.open[key]; o != nil {
				o.expiresAt = time.Unix(0, until).UTC()
			}
		case frameBegun:
			lb.boot, lb.synced = r.string(), r.bool()
		default:
			r.fail("a record of an unknown kind")
		}
		if r.err != nil {
			lb.damaged = fmt.Errorf("hold log %s, offset %d: %w", lb.path, at, r.err)
			return
		}
	}
}

// frameReaches reports whether a broken frame is the file's last: it reaches to
// the end or beyond, so it was cut, and nothing stands behind it.
func frameReaches(rest []byte) bool {
	if len(rest) < 9 {
		return true
	}
	length := int64(binary.LittleEndian.Uint32(rest))
	return length <= frameMost && 8+length >= int64(len(rest))
}

func readFrame(in *bytes.Reader) (kind byte, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, errCut
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length == 0 || length > frameMost || int64(length) > int64(in.Len()) {
		return 0, nil, errCut
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return 0, nil, errCut
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return 0, nil, errors.New("the checksum is wrong")
	}
	return body[0], body[1:], nil
}
