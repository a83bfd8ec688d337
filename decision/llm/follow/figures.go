package follow

import (
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// maxAnswers bounds the answers of one call that are counted by their index.
const maxAnswers = 128

// figures is what is known of what was used.
type figures struct {
	said     []byte // the usage object that was said last, merged where it comes in parts
	tier     []byte // the service tier beside it
	told     bool   // messages: usage came that is not only the prompt's
	finished bool   // a finish or stop reason came
	final    bool   // said is what was used, not only what was used so far
	doubted  bool   // messages: a part of the figures is lost

	calls   calls
	output  int64 // tokens written, at most, but for what is around an answer
	answers int64
	parts   parts
}

// take keeps what an event or a document says of usage, and says whether it did.
func (a *Answer) take() bool {
	s := &a.scan
	if len(s.tier) > 0 {
		a.tier = append(a.tier[:0], s.tier...)
	}
	switch {
	case s.usages == 0 || a.doubted:
		return false
	case s.usages > 1 || s.lost:
		a.doubt()
		return false
	case a.asked.Dialect != llm.Anthropic || a.said == nil:
		a.said = append(a.said[:0], s.usage...)
		return true
	}
	merged, err := overlay(a.said, s.usage)
	if err != nil {
		a.doubt()
		return false
	}
	a.said = merged
	return true
}

// doubt forgets the figures: what was said may not be what was said last. Those
// of a chat come whole each time, so that the next ones stand again.
func (a *Answer) doubt() {
	a.said, a.told, a.final = nil, false, false
	a.doubted = a.asked.Dialect == llm.Anthropic
}

// Usage is what the provider says was used; ok is false where it did not say, or
// what it said cannot be true. What a server that counts along has said so far is
// not it, as long as more may come. Uses of the provider's tools are counted where
// the usage does not say them.
func (a *Answer) Usage() (used journal.Tokens, tier string, ok bool) {
	said, named, s := a.said, a.tier, &a.scan
	switch {
	case !a.read:
		return used, "", false
	case a.form == document:
		// It is sent when all is written: its figures stand, though its rest is
		// missing.
		if s.usages != 1 || s.lost {
			return used, "", false
		}
		said, named = s.usage, s.tier
	case !a.final:
		return used, "", false
	}
	used, tier, err := llm.Usage(a.asked.Dialect, beside(said, named))
	if err == nil && used.Input == 0 && used.Output == 0 {
		// No prompt is empty. A server that does not count fills the fields so, and what
		// it did not count is unknown, not free.
		return journal.Tokens{}, "", false
	}
	if err == nil && a.asked.Endpoint == llm.Responses && (a.form == events || s.state == over) {
		used.Other = a.calls.of(used.Other)
	}
	return used, tier, err == nil
}

// Seen bounds what was written so far: output tokens, by bytes, never under; and
// what the provider said of the prompt, nil where it did not. Output is -1 when
// nothing could be read. A document that broke off was written all the same, so
// nothing bounds it either, unless it is one that has no output.
func (a *Answer) Seen() (output int64, input *journal.Tokens) {
	switch {
	case !a.read:
		return -1, nil
	case a.asked.Endpoint == llm.Embeddings:
		return 0, nil
	case a.form == document && (a.scan.state != over || a.scan.waiting):
		return -1, nil
	}
	output = a.output + a.unfinished()
	if output > 0 {
		output += perAnswer * max(1, a.answers)
	}
	used, ok := a.soFar()
	if !ok {
		return output, nil
	}
	output = max(output, used.Output)
	if used.Input == 0 {
		return output, nil // no prompt is empty: there are servers that say it at the end
	}
	used.Output, used.Reasoning, used.Other = 0, 0, nil
	return output, &used
}

// soFar is what was said so far, whether or not more may come.
func (a *Answer) soFar() (journal.Tokens, bool) {
	if a.said == nil {
		return journal.Tokens{}, false
	}
	said := a.said
	if a.asked.Dialect == llm.Anthropic {
		// The first event need not speak of output.
		merged, err := overlay([]byte(`{"output_tokens":0}`), said)
		if err != nil {
			return journal.Tokens{}, false
		}
		said = merged
	}
	used, _, err := llm.Usage(a.asked.Dialect, said)
	return used, err == nil
}

// unfinished bounds what stands in an event that is not whole yet: some of it may
// have gone out, and all of it was written.
func (a *Answer) unfinished() int64 {
	s, e := &a.scan, &a.lines.event
	if a.form == events && a.lines.field == unnamed && a.lines.length > len(a.lines.word) {
		return int64(a.lines.length) // a line that no field begins: see beginValue
	}
	switch {
	case a.form != events || e.data == 0 || e.doneMark():
		return 0
	case s.state == broken:
		return e.size
	}
	n := s.written
	if s.state == inString && !s.str.name && s.at.wordy() {
		n += s.str.size
	}
	return max(n, s.choices)
}

// parts is how much of each of the responses' output items came in parts. Of one
// that is not told apart nothing is known, and it counts twice.
type parts [32]int64

func (p *parts) add(i int, n int64) int64 {
	if i >= 0 && i < len(p) {
		p[i] += n
	}
	return n
}

// rest is what a whole item adds to its parts.
func (p *parts) rest(i int, whole int64) int64 {
	if i < 0 || i >= len(p) {
		return whole
	}
	return max(0, whole-p[i])
}
