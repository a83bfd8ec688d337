package ledger

import (
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// tally counts what was spent on one meter. Times are log times in nanoseconds:
// the running maximum of append times, never a clock of ours.
type tally interface {
	// charge counts an amount, or takes back what was charged at that time when
	// it is negative.
	charge(amount, at int64) error
	// spent is what counts now.
	spent(now int64) int64
	encode(w *writer)
	decode(r *reader)
}

// newTally makes the one of three kinds that a budget's unit and window need.
func newTally(unit journal.Unit, w journal.Window) tally {
	switch {
	case unit == journal.UnitConcurrent:
		return gauge{}
	case w.Rolling > 0:
		return newSlide(w.Rolling)
	}
	return &counter{}
}

// counter is the tally of a calendar window or of a total: all that was ever
// charged. Its window ends by another label, which is another meter.
type counter struct{ sum int64 }

func (c *counter) charge(amount, _ int64) (err error) {
	c.sum, err = add(c.sum, amount)
	return err
}

func (c *counter) spent(int64) int64 { return c.sum }

// gauge is the tally of calls in flight. Nothing is spent: a slot is outstanding
// while its call runs, and free when the call is settled.
type gauge struct{}

func (gauge) charge(int64, int64) error { return nil }
func (gauge) spent(int64) int64         { return 0 }

// slideBuckets is the most buckets one rolling meter keeps.
const slideBuckets = 12

// slideSkew is how far brokers' clocks may be apart before a rolling window lets
// more through than its limit.
const slideSkew = 2 * time.Second

// slide is the tally of a rolling window, in buckets of its granularity. A bucket
// counts until all of it is older than the window and the skew, so what leaves,
// leaves late and never early: no window ever holds more than the limit.
type slide struct {
	grain   int64 // ns
	window  int64 // ns, skew included
	newest  int64 // number of the newest bucket: log time ÷ grain
	buckets [slideBuckets]int64
}

// Granularity is how late at most a charge leaves a rolling window, beyond the
// skew: (window + 2 s) ÷ 11, rounded up to a whole second. With it, what counts
// never needs more than 12 buckets.
func Granularity(window time.Duration) time.Duration {
	grain := (window + slideSkew + (slideBuckets - 2)) / (slideBuckets - 1)
	return (grain + time.Second - 1).Truncate(time.Second)
}

func newSlide(window time.Duration) *slide {
	return &slide{grain: int64(Granularity(window)), window: int64(window + slideSkew)}
}

func (s *slide) charge(amount, at int64) (err error) {
	n := at / s.grain
	switch {
	case n > s.newest:
		s.advance(n)
	case n <= s.newest-slideBuckets:
		return nil // Its bucket has left: what is taken back counts no more.
	}
	i := n % slideBuckets
	s.buckets[i], err = add(s.buckets[i], amount)
	return err
}

// advance empties the buckets that newer ones take the place of.
func (s *slide) advance(n int64) {
	for i := max(s.newest+1, n-slideBuckets+1); i <= n; i++ {
		s.buckets[i%slideBuckets] = 0
	}
	s.newest = n
}

func (s *slide) spent(now int64) int64 {
	var sum int64
	for n := s.oldest(now); n <= s.newest; n++ {
		sum = saturate(sum, s.buckets[n%slideBuckets])
	}
	return sum
}

// oldest is the number of the oldest bucket that still counts.
func (s *slide) oldest(now int64) int64 {
	return max((now-s.window)/s.grain, s.newest-slideBuckets+1, 0)
}

// leaves is when the next bucket that holds anything stops counting, and what
// it holds; ok is false when nothing is spent.
func (s *slide) leaves(now int64) (at, amount int64, ok bool) {
	for n := s.oldest(now); n <= s.newest; n++ {
		if held := s.buckets[n%slideBuckets]; held != 0 {
			return (n+1)*s.grain + s.window, held, true
		}
	}
	return 0, 0, false
}
