package health

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Journal is where replicas read of each other.
type Journal interface {
	Append(ctx context.Context, recs ...journal.Record) error
	Follow(ctx context.Context, topic journal.Topic, partition int32, from int64, handle func([]journal.Entry) error) error
	Ends(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
	Starts(ctx context.Context, topic journal.Topic) (map[int32]int64, error)
}

const (
	// replayed is how much of the topic a replica reads when it starts. In the ten
	// minutes that anything in it is news for, no more is written.
	replayed = 4096
	// between is the least time from one writing to the next: what is learnt in it
	// goes together.
	between = 100 * time.Millisecond
	// worthTelling is how much later a pause must end than the others know. A
	// provider that says "in a minute" to each of a thousand calls says it a thousand
	// times, each a moment later.
	worthTelling = time.Second
	// again is how long to wait when the journal failed.
	again = 5 * time.Second
)

// Spread tells the other replicas of the deployments that went out here, and this one
// of those that went out there, by the journal. What it cannot tell at once it tells
// when it can, if it is still news; nothing waits for it, and nothing is spooled.
type Spread struct {
	board   *Board
	journal Journal
	epoch   journal.Epoch
	log     *slog.Logger

	mu      sync.Mutex
	waiting map[string]State     // to be told, by deployment
	known   map[string]time.Time // until when the others know a deployment to be out
	wake    chan struct{}
}

// NewSpread joins a board to those of the other replicas. It is called before the
// board is shared; epoch is this process's, whose own words it need not hear.
func NewSpread(board *Board, j Journal, epoch journal.Epoch, log *slog.Logger) *Spread {
	s := &Spread{board: board, journal: j, epoch: epoch, log: log,
		waiting: map[string]State{}, known: map[string]time.Time{}, wake: make(chan struct{}, 1)}
	board.tell = s.offer
	return s
}

// Run tells and listens until ctx ends, which is no error. A journal that cannot be
// read is no reason to stop: each replica then learns for itself.
func (s *Spread) Run(ctx context.Context) error {
	var talking sync.WaitGroup
	talking.Go(func() { s.talk(ctx) })
	s.listen(ctx)
	talking.Wait()
	return nil
}

// offer takes a pause that began or grew here. The board calls it under its lock.
func (s *Spread) offer(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state.Until.Before(s.known[state.Deployment].Add(worthTelling)) {
		return
	}
	if _, there := s.waiting[state.Deployment]; !there && len(s.waiting) >= maxDeployments {
		return
	}
	s.waiting[state.Deployment] = state
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// talk writes what is offered, one writing after the other.
func (s *Spread) talk(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		then := between
		if news := s.take(); len(news) > 0 {
			err := s.write(ctx, news)
			if err != nil {
				then = again
			}
			s.log.LogAttrs(ctx, told(err != nil, failing), "telling other replicas which deployments are out", slog.Any("err", err))
			failing = err != nil
		}
		if !pause(ctx, then) {
			return
		}
	}
}

// told is how loud to be about a writing: an outage is said at its beginning and end.
func told(fails, failed bool) slog.Level {
	switch {
	case fails && !failed:
		return slog.LevelWarn
	case failed && !fails:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// take is what of all that waits is still news, and the others do not know.
func (s *Spread) take() (news []State) {
	at := s.board.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for deployment, state := range s.waiting {
		delete(s.waiting, deployment)
		if state.Phase(at) == Out && s.know(state, at) {
			news = append(news, state)
		}
	}
	return news
}

// write tells news. What could not be written waits again, if nothing newer does.
func (s *Spread) write(ctx context.Context, news []State) error {
	records := make([]journal.Record, len(news))
	for i, state := range news {
		records[i] = journal.Record{Topic: journal.TopicHealth, Origin: journal.Origin{Epoch: s.epoch}, Event: state.paused()}
	}
	err := s.journal.Append(ctx, records...)
	if err == nil {
		return nil
	}
	for _, state := range news {
		s.mu.Lock()
		if s.known[state.Deployment].Equal(state.Until) {
			delete(s.known, state.Deployment)
		}
		newer, waits := s.waiting[state.Deployment]
		s.mu.Unlock()
		if !waits || newer.Until.Before(state.Until) {
			s.offer(state)
		}
	}
	return err
}

// know notes until when the others know a deployment to be out; false: they knew. The
// caller has the lock.
func (s *Spread) know(state State, at time.Time) bool {
	if len(s.known) >= maxDeployments {
		for deployment, until := range s.known {
			if until.Before(at) {
				delete(s.known, deployment)
			}
		}
	}
	until, told := s.known[state.Deployment]
	if state.Until.Before(until.Add(worthTelling)) {
		return false
	}
	if told || len(s.known) < maxDeployments {
		s.known[state.Deployment] = state.Until
	}
	return true
}

// listen follows the topic. What it cannot read it passes over: a later version may
// say more than we understand, and nothing rests on this.
func (s *Spread) listen(ctx context.Context) {
	for from := int64(-1); ctx.Err() == nil; {
		err := error(nil)
		if from < 0 {
			from, err = s.beginning(ctx)
		}
		if err == nil {
			err = s.journal.Follow(ctx, journal.TopicHealth, 0, from, func(batch []journal.Entry) error {
				for i := range batch {
					s.hear(&batch[i])
					from = batch[i].Offset + 1
				}
				return nil
			})
		}
		if ctx.Err() != nil || errors.Is(err, journal.ErrClosed) {
			return
		}
		if gap := (*journal.GapError)(nil); errors.As(err, &gap) {
			from = -1 // Retention is short; what went by was news once.
		}
		s.log.Warn("what other replicas found of deployments cannot be read; this one learns for itself", "err", err)
		pause(ctx, again)
	}
}

// beginning is where a replica that starts begins to read.
func (s *Spread) beginning(ctx context.Context) (int64, error) {
	starts, err := s.journal.Starts(ctx, journal.TopicHealth)
	if err != nil {
		return -1, err
	}
	ends, err := s.journal.Ends(ctx, journal.TopicHealth)
	if err != nil {
		return -1, err
	}
	return max(starts[0], ends[0]-replayed), nil
}

// hear takes in one word of another replica, or of this one before it was restarted.
func (s *Spread) hear(e *journal.Entry) {
	p, is := e.Event.(journal.Paused)
	if !is || e.Origin.Epoch == s.epoch {
		return
	}
	at := s.board.now()
	state := stateOf(&p).within(at)
	s.mu.Lock()
	s.know(state, at)
	s.mu.Unlock()
	s.board.adopt(state)
}

// pause waits; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
