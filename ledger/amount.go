package ledger

import (
	"errors"
	"math/bits"
)

// amountMost bounds every amount in an entry, every limit and everything that is
// counted, so that limit − spent − outstanding fits an int64: 2.3 billion dollars.
const amountMost = 1 << 61

var errAmount = errors.New("an amount is beyond what can be counted")

// add is a + b where both and the sum stay within ±amountMost.
func add(a, b int64) (int64, error) {
	if b > amountMost || b < -amountMost {
		return a, errAmount
	}
	sum := a + b // Cannot overflow: both are within ±2⁶¹.
	if sum > amountMost || sum < -amountMost {
		return a, errAmount
	}
	return sum, nil
}

// saturate is a + b, held within ±amountMost, for sums that are only read.
func saturate(a, b int64) int64 {
	return max(-amountMost, min(amountMost, a+max(-amountMost, min(amountMost, b))))
}

// valid reports whether an entry's amount is one: not negative, not too large.
func valid(amount int64) bool { return amount >= 0 && amount <= amountMost }

// perMillion is ⌈m × rate ÷ 10⁶⌉; false when it is beyond amountMost.
func perMillion(m, rate int64) (int64, bool) {
	if m <= 0 || rate <= 0 {
		return 0, true
	}
	hi, lo := bits.Mul64(uint64(m), uint64(rate))
	lo, carry := bits.Add64(lo, 999_999, 0)
	hi += carry
	if hi >= 1_000_000 {
		return 0, false
	}
	q, _ := bits.Div64(hi, lo, 1_000_000)
	return int64(q), q <= amountMost
}

// Amount is what the demand asks for an output limit of m tokens; false when it
// is beyond what can be counted.
func (d *Demand) Amount(m int64) (int64, bool) {
	more, ok := perMillion(m, d.PerMTok)
	if !ok || d.Base < 0 || d.Base > amountMost-more {
		return 0, false
	}
	return d.Base + more, true
}

// outputWithin is the largest output limit up to want that an amount pays for; it
// is negative when the amount does not even pay for the base.
func (d *Demand) outputWithin(amount, want int64) int64 {
	left := amount - d.Base
	if left < 0 {
		return -1
	}
	if d.PerMTok <= 0 {
		return want
	}
	// ⌈m × rate ÷ 10⁶⌉ ≤ left exactly when m × rate ≤ left × 10⁶.
	hi, lo := bits.Mul64(uint64(left), 1_000_000)
	if hi >= uint64(d.PerMTok) {
		return want
	}
	m, _ := bits.Div64(hi, lo, uint64(d.PerMTok))
	if m >= uint64(max(want, 0)) {
		return want
	}
	return int64(m)
}
