package ledger

import (
	"math/bits"
	"time"
)

// rate is how much is held of a meter, of late: a sum that halves every
// rateHalf. It is an estimate of what to ask ahead and decides nothing about
// safety.
type rate struct {
	sum  int64
	last time.Time
}

const rateHalf = time.Second

func (r *rate) decay(now time.Time) {
	if halves := int64(now.Sub(r.last) / rateHalf); halves > 0 {
		r.sum >>= min(halves, 62)
		r.last = r.last.Add(time.Duration(halves) * rateHalf)
	}
}

func (r *rate) add(amount int64, now time.Time) {
	if r.last.IsZero() {
		r.last = now
	}
	r.decay(now)
	r.sum = saturate(r.sum, amount)
}

// expect is what will be held in the time to come if nothing changes. The sum of
// a steady rate, halved every second, is about 1.4 seconds' worth:
//
//	⌊sum × 5 ÷ 7 × d ÷ 1 s⌋
//
// multiplied before it is divided: a requests meter counts a few a second, and
// dividing first would expect none of them.
func (r *rate) expect(d time.Duration, now time.Time) int64 {
	r.decay(now)
	hi, lo := bits.Mul64(uint64(max(r.sum, 0)), uint64(5*d/time.Millisecond))
	const perSecond = 7 * uint64(time.Second/time.Millisecond)
	if hi >= perSecond {
		return amountMost
	}
	expected, _ := bits.Div64(hi, lo, perSecond)
	return int64(min(expected, amountMost))
}
