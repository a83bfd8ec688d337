package llm

// ModelLimits is what the registry says of the model a call goes to.
type ModelLimits struct {
	Context   int64 // the most tokens the model can read, betas included; 0: not known
	MaxOutput int64 // the most tokens it can write; 0: not known
	// ImageTokens is the most one image costs on it; 0: the dearest documented
	// for the dialect.
	ImageTokens int64
}

// Ceiling is the most a call can use, in units that prices multiply.
//
// With an output limit of m tokens the call uses at most Input + N × (m +
// ExtraOutput) tokens, of which Input are billed as input, at the dearest of
// input, cache write and tier that the flags name.
type Ceiling struct {
	Input       int64
	N           int64 // the multiplier of the output limit; 0: nothing is written
	Output      int64 // the largest output limit that the call may carry; 0: nothing bounds it
	ExtraOutput int64 // billed as output beside each answer

	CacheWrite, CacheWriteLong bool
	// Tiers bill the whole call at another price; empty for the standard one.
	Tiers []Unbounded
	// Uses are the provider's tools, at their stated maximum: each use may have a
	// fee. What it adds to Input and N is in them already.
	Uses []Unbounded
	// Unpriced is what has no bound. A call that has any cannot be held.
	Unpriced []Unbounded
}

// Ceiling bounds what the call can use on a model. What a body does not bound is
// bounded by the model, where that can be: docs/decisions/030-what-is-bounded.md.
func (a *Ask) Ceiling(m ModelLimits) Ceiling {
	c := Ceiling{
		Input: a.InputTokens, N: a.N, Output: a.MaxOutput, ExtraOutput: a.ExtraOutput,
		CacheWrite: a.CacheWrite, CacheWriteLong: a.CacheWriteLong,
	}
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
	fills := false   // the prompt may fill the context
	runs := int64(1) // how often the model reads its prompt and writes
	for _, u := range a.Unbounded {
		switch {
		case u.Kind == KindTier:
			c.Tiers = append(c.Tiers, u)
		case u.Kind == KindInput && context > 0:
			fills = true
		case u.Kind == KindTool && u.Max > 0 && context > 0:
			c.Uses = append(c.Uses, u)
			runs += u.Max
			fills = true
		default:
			c.Unpriced = append(c.Unpriced, u)
		}
	}
	// A prompt above the context is refused by the provider and costs nothing.
	if context > 0 && (fills || c.Input > context) {
		c.Input = context
	}
	c.Input *= runs
	c.N *= runs
	return c
}
