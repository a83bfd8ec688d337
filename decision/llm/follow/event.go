package follow

import "github.com/signalbox-dev/signalbox/decision/llm"

// judge takes an event that is whole: what it says, and what becomes of it.
func (a *Answer) judge() fate {
	e, s := &a.lines.event, &a.scan
	if e.data == 0 {
		return passed // no client hands on an event without data
	}
	named := kindOf(e.name[:e.named])
	if a.asked.Dialect == llm.OpenAI && e.size >= int64(len(doneMark)) && e.doneMark() {
		// The clients of both OpenAI endpoints stop here.
		a.finish(a.asked.Endpoint == llm.ChatCompletions && a.said != nil)
		return ended
	}
	if s.state != over {
		return a.unreadable(named)
	}
	if s.kind == untyped {
		s.kind = named
	}
	if s.failed || s.kind == failing || named == failing {
		a.final = a.take() || a.final
		a.fail()
		return ended
	}
	if a.asked.Endpoint == llm.ChatCompletions {
		return a.chunk()
	}
	return a.typed()
}

// unreadable takes an event whose data is not one JSON object. It may have held
// output, of at most as many tokens as it has bytes, and figures.
func (a *Answer) unreadable(named kind) fate {
	a.output += a.lines.size
	a.calls.lost = true
	if a.scan.depth > 0 || a.scan.usages > 0 {
		a.doubt()
	}
	if named == failing {
		a.fail()
		return ended
	}
	return passed
}

// chunk takes a part of a chat completion. Azure's first has no choices and no
// usage, some servers' chunks have both: only one with nothing but usage is there
// because we asked for it.
func (a *Answer) chunk() fate {
	s := &a.scan
	a.output += max(s.written, s.choices)
	a.answers = max(a.answers, min(int64(s.index)+1, maxAnswers), s.choices)
	a.began = a.began || s.wrote
	a.finished = a.finished || s.finish
	if a.take() {
		// Servers that count along say usage in every chunk, from the first on: what
		// a stream that broke off said last is not what was used.
		a.final = a.complete || a.finished && s.choices == 0
	}
	if a.hides() {
		return hidden
	}
	return passed
}

// hides reports whether the chunk that is being read is not for the caller.
func (a *Answer) hides() bool {
	return a.asked.HideUsage && a.asked.Endpoint == llm.ChatCompletions && a.scan.usageOnly()
}

// typed takes an event of the responses or of messages.
func (a *Answer) typed() fate {
	s := &a.scan
	a.calls.inEvent(s)
	switch s.kind {
	case output:
		a.began = a.began || s.wrote
		a.output += a.parts.add(s.index, max(1, s.written))
	case itemDone:
		a.output += a.parts.rest(s.index, s.written)
	case opening:
		a.take()
	case closing:
		a.finished = a.finished || s.finish
		a.told = a.take() || a.told
		a.final = a.told && a.finished
	case ending:
		said := a.take()
		a.finish(said || a.told)
		return ended
	case breaking:
		a.final = a.take()
		a.fail()
		return ended
	}
	return passed
}

// finish takes the protocol's own end.
func (a *Answer) finish(told bool) {
	a.complete = !a.failed
	a.final = a.final || told && !a.failed
}

// fail takes an error. The first end is the one that counts.
func (a *Answer) fail() { a.failed = a.failed || !a.complete }

// cleanEnd takes the end of the bytes. Some servers do not send their protocol's
// end; one that has given its reason to stop and closes cleanly was done.
func (a *Answer) cleanEnd() {
	if a.finished && !a.complete {
		a.finish(a.told || a.asked.Endpoint == llm.ChatCompletions && a.said != nil)
	}
}

// document takes a whole JSON answer.
func (a *Answer) document() {
	s := &a.scan
	a.complete = !s.failed || !a.read
	if !a.read {
		return
	}
	a.failed = s.failed
	a.output, a.answers = s.written, max(1, s.choices)
	a.calls.inDocument(s)
	a.take()
}
