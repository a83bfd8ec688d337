package decision

import (
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/guard"
)

// redact takes out of the prompt what the verdict says, so that no provider sees it.
// It comes before route: a placeholder may be longer than what it stands for, and
// what is held must bound what goes out.
func (s *Service) redact(c *Case) ([]llm.Edit, error) {
	if len(c.Verdict.Redact) == 0 {
		return nil, nil
	}
	for _, kind := range c.Verdict.Redact {
		// A misspelt kind would be found nowhere, and everything would go out. It
		// denies, like every verdict that names what is not there.
		if !slices.Contains(s.kinds, kind) {
			return nil, s.policyFailed(fmt.Errorf("verdict.redact: nothing here finds %q", kind))
		}
	}
	c.Facts.Look()
	for _, kind := range c.Verdict.Redact {
		// Of what is not kept, nobody knows where it stands.
		if slices.Contains(c.found.dropped, kind) {
			return nil, refuse(GuardPII, "the prompt holds more than %d findings; not every %s in it can be removed", findingsKept, kind)
		}
	}
	edits := c.found.edits(c.Verdict.Redact)
	if len(edits) > 0 && c.Request.Fixed {
		return nil, c.unredactable()
	}
	c.Ask.Grow(edits)
	return edits, nil
}

// edits put a placeholder in the place of each thing of these kinds.
func (f *findings) edits(kinds []string) []llm.Edit {
	var edits []llm.Edit
	for i := range f.texts {
		edits = append(edits, f.texts[i].edits(kinds)...)
	}
	return edits
}

func (t *foundIn) edits(kinds []string) []llm.Edit {
	var edits []llm.Edit
	for _, g := range t.apart(kinds) {
		edit, err := t.offsets.Replace(g.Start, g.End, guard.Placeholder(g.Kind))
		if err != nil { // see span
			edit, _ = t.offsets.Replace(0, t.size, guard.Placeholder(g.Kind))
			return []llm.Edit{edit}
		}
		edits = append(edits, edit)
	}
	return edits
}

// apart are the things of these kinds, in order. Two that overlap become one, under
// the name of the first: no part of either may stay.
func (t *foundIn) apart(kinds []string) []guard.Finding {
	var apart []guard.Finding
	for _, g := range t.things {
		last := len(apart) - 1
		switch {
		case !slices.Contains(kinds, g.Kind):
		case last >= 0 && g.Start < apart[last].End:
			apart[last].End = max(apart[last].End, g.End)
		default:
			apart = append(apart, g)
		}
	}
	return apart
}

// redacted is the caller's body without anything that was found in it; false: it
// cannot be made.
func (s *Service) redacted(c *Case) ([]byte, bool) {
	if s.guard == nil || len(c.found.dropped) > 0 {
		return nil, false
	}
	edits := c.found.edits(s.kinds)
	if len(edits) == 0 {
		return c.Request.Body, true
	}
	body, err := llm.Apply(c.Request.Body, edits)
	return body, err == nil
}
