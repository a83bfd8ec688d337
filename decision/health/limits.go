package health

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a sign says of its deployment.
type says int

const (
	nothing says = iota // a caller's mistake says neither good nor bad
	good
	failed
	limited
)

// reading is a sign, understood.
type reading struct {
	says  says
	pause time.Duration // of a limit, as the provider has it; 0: it did not say
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
	r := reading{began: s.Began}
	asked, said := retryAfter(s.Header, at)
	switch {
	case s.Status == http.StatusTooManyRequests:
		r.says, r.pause = limited, asked
		if !said {
			r.pause = exhausted(s.Header, at)
		}
	case said && (s.Status == http.StatusServiceUnavailable || s.Status == statusOverloaded):
		r.says, r.pause = limited, asked
	case s.Failed || s.Status >= 500 || s.Status == http.StatusRequestTimeout:
		r.says = failed
	default:
		if s.Status >= 200 && s.Status < 300 {
			r.says = good
		}
		if pause := exhausted(s.Header, at); pause > 0 {
			r.says, r.pause = limited, pause
		}
	}
	return r
}

// retryAfter is how long to stay away, as the answer asks: retry-after-ms, which
// OpenAI's and Azure's services send and OpenAI's SDKs prefer, or Retry-After in
// seconds or as a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header, at time.Time) (time.Duration, bool) {
	if d, ok := number(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d, true
	}
	text := h.Get("Retry-After")
	if text == "" {
		return 0, false
	}
	if d, ok := number(text, time.Second); ok {
		return d, true
	}
	if date, err := http.ParseTime(text); err == nil {
		return atLeast(date.Sub(clock(h, at))), true
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
func exhausted(h http.Header, at time.Time) time.Duration {
	if len(h) == 0 {
		return 0
	}
	var longest time.Duration
	for _, p := range spans {
		if h.Get(p.remaining) == "0" {
			longest = max(longest, span(h.Get(p.reset)))
		}
	}
	for _, p := range dates {
		if h.Get(p.remaining) != "0" {
			continue
		}
		if reset, err := time.Parse(time.RFC3339, h.Get(p.reset)); err == nil {
			longest = max(longest, atLeast(reset.Sub(clock(h, at))))
		}
	}
	return longest
}

// span reads "6m0s" and the bare seconds that some services send.
func span(text string) time.Duration {
	if d, err := time.ParseDuration(strings.TrimSpace(text)); err == nil {
		return atLeast(d)
	}
	d, _ := number(text, time.Second)
	return d
}

// number reads a figure of a unit. What is not a figure is none; what no duration
// holds is a long one.
func number(text string, unit time.Duration) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(f) || f < 0 {
		return 0, false
	}
	return atLeast(time.Duration(min(f, float64(time.Hour*24/unit)) * float64(unit))), true
}

// atLeast keeps a moment that is past, or now, from being taken for none said.
func atLeast(d time.Duration) time.Duration { return max(d, minPause) }

// clock is the moment that a date in the answer is compared with: the provider's
// own, where it says, because either clock may be wrong.
func clock(h http.Header, at time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return at
}
