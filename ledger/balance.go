package ledger

// Balance is one meter's money. What may still be granted is Available; the sum
// of Spent and Outstanding never passes Limit while nothing was charged above
// its hold and the limit was not lowered.
type Balance struct {
	Limit       int64
	Spent       int64 // Suspense included; what rolled out of a rolling window is not
	Outstanding int64 // in leases: held by calls, or in hand for the next ones
	Suspense    int64 // charged by rule because a lease was closed with calls open
	Adjusted    int64 // by operators: +50 gave 50 more, by lowering Spent
}

// Available is what the next ask could be granted at most.
func (b Balance) Available() int64 { return b.Limit - b.Spent - b.Outstanding }

// Left is what is not spent.
func (b Balance) Left() int64 { return b.Limit - b.Spent }
