package llm

// ModelLimits is what the registry says of the model a call goes to.
type ModelLimits struct {
	Context   int64 // the most tokens the model can read, betas included; 0: not known
	MaxOutput int64 // the most tokens it can write; 0: not known
	// ImageTokens is the most one image costs on it; 0: the dearest documented
	// for the dialect.
	ImageTokens int64
	// ToolCalls is what LimitTools will write where the body does not say how often
	// the provider's tools may be used; 0: nothing is written.
	ToolCalls int64
}

// Ceiling is the most a call can use, in units that prices multiply.
//
// With an output limit of m tokens the call uses at most Input + OutputExtra +
// N × m tokens, of which Input are billed as input, at the dearest of input,
// cache write and tier that its flags name.
type Ceiling struct {
	Input       int64
	N           int64 // the multiplier of the output limit; 0: nothing is written
	Output      int64 // the largest output limit that the call may carry; 0: nothing bounds it
	OutputExtra int64 // billed as output beside the answers: predictions, thinking, summaries

	CacheWrite, CacheWriteLong bool
	// Tier bills the whole call at another price, by the name that prices know it
	// by; empty for the standard one.
	Tier string
	// Fees are the provider's tools, each once, at their maximum: each use may have
	// a fee. What they add to Input and N is in them already.
	Fees []Fee
	// Unpriced is what has no bound. A call that has any cannot be held.
	Unpriced []Unbounded
}

// Fee is a tool's uses, billed by the piece. Tools that are bounded together have
// one maximum, which is that of all of them.
type Fee struct {
	Tool     string // as prices call it
	Max      int64
	Together bool
}

// maxRuns is how often a model may run for one call: above every sensible
// max_uses, and small enough that products stay in an int64.
const maxRuns = 1024

// maxSummaries is how often a prompt may be compacted before one answer.
const maxSummaries = 16

// Ceiling bounds what the call can use on a model. What a body does not bound is
// bounded by the model, where that can be: docs/decisions/030-what-is-bounded.md.
func (a *Ask) Ceiling(m ModelLimits) Ceiling {
	c := Ceiling{Input: a.InputTokens, N: a.N, Output: a.MaxOutput,
		CacheWrite: a.CacheWrite, CacheWriteLong: a.CacheWriteLong}
	if m.ImageTokens > 0 {
		c.Input += int64(a.Images)*m.ImageTokens - a.imageCost
	}
	if m.MaxOutput > 0 && (c.Output == 0 || c.Output > m.MaxOutput) {
		c.Output = m.MaxOutput
	}
	if a.NoOutput {
		c.N, c.Output = 0, 0
	}
	context := m.Context
	if a.LongContext {
		context = max(context, longContext)
	}
	if a.Endpoint == Embeddings {
		context *= max(1, int64(a.Messages)) // each input is a prompt of its own
	}
	b := c.unbounded(a.Unbounded, context, m)
	// A prompt above the context is refused by the provider and costs nothing.
	if context > 0 && (b.fills || c.Input > context) {
		c.Input = context
	}
	// What a tool finds, or a summary says, is there from the second reading on.
	c.Input += (b.answers + b.summaries() - 1) * context
	c.N *= b.answers
	c.OutputExtra = c.N*a.ExtraOutput + b.summaries()*m.MaxOutput
	return c
}

// runs is how often the model reads its prompt and writes, when a body does not
// bound that by itself.
type runs struct {
	fills    bool  // the prompt may fill the context from the first of them on
	answers  int64 // runs that write as much as the answer; of more than one, the others may fill it
	together int64 // of them, those that several tools share
	each     int64 // summaries before each of them
}

// summaries are the runs that write a text of their own, as long as the model can.
func (b runs) summaries() int64 { return b.answers * b.each }

// unbounded sorts what the body does not bound.
func (c *Ceiling) unbounded(all []Unbounded, context int64, m ModelLimits) runs {
	b := runs{answers: 1}
	for _, u := range all {
		if u.limitable() {
			u.Max = m.ToolCalls
		}
		more := u.Max
		if u.Together {
			more = max(0, u.Max-b.together)
		}
		switch {
		case u.Kind == KindTier && c.Tier == "":
			c.Tier = u.Tier
		case u.Kind == KindInput && context > 0:
			b.fills = true
		case u.Kind == KindTool && u.Tool != "" && u.Max > 0 && context > 0 && b.answers+more <= maxRuns:
			c.fee(u)
			b.answers += more
			if u.Together {
				b.together += more
			}
		case u.Kind == KindRun && u.Max > 0 && context > 0 && m.MaxOutput > 0 && b.each+u.Max <= maxSummaries:
			b.each += u.Max
		default: // a second tier too: no price says what two of them cost together
			c.Unpriced = append(c.Unpriced, u)
		}
	}
	return b
}

// fee adds a tool's uses.
func (c *Ceiling) fee(u Unbounded) {
	for i := range c.Fees {
		if f := &c.Fees[i]; f.Tool == u.Tool && f.Together == u.Together {
			if !f.Together {
				f.Max += u.Max
			}
			return
		}
	}
	c.Fees = append(c.Fees, Fee{Tool: u.Tool, Max: u.Max, Together: u.Together})
}
