package follow

import (
	"strconv"
	"strings"
)

// step is a way to a value: a member's name, or a place in a list.
type step struct {
	up    *step
	name  string // "": an element
	index int    // of an element: its own, or else by how it stands there, below 0
	kind  string // its "type", where it is an object
	depth int
}

// text reports whether a string here is one of the model's texts.
func (s *step) text() bool {
	if _, known := partOf(s.name); known || s.name == "delta" {
		return true
	}
	for up := s.up; up != nil; up = up.up {
		if part, known := partOf(up.name); known && part == Arguments {
			return true // an object where others write JSON in a string
		}
	}
	return s.name == "" && s.up != nil && s.up.text() // a list of texts
}

// part is what kind of text it is.
func (s *step) part() Part {
	for ; s != nil; s = s.up {
		if part, _ := partOf(s.name); part != Words {
			return part
		}
		if strings.HasPrefix(s.kind, "reasoning") || strings.HasPrefix(s.kind, "summary") || strings.HasPrefix(s.kind, "thinking") {
			return Thoughts
		}
	}
	return Words
}

// partOf is what a string of this name is.
func partOf(name string) (Part, bool) {
	switch name {
	case "content", "text", "refusal", "transcript":
		return Words, true
	case "reasoning", "reasoning_content", "thinking", "summary":
		return Thoughts, true
	case "arguments", "partial_json", "input", "code":
		return Arguments, true
	}
	return Words, false
}

// whole reports whether a string here is not continued by the next event: a value in
// an object that a tool is called with.
func (s *step) whole() bool {
	for up := s.up; up != nil; up = up.up {
		if part, known := partOf(up.name); known && part == Arguments {
			return true
		}
	}
	return false
}

// spell writes what stands before and behind a text in an object that has nothing
// but this way to it.
func (s *step) spell() (before, after string) {
	if s == nil {
		return "", ""
	}
	before, after = s.up.spell()
	if s.name == "" {
		return before + "[", "]" + after
	}
	before += "{"
	if up := s.up; up != nil {
		if up.name == "" && up.index >= 0 {
			before += `"index":` + strconv.Itoa(up.index) + ","
		}
		if up.kind != "" {
			before += `"type":` + quoted(up.kind) + ","
		}
	}
	return before + quoted(s.name) + ":", "}" + after
}

// root is the name of the member that it is in.
func (s *step) root() string {
	for s.up != nil {
		s = s.up
	}
	return s.name
}

// key tells one text from another.
func (s *step) key() string {
	if s == nil {
		return ""
	}
	if s.name == "" {
		return s.up.key() + "[" + strconv.Itoa(s.index)
	}
	return s.up.key() + "." + s.name
}
