package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// File is one registry file.
type File struct {
	Name string // as problems name it
	Data []byte
}

// ApplyOptions say how files are applied, and by whom.
type ApplyOptions struct {
	DryRun    bool  // only the difference
	Prune     bool  // remove what the files do not declare: see removed
	Confirmed bool  // removals and resets were agreed to
	IfVersion int64 // the version whose difference was agreed to; 0: any
	By, Why   string
}

// ErrMoved is returned when the registry is no longer what a yes was given for.
var ErrMoved = errors.New("the registry was changed since the difference was shown; nothing was written, look at the difference again")

// Apply makes the registry what the files say: all of it or nothing. It returns
// when this process's own snapshot says so too.
//
// The error is a *FileError with everything that is wrong in the files, a
// *ConfirmationNeeded where something would be removed or reset without a yes,
// or why it could not be written.
func (r *Registry) Apply(ctx context.Context, files []File, opts ApplyOptions) (Diff, error) {
	var found problems
	src := parse(files, &found)
	if err := found.err(); err != nil && len(src.order) == 0 {
		return Diff{}, err
	}
	if opts.DryRun {
		diff, _, err := planApply(r.Snapshot(), src, found, opts, r.now())
		return diff, err
	}
	var diff Diff
	tries := 0
	after, err := r.write(ctx, author{opts.By, opts.Why}, func(s *Snapshot) ([]journal.RegistryChanged, error) {
		tries++
		var changes []journal.RegistryChanged
		var err error
		if diff, changes, err = planApply(s, src, found, opts, r.now()); err != nil {
			return nil, err
		}
		asks := len(diff.Asks()) > 0
		switch {
		case asks && !opts.Confirmed:
			return nil, &ConfirmationNeeded{Diff: diff}
		case opts.IfVersion != 0 && opts.IfVersion != s.Version, asks && tries > 1:
			return nil, ErrMoved // the yes was for another difference
		}
		return changes, nil
	})
	if err != nil {
		return diff, err
	}
	diff.Version = after.Version
	return diff, nil
}

// planApply says what makes this snapshot into what the files say.
func planApply(s *Snapshot, src *source, found problems, opts ApplyOptions, now time.Time) (Diff, []journal.RegistryChanged, error) {
	found.list, found.seen = slices.Clone(found.list), maps.Clone(found.seen) // each try finds its own
	gone := map[objectID]bool{}
	if opts.Prune {
		gone = removed(s, src)
	}
	c := checker{source: src, now: now, found: &found, world: map[objectID]value{}}
	for id, o := range s.objects {
		if id.Kind != kindKey && !gone[id] {
			c.world[id] = o.value
		}
	}
	for id, d := range src.objects {
		c.world[id] = d.value
	}
	c.check()
	if err := found.err(); err != nil {
		return Diff{}, nil, err
	}
	p := plan{before: s, diff: Diff{Base: s.Version, Version: s.Version, Warnings: c.warnings()}, now: now}
	if err := p.fill(src, gone); err != nil {
		return Diff{}, nil, err
	}
	return p.diff, p.records, nil
}

// removed is what pruning takes away: what the registry has and the files do not,
// within the tenants that the files declare. What belongs to no tenant is used by
// all, so it goes only if the files declare every tenant there is and have a
// section for its kind: then they are the whole of it. A tenant that no file
// declares is somebody else's, and stays.
func removed(s *Snapshot, src *source) map[objectID]bool {
	all := true
	for name := range s.tenants {
		if _, ok := src.objects[objectID{Kind: kindTenant, Name: name}]; !ok {
			all = false
		}
	}
	gone := map[objectID]bool{}
	for id := range s.objects {
		if _, kept := src.objects[id]; kept || id.Kind == kindKey || id.Kind == kindTenant {
			continue
		}
		if id.Tenant != "" {
			_, ours := src.objects[objectID{Kind: kindTenant, Name: id.Tenant}]
			gone[id] = ours
			continue
		}
		gone[id] = all && src.sections[id.Kind]
	}
	return gone
}

// plan is a difference being worked out, and the records that bring it about.
type plan struct {
	before  *Snapshot
	diff    Diff
	records []journal.RegistryChanged
	now     time.Time
	spent   map[shapeID]bool // budgets there were, by shape; made when it is needed
}

func (p *plan) fill(src *source, gone map[objectID]bool) error {
	for _, id := range sortedIDs(src.objects) {
		d := src.objects[id]
		old := p.before.objects[id]
		if old == nil {
			p.add(id, d)
			continue
		}
		was, err := encode(old.value)
		if err != nil {
			return err
		}
		if bytes.Equal(was, d.json) {
			p.diff.Unchanged++
			continue
		}
		p.alter(id, old.value, d, fieldChanges(was, d.json))
	}
	for _, id := range sortedIDs(gone) {
		if gone[id] {
			if err := p.remove(id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *plan) add(id objectID, d *declared) {
	c := Change{Op: Added, Kind: id.Kind, Tenant: id.Tenant, Name: id.Name}
	if b := limitOf(d.value); b != nil && p.known(id, b) {
		c.Consequences = append(c.Consequences, "it was there before, and keeps what was spent then")
	}
	p.record(c, d.json)
}

func (p *plan) alter(id objectID, old value, d *declared, fields []FieldChange) {
	c := Change{Op: Altered, Kind: id.Kind, Tenant: id.Tenant, Name: id.Name, Fields: fields}
	was, is := limitOf(old), limitOf(d.value)
	what := "it"
	if id.Kind == kindDeployment {
		what = "its capacity"
	}
	switch {
	case was == nil: // no budget at all, or a capacity where there was none
	case is == nil:
		c.Asks = true
		c.Consequences = append(c.Consequences, "its capacity is no longer limited")
	case was.shape() == is.shape():
	case p.known(id, is):
		c.Asks = true
		c.Consequences = append(c.Consequences, what+" was like this before, and takes up again what was spent then; what was spent since counts no more")
	default:
		c.Asks = true
		c.Consequences = append(c.Consequences, what+" starts at zero: "+strings.Join(reshaped(fields), ", ")+" changed")
	}
	p.record(c, d.json)
}

// reshaped names the fields that made another budget of it.
func reshaped(fields []FieldChange) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range fields {
		name := strings.TrimPrefix(f.Field, "capacity.")
		name, _, _ = strings.Cut(name, ".")
		if (name == "match" || name == "global" || name == "per" || name == "unit" || name == "window") && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

func (p *plan) remove(id objectID) error {
	c := Change{Op: Removed, Kind: id.Kind, Tenant: id.Tenant, Name: id.Name, Asks: true}
	if id.Kind == kindBudget {
		c.Consequences = append(c.Consequences, "what was spent is kept, should it come back with the same match, per, unit and window")
	}
	revoked, err := p.revoke(id)
	if err != nil {
		return err
	}
	if n := len(revoked); n > 0 {
		c.Consequences = append(c.Consequences, fmt.Sprintf("%d of its keys stop working: %s", n, strings.Join(revoked[:min(n, 5)], ", ")))
	}
	p.record(c, nil)
	return nil
}

// revoke ends the keys of what is removed, in the same transaction: an app of the
// same name that comes later must not find old keys to it.
func (p *plan) revoke(id objectID) ([]string, error) {
	var revoked []string
	for _, k := range p.before.Keys() {
		theirs := id.Kind == kindApp && k.Kind == KeyApp && k.Tenant == id.Tenant && k.App == id.Name ||
			id.Kind == kindGateway && k.Kind == KeyGateway && k.Gateway == id.Name
		if !theirs || !k.RevokedAt.IsZero() {
			continue
		}
		gone := *k
		gone.RevokedAt = p.now.UTC()
		body, err := encode(&gone)
		if err != nil {
			return nil, err
		}
		p.records = append(p.records, change(gone.id(), body))
		revoked = append(revoked, k.ID)
	}
	return revoked, nil
}

func (p *plan) record(c Change, body []byte) {
	p.diff.Changes = append(p.diff.Changes, c)
	p.records = append(p.records, change(objectID{c.Kind, c.Tenant, c.Name}, body))
}

// limitOf is the budget that an object is, or has.
func limitOf(v value) *Budget {
	switch o := v.(type) {
	case *Budget:
		return o
	case *Deployment:
		return o.Capacity
	}
	return nil
}

// known reports whether a budget of this identity and shape was there before.
func (p *plan) known(id objectID, b *Budget) bool {
	if p.spent == nil {
		p.spent = map[shapeID]bool{}
		for _, old := range p.before.budgets.incarnations {
			p.spent[shapeID{limitID(old), old.shape()}] = true
		}
	}
	return p.spent[shapeID{id, b.shape()}]
}

// limitID is the object that a budget is, or stands on.
func limitID(b *Budget) objectID {
	if b.Capacity {
		return objectID{Kind: kindDeployment, Name: strings.TrimPrefix(b.Name, capacityPrefix)}
	}
	return b.id()
}
