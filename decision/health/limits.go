package health

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// What a sign says of its deployment.
type says int

const (
	nothing says = iota // a caller's mistake says neither good nor bad
	good
	whole // an answer of before was read to its end
	failed
	limited
)

// reading is a sign, understood.
type reading struct {
	says  says
	pause time.Duration // of a limit, as the provider has it; 0: it did not say
	broke bool          // of a failure: it had begun to answer well
	whole bool
	began time.Time
}

// statusOverloaded is Anthropic's: https://docs.claude.com/en/api/errors
const statusOverloaded = 529

// read understands a sign.
//
// An answer below 500 other than 408 and 429 is not bad news, whatever it says of
// the caller; only a successful one is good news. A limit that an answer shows as
// used up is news in itself, even on a successful answer: the next call would be
// refused.
func (s Sign) read(at time.Time) reading {
	answered := s.Status >= 200 && s.Status < 300
	r := reading{began: s.Began, broke: s.Failed && answered, whole: s.Whole && !s.Failed}
	asked, said := retryAfter(s.Header, at)
	switch {
	case s.Status == http.StatusTooManyRequests:
		r.says, r.pause = limited, asked
		if !said {
			r.pause = exhausted(s.Header, true, at)
		}
	case said && (s.Status == http.StatusServiceUnavailable || s.Status == statusOverloaded):
		r.says, r.pause = limited, asked
	case s.Failed || s.Status >= 500 || s.Status == http.StatusRequestTimeout:
		r.says = failed
	default:
		switch {
		case answered:
			r.says = good
		case r.whole && s.Status == 0:
			r.says = whole
		}
		if pause := exhausted(s.Header, false, at); pause > 0 {
			r.says, r.pause = limited, pause
		}
	}
	return r
}

// retryAfter is how long to stay away, as the answer asks: retry-after-ms, which
// OpenAI's and Azure's services send and OpenAI's SDKs prefer, or Retry-After in
// seconds or as a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header, at time.Time) (time.Duration, bool) {
	if d, ok := number(first(h, "Retry-After-Ms"), time.Millisecond); ok {
		return max(d, minPause), true
	}
	text := first(h, "Retry-After")
	if d, ok := number(text, time.Second); ok {
		return max(d, minPause), true
	}
	if text == "" {
		return 0, false // nearly always; what follows makes an error of it
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(date.Sub(clock(h, at)), minPause), true
	}
	return 0, false
}

// pair is a limit's two headers.
type pair struct{ remaining, reset string }

// spans are limits whose reset says how long: "1s", "6m0s", "20ms".
// https://platform.openai.com/docs/guides/rate-limits, "Rate limits in headers";
// Azure's services and several compatible ones send the same.
var spans = []pair{
	{"X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
	{"X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	{"X-Ratelimit-Remaining-Project-Requests", "X-Ratelimit-Reset-Project-Requests"},
	{"X-Ratelimit-Remaining-Project-Tokens", "X-Ratelimit-Reset-Project-Tokens"},
}

// dates are limits whose reset says when, as RFC 3339.
// https://docs.claude.com/en/api/rate-limits, "Response headers".
var dates = []pair{
	{"Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"},
	{"Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
	{"Anthropic-Ratelimit-Input-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Reset"},
	{"Anthropic-Ratelimit-Output-Tokens-Remaining", "Anthropic-Ratelimit-Output-Tokens-Reset"},
}

// exhausted is how long until the limits of which nothing remains are there
// again, the longest of them; 0 where something remains of each, or where it is
// not said until when.
//
// An answer that refuses for a limit means one of which it does not say how much
// remains, too: Azure's services leave the figure out at times, or send -1.
func exhausted(h http.Header, refused bool, at time.Time) time.Duration {
	if len(h) == 0 {
		return 0
	}
	var longest time.Duration
	for _, p := range spans {
		if usedUp(first(h, p.remaining), refused) {
			longest = max(longest, span(first(h, p.reset)))
		}
	}
	for _, p := range dates {
		text := first(h, p.reset)
		if text == "" || !usedUp(first(h, p.remaining), refused) {
			continue
		}
		if reset, err := time.Parse(time.RFC3339, text); err == nil {
			longest = max(longest, reset.Sub(clock(h, at)))
		}
	}
	return longest
}

func usedUp(remaining string, refused bool) bool {
	return remaining == "0" || refused && (remaining == "" || remaining[0] == '-')
}

// span reads "6m0s", and the bare seconds that Azure's services send.
func span(text string) time.Duration {
	if d, ok := number(text, time.Second); ok {
		return d
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}

// first is a header's first value. Names here are in canonical form, and so are
// the headers that net/http reads; Get would spell each of them anew.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// number reads a figure of a unit. What is not a figure is none, and a figure
// that no duration holds is a day: far beyond any bound.
func number(text string, unit time.Duration) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || f < 0 {
		return 0, false
	}
	const day = 24 * time.Hour
	return time.Duration(min(f*float64(unit), float64(day))), true
}

// clock is the moment that a date in the answer is compared with: the provider's
// own, where it says, because either clock may be wrong.
func clock(h http.Header, at time.Time) time.Time {
	if date, err := http.ParseTime(first(h, "Date")); err == nil {
		return date
	}
	return at
}
