package registry

import (
	"context"

	"github.com/signalbox-dev/signalbox/journal"
)

// Pseudonymiser makes keyed pseudonyms of people's names.
type Pseudonymiser struct{}

// NewPseudonymiser makes one of the secret derived for the purpose "pseudonym".
func NewPseudonymiser(secret [32]byte) *Pseudonymiser { return &Pseudonymiser{} }

// Pseudonym is the same for the same tenant, kind (user, session, agent) and
// name, and tells nothing without the secret. Empty for an empty name.
func (p *Pseudonymiser) Pseudonym(tenant, kind, name string) string { return "" }

// Names folds pseudonyms back into what people read.
type Names struct{}

// NewNames makes an empty one; Run fills it.
func NewNames(p *Pseudonymiser, j NamesJournal) *Names { return &Names{} }

// NamesJournal is what Names needs of the journal.
type NamesJournal interface {
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
}

// Run follows the names topic until ctx ends.
func (n *Names) Run(ctx context.Context) error { return nil }

// Name is what people read for a pseudonym; the pseudonym itself where nobody
// (or nobody any more) is known by it.
func (n *Names) Name(tenant, pseudonym string) string { return pseudonym }

// EnsureNamed is the pseudonym of a name, and the record that maps it back, nil
// where it was written before.
func (n *Names) EnsureNamed(tenant, kind, name string) (pseudonym string, record *journal.Record) {
	return "", nil
}
