package decision

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/guard"
)

// Guard finds in the texts of prompts what policy may want to know of; guard.All in
// production. Find must be safe for concurrent use.
type Guard interface {
	Kinds() []string
	Find(text string, found func(guard.Finding))
}

// Finding is one thing that a guard found in a call's prompt: what it is and where
// it stands, and never the thing itself.
type Finding struct {
	Kind  string
	At    [2]int // bytes of the caller's body
	Where string // the key path; names of the caller's own are *
}

// findingsKept is how many findings of one prompt are remembered by their places. A
// body of eight megabytes has room for a million addresses; who sends more than
// this sends a database, and an edit for each would be several times the body.
// Counts stop here too.
const findingsKept = 10_000

// findingsTold is how many of them an answer and the journal name one by one: an
// entry of the journal must stay under its broker's limit.
const findingsTold = 256

// findings are what a guard found in one prompt.
type findings struct {
	counts  []FindingFacts // by kind; nil: nobody looked
	texts   []foundIn      // that hold any
	kept    int
	dropped []string // kinds of which not all are kept
}

// foundIn is one text of the prompt and what was found in it.
type foundIn struct {
	where   string
	size    int
	offsets llm.Offsets
	things  []guard.Finding // by where they start
}

// look searches the prompt, once. It is called by whoever first wants to know: most
// policies read no findings, and then no prompt is read a second time for them.
func (s *Service) look(c *Case) []FindingFacts {
	if c.found == nil {
		c.found = s.search(c.Ask)
	}
	return c.found.counts
}

// search looks through every text of the prompt to its end, also when more was found
// than is kept: a policy that denies one kind must hear of it behind ten thousand of
// another.
func (s *Service) search(a *llm.Ask) *findings {
	f := &findings{}
	if s.guard == nil {
		return f
	}
	f.counts = []FindingFacts{}
	var things []guard.Finding
	keep := func(g guard.Finding) {
		if f.count(g.Kind) {
			things = append(things, g)
		}
	}
	for text := range a.PromptTexts() {
		value, offsets := text.Value(a.Body)
		if s.guard.Find(value, keep); len(things) > 0 {
			slices.SortStableFunc(things, func(a, b guard.Finding) int { return cmp.Compare(a.Start, b.Start) })
			f.texts = append(f.texts, foundIn{where: text.Where, size: len(value), offsets: offsets, things: things})
			things = nil
		}
	}
	slices.SortFunc(f.counts, func(a, b FindingFacts) int { return cmp.Compare(a.Kind, b.Kind) })
	return f
}

// count counts one thing, and says whether there is room to remember where it is.
func (f *findings) count(kind string) bool {
	at := slices.IndexFunc(f.counts, func(c FindingFacts) bool { return c.Kind == kind })
	if at < 0 {
		at = len(f.counts)
		f.counts = append(f.counts, FindingFacts{Kind: kind})
	}
	f.counts[at].Count = min(f.counts[at].Count+1, findingsKept)
	if f.kept < findingsKept {
		f.kept++
		return true
	}
	if !slices.Contains(f.dropped, kind) {
		f.dropped = append(f.dropped, kind)
	}
	return false
}

// told are the first findings, as an answer names them.
func (f *findings) told() []Finding {
	if f == nil || f.kept == 0 {
		return nil
	}
	told := make([]Finding, 0, min(f.kept, findingsTold))
	for i := range f.texts {
		t := &f.texts[i]
		for _, g := range t.things {
			if len(told) == findingsTold {
				return told
			}
			told = append(told, Finding{Kind: g.Kind, At: t.span(g), Where: clip(t.where, 128)})
		}
	}
	return told
}

// span is where a thing stands in the body. A place that cuts a character in two is
// a detector's mistake; the whole text is then the thing.
func (t *foundIn) span(g guard.Finding) [2]int {
	at, err := t.offsets.Span(g.Start, g.End)
	if err != nil {
		at, _ = t.offsets.Span(0, t.size)
	}
	return at
}

// written is what the journal keeps of the findings: places only, and in the end how
// many more there are of each kind.
func (f *findings) written(told []Finding) []string {
	if len(told) == 0 {
		return nil
	}
	lines := make([]string, 0, len(told)+1)
	for _, t := range told {
		lines = append(lines, fmt.Sprintf("%s %s %d-%d", t.Kind, t.Where, t.At[0], t.At[1]))
	}
	for _, c := range f.counts {
		more := c.Count
		for _, t := range told {
			if t.Kind == c.Kind {
				more--
			}
		}
		if more > 0 {
			lines = append(lines, fmt.Sprintf("%s and %d more", c.Kind, more))
		}
	}
	return lines
}
