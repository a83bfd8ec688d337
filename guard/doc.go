// Package guard finds in texts what a policy may want to know of, or to have
// removed: addresses of people now, other personal data and secrets later.
//
// A Detector says where such a thing stands, and nothing else. What a finding
// means is for policy to say, and to take it out of a prompt is for decision,
// which knows how the text stands in the body it came from.
//
// It refuses to keep, log or return any text: a finding is a kind and a place.
// It never asks anything outside the process, and it takes time linear in the
// text, whatever the text is: callers choose what is looked at, and millions of
// bytes made to be slow must cost no more than others.
//
// Start at guard.go; email.go is the one detector there is.
package guard
