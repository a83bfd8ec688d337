package health_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/health"
)

// header makes a header of names and values in turn.
func header(fields ...string) http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return h
}

var failure = health.Sign{Failed: true}

func TestStates(t *testing.T) {
	now := start
	board := health.NewBoard(func() time.Time { return now })
	var told []string
	board.Notify(func(c health.Change) {
		told = append(told, fmt.Sprintf("%s %s→%s %s", c.State.Deployment, c.From, c.To, c.State.Cause))
	})
	board.Learn("paygo", health.Sign{Status: 429, Header: header("retry-after", "60")})
	board.Learn("paygo", health.Sign{Status: 429, Header: header("retry-after", "60")})
	board.Learn("mini", failure)
	for range 4 {
		board.Learn("claude", failure)
	}
	board.Learn("fine", health.Sign{Status: 200})
	want := []health.State{
		{Deployment: "claude", Cause: health.Failing, Pauses: 1, Since: start, Until: start.Add(5 * time.Second), LastBad: start},
		{Deployment: "mini", Failures: 1, LastBad: start},
		{Deployment: "paygo", Cause: health.RateLimited, Since: start, Until: start.Add(time.Minute), LastBad: start},
	}
	if diff := cmp.Diff(want, board.States()); diff != "" {
		t.Error(diff)
	}
	now = start.Add(time.Minute)
	for range 3 {
		board.Learn("claude", health.Sign{Status: 200})
		board.Learn("paygo", health.Sign{Status: 200})
	}
	if s := board.States(); len(s) != 2 || s[0].Deployment != "claude" || s[1].Deployment != "mini" {
		t.Errorf("a limit that is over is remembered, or failures are not: %+v", s)
	}
	now = start.Add(6 * time.Minute)
	if s := board.States(); len(s) != 0 {
		t.Errorf("not forgotten: %+v", s)
	}
	wantTold := []string{"paygo healthy→out rate_limited", "claude healthy→out failing", "claude trial→healthy failing", "paygo trial→healthy rate_limited"}
	if diff := cmp.Diff(wantTold, told); diff != "" {
		t.Error(diff)
	}
}

// anySign is whatever a provider, or what stands in its place, may do.
func anySign(t *rapid.T) health.Sign {
	value := rapid.OneOf(rapid.SampledFrom([]string{"", "0", "1", "-1", "20ms", "6m0s", "86400", "1e300", "NaN", "soon", "-5s", "Sun, 01 Mar 2026 12:04:00 GMT",
		"Sun, 01 Mar 2126 12:04:00 GMT", "2026-03-01T12:04:00Z", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"}), rapid.StringN(0, 8, 8))
	s := health.Sign{Status: rapid.SampledFrom([]int{0, 200, 200, 200, 302, 400, 404, 408, 429, 429, 500, 503, 529, 999, -1}).Draw(t, "status"), Header: http.Header{},
		Failed: rapid.IntRange(0, 3).Draw(t, "failed") == 0, Whole: rapid.IntRange(0, 3).Draw(t, "whole") == 0}
	for _, name := range []string{"Retry-After", "Retry-After-Ms", "Date", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"} {
		if rapid.IntRange(0, 2).Draw(t, name) == 0 {
			s.Header.Set(name, value.Draw(t, name+" value"))
		}
	}
	return s
}

// Whatever is learned, nobody is kept out for longer than five minutes after the
// last sign, nobody is on trial for longer than five more, and a deployment that
// only ever succeeded, with something left of its limits, was never out.
func TestNobodyIsOutForLong(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := start
		board := health.NewBoard(func() time.Time { return now })
		good := health.Sign{Status: 200, Header: header("x-ratelimit-remaining-tokens", "10", "x-ratelimit-reset-tokens", "6m0s")}
		for range rapid.IntRange(1, 40).Draw(rt, "signs") {
			s := anySign(rt)
			if rapid.Bool().Draw(rt, "dated") {
				s.Began = now.Add(-time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(rt, "ago")))
			}
			board.Learn("d", s)
			board.Learn("good", good)
			if !board.Healthy("good", now) {
				rt.Fatal("a deployment that only succeeded is out")
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(6*time.Minute)).Draw(rt, "then")))
		}
		board.Learn("d", anySign(rt))
		last := now
		probed := false
		for range 4 { // one in four is the smallest share of a deployment that works
			probed = probed || board.Healthy("d", last.Add(5*time.Minute))
		}
		if !probed {
			rt.Fatalf("nobody is sent there five minutes after the last sign: %+v", board.States())
		}
		for range 10 {
			if !board.Healthy("d", last.Add(10*time.Minute)) {
				rt.Fatalf("still on trial ten minutes after the last sign: %+v", board.States())
			}
		}
		if now = last.Add(10 * time.Minute); len(board.States()) != 0 {
			rt.Fatalf("remembered for ever: %+v", board.States())
		}
	})
}

// Each State follows from the one before and the sign: two boards that are told
// the same agree, whatever they were asked in between.
func TestAskingTeachesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := start
		asked, left := health.NewBoard(func() time.Time { return now }), health.NewBoard(func() time.Time { return now })
		for range rapid.IntRange(1, 30).Draw(rt, "signs") {
			s, name := anySign(rt), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name")
			asked.Learn(name, s)
			left.Learn(name, s)
			for range rapid.IntRange(0, 5).Draw(rt, "asked") {
				asked.Healthy(name, now)
			}
			if diff := cmp.Diff(left.States(), asked.States()); diff != "" {
				rt.Fatal(diff)
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(rt, "then")))
		}
	})
}

// A board that is full believes the others healthy, and has room again when what
// it knows is old.
func TestBoundOfTheBoard(t *testing.T) {
	now := start
	board := health.NewBoard(func() time.Time { return now })
	limited := health.Sign{Status: 429, Header: header("retry-after", "60")}
	const most = 4096
	for i := range most + 1 {
		board.Learn("d"+strconv.Itoa(i), limited)
	}
	if n := len(board.States()); n != most {
		t.Fatalf("%d are remembered", n)
	}
	if board.Healthy("d0", now) || !board.Healthy("d"+strconv.Itoa(most), now) {
		t.Error("the first is not out, or the one too many is")
	}
	now = start.Add(10 * time.Minute)
	board.Learn("one more", limited)
	if s := board.States(); len(s) != 1 || board.Healthy("one more", now) {
		t.Errorf("%d are remembered, and one more is not out", len(s))
	}
}

// Many learn and ask at once; what they were told at the end holds. Run with -race.
func TestAtOnce(t *testing.T) {
	var clock atomic.Int64
	board := health.NewBoard(func() time.Time { return start.Add(time.Duration(clock.Load())) })
	changes := 0
	board.Notify(func(health.Change) { changes++ }) // one at a time: no lock of its own
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				at := start.Add(time.Duration(clock.Add(int64(time.Millisecond))))
				name := "d" + strconv.Itoa(i%5)
				switch (worker + i) % 4 {
				case 0:
					board.Learn(name, failure)
				case 1:
					board.Learn(name, health.Sign{Status: 200, Began: at})
				case 2:
					board.Learn(name, health.Sign{Status: 429, Header: header("retry-after", "1")})
				default:
					board.Healthy(name, at)
					board.States()
				}
			}
		})
	}
	wg.Wait()
	if changes == 0 {
		t.Error("nothing was told")
	}
	board.Learn("d0", health.Sign{Status: 429, Header: header("retry-after", "60")})
	if board.Healthy("d0", start.Add(time.Duration(clock.Load()))) {
		t.Error("d0 was told to wait, and is healthy")
	}
}

// Of all who ask at one moment, one is the probe.
func TestOneProbeAtATime(t *testing.T) {
	now := start
	board := health.NewBoard(func() time.Time { return now })
	for range 3 {
		board.Learn("d", failure)
	}
	for second := range 5 {
		at := start.Add(5*time.Second + time.Duration(second)*time.Second)
		var sent atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 100 {
					if board.Healthy("d", at) {
						sent.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := sent.Load(); n != 1 {
			t.Errorf("%s: %d of 1600 were sent there", at, n)
		}
	}
}

// Whoever asks first after a pause is sent, however the trial before it ended.
func TestTheFirstAfterAPauseIsSent(t *testing.T) {
	now := start
	board := health.NewBoard(func() time.Time { return now })
	for trial := range 10 {
		board.Learn("d", health.Sign{Status: 429, Header: header("retry-after", "2")})
		now = now.Add(2 * time.Second)
		for asked := range 1 + trial {
			if sent := board.Healthy("d", now); sent != (asked%4 == 0) {
				t.Errorf("trial %d: caller %d is sent: %v", trial, asked, sent)
			}
		}
	}
}

// A clock that is put back during a trial does not end the probes.
func TestProbesWhenTheClockIsPutBack(t *testing.T) {
	now := start
	board := health.NewBoard(func() time.Time { return now })
	for range 3 {
		board.Learn("d", failure)
	}
	for _, at := range []time.Duration{200 * time.Second, 100 * time.Second, 50 * time.Second} {
		if !board.Healthy("d", start.Add(at)) || board.Healthy("d", start.Add(at)) {
			t.Errorf("at %s not one is sent there", at)
		}
	}
}

// FuzzLimits: no header of a provider's makes the board keep anybody out for more
// than the bound, or read what is no figure as one.
func FuzzLimits(f *testing.F) {
	f.Add(429, "30", "2500", "", "0", "6m0s", "0", "2026-03-01T12:01:00Z")
	f.Add(200, "", "", "Sun, 01 Mar 2026 12:00:00 GMT", "0", "20ms", "7", "9999-12-31T23:59:59Z")
	f.Add(503, "Sun, 01 Mar 2026 12:00:20 GMT", "1e999", "x", "-1", "0x1p-2", "", "")
	f.Fuzz(func(t *testing.T, status int, retry, retryMS, date, remaining, reset, remainingA, resetA string) {
		board := health.NewBoard(func() time.Time { return start })
		board.Learn("d", health.Sign{Status: status, Header: http.Header{"Retry-After": {retry}, "Retry-After-Ms": {retryMS}, "Date": {date},
			"X-Ratelimit-Remaining-Tokens": {remaining}, "X-Ratelimit-Reset-Tokens": {reset},
			"Anthropic-Ratelimit-Tokens-Remaining": {remainingA}, "Anthropic-Ratelimit-Tokens-Reset": {resetA}}})
		for _, s := range board.States() {
			if out := s.Until.Sub(start); !s.Until.IsZero() && (out < time.Second || out > 5*time.Minute) {
				t.Errorf("out for %s", out)
			}
		}
	})
}

// BenchmarkHealthy is asked once for each deployment of each decision.
func BenchmarkHealthy(b *testing.B) {
	now := start
	for name, signs := range map[string]map[string]health.Sign{
		"all well":    {},
		"another out": {"other": {Status: 429, Header: header("retry-after", "60")}},
		"out":         {"gpt-4o-paygo-westeurope": {Status: 429, Header: header("retry-after", "60")}},
	} {
		b.Run(name, func(b *testing.B) {
			board := health.NewBoard(func() time.Time { return now })
			for d, s := range signs {
				board.Learn(d, s)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					board.Healthy("gpt-4o-paygo-westeurope", now)
				}
			})
		})
	}
}

// BenchmarkLearn is a success with a provider's usual headers: nearly every call.
func BenchmarkLearn(b *testing.B) {
	board := health.NewBoard(time.Now)
	s := health.Sign{Status: 200, Header: header("x-ratelimit-limit-requests", "60", "x-ratelimit-remaining-requests", "59", "x-ratelimit-reset-requests", "1s",
		"x-ratelimit-remaining-tokens", "149984", "x-ratelimit-reset-tokens", "6m0s", "date", "Sun, 01 Mar 2026 12:00:00 GMT", "content-type", "application/json")}
	b.ReportAllocs()
	for b.Loop() {
		board.Learn("gpt-4o-paygo-westeurope", s)
	}
}

// What is asked on every decision costs no memory.
func TestHealthyAllocatesNothing(t *testing.T) {
	board := health.NewBoard(func() time.Time { return start })
	board.Learn("out", health.Sign{Status: 429, Header: header("retry-after", "60")})
	if n := testing.AllocsPerRun(100, func() { board.Healthy("out", start); board.Healthy("well", start) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
