package registry

import (
	"context"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Journal is what the registry needs of the journal.
type Journal interface {
	Append(ctx context.Context, recs ...journal.Record) error
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
}

// Registry folds its topic into snapshots, and writes what operators change.
type Registry struct{}

// Open reads the registry's topic to its end.
func Open(ctx context.Context, j Journal, hasher KeyHasher, now func() time.Time, log *slog.Logger) (*Registry, error) {
	return nil, nil
}

// Run follows the topic until ctx ends or an entry cannot be folded.
func (r *Registry) Run(ctx context.Context) error { return nil }

// Snapshot is the newest one.
func (r *Registry) Snapshot() *Snapshot { return nil }

// Changed is closed when there is a snapshot newer than this version.
func (r *Registry) Changed(after int64) <-chan struct{} { return nil }

// File is one registry file.
type File struct {
	Name string
	Data []byte
}

// ApplyOptions say how a file is applied, and by whom.
type ApplyOptions struct {
	DryRun    bool
	Prune     bool
	Confirmed bool // removals and resets were agreed to
	By, Why   string
}

// Apply makes the registry what the files say.
func (r *Registry) Apply(ctx context.Context, files []File, opts ApplyOptions) (Diff, error) {
	return Diff{}, nil
}

// Diff is what an apply changes, or would.
type Diff struct {
	Base, Version int64 // registry versions before and after; Version 0: nothing was written
	Changes       []Change
	Unchanged     int
	Warnings      []string
}

// Op is what happens to an object.
type Op string

const (
	Added   Op = "added"
	Altered Op = "changed"
	Removed Op = "removed"
)

// Change is what happens to one object.
type Change struct {
	Op           Op
	Kind         string
	Tenant, Name string
	Fields       []FieldChange
	Consequences []string
	Asks         bool // needs a yes
}

// FieldChange is one field of a changed object.
type FieldChange struct{ Field, From, To string }

// KeyRequest asks for a key.
type KeyRequest struct {
	Kind        KeyKind
	Tenant, App string        // of an app's key
	Gateway     string        // of a gateway's key
	Expires     time.Duration // 0: never
	By, Why     string
}

// CreateKey makes a key; the secret is returned once and kept nowhere.
func (r *Registry) CreateKey(ctx context.Context, req KeyRequest) (Key, string, error) {
	return Key{}, "", nil
}

// RevokeKey ends a key now.
func (r *Registry) RevokeKey(ctx context.Context, id, by, why string) (Key, error) {
	return Key{}, nil
}

// RotateRequest asks for a key's successor.
type RotateRequest struct {
	ID      string
	Overlap time.Duration // how long the old key stays valid
	By, Why string
}

// RotateKey makes a key's successor and lets the old one live for the overlap.
func (r *Registry) RotateKey(ctx context.Context, req RotateRequest) (Key, string, error) {
	return Key{}, "", nil
}

// Keys lists all keys, by tenant, app and age.
func (r *Registry) Keys() []Key { return nil }
