package llm

// ModelLimits is what the registry says of the model a call goes to.
type ModelLimits struct {
	Context   int64 // tokens the model can read; 0: not known
	MaxOutput int64 // tokens it can write; 0: not known
}

// Ceiling is the most a call can use, in units that prices multiply.
//
// For an output limit of m tokens the call uses at most
// Input + OutputExtra + N × m tokens, of which Input are billed as input (at the
// dearest of input, cache write and tiers that its flags name).
type Ceiling struct {
	Input       int64
	N           int64 // answers: the multiplier of the output limit
	Output      int64 // the largest m this call may ask for; 0: nothing bounds it
	OutputExtra int64 // output billed beside the answers: rejected predictions

	CacheWrite, CacheWriteLong bool
	// Tier is the tier that the whole call may be billed at, "" for the standard one.
	Tier string
	// Fees are tools with a fee for each use, at their stated maximum.
	Fees []Fee
	// Unpriced is what no bound is known for; a call that has any cannot be held.
	Unpriced []Unbounded
}

// Fee is a tool's uses, billed by the piece.
type Fee struct {
	Tool string
	Max  int64
}

// Ceiling bounds what the call can use on a model.
func (a *Ask) Ceiling(m ModelLimits) Ceiling { return Ceiling{} }
