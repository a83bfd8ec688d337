package health_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision/health"
)

// start is the stories' clock at 0s.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Each story is a deployment's day. A line is a moment and what happens or what
// is true then:
//
//	0s     429 retry-after: 30        an answer, with headers after each "|"
//	0s     fails                      no answer came
//	0s     200 broke off              it came, and ended too soon
//	0s     200 whole, whole           it came to its end, now or after its headers
//	40s    200 began 10s              … of a try that began at 10s
//	29.9s  is out                     nobody is sent there
//	30s    is on trial 1 of 8         of eight callers at this moment one is
//	2m     is well                    everybody is
//
// Asking takes its share of a trial, as it does in life.
var stories = map[string]string{
	"a provider that says how long is believed": `
		0s     429 | retry-after: 30
		0s     is out
		29.9s  is out
		30s    is on trial 2 of 8`,
	"milliseconds go before seconds": `
		0s     429 | retry-after: 30 | retry-after-ms: 2500
		2.4s   is out
		2.5s   is on trial 2 of 8`,
	"a date, by the provider's own clock": `
		0s     429 | retry-after: Sun, 01 Mar 2026 09:00:20 GMT | date: Sun, 01 Mar 2026 09:00:00 GMT
		19s    is out
		20s    is on trial 2 of 8`,
	"a date, by ours where the provider does not tell its": `
		0s     429 | retry-after: Sun, 01 Mar 2026 12:00:20 GMT
		19s    is out
		20s    is on trial 2 of 8`,
	"a date that is past": `
		0s     429 | retry-after: Sun, 01 Mar 2026 11:00:00 GMT
		0.9s   is out
		1s     is on trial 2 of 8`,
	"no sooner than a second": `
		0s     429 | retry-after: 0
		0.9s   is out
		1s     is on trial 2 of 8`,
	"nor in milliseconds": `
		0s     429 | retry-after-ms: 0
		0.9s   is out
		1s     is on trial 2 of 8`,
	"no later than five minutes": `
		0s     429 | retry-after: 86400
		299s   is out
		5m     is on trial 2 of 8`,
	"a figure beyond all figures": `
		0s     429 | retry-after: 99999999999999999999
		299s   is out
		5m     is on trial 2 of 8`,
	"OpenAI's limit that is used up, not the other": `
		0s     429 | x-ratelimit-remaining-requests: 59 | x-ratelimit-reset-requests: 1s | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 1m30s
		89s    is out
		90s    is on trial 2 of 8`,
	"the longer of two that are used up": `
		0s     429 | x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 20ms | x-ratelimit-remaining-project-tokens: 0 | x-ratelimit-reset-project-tokens: 12s
		11.9s  is out
		12s    is on trial 2 of 8`,
	"Azure's limit, in bare seconds, and nothing of what remains": `
		0s     429 | x-ratelimit-reset-tokens: 55
		54s    is out
		55s    is on trial 2 of 8`,
	"Azure's figures for a limit it does not know": `
		0s     429 | x-ratelimit-limit-tokens: -1 | x-ratelimit-remaining-tokens: -1 | x-ratelimit-reset-tokens: 0
		4.9s   is out
		5s     is on trial 2 of 8`,
	"Anthropic's limit": `
		0s     429 | anthropic-ratelimit-requests-remaining: 7 | anthropic-ratelimit-requests-reset: 2026-03-01T12:04:00Z | anthropic-ratelimit-output-tokens-remaining: 0 | anthropic-ratelimit-output-tokens-reset: 2026-03-01T13:00:40+01:00
		39s    is out
		40s    is on trial 2 of 8`,
	"Retry-After goes before the limits": `
		0s     429 | retry-after: 3 | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 4m
		3s     is on trial 2 of 8`,
	"refused without a word: our own pauses": `
		0s     429
		4.9s   is out
		5s     is on trial 2 of 8
		5s     429
		14.9s  is out
		15s    is on trial 2 of 8`,
	"words that are none": `
		0s     429 | retry-after: soon | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: later | anthropic-ratelimit-tokens-remaining: 0 | anthropic-ratelimit-tokens-reset: 40
		4.9s   is out
		5s     is on trial 2 of 8`,
	"of two words the longer counts, whichever comes first": `
		0s     429 | retry-after: 30
		1s     429 | retry-after: 2
		29s    is out
		29s    429 | retry-after: 60
		88s    is out
		89s    is on trial 2 of 8`,
	"a success whose limit is used up is believed too": `
		0s     200 | x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 8s
		7.9s   is out
		8s     is on trial 2 of 8`,
	"so is a refusal of the caller": `
		0s     400 | anthropic-ratelimit-tokens-remaining: 0 | anthropic-ratelimit-tokens-reset: 2026-03-01T12:00:08Z
		7.9s   is out`,
	"a success with something left, or with nothing said": `
		0s     200 | x-ratelimit-remaining-requests: 1 | x-ratelimit-reset-requests: 8s
		0s     is well
		0s     200 | x-ratelimit-remaining-requests: 0
		0s     is well
		0s     200 | x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 0s
		0s     is well
		0s     200 | anthropic-ratelimit-tokens-remaining: 0 | anthropic-ratelimit-tokens-reset: 2026-03-01T11:00:00Z
		0s     is well
		0s     200 | x-ratelimit-remaining-tokens: -1 | x-ratelimit-reset-tokens: 60
		0s     is well`,
	"a success does not end a limit: smaller calls may pass": `
		0s     429 | retry-after: 30
		1s     200
		29s    is out`,
	"overloaded, and says until when": `
		0s     529 | retry-after: 20
		19s    is out
		20s    is on trial 2 of 8`,
	"unavailable, and says until when": `
		0s     503 | retry-after: 20
		19s    is out`,

	"two failures are bad luck": `
		0s     500
		1s     fails
		1s     is well
		2s     200
		3s     529
		4s     408
		4s     is well`,
	"three in a row are not": `
		0s     500
		1s     529
		1s     is well
		2s     fails
		2s     is out
		6.9s   is out
		7s     is on trial 1 of 8`,
	"callers' mistakes neither break a row nor make one": `
		0s     500
		0s     400
		0s     401
		0s     403
		0s     404
		0s     413
		0s     422
		0s     is well
		0s     502
		0s     404
		0s     504
		0s     is out`,
	"nor are they good enough to come back": `
		0s     fails
		0s     fails
		0s     fails
		5s     400
		5s     404
		6s     is on trial 1 of 8`,
	"failures that lie far apart are no row": `
		0s     500
		1s     500
		5m2s   500
		5m2s   is well
		5m3s   500
		5m3s   is well
		5m4s   500
		5m4s   is out`,
	"an answer that breaks off is a failure": `
		0s     200 broke off
		0s     200 broke off
		0s     200 broke off
		0s     is out`,
	"a good beginning does not make up for it": `
		0s     200
		1s     200 broke off
		2s     200
		3s     200 broke off
		3s     is well
		4s     200
		5s     200 broke off
		9.9s   is out
		10s    is on trial 1 of 8`,
	"a whole answer does": `
		0s     200
		1s     200 broke off
		2s     200
		3s     200 broke off
		4s     200
		5s     whole
		6s     200
		7s     200 broke off
		7s     200 broke off
		7s     200 whole
		7s     200 broke off
		7s     200 broke off
		7s     is well
		8s     fails
		8s     is out`,
	"nor does a whole answer make up for those that never came": `
		0s     fails
		0s     fails
		0s     whole
		0s     is well
		0s     fails
		0s     is out`,
	"a whole answer while it is out, or on trial, is no probe's": `
		0s     fails
		0s     fails
		0s     fails
		1s     whole
		4.9s   is out
		5s     whole
		5s     is on trial 1 of 8`,
	"a caller that hangs up says nothing": `
		0s     no answer
		0s     no answer
		0s     no answer
		0s     is well`,
	"comes back little by little": `
		0s     503
		0s     503
		0s     503
		5s     is on trial 1 of 8
		5.9s   is on trial 0 of 8
		6s     is on trial 1 of 8
		6.1s   200
		6.1s   is on trial 2 of 8
		6.2s   200
		6.2s   is on trial 4 of 8
		6.3s   200
		6.3s   is well`,
	"a failed trial is a longer pause, up to a bound": `
		0s     500
		0s     500
		0s     500
		4.9s   is out
		5s     fails
		14.9s  is out
		15s    fails
		34.9s  is out
		35s    fails
		74.9s  is out
		75s    fails
		154s   is out
		155s   fails
		314s   is out
		315s   fails
		614s   is out
		615s   fails
		914s   is out
		915s   is on trial 1 of 8`,
	"who is well again and fails again has not been forgotten": `
		0s     500
		0s     500
		0s     500
		5s     200
		5s     200
		5s     200
		5s     is well
		6s     500
		6s     500
		6s     is well
		6s     500
		15.9s  is out
		16s    is on trial 1 of 8`,
	"but is in the end": `
		0s     500
		0s     500
		0s     500
		5s     200
		5s     200
		5s     200
		5m     500
		5m     500
		5m     500
		305s   is on trial 1 of 8`,
	"failures while it is out are of those who had no other": `
		0s     fails
		0s     fails
		0s     fails
		4s     fails
		4s     fails
		4s     fails
		4.9s   is out
		5s     is on trial 1 of 8`,
	"a success while it is out ends the pause, and not the trial": `
		0s     fails
		0s     fails
		0s     fails
		2s     200 began 1s
		2s     is on trial 2 of 8
		3s     200
		3s     200
		3s     is well`,
	"what was under way when it went out is no news": `
		10s    fails began 0s
		10s    fails began 0s
		10s    fails began 0s
		11s    200 began 1s
		14.9s  is out
		15s    is on trial 1 of 8
		16s    fails began 2s
		16s    is on trial 1 of 8
		17s    200 began 3s
		17s    is on trial 1 of 8
		18s    200 began 17s
		18s    is on trial 2 of 8`,
	"a limit on trial is a pause again": `
		0s     fails
		0s     fails
		0s     fails
		5s     429 | retry-after: 10
		14.9s  is out
		15s    is on trial 2 of 8`,
	"a trial that nobody goes to ends": `
		0s     fails
		0s     fails
		0s     fails
		304.9s is on trial 1 of 8
		305s   is well`,
	"a clock that is put back keeps nobody out": `
		1h     fails
		1h     fails
		1h     fails
		1h     is out
		0s     is well`,
}

func TestStories(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) { tell(t, story) })
	}
}

// tell plays a story, deployment "d" in it, and another beside it that nothing
// happens to.
func tell(t *testing.T, story string) {
	t.Helper()
	now := start
	board := health.NewBoard(func() time.Time { return now })
	for line := range strings.Lines(story) {
		moment, what, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		now = start.Add(duration(t, moment))
		what = strings.TrimSpace(what)
		if want, asks := strings.CutPrefix(what, "is "); asks {
			if got := standing(board, now, want == "out"); got != want {
				t.Errorf("%s: is %s, want %s", moment, got, want)
			}
		} else {
			board.Learn("d", sign(t, what))
		}
		if !board.Healthy("another", now) {
			t.Errorf("%s: another is out", moment)
		}
	}
}

// standing asks eight times, or many times where the answer should be no.
func standing(b *health.Board, at time.Time, out bool) string {
	phase := health.Well
	for _, s := range b.States() {
		phase = s.Phase(at)
	}
	yes, asked := 0, 8
	if out {
		asked = 100
	}
	for range asked {
		if b.Healthy("d", at) {
			yes++
		}
	}
	switch {
	case phase == health.Trial:
		return "on trial " + strconv.Itoa(yes) + " of 8"
	case phase == health.Out && yes == 0:
		return "out"
	case phase == health.Well && yes == asked:
		return "well"
	}
	return string(phase) + " with " + strconv.Itoa(yes) + " sent there"
}

func sign(t *testing.T, text string) health.Sign {
	t.Helper()
	parts := strings.Split(text, "|")
	s := health.Sign{Header: http.Header{}}
	for _, field := range parts[1:] {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			t.Fatalf("no header: %q", field)
		}
		s.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	what, began, ok := strings.Cut(strings.TrimSpace(parts[0]), " began ")
	if ok {
		s.Began = start.Add(duration(t, began))
	}
	status, brokeOff := strings.CutSuffix(what, " broke off")
	status, s.Whole = strings.CutSuffix(status, "whole")
	status = strings.TrimSpace(status)
	s.Failed = brokeOff || what == "fails"
	if n, err := strconv.Atoi(status); err == nil {
		s.Status = n
	} else if what != "fails" && what != "no answer" && what != "whole" {
		t.Fatalf("no sign: %q", text)
	}
	return s
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
