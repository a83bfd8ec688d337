package follow

import "github.com/signalbox-dev/signalbox/decision/llm"

// The responses' usage does not say how often the provider's own tools were used,
// but each use is an item of the output.

// hosted are those items' kinds, and what they are a use of. Some of them may cost
// nothing, such as a page that is opened after a search: what is counted must never
// be under.
var hosted = [...]struct{ kind, tool string }{
	{"web_search_call", llm.WebSearch},
	{"file_search_call", llm.FileSearch},
	{"code_interpreter_call", llm.CodeInterpreter},
}

// uses is how many items of each of those kinds there are.
type uses [len(hosted)]int64

// count takes an item's kind.
func (u *uses) count(kind []byte) {
	for i := range hosted {
		if string(kind) == hosted[i].kind {
			u[i]++
		}
	}
}

func (u *uses) add(more uses) {
	for i := range u {
		u[i] += more[i]
	}
}

func (u *uses) atLeast(others uses) {
	for i := range u {
		u[i] = max(u[i], others[i])
	}
}

// calls is what is known of an answer's uses. Each item is said up to three times:
// when it begins, when it is done, and in the last event beside all others.
type calls struct {
	begun, done, listed uses
	lost                bool // an event that may have held one could not be read
}

// inEvent takes the items of an event.
func (c *calls) inEvent(s *scanner) {
	switch s.kind {
	case output:
		c.begun.add(s.uses)
	case itemDone:
		c.done.add(s.uses)
	case ending, breaking:
		c.listed = s.uses
		c.lost = c.lost && !s.listed
	}
}

// inDocument takes the items of a whole answer.
func (c *calls) inDocument(s *scanner) { c.listed = s.uses }

// of says how often each tool was used, in what is known to be used.
func (c *calls) of(used map[string]int64) map[string]int64 {
	if c.lost {
		return used
	}
	all := c.begun
	all.atLeast(c.done)
	all.atLeast(c.listed)
	if used == nil {
		used = make(map[string]int64, len(hosted))
	}
	for i := range hosted {
		used[hosted[i].tool] = all[i]
	}
	return used
}
