package ledger

// Balance is one meter's money. What may still be granted is Available; the sum
// of Spent and Outstanding never passes Limit while nothing was charged above
// its hold and the limit was not lowered.
type Balance struct {
	Limit       int64
	Spent       int64 // Suspense included; what rolled out of a rolling window is not
	Outstanding int64 // in leases: held by calls, or in hand for the next ones
	InHand      int64 // part of Outstanding: this replica's, held by no call; the Book does not know it
	Suspense    int64 // charged by rule because a lease was closed with calls open
	Adjusted    int64 // by operators: +50 gave 50 more, by lowering Spent
}

// Available is what the next ask could be granted at most.
func (b Balance) Available() int64 { return b.Limit - b.Spent - b.Outstanding }

// Held is what calls in flight hold, here and elsewhere; what other replicas have
// in hand is in it, because only they know.
func (b Balance) Held() int64 { return b.Outstanding - b.InHand }

// Left is what is not spent.
func (b Balance) Left() int64 { return b.Limit - b.Spent }
