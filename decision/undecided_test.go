package decision_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// undecidedFacts are the facts of calls without a decision.
func (st *stage) undecidedFacts(t *testing.T) (facts []journal.Decided) {
	t.Helper()
	for _, e := range st.entries(t, journal.TopicDecisions) {
		if d, ok := e.Event.(journal.Decided); ok && d.Reasons[0].Code == string(decision.NotDecided) {
			facts = append(facts, d)
		}
	}
	return facts
}

// The fact says when, where and what became of the call, and holds nothing that the
// gateway's clock or its caller made up.
func TestWhatIsWrittenOfACallThatNobodyDecided(t *testing.T) {
	for name, c := range map[string]struct {
		told decision.Undecided
		want func(at time.Time) string
	}{
		"it passed": {decision.Undecided{Gateway: "edge-1", CallID: "r-1", Method: "POST", Path: "/v1/messages?beta=true", Passed: true, Status: 200, Why: "ext_authz_error"},
			func(at time.Time) string {
				return "allow edge-1 r-1 POST /v1/messages anthropic 0s undecided(the gateway got no decision, and let the call through (status 200): ext_authz_error)! unmetered(no budget counts this call)!"
			}},
		"it was refused": {decision.Undecided{Gateway: "edge-1", Method: "POST", Path: "/v1/chat/completions", Status: 503},
			func(at time.Time) string {
				return "deny edge-1  POST /v1/chat/completions openai 0s undecided(the gateway got no decision, and refused the call itself (status 503))"
			}},
		"nothing is known of it": {decision.Undecided{Path: "\xff" + strings.Repeat("x", 300), Method: strings.Repeat("M", 20)},
			func(at time.Time) string {
				return "deny   MMMMMMMMMMMMMMMM… " + strings.Repeat("x", 255) + "…  0s undecided(the gateway got no decision, and refused the call itself)"
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t, story{})
				if err := st.service.Undecided(t.Context(), c.told); err != nil {
					t.Fatal(err)
				}
				d := st.undecidedFacts(t)[0]
				got := fmt.Sprintf("%s %s %s %s %s %s %s", d.Action, d.Gateway, d.CallID, d.Method, d.Path, d.Dialect, st.now().Sub(d.At))
				for _, r := range d.Reasons {
					got += " " + r.Code + "(" + r.Message + ")"
					if r.Warning {
						got += "!"
					}
				}
				if want := c.want(st.now()); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		})
	}
}

// A clock that is wrong does not put the row where nobody looks.
func TestAnUndecidedCallIsOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		now := st.now()
		for at, want := range map[time.Time]time.Time{
			{}:                                       now,
			now.Add(-time.Hour):                      now.Add(-time.Hour),
			now.Add(-48 * time.Hour):                 now,
			now.Add(time.Hour):                       now,
			now.Add(30 * time.Second):                now.Add(30 * time.Second),
			time.Unix(1<<40, 0):                      now,
			time.Date(1, 1, 1, 1, 1, 1, 1, time.UTC): now,
		} {
			if err := st.service.Undecided(t.Context(), decision.Undecided{At: at, Gateway: at.String()}); err != nil {
				t.Fatal(err)
			}
			for _, d := range st.undecidedFacts(t) {
				if d.Gateway == at.String() && !d.At.Equal(want) {
					t.Errorf("%s became %s, want %s", at, d.At, want)
				}
			}
		}
	})
}

var more = regexp.MustCompile(`and (\d+) more like it`)

// However many come, and however many gateways and statuses there are: no more facts
// than the bound, and every call is in one of them, as passed or refused.
func TestEveryUndecidedCallIsCounted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		counts := rapid.SliceOfN(rapid.IntRange(1, 900), 1, 8).Draw(rt, "counts")
		kinds := rapid.IntRange(1, 200).Draw(rt, "kinds")
		pause := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "pause")) * time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t, story{})
			told := map[bool]int64{}
			began := st.now()
			n := 0
			for _, count := range counts {
				for range count {
					n++
					passed := n%3 == 0
					told[passed]++
					if err := st.service.Undecided(t.Context(), decision.Undecided{Gateway: fmt.Sprint("g-", n%kinds), Passed: passed, Status: 200 + n%2}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(pause + time.Millisecond)
			}
			took := st.now().Sub(began)
			st.close()
			written := map[bool]int64{}
			facts := st.undecidedFacts(t)
			for _, d := range facts {
				written[d.Action == "allow"]++
				if m := more.FindStringSubmatch(d.Reasons[0].Message); m != nil {
					also, err := strconv.ParseInt(m[1], 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					written[d.Action == "allow"] += also
				}
			}
			if written[true] != told[true] || written[false] != told[false] {
				t.Errorf("told %v, written %v", told, written)
			}
			if most := 1000 + int(took/(10*time.Millisecond)) + (int(took/time.Second)+2)*66; len(facts) > most {
				t.Errorf("%d facts in %s", len(facts), took)
			}
		})
	})
}

func TestAnUndecidedCallThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var spool brokenSpool
		st := newStage(t, story{}, func(_ *decision.Config, p *decision.Parts) { spool.Recorder, p.Recorder = p.Recorder, &spool })
		spool.broken = true
		if err := st.service.Undecided(t.Context(), decision.Undecided{}); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := st.service.Undecided(gone, decision.Undecided{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
