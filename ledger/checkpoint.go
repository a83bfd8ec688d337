package ledger

import (
	"fmt"

	"github.com/signalbox-dev/signalbox/journal"
)

// markEvery is after how many entries of its key a book remembers its hash. All
// replicas do it at the same entries, so a Checkpoint that names one of them can
// be compared by everyone.
const markEvery = 1 << 14

// markPerMeter spaces the marks of a large book, so that hashing all of it, near 2 µs
// a meter, stays a hundredth of the folding. The next mark is part of the book.
const markPerMeter = 200

// marksMost is how many of them are remembered: a Checkpoint is appended soon
// after its mark, or not at all.
const marksMost = 4

// mark is a hash at an offset.
type mark struct {
	offset int64 // of the next entry to fold
	hash   [32]byte
	said   bool // a Checkpoint of it was folded
}

func (b *Book) mark() {
	if b.folded < b.nextMark {
		return
	}
	b.nextMark = b.folded + max(markEvery, markPerMeter*int64(len(b.meters)))
	if len(b.marks) == marksMost {
		b.marks = append(b.marks[:0], b.marks[1:]...)
	}
	b.marks = append(b.marks, mark{offset: b.offset, hash: b.Hash()})
}

// compare stops the book when another replica's differs. A mark that we do not
// have, because we began after it, says nothing.
func (b *Book) compare(ev journal.Checkpoint) error {
	for i := range b.marks {
		if b.marks[i].offset != ev.Offset {
			continue
		}
		b.marks[i].said = true
		if b.marks[i].hash != ev.Hash {
			return fmt.Errorf("the books differ: at offset %d another replica's hash is %x and this one's is %x", ev.Offset, ev.Hash, b.marks[i].hash)
		}
	}
	return nil
}

// unsaid is the newest mark that no Checkpoint has named.
func (b *Book) unsaid() (journal.Checkpoint, bool) {
	if len(b.marks) == 0 || b.marks[len(b.marks)-1].said {
		return journal.Checkpoint{}, false
	}
	last := b.marks[len(b.marks)-1]
	return journal.Checkpoint{Offset: last.offset, Hash: last.hash}, true
}
