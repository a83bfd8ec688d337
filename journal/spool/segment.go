package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/signalbox-dev/signalbox/journal"
)

// A segment file is a head and frames, nothing between them. All integers are
// little-endian.
//
//	head:  magic[8] epoch[16] crc32c(magic, epoch)[4]
//	frame: length[4] crc32c(body)[4] crc32c(the eight bytes before)[4] body[length]
//	body:  seq[8] at[8, Unix nanoseconds] count[4] count × record
//	record: len(topic)[1] topic len(bytes)[4] bytes
//
// seq numbers the first record of the frame; the others follow. The frame's head
// has a checksum of its own, so that a damaged length is told from a torn tail.
const (
	segmentMagic = "SBXSPL01"
	segmentHead  = len(segmentMagic) + 16 + 4
	frameHead    = 12
	bodyHead     = 20
	frameMax     = 8 << 20 // of one Put
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func segmentName(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x.spool", n))
}

func appendSegmentHead(b []byte, epoch journal.Epoch) []byte {
	at := len(b)
	b = append(append(b, segmentMagic...), epoch[:]...)
	return binary.LittleEndian.AppendUint32(b, sum(b[at:]))
}

func parseSegmentHead(b []byte) (epoch journal.Epoch, err error) {
	if len(b) < segmentHead || string(b[:len(segmentMagic)]) != segmentMagic {
		return epoch, errors.New("it does not begin as a spool file")
	}
	if binary.LittleEndian.Uint32(b[segmentHead-4:]) != sum(b[:segmentHead-4]) {
		return epoch, errors.New("its head does not have its checksum")
	}
	copy(epoch[:], b[len(segmentMagic):])
	return epoch, nil
}

// appendRecord adds one record to a body.
func appendRecord(b []byte, topic journal.Topic, encoded []byte) []byte {
	b = append(b, byte(len(topic)))
	b = append(b, topic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(encoded)))
	return append(b, encoded...)
}

// newFrame leaves room for the heads; records are appended behind it and
// sealFrame fills the room.
func newFrame(b []byte) []byte { return append(b[:0], make([]byte, frameHead+bodyHead)...) }

// sealFrame writes the heads of a frame whose records are in place.
func sealFrame(frame []byte, seq uint64, at int64, count int) {
	body := frame[frameHead:]
	binary.LittleEndian.PutUint64(body, seq)
	binary.LittleEndian.PutUint64(body[8:], uint64(at))
	binary.LittleEndian.PutUint32(body[16:], uint32(count))
	binary.LittleEndian.PutUint32(frame, uint32(len(body)))
	binary.LittleEndian.PutUint32(frame[4:], sum(body))
	binary.LittleEndian.PutUint32(frame[8:], sum(frame[:8]))
}

// frame is one Put, read back.
type frame struct {
	size  int64 // on disk
	seq   uint64
	at    int64
	count int
	raw   []byte // the records
}

var (
	errTorn    = errors.New("it ends in the middle of a frame")
	errDamaged = errors.New("a frame does not have its checksum")
)

// parseFrame reads the frame at the beginning of b, which reaches to the end of
// the file or holds the whole frame. errTorn is only what a cut-off last write
// can leave.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHead {
		return frame{}, errTorn
	}
	length := int(binary.LittleEndian.Uint32(b))
	switch headWhole := binary.LittleEndian.Uint32(b[8:]) == sum(b[:8]); {
	case !headWhole && allZero(b):
		return frame{}, errTorn
	case !headWhole || length < bodyHead || length > frameMax:
		return frame{}, errDamaged
	case len(b) < frameHead+length:
		return frame{}, errTorn
	}
	body := b[frameHead : frameHead+length]
	if binary.LittleEndian.Uint32(b[4:]) != sum(body) {
		if len(b) == frameHead+length { // the last write: its pages may have come to the disk in any order
			return frame{}, errTorn
		}
		return frame{}, errDamaged
	}
	return frame{
		size:  int64(frameHead + length),
		seq:   binary.LittleEndian.Uint64(body),
		at:    int64(binary.LittleEndian.Uint64(body[8:])),
		count: int(binary.LittleEndian.Uint32(body[16:])),
		raw:   body[bodyHead:],
	}, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// records decodes a frame's records and gives them their origins.
func (f frame) records(codec Codec, epoch journal.Epoch, into []journal.Record) ([]journal.Record, error) {
	b := f.raw
	for i := range f.count {
		if len(b) < 1 || len(b) < 1+int(b[0])+4 {
			return into, errDamaged
		}
		topic, rest := journal.Topic(b[1:1+b[0]]), b[1+int(b[0]):]
		n := int(binary.LittleEndian.Uint32(rest))
		if rest = rest[4:]; n > len(rest) {
			return into, errDamaged
		}
		r := codec.Decode(topic, rest[:n])
		if u, bad := r.Event.(journal.Unreadable); bad {
			return into, fmt.Errorf("record %d of the frame: %s", i, u.Why)
		}
		r.Origin = journal.Origin{Epoch: epoch, Seq: f.seq + uint64(i)}
		into, b = append(into, r), rest[n:]
	}
	return into, nil
}

// segment is one file of the spool.
type segment struct {
	n     uint64
	path  string
	epoch journal.Epoch
	size  int64 // whole frames and the head
}

func (s *segment) errorAt(at int64, err error) error {
	return fmt.Errorf("spool file %s, byte %d: %w", s.path, at, err)
}

// createSegment makes a file that did not exist and makes its name last.
func createSegment(dir string, n uint64, epoch journal.Epoch, sync bool) (*segment, *os.File, error) {
	s := &segment{n: n, path: segmentName(dir, n), epoch: epoch, size: int64(segmentHead)}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("begin a spool file: %w", err)
	}
	if _, err := f.Write(appendSegmentHead(nil, epoch)); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("begin spool file %s: %w", s.path, err), f.Close(), os.Remove(s.path))
	}
	if sync {
		if err := errors.Join(f.Sync(), syncDir(dir)); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("sync spool file %s: %w", s.path, err), f.Close())
		}
	}
	return s, f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
