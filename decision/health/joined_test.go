package health_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/health"
)

// moments are few, so that many of them are equal.
func moment(t *rapid.T, label string) time.Time {
	return start.Add(time.Duration(rapid.IntRange(-700, 700).Draw(t, label)/50*50) * time.Second)
}

// aPause is what a replica may say of deployment d: anything.
func aPause(t *rapid.T) health.State {
	return health.State{Deployment: "d", Cause: rapid.SampledFrom([]health.Cause{health.RateLimited, health.Failing, "of a later version"}).Draw(t, "cause"),
		Since: moment(t, "since"), Until: moment(t, "until"), Pauses: rapid.IntRange(0, 3).Draw(t, "pauses"), LastBad: moment(t, "last bad")}
}

// What is known together does not hang on who told whom first, nor how often.
func TestJoiningHasNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := aPause(t), aPause(t), aPause(t)
		for law, pair := range map[string][2]health.State{
			"again":     {a.Joined(a), a},
			"either":    {a.Joined(b), b.Joined(a)},
			"in groups": {a.Joined(b).Joined(c), a.Joined(b.Joined(c))},
			"once more": {a.Joined(b).Joined(a), a.Joined(b)},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Errorf("%s: %s", law, diff)
			}
		}
		if j := a.Joined(b); j.Until.Before(a.Until) || j.Until.Before(b.Until) {
			t.Errorf("a pause became shorter: %v and %v are %v", a, b, j)
		}
	})
}

// The same words in another order, and some of them twice, leave the same board.
func TestABoardTakesWordsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.Custom(aPause), 1, 6).Draw(t, "words")
		own := rapid.SliceOfN(rapid.Custom(anySign), 0, 5).Draw(t, "own signs")
		again := append(append([]health.State{}, words...), rapid.SliceOfN(rapid.SampledFrom(words), 0, 4).Draw(t, "twice")...)
		other := rapid.Permutation(again).Draw(t, "in another order")
		now := start
		var boards [2]*health.Board
		for i, heard := range [][]health.State{words, other} {
			boards[i] = health.NewBoard(func() time.Time { return now })
			for _, s := range own {
				boards[i].Learn("d", s)
			}
			for _, s := range heard {
				boards[i].Adopt(s, now)
			}
		}
		if diff := cmp.Diff(boards[0].States(), boards[1].States()); diff != "" {
			t.Errorf("in another order: %s", diff)
		}
	})
}

// Whatever others say, and whatever their clocks are: nobody is out for longer than
// five minutes, on trial for longer than five more, or remembered after that.
func TestNobodyTalksADeploymentAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start
		board := health.NewBoard(func() time.Time { return now })
		for range rapid.IntRange(1, 8).Draw(t, "words") {
			s := aPause(t)
			if rapid.Bool().Draw(t, "mad clock") {
				s.Since, s.Until, s.LastBad = s.Since.AddDate(100, 0, 0), s.Until.AddDate(100, 0, 0), s.LastBad.AddDate(200, 0, 0)
			}
			s.Pauses = rapid.SampledFrom([]int{-1, 0, 5, 1 << 40}).Draw(t, "pauses")
			board.Adopt(s, now)
			if rapid.Bool().Draw(t, "own") {
				board.Learn("d", anySign(t))
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "then")) * time.Second)
		}
		last := now
		now = last.Add(5 * time.Minute)
		probed := false
		for range 4 {
			probed = probed || board.Healthy("d", now)
		}
		if !probed {
			t.Fatalf("nobody is sent there five minutes after the last word: %+v", board.States())
		}
		now = last.Add(10 * time.Minute)
		if !board.Healthy("d", now) || len(board.States()) != 0 {
			t.Fatalf("ten minutes after the last word: %+v", board.States())
		}
	})
}
