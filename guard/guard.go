package guard

import "slices"

// Finding is one thing that a detector found in a text.
type Finding struct {
	Kind       string // email, …
	Start, End int    // bytes of the text; never inside a character
}

// Detector finds some kinds of thing. It is safe for concurrent use.
type Detector interface {
	// Kinds are all that it may find, by the names that policies use: a-z, 0-9 and _.
	Kinds() []string
	// Find calls found with each thing in the text. Those of one kind come in order
	// and do not overlap.
	Find(text string, found func(Finding))
}

// All is several detectors as one. Things of different kinds may overlap: a
// password in an address is both.
type All []Detector

// Kinds are those of all, sorted.
func (all All) Kinds() []string {
	var kinds []string
	for _, d := range all {
		kinds = append(kinds, d.Kinds()...)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Find asks one detector after the other.
func (all All) Find(text string, found func(Finding)) {
	for _, d := range all {
		d.Find(text, found)
	}
}

// Placeholder is what stands in the place of a thing that was removed. It is in
// brackets, which end an address or a word on both sides, so that it cannot become
// part of another finding, and it needs no escape in JSON, so that arguments of a
// tool, JSON inside a string, stay JSON. It is the same for each thing of a kind: a
// number would tell the reader which of them were equal, and that was the caller's
// to say.
func Placeholder(kind string) string {
	return "[" + kind + "]"
}
