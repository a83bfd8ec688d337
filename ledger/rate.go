package ledger

import "time"

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
// a steady rate, halved every second, is about 1.4 seconds' worth.
func (r *rate) expect(d time.Duration, now time.Time) int64 {
	r.decay(now)
	return r.sum / 7 * 5 / int64(time.Second/time.Millisecond) * int64(d/time.Millisecond)
}
