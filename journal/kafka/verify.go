package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// verify looks at the embedded broker's files before it opens them. The broker
// cuts a log off at the first batch it cannot read, wherever that is; behind a
// torn tail there is nothing, but behind a damaged middle there are facts.
func verify(data string, log *slog.Logger) error {
	dirs, err := os.ReadDir(filepath.Join(data, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the embedded journal: %w", err)
	}
	for _, d := range dirs {
		segments, err := segmentFiles(filepath.Join(data, "partitions", d.Name()))
		if err != nil {
			return err
		}
		for i, path := range segments {
			torn, err := verifySegment(path)
			switch {
			case err != nil:
				return err
			case torn >= 0 && i < len(segments)-1:
				return damaged(path, torn, "it is cut short, and a later file follows it")
			case torn >= 0:
				log.Warn("the embedded journal ends in a write that was cut short; it was never acknowledged and is dropped", "file", path, "offset", torn)
			}
		}
	}
	return nil
}

func damaged(path string, at int64, what string) error {
	return fmt.Errorf("%s is damaged at byte %d: %s. Put the file back from a copy; to go on without what stands from there on, cut the file at that byte", path, at, what)
}

func segmentFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look at the embedded journal: %w", err)
	}
	bases := map[string]int64{}
	var paths []string
	for _, e := range entries {
		if base, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			if n, err := strconv.ParseInt(base, 10, 64); err == nil {
				path := filepath.Join(dir, e.Name())
				bases[path] = n
				paths = append(paths, path)
			}
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return int(min(max(bases[a]-bases[b], -1), 1)) })
	return paths, nil
}

// A record batch begins with its offset (8 bytes) and the length of what follows
// (4); its checksum stands at byte 17 and covers everything from byte 21 on.
const (
	batchHead  = 12
	batchSum   = 17
	batchCover = 21
	batchMax   = 2 * messageMaxBytes
)

// verifySegment gives the place of a torn tail, or -1 when the file is whole. Torn
// is only what a cut-off last write can leave: a batch that the file is too short
// for, a last batch with a wrong checksum, or zeros to the end.
func verifySegment(path string) (torn int64, err error) {
	raw, err := os.ReadFile(path) // the broker reads it whole, too
	if err != nil {
		return -1, fmt.Errorf("look at the embedded journal: %w", err)
	}
	for at := 0; at < len(raw); {
		rest := raw[at:]
		length, whole := batchLength(rest)
		switch {
		case whole && batchCRC(rest[:length]):
			at += length
		case tornBatch(rest, length):
			return int64(at), nil
		default:
			return -1, damaged(path, int64(at), "the batch there does not have its checksum, and more follows it")
		}
	}
	return -1, nil
}

// tornBatch tells a write that was cut off from damage. What says that it is
// longer than the file may be a damaged length, so whole batches are looked for
// behind it: after a torn tail there are none.
func tornBatch(rest []byte, length int) bool {
	if len(rest) == length || len(bytes.Trim(rest, "\x00")) == 0 {
		return true
	}
	if len(rest) > batchMax || len(rest) > batchHead && length < len(rest) {
		return false
	}
	for at := 1; at < len(rest); at++ {
		if n, whole := batchLength(rest[at:]); whole && batchCRC(rest[at:at+n]) {
			return false
		}
	}
	return true
}

// batchLength is the size that a batch says it has, and whether b holds it whole.
func batchLength(b []byte) (length int, whole bool) {
	if len(b) < batchHead {
		return 0, false
	}
	length = batchHead + int(binary.BigEndian.Uint32(b[8:]))
	return length, length >= batchCover && length <= len(b)
}

func batchCRC(b []byte) bool {
	return binary.BigEndian.Uint32(b[batchSum:]) == crc32.Checksum(b[batchCover:], castagnoli)
}
