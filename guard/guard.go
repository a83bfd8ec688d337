// Package guard finds in prompts what a policy may want removed.
package guard

// Finding is one thing that a detector found in a text.
type Finding struct {
	Kind       string // email, …
	Start, End int    // bytes of the text
}

// Detector finds one kind of thing.
type Detector interface {
	Find(text string) []Finding
}
