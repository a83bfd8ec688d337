package ledger

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// ZoneData is a zone's compiled-in rules, for a test that plants them elsewhere.
func ZoneData(name string) ([]byte, error) {
	files, err := archive()
	if err != nil {
		return nil, err
	}
	f, err := files[name].Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// QueueOf lists who waits in a book, in order.
func QueueOf(b *Book) string {
	if len(b.queue) == 0 {
		return "empty"
	}
	var who []string
	for _, a := range b.queue {
		who = append(who, fmt.Sprintf("%c %d", a.epoch.id[0], a.n))
	}
	return strings.Join(who, ", ")
}

// Audit checks what must hold inside every book, whatever was folded.
func Audit(b *Book) error {
	refs, out, suspense := map[*meter]int{}, map[*meter]int64{}, map[*meter]int64{}
	for id, ep := range b.epochs {
		for n, l := range ep.leases {
			empty := true
			for _, d := range l.draws {
				refs[d.meter]++
				out[d.meter] += d.left
				suspense[d.meter] += d.suspense
				empty = empty && d.left == 0 && d.suspense == 0
				if d.left < 0 || d.suspense < 0 || d.left > d.granted || l.closed && d.left != 0 {
					return fmt.Errorf("lease %d of epoch %s: left %d, suspense %d of %d", n, id, d.left, d.suspense, d.granted)
				}
			}
			if empty {
				return fmt.Errorf("lease %d of epoch %s is empty", n, id)
			}
		}
		for _, p := range ep.settled.provisional {
			for _, c := range p.charges {
				refs[c.meter]++
			}
		}
	}
	for _, a := range b.queue {
		for _, l := range a.lines {
			refs[l.meter]++
		}
	}
	for name, m := range b.meters {
		if m.refs != refs[m] || m.outstanding != out[m] || m.suspense != suspense[m] || b.meters[m.name] != m {
			return fmt.Errorf("meter %v: refs %d of %d, outstanding %d of %d, suspense %d of %d", name, m.refs, refs[m], m.outstanding, out[m], m.suspense, suspense[m])
		}
	}
	return nil
}

// ReadAgain decodes what a book encodes.
func ReadAgain(b *Book) (*Book, error) { return DecodeBook(b.Encode()) }

// Slide lets tests reach the rolling tally.
type Slide struct{ s *slide }

func NewSlide(window time.Duration) Slide               { return Slide{newSlide(window)} }
func (s Slide) Charge(amount int64, at time.Time) error { return s.s.charge(amount, at.UnixNano()) }
func (s Slide) Spent(now time.Time) int64               { return s.s.spent(now.UnixNano()) }

// MarkEvery is after how many entries books can be compared.
const MarkEvery = markEvery

// Unsaid is the checkpoint a book would append.
func Unsaid(b *Book) (journal.Checkpoint, bool) { return b.unsaid() }

// GrantOf is what is in a lease, all meters together.
func GrantOf(b *Book, epoch journal.Epoch, n uint64) (sum int64) {
	if ep := b.epochs[epoch]; ep != nil && ep.leases[n] != nil {
		for _, d := range ep.leases[n].draws {
			sum += d.left
		}
	}
	return sum
}

// EpochOf is a keeper's epoch.
func EpochOf(k *Keeper) journal.Epoch { return k.cfg.Epoch }

// EachMeter visits a book's meters.
func EachMeter(b *Book, visit func(journal.Meter, Balance)) {
	for name, m := range b.meters {
		visit(name, m.balance(b.now))
	}
}

// BookState is how far a keeper folded a key, and the hash there.
func BookState(k *Keeper, key string) (int64, [32]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.purses[key]
	if p == nil {
		return 0, [32]byte{}, false
	}
	return p.book.offset, p.book.Hash(), true
}

// Faults of a holder that the simulation plants after a settlement.
const (
	plantReuse = 1
	plantKept  = 2
)

// Plant gives a holder money that is not its own: what a settlement freed to the
// pool (reuse), or what it would keep, before the log said so.
func Plant(k *Keeper, fault int, parts []journal.HeldOn, s Settlement) {
	if fault != plantReuse && fault != plantKept || s.Rank != journal.RankExact {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, part := range parts {
		if part.Hold.Epoch != k.cfg.Epoch {
			continue
		}
		p := k.purses[part.Key]
		for j, c := range part.Charges {
			l := p.leases[c.Lease]
			if l == nil {
				continue
			}
			back := c.Held
			if fault == plantKept {
				back = max(c.Held-s.Parts[i].Charges[j].Actual, 0)
			}
			for d := range l.draws {
				if dr := &l.draws[d]; dr.hand.meter == c.Meter && back > 0 {
					if dr.free == 0 {
						dr.hand.draws = append(dr.hand.draws, dr)
					}
					dr.free += back
				}
			}
		}
	}
}

// Refill puts a hold's money back in hand, as if it had not been held.
func Refill(k *Keeper, held Held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, part := range held.Parts {
		p := k.purses[part.Key]
		for _, c := range part.Charges {
			for d := range p.leases[c.Lease].draws {
				if dr := &p.leases[c.Lease].draws[d]; dr.hand.meter == c.Meter {
					dr.free += c.Held
				}
			}
		}
	}
}
