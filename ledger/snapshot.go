package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

const (
	snapshotFile  = "ledger.snapshot"
	snapshotMagic = "signalbox ledger 1\n"
)

// snapshotEvery bounds what is folded again after a crash, and keeps the snapshot
// younger than the log's retention however long a process lives.
const snapshotEvery = 10 * time.Minute

// snapshotter saves a snapshot now and then.
func (k *Keeper) snapshotter(ctx context.Context) {
	for pause(ctx, snapshotEvery) {
		if err := k.saveSnapshot(); err != nil {
			k.log.Error("the ledger's snapshot was not saved; the next try is in ten minutes", "error", err)
		}
	}
}

// saveSnapshot writes the books, and how far each partition is folded, to a file
// that takes the old one's place whole. Books of a fold that stopped are not
// saved: theirs have counted the entry that stopped them as read, and who began
// from them would skip it.
func (k *Keeper) saveSnapshot() error {
	if k.cfg.Dir == "" {
		return nil
	}
	data, err := k.encodeSnapshot()
	if err != nil {
		return err
	}
	path := filepath.Join(k.cfg.Dir, snapshotFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the ledger's snapshot: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the ledger's snapshot: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the ledger's snapshot: %w", err)
	}
	return nil
}

// encodeSnapshot takes the lock for one book at a time. How far the log is folded
// is noted first: a book encoded later is further, and folds nothing twice.
func (k *Keeper) encodeSnapshot() ([]byte, error) {
	w := &writer{buf: []byte(snapshotMagic)}
	w.uint(uint64(journal.Rules))
	k.mu.Lock()
	w.uint(uint64(len(k.partitions)))
	for _, part := range k.partitions {
		w.int(part.next)
	}
	keys := slices.Sorted(maps.Keys(k.purses))
	k.mu.Unlock()
	w.uint(uint64(len(keys)))
	for _, key := range keys {
		k.mu.Lock()
		p := k.purses[key]
		stopped := errors.Join(p.book.stopped, k.partitions[p.partition].stopped)
		w.string(string(p.book.Encode()))
		k.mu.Unlock()
		if stopped != nil {
			return nil, fmt.Errorf("write the ledger's snapshot: %w", stopped)
		}
	}
	k.mu.Lock()
	k.settled.encode(w)
	k.mu.Unlock()
	sum := sha256.Sum256(w.buf)
	return append(w.buf, sum[:]...), nil
}

// loadSnapshot begins where a snapshot ends. One that is damaged or of other
// rules is not used: the log is folded from its beginning, if it is all there.
func (k *Keeper) loadSnapshot() error {
	if k.cfg.Dir == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(k.cfg.Dir, snapshotFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the ledger's snapshot: %w", err)
	}
	next, books, settled, err := decodeSnapshot(data)
	if err != nil {
		k.log.Warn("the ledger's snapshot is of no use; folding the whole log", "error", err)
		return nil
	}
	if len(next) != len(k.partitions) {
		return fmt.Errorf("the snapshot is of %d partitions and the log has %d: the number of partitions must never change", len(next), len(k.partitions))
	}
	for i := range next {
		k.partitions[i].next = next[i]
	}
	k.settled = settled
	for _, b := range books {
		k.purses[b.key] = newPurse(b.key, k.journal.PartitionFor(journal.TopicLedger, b.key), b)
	}
	return nil
}

func decodeSnapshot(data []byte) (next []int64, books []*Book, settled settledMemory, err error) {
	settled.init()
	body, ok := bytes.CutPrefix(data, []byte(snapshotMagic))
	if !ok || len(body) < sha256.Size {
		return nil, nil, settled, errors.New("it is not a snapshot of this version")
	}
	end := len(data) - sha256.Size
	if sha256.Sum256(data[:end]) != [32]byte(data[end:]) {
		return nil, nil, settled, errors.New("its checksum is wrong")
	}
	r := &reader{rest: body[:len(body)-sha256.Size]}
	if rules := r.uint(); rules != uint64(journal.Rules) {
		return nil, nil, settled, fmt.Errorf("its rules are %d, ours %d", rules, journal.Rules)
	}
	next = make([]int64, r.count())
	for i := range next {
		next[i] = r.int()
	}
	books = make([]*Book, r.count())
	for i := range books {
		if books[i], err = DecodeBook([]byte(r.string())); err != nil {
			return nil, nil, settled, err
		}
	}
	settled.decode(r)
	return next, books, settled, r.err
}
