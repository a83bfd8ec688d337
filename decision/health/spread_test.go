package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/journal/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each story is of several replicas, A, B and C, that have one journal. A line is a
// moment, a replica, and what happens to it or is true of it then, as in the stories
// of one; or
//
//	0s     A   starts                 and, a second time, starts anew
//	0s     cut                        the journal cannot be written or read
//	9s     mend                       it can again
//	9s     told 2                     so many words stand in the journal
var shared = map[string]string{
	"what one was told keeps all away, for as long": `
		0s     A 429 | retry-after: 30
		0.1s   B is out
		0.1s   C is out
		29.9s  B is out
		30s    A is on trial 2 of 8
		30s    B is on trial 2 of 8
		30s    told 1`,
	"what failed at one is left alone by all, and comes back at each little by little": `
		0s     A fails
		0s     A fails
		0s     B is well
		0.1s   A fails
		0.2s   B is out
		5.1s   B is on trial 1 of 8
		5.1s   B 200
		5.1s   B is on trial 2 of 8
		5.2s   A is on trial 1 of 8
		5.3s   B 200
		5.3s   B 200
		5.3s   B is well
		5.3s   C is on trial 1 of 8`,
	"a trial that fails at one ends it at all, with twice the pause": `
		0s     A fails
		0s     A fails
		0s     A fails
		6s     B fails
		6.1s   A is out
		15.9s  A is out
		16s    A is on trial 1 of 8
		16s    C is on trial 1 of 8
		17s    C fails
		36.9s  A is out
		37s    A is on trial 1 of 8`,
	"the longer pause counts, whoever said it first": `
		0s     A 429 | retry-after: 60
		0s     B 429 | retry-after: 20
		21s    B is out
		59.9s  C is out
		60s    C is on trial 2 of 8`,
	"failures here, and a limit there": `
		0s     A fails
		0s     B 429 | retry-after: 2
		1s     A is out
		2s     A is on trial 2 of 8
		2s     A fails
		2.1s   B is out`,
	"a replica that starts knows who is out, and goes gently where somebody was": `
		0s     A 429 | retry-after: 60
		20s    C starts
		20.1s  C is out
		59.9s  C is out
		61s    B starts
		61.1s  B is on trial 2 of 8
		10m    B starts
		10m    B is well`,
	"also of itself, after a restart": `
		0s     A 429 | retry-after: 60
		1s     A starts
		1.1s   A is out
		60s    A is on trial 2 of 8`,
	"what is found while the journal is away is told when it is back, if it is still news": `
		0s     cut
		1s     A 429 | retry-after: 60
		2s     A 429 | retry-after: 100
		2s     A is out
		3s     B is well
		9s     mend
		15s    B is out
		101s   B is out
		102s   B is on trial 2 of 8
		102s   told 1
		103s   B 200
		103s   B 200
		103s   B 200
		200s   cut
		200s   C 429 | retry-after: 3
		210s   mend
		220s   B is well
		220s   told 1`,
	"what one provider says to each of a thousand calls is not told a thousand times": `
		0s     A 429 | retry-after: 60
		0s     B 429 | retry-after: 60
		0.1s   A 429 | retry-after: 60
		0.3s   B 429 | retry-after: 60
		0.5s   A 429 | retry-after: 60
		0.9s   A 429 | retry-after: 60
		1.0s   told 1
		2.0s   B 429 | retry-after: 60
		2.1s   A 429 | retry-after: 60
		2.2s   told 2
		61.9s  C is out
		62s    C is on trial 2 of 8`,
}

func TestSharedStories(t *testing.T) {
	for name, story := range shared {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tellShared(t, story) })
		})
	}
}

// replicas have one journal, and the clock of the bubble.
type replicas struct {
	t       *testing.T
	now     func() time.Time
	journal *line
	epochs  byte
	boards  map[string]*health.Board
	stops   map[string]func()
}

func newReplicas(t *testing.T) *replicas {
	begun := time.Now()
	r := &replicas{t: t, boards: map[string]*health.Board{}, stops: map[string]func(){}}
	r.now = func() time.Time { return start.Add(time.Since(begun)) }
	r.journal = &line{Memory: journal.NewMemory(4, r.now)}
	t.Cleanup(func() {
		for _, stop := range r.stops {
			stop()
		}
	})
	return r
}

// start begins a replica, anew if there was one of the name.
func (r *replicas) start(name string) *health.Board {
	if stop, ran := r.stops[name]; ran {
		stop()
	}
	r.epochs++
	board := health.NewBoard(r.now)
	r.boards[name], r.stops[name] = board, join(r.t, board, r.journal, journal.Epoch{r.epochs})
	return board
}

// join runs a board's spread until it is stopped.
func join(t *testing.T, board *health.Board, j health.Journal, epoch journal.Epoch) (stop func()) {
	spread := health.NewSpread(board, j, epoch, slog.New(slog.NewTextHandler(io.Discard, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := spread.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return sync.OnceFunc(func() { cancel(); running.Wait() })
}

// line is a journal that can be cut off, and what stands in it counted.
type line struct {
	*journal.Memory
	cut  atomic.Bool
	told atomic.Int64
}

var errCut = errors.New("the journal cannot be reached")

func (l *line) Append(ctx context.Context, recs ...journal.Record) error {
	if l.cut.Load() {
		return errCut
	}
	l.told.Add(int64(len(recs)))
	return l.Memory.Append(ctx, recs...)
}

func (l *line) Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	return l.Memory.Ends(ctx, topic)
}

func tellShared(t *testing.T, story string) {
	r := newReplicas(t)
	for _, name := range []string{"A", "B", "C"} {
		r.start(name)
	}
	for text := range strings.Lines(story) {
		moment, what, ok := strings.Cut(strings.TrimSpace(text), " ")
		if !ok {
			continue
		}
		synctest.Wait()
		if ahead := start.Add(duration(t, moment)).Sub(r.now()); ahead > 0 {
			time.Sleep(ahead)
		}
		synctest.Wait()
		what = strings.TrimSpace(what)
		if !r.play(what) {
			t.Fatalf("%s: no such line: %q", moment, what)
		}
		if t.Failed() {
			t.Fatalf("at %s", moment)
		}
	}
}

func (r *replicas) play(what string) bool {
	name, then, _ := strings.Cut(what, " ")
	board, of := r.boards[name]
	want, asks := strings.CutPrefix(then, "is ")
	switch {
	case what == "cut":
		r.journal.cut.Store(true)
	case what == "mend":
		r.journal.cut.Store(false)
	case name == "told":
		if got := fmt.Sprint(r.journal.told.Load()); got != then {
			r.t.Errorf("told %s, want %s", got, then)
		}
	case !of:
		return false
	case then == "starts":
		r.start(name)
	case asks:
		if got := standing(board, r.now(), want == "out"); got != want {
			r.t.Errorf("%s is %s, want %s", name, got, want)
		}
	default:
		board.Learn("d", sign(r.t, then))
	}
	return true
}

// However many replicas meet the same trouble however often: they agree until when
// it lasts, to a second, and no more is told than one word a second and replica.
func TestReplicasAgreeAndDoNotEcho(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type moment struct {
			pause      time.Duration
			who, where int
			sign       health.Sign
		}
		moments := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) moment {
			return moment{time.Duration(rapid.SampledFrom([]int{0, 0, 1, 10, 500, 3000}).Draw(t, "pause")) * time.Millisecond, rapid.IntRange(0, 2).Draw(t, "who"), rapid.IntRange(0, 1).Draw(t, "where"),
				rapid.SampledFrom([]health.Sign{failure, {Status: 429}, {Status: 429, Header: header("retry-after", "20")}, {Status: 503, Header: header("retry-after", "200")}}).Draw(t, "sign")}
		}), 1, 200).Draw(rt, "moments")
		synctest.Test(t, func(t *testing.T) {
			r := newReplicas(t)
			boards := []*health.Board{r.start("A"), r.start("B"), r.start("C")}
			for _, m := range moments {
				if m.pause > 0 {
					time.Sleep(m.pause)
				}
				boards[m.who].Learn([]string{"d", "e"}[m.where], m.sign)
			}
			took := r.now().Sub(start)
			time.Sleep(2 * health.Between)
			synctest.Wait()
			if told, most := r.journal.told.Load(), 2*3*(int64(took/health.WorthTelling)+2); told > most {
				t.Errorf("%d words in %s, of two deployments at three replicas", told, took)
			}
			out := func(b *health.Board) map[string]time.Time {
				until := map[string]time.Time{}
				for _, s := range b.States() {
					if s.Phase(r.now()) == health.Out && s.Until.Sub(r.now()) > health.WorthTelling {
						until[s.Deployment] = s.Until
					}
				}
				return until
			}
			first := out(boards[0])
			for _, b := range boards[1:] {
				for _, d := range []string{"d", "e"} {
					mine, theirs := first[d], out(b)[d]
					if apart := mine.Sub(theirs).Abs(); !mine.IsZero() && !theirs.IsZero() && apart >= health.WorthTelling {
						t.Errorf("%s is out until %s here and until %s there", d, mine, theirs)
					}
				}
			}
			settled := r.journal.told.Load()
			time.Sleep(time.Minute)
			if told := r.journal.told.Load(); told != settled {
				t.Errorf("%d words more of nothing new", told-settled)
			}
		})
	})
}

// A long topic is not read from its beginning, and one that lost its beginning, or
// holds what is not understood, is read on.
func TestWhatStandsInTheTopicDoesNotStopAnybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		say := func(deployment string, event journal.Event) {
			if event == nil {
				event = journal.Paused{Deployment: deployment, Cause: "failing", Since: r.now(), Until: r.now().Add(time.Minute), Pauses: 1, LastBad: r.now()}
			}
			if err := r.journal.Append(t.Context(), journal.Record{Topic: journal.TopicHealth, Event: event}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range health.Replayed + 10 {
			say(fmt.Sprint("d-", i%20), nil)
		}
		say("", journal.Unreadable{Why: "of a later version"})
		say("", journal.Named{Kind: "user"})
		say("", journal.Paused{})
		say("last", nil)
		board := r.start("A")
		synctest.Wait()
		if board.Healthy("last", r.now()) || board.Healthy("d-7", r.now()) {
			t.Errorf("what stands in the topic was not taken in: %v", board.States())
		}
		if len(board.States()) != 21 {
			t.Errorf("%d deployments are known", len(board.States()))
		}
		r.stops["A"]()
		ends, err := r.journal.Ends(t.Context(), journal.TopicHealth)
		if err != nil {
			t.Fatal(err)
		}
		r.journal.Trim(journal.TopicHealth, 0, ends[0]-1)
		if board = r.start("B"); len(board.States()) > 0 {
			t.Error("known before it was read")
		}
		synctest.Wait()
		if states := board.States(); len(states) != 1 || states[0].Deployment != "last" {
			t.Errorf("of what is left: %v", states)
		}
	})
}

// The same over the journal of production: what one board learns stands on the other,
// and on one that comes when both are gone.
func TestOverTheEmbeddedJournal(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := kafka.OpenEmbedded(t.Context(), t.TempDir(), kafka.EmbeddedConfig{}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	begin := func(epoch byte) (*health.Board, chan health.Change, func()) {
		changes := make(chan health.Change, 16)
		board := health.NewBoard(time.Now)
		board.Notify(func(c health.Change) { changes <- c })
		return board, changes, join(t, board, j, journal.Epoch{epoch})
	}
	one, _, stopOne := begin(1)
	two, heard, stopTwo := begin(2)
	one.Learn("d", health.Sign{Status: 429, Header: header("retry-after", "240")})
	if c := <-heard; !c.Told || c.To != health.Out || c.State.Cause != health.RateLimited || two.Healthy("d", time.Now()) {
		t.Errorf("the other heard %+v", c)
	}
	want := one.States()
	stopOne()
	stopTwo()
	three, heard, stopThree := begin(3)
	<-heard
	if got := three.States(); !slices.EqualFunc(got, want, func(a, b health.State) bool {
		return a.Deployment == b.Deployment && a.Until.Equal(b.Until) && a.Since.Equal(b.Since) && a.Cause == b.Cause
	}) {
		t.Errorf("one that starts knows %+v, want %+v", got, want)
	}
	stopThree()
}
