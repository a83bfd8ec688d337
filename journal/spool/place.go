package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// place is how far the journal has acknowledged: everything before at in segment.
type place struct {
	segment uint64
	at      int64
}

// placeFile remembers the place in two slots written in turn, so that a torn
// write leaves the one before it. A place that is behind only sends some records
// again; it is therefore never synced.
//
//	slot: turn[8] segment[8] at[8] crc32c[4], padded to 32
type placeFile struct {
	file *os.File
	turn uint64
}

const slotBytes = 32

func openPlace(dir string) (*placeFile, place, error) {
	f, err := os.OpenFile(filepath.Join(dir, "place"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, place{}, fmt.Errorf("open the spool's place: %w", err)
	}
	p := &placeFile{file: f}
	var at place
	for slot := range int64(2) {
		b := make([]byte, slotBytes)
		if _, err := f.ReadAt(b, slot*slotBytes); err != nil || binary.LittleEndian.Uint32(b[24:]) != sum(b[:24]) {
			continue
		}
		if turn := binary.LittleEndian.Uint64(b); turn >= p.turn {
			p.turn = turn
			at = place{segment: binary.LittleEndian.Uint64(b[8:]), at: int64(binary.LittleEndian.Uint64(b[16:]))}
		}
	}
	return p, at, nil
}

func (p *placeFile) store(at place) error {
	p.turn++
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, slotBytes), p.turn)
	b = binary.LittleEndian.AppendUint64(b, at.segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.at))
	b = binary.LittleEndian.AppendUint32(b, sum(b))
	if _, err := p.file.WriteAt(b[:slotBytes], int64(p.turn%2)*slotBytes); err != nil {
		return fmt.Errorf("remember the spool's place: %w", err)
	}
	return nil
}

func (p *placeFile) close() error {
	if err := p.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close the spool's place: %w", err)
	}
	return nil
}
