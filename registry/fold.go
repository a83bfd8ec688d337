package registry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// Bounds of what the fold keeps of transactions that are not whole yet.
const (
	maxPending = 64
	maxTxn     = 200_000 // records
)

// FoldError says which entry stopped the fold. Nothing behind it is known, so the
// snapshot stays what it was; a program that knows the entry can go on.
type FoldError struct {
	Topic  journal.Topic
	Offset int64
	Why    string
}

func (e *FoldError) Error() string {
	return fmt.Sprintf("%s: the entry at offset %d cannot be read: %s; run a version of signalbox that knows it, or restore the topic", e.Topic, e.Offset, e.Why)
}

// fold is what the topic says up to an offset. It is deterministic: it reads no
// clock, no configuration and no map's order, so every replica that has read as
// far has the same registry.
type fold struct {
	next    int64 // the offset to read next
	version int64 // the offset behind the last entry that changed something
	objects map[objectID]*recorded
	history []RecordedPrice
	// incarnations are all there ever were, and by what they are found again: a
	// budget that comes back in the same shape is the same budget.
	incarnations map[int64]*Budget
	shapes       map[shapeID]int64

	pending []*transaction
	watched map[string]chan<- bool // transactions that somebody waits for
}

// shapeID is a budget's identity and its shape.
type shapeID struct {
	object objectID
	shape  string
}

// transaction is one apply whose records are being read.
type transaction struct {
	txn     string
	entries []*journal.Entry
	have    int
}

func newFold() *fold {
	return &fold{objects: map[objectID]*recorded{}, incarnations: map[int64]*Budget{}, shapes: map[shapeID]int64{}, watched: map[string]chan<- bool{}}
}

// apply folds one entry in.
func (f *fold) apply(e journal.Entry) error {
	if e.Offset < f.next {
		return nil // Delivered again: two readers may follow the same topic.
	}
	switch ev := e.Event.(type) {
	case journal.RegistryChanged:
		if err := f.changed(&e, &ev); err != nil {
			return &FoldError{Topic: journal.TopicRegistry, Offset: e.Offset, Why: err.Error()}
		}
	case journal.Unreadable:
		return &FoldError{Topic: journal.TopicRegistry, Offset: e.Offset, Why: ev.Why}
	default:
		return &FoldError{Topic: journal.TopicRegistry, Offset: e.Offset, Why: fmt.Sprintf("an event of type %T does not belong here", ev)}
	}
	f.next = e.Offset + 1
	return nil
}

// changed collects a transaction's records, in any order and any of them twice,
// and folds them when the last is there.
//
// A transaction names the version it was made from, and counts only while that
// is still the newest: of two that were made from the same one, by two replicas
// or by one that thought its first was lost, the log takes the first that became
// whole, and nothing of the other. One that stays in pieces, because its writer
// died, never counts.
func (f *fold) changed(e *journal.Entry, ev *journal.RegistryChanged) error {
	base, err := baseOf(ev.Txn)
	if err != nil {
		return err
	}
	if ev.Count < 1 || ev.Count > maxTxn || ev.Index < 0 || ev.Index >= ev.Count {
		return fmt.Errorf("record %d of %d of transaction %s is none", ev.Index, ev.Count, ev.Txn)
	}
	if base != f.version {
		f.settle(ev.Txn, false)
		return nil
	}
	t := f.begin(ev.Txn, ev.Count)
	if len(t.entries) != ev.Count {
		return fmt.Errorf("transaction %s has %d records and %d", ev.Txn, len(t.entries), ev.Count)
	}
	if t.entries[ev.Index] == nil {
		t.entries[ev.Index] = e
		t.have++
	}
	if t.have < ev.Count {
		return nil
	}
	return f.commit(t, e.Offset+1)
}

// txnOf names a transaction that was made from a version.
func txnOf(id string, base int64) string { return id + "@" + strconv.FormatInt(base, 10) }

func baseOf(txn string) (int64, error) {
	id, text, ok := strings.Cut(txn, "@")
	base, err := strconv.ParseInt(text, 10, 64)
	if !ok || id == "" || err != nil || base < 0 {
		return 0, fmt.Errorf("%q names no transaction", clip(txn))
	}
	return base, nil
}

// begin finds a transaction among those that are not whole, or opens it. The
// oldest is forgotten where there are too many: only dead writers leave any.
func (f *fold) begin(txn string, count int) *transaction {
	for _, t := range f.pending {
		if t.txn == txn {
			return t
		}
	}
	if len(f.pending) == maxPending {
		f.settle(f.pending[0].txn, false)
		f.pending = slices.Delete(f.pending, 0, 1)
	}
	t := &transaction{txn: txn, entries: make([]*journal.Entry, count)}
	f.pending = append(f.pending, t)
	return t
}

// commit folds a whole transaction in, and drops the others: they were made from
// a version that is now the last but one.
func (f *fold) commit(t *transaction, version int64) error {
	decoded := make([]value, len(t.entries))
	for i, e := range t.entries { // all are read before any counts
		ev := e.Event.(journal.RegistryChanged)
		if ev.Deleted {
			continue
		}
		v, err := decode(ev.Kind, ev.Body)
		if err != nil {
			return fmt.Errorf("record %d of transaction %s, at offset %d: %w", i, t.txn, e.Offset, err)
		}
		if want := (objectID{ev.Kind, ev.Tenant, ev.Name}); v.id() != want {
			return fmt.Errorf("record %d of transaction %s, at offset %d: it is called %s and says it is %s", i, t.txn, e.Offset, want, v.id())
		}
		decoded[i] = v
	}
	for i, e := range t.entries {
		ev := e.Event.(journal.RegistryChanged)
		id := objectID{ev.Kind, ev.Tenant, ev.Name}
		if decoded[i] == nil {
			f.remove(id, e)
		} else {
			f.put(id, decoded[i], ev.Body, e)
		}
	}
	f.version = version
	f.settle(t.txn, true)
	for _, other := range f.pending {
		f.settle(other.txn, false)
	}
	f.pending = nil
	return nil
}

// settle tells who waits for a transaction how it ended.
func (f *fold) settle(txn string, counted bool) {
	if waiting, ok := f.watched[txn]; ok {
		waiting <- counted
		delete(f.watched, txn)
	}
}

func (f *fold) put(id objectID, v value, body []byte, e *journal.Entry) {
	version := e.Offset + 1
	switch o := v.(type) {
	case *Tenant:
		o.Version = version
	case *Team:
		o.Version = version
	case *App:
		o.Version = version
	case *Provider:
		o.Version = version
	case *Model:
		o.Version = version
	case *Deployment:
		o.Version = version
		f.retire(f.objects[id])
		if o.Capacity != nil {
			f.embody(o.Capacity, id, e)
		}
	case *Price:
		o.Version, o.RecordedAt = version, e.At.UTC()
		f.history = append(f.history, RecordedPrice{Price: *o})
	case *Budget:
		f.retire(f.objects[id])
		f.embody(o, id, e)
	case *Gateway:
		o.Version = version
	case *Path:
		o.Version = version
	case *Key:
		o.Version = version
	}
	f.objects[id] = &recorded{value: v, json: body, version: version, at: e.At.UTC()}
}

func (f *fold) remove(id objectID, e *journal.Entry) {
	o := f.objects[id]
	if o == nil {
		return
	}
	f.retire(o)
	if p, ok := o.value.(*Price); ok {
		gone := *p
		gone.Version, gone.RecordedAt = e.Offset+1, e.At.UTC()
		f.history = append(f.history, RecordedPrice{Price: gone, Removed: true})
	}
	delete(f.objects, id)
}

// embody gives a budget its incarnation: the one that a budget of this identity
// and shape had before, or a new one.
func (f *fold) embody(b *Budget, id objectID, e *journal.Entry) {
	at := shapeID{id, b.shape()}
	offset, known := f.shapes[at]
	if !known {
		offset = e.Offset
		f.shapes[at] = offset
	}
	b.Incarnation, b.Version = offset, e.Offset+1
	b.compile()
	f.incarnations[offset] = b
}

// retire marks what an object's budget was as a thing of the past. What comes in
// its place may be the same incarnation and then stands in for it again.
func (f *fold) retire(o *recorded) {
	if o == nil {
		return
	}
	b, _ := o.value.(*Budget)
	if d, ok := o.value.(*Deployment); ok {
		b = d.Capacity
	}
	if b == nil {
		return
	}
	gone := *b // snapshots hold the old one
	gone.Removed = true
	f.incarnations[b.Incarnation] = &gone
}
