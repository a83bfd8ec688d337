package ledger

import (
	"math"
	"testing"
	"time"
)

// What is expected of a steady rate is about that rate, for a few requests a
// second as for millions of nano-dollars, and never overflows.
func TestARateExpectsWhatItSaw(t *testing.T) {
	for _, perSecond := range []int64{1, 3, 50, 5_000, 40_000_000_000} {
		var r rate
		now := time.Unix(1000, 0)
		for range 200 { // 20 s in tenths
			now = now.Add(100 * time.Millisecond)
			r.add((perSecond+9)/10, now)
		}
		steady := (perSecond + 9) / 10 * 10
		got := r.expect(2*time.Second, now)
		if got < steady || got > 4*steady {
			t.Errorf("%d a second: %d expected in two seconds", steady, got)
		}
	}
	r := rate{sum: math.MaxInt64, last: time.Unix(1000, 0)}
	if got := r.expect(time.Hour, time.Unix(1000, 0)); got <= 0 {
		t.Errorf("the largest sum: %d", got)
	}
}
