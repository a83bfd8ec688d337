package registry

import (
	"context"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/journal"
)

// maxNames bounds the names in memory, the least recently used going first. A
// name that went is still in the journal: it is written once more when it is met
// again, which a compacted topic forgets, and until then reports show its
// pseudonym.
const maxNames = 100_000

// NamesJournal is what Names needs of the journal.
type NamesJournal interface {
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Starts(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
}

// Names folds the names topic: pseudonyms back into what people read, in bounded
// memory. It is the one place where a pseudonym can be undone; a record without
// an event forgets a person.
type Names struct {
	pseudonymiser *Pseudonymiser
	journal       NamesJournal
	known         *lru.Cache[pair, string] // tenant and pseudonym → name; safe to use at once
}

// NewNames makes an empty one; Run fills it.
func NewNames(p *Pseudonymiser, j NamesJournal) *Names {
	known, err := lru.New[pair, string](maxNames)
	if err != nil { // only for a size that is not positive
		panic("registry: " + err.Error())
	}
	return &Names{pseudonymiser: p, journal: j, known: known}
}

// Run follows the names topic, all its partitions, until ctx ends, which is no
// error, or an entry cannot be read, which is.
func (n *Names) Run(ctx context.Context) error {
	starts, err := n.journal.Starts(ctx, journal.TopicNames)
	if err != nil {
		return fmt.Errorf("find the names' beginning: %w", err)
	}
	g, within := errgroup.WithContext(ctx)
	for partition, start := range starts {
		g.Go(func() error { return n.journal.Follow(within, journal.TopicNames, partition, start, n.fold) })
	}
	if err := g.Wait(); ctx.Err() == nil {
		return fmt.Errorf("follow the names: %w", err)
	}
	return nil
}

// ReadToEnd folds what the topic holds now, so that what is asked next is known.
func (n *Names) ReadToEnd(ctx context.Context) error {
	starts, err := n.journal.Starts(ctx, journal.TopicNames)
	if err != nil {
		return fmt.Errorf("find the names' beginning: %w", err)
	}
	ends, err := n.journal.Ends(ctx, journal.TopicNames)
	if err != nil {
		return fmt.Errorf("find the names' end: %w", err)
	}
	for partition, end := range ends {
		if starts[partition] >= end {
			continue
		}
		err := n.journal.Follow(ctx, journal.TopicNames, partition, starts[partition], func(batch []journal.Entry) error {
			if err := n.fold(batch); err != nil {
				return err
			}
			if len(batch) > 0 && batch[len(batch)-1].Offset >= end-1 {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			return fmt.Errorf("read the names: %w", err)
		}
	}
	return nil
}

func (n *Names) fold(batch []journal.Entry) error {
	for _, e := range batch {
		switch ev := e.Event.(type) {
		case nil:
			n.known.Remove(pair{e.Key, e.Name})
		case journal.Named:
			n.known.Add(pair{e.Key, ev.Pseudonym}, ev.Name)
		case journal.Unreadable:
			return &FoldError{Topic: journal.TopicNames, Offset: e.Offset, Why: ev.Why}
		default:
			return &FoldError{Topic: journal.TopicNames, Offset: e.Offset, Why: fmt.Sprintf("an event of type %T does not belong here", ev)}
		}
	}
	return nil
}

// Name is what people read for a pseudonym; the pseudonym itself where nobody,
// or nobody any more, is known by it.
func (n *Names) Name(tenant, pseudonym string) string {
	if name, ok := n.known.Get(pair{tenant, pseudonym}); ok {
		return name
	}
	return pseudonym
}

// EnsureNamed is the pseudonym of a name, and the record that maps it back; nil
// where that was given out before, or read. Whoever cannot write the record says
// so with Unnamed, and it is given out again.
func (n *Names) EnsureNamed(tenant, kind, name string) (pseudonym string, record *journal.Record) {
	pseudonym = n.pseudonymiser.Pseudonym(tenant, kind, name)
	if pseudonym == "" {
		return "", nil
	}
	at := pair{tenant, pseudonym}
	if _, seen := n.known.Get(at); seen { // Get, so that who calls often stays known
		return pseudonym, nil
	}
	if seen, _ := n.known.ContainsOrAdd(at, name); seen {
		return pseudonym, nil
	}
	return pseudonym, &journal.Record{Topic: journal.TopicNames, Key: tenant, Name: pseudonym,
		Event: journal.Named{Kind: kind, Pseudonym: pseudonym, Name: name}}
}

// Unnamed takes back that a name was given out: its record was not written.
func (n *Names) Unnamed(tenant, pseudonym string) { n.known.Remove(pair{tenant, pseudonym}) }

// Forgotten is the record that forgets a person under one of their pseudonyms.
// The name goes from this process's memory when the record is read back.
func Forgotten(tenant, pseudonym string) journal.Record {
	return journal.Record{Topic: journal.TopicNames, Key: tenant, Name: pseudonym}
}
