package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Diff is what an apply changes, or would.
type Diff struct {
	Base      int64 // the registry's version before
	Version   int64 // and after; the same where nothing was written
	Changes   []Change
	Unchanged int      // objects of the files that the registry has as they are
	Warnings  []string // allowed, and often not meant
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
	Fields       []FieldChange // of a changed object, by name
	Consequences []string      // what else that does, in sentences
	Asks         bool          // it removes or resets something, and needs a yes
}

// FieldChange is one field of a changed object; From or To is empty where the
// field is not there. Fields of a mapping are named "match.app".
type FieldChange struct{ Field, From, To string }

// Empty reports whether nothing changes.
func (d *Diff) Empty() bool { return len(d.Changes) == 0 }

// Asks are the changes that need a yes.
func (d *Diff) Asks() []Change {
	var out []Change
	for _, c := range d.Changes {
		if c.Asks {
			out = append(out, c)
		}
	}
	return out
}

// Count is how many changes are of one sort.
func (d *Diff) Count(op Op) int {
	n := 0
	for _, c := range d.Changes {
		if c.Op == op {
			n++
		}
	}
	return n
}

// String is the difference as people read it, one object a line, with what
// changes and what that does below it.
func (d *Diff) String() string {
	var b strings.Builder
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "%s %s\n", map[Op]string{Added: "+", Altered: "~", Removed: "-"}[c.Op], objectID{c.Kind, c.Tenant, c.Name})
		for _, f := range c.Fields {
			fmt.Fprintf(&b, "    %s: %s → %s\n", f.Field, orNone(f.From), orNone(f.To))
		}
		for _, s := range c.Consequences {
			fmt.Fprintf(&b, "    ! %s\n", s)
		}
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	fmt.Fprintf(&b, "%d added, %d changed, %d removed, %d unchanged\n", d.Count(Added), d.Count(Altered), d.Count(Removed), d.Unchanged)
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// ConfirmationNeeded is returned instead of removing or resetting something that
// nobody said yes to. Nothing was written.
type ConfirmationNeeded struct{ Diff Diff }

func (e *ConfirmationNeeded) Error() string {
	asks := e.Diff.Asks()
	named := make([]string, 0, 5)
	for _, c := range asks[:min(len(asks), cap(named))] {
		named = append(named, string(c.Op)+" "+objectID{c.Kind, c.Tenant, c.Name}.String())
	}
	more := ""
	if len(asks) > len(named) {
		more = fmt.Sprintf(" and %d more", len(asks)-len(named))
	}
	return fmt.Sprintf("this removes or resets something (%s%s): look at the difference and confirm it with --yes; nothing was written", strings.Join(named, ", "), more)
}

// fieldChanges compares two bodies of one object, field by field.
func fieldChanges(from, to []byte) []FieldChange {
	a, b := flatten(from), flatten(to)
	var out []FieldChange
	for _, field := range slices.Sorted(maps.Keys(a)) {
		if a[field] != b[field] {
			out = append(out, FieldChange{field, a[field], b[field]})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(b)) {
		if _, both := a[field]; !both {
			out = append(out, FieldChange{field, "", b[field]})
		}
	}
	slices.SortStableFunc(out, func(x, y FieldChange) int { return strings.Compare(x.Field, y.Field) })
	return out
}

// flatten names the fields of a body and those of the mappings in it.
func flatten(body []byte) map[string]string {
	out := map[string]string{}
	flattenInto(out, "", body)
	return out
}

func flattenInto(out map[string]string, prefix string, raw json.RawMessage) {
	var fields map[string]json.RawMessage
	if !bytes.HasPrefix(raw, []byte("{")) || json.Unmarshal(raw, &fields) != nil {
		out[strings.TrimSuffix(prefix, ".")] = plainJSON(raw)
		return
	}
	for name, inner := range fields {
		flattenInto(out, prefix+name+".", inner)
	}
}

// plainJSON leaves out the quotes of a string.
func plainJSON(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
