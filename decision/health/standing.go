package health

import "time"

const (
	// minPause and maxPause bound every pause, whoever asks for it. A provider's
	// limit that lasts longer is met again after maxPause, at the cost of a few
	// calls; one that is read wrongly, or set by a clock that is wrong, is over then.
	minPause = time.Second
	maxPause = 5 * time.Minute

	// failuresInRow, broken answers included, take a deployment out for firstPause,
	// and each failure of a trial for twice the pause before. Fewer than three would be one unlucky
	// call and its retry.
	failuresInRow = 3
	firstPause    = 5 * time.Second

	// successesInRow end a trial; until the first, one call goes in each probeEvery.
	successesInRow = 3
	probeEvery     = time.Second
	// maxTrial ends a trial in which nobody went there.
	maxTrial = maxPause
	// maxPauses ends their counting: far beyond the bound, far from an overflow.
	maxPauses = 16
	// memory is how long after the last bad sign a failure counts as one in a row,
	// and a pause as the one before the next.
	memory = maxPause
)

// Phase is how a deployment stands at a moment.
type Phase string

// Phases.
const (
	Well  Phase = "healthy"
	Out   Phase = "out"   // nobody should go there
	Trial Phase = "trial" // a few may, and more with each success
)

// Cause is why a deployment is out or on trial.
type Cause string

// Causes.
const (
	RateLimited Cause = "rate_limited" // the provider said so
	Failing     Cause = "failing"
)

// State is what is known of one deployment: a plain value that the signs lead
// from one to the next, with no clock, so that it can be written down and handed
// on to other replicas.
type State struct {
	Deployment string
	Cause      Cause     // of the last pause
	Failures   int       // before an answer began, in a row, while it is not out
	Breaks     int       // answers that broke off, with none read whole in between
	Pauses     int       // that our own count has made, one after another
	Since      time.Time // when it went out last; zero: not yet
	Until      time.Time // when it comes back on trial; zero: it is not out
	Successes  int       // in a row, on trial
	LastBad    time.Time
}

// Phase is how it stands at a moment.
func (s State) Phase(at time.Time) Phase {
	if s.Until.IsZero() {
		return Well
	}
	// More than any pause ahead can only be if the clock was put back.
	switch left := s.Until.Sub(at); {
	case left > 0 && left <= maxPause:
		return Out
	case left <= 0 && left > -maxTrial:
		return Trial
	}
	return Well
}

// share is one in how many calls of a trial goes there; 0: one in each probeEvery.
// A deployment that was only limited works, so it begins with a share.
func (s State) share() uint64 {
	steps := s.Successes
	if s.Cause == RateLimited {
		steps++
	}
	switch {
	case steps == 0:
		return 0
	case steps == 1:
		return 4
	}
	return 2
}

// stale reports whether the state says nothing at all any more.
func (s State) stale(at time.Time) bool {
	if s.Phase(at) != Well {
		return false
	}
	if s.LastBad.IsZero() || s.Failures == 0 && s.Breaks == 0 && s.Pauses == 0 {
		return true
	}
	since := at.Sub(s.LastBad)
	return since < 0 || since >= memory
}

// after is the state that a sign leads to.
func (s State) after(r reading, at time.Time) State {
	if s.stale(at) {
		s = State{Deployment: s.Deployment}
	}
	phase := s.Phase(at)
	if phase == Well {
		s.Until, s.Successes = time.Time{}, 0
	}
	// What was under way when it went out is the news that took it out, once more.
	old := phase != Well && !r.began.IsZero() && r.began.Before(s.Since)
	switch {
	case r.says == limited:
		return s.limited(r, phase, at)
	case old:
		return s
	case r.says == failed:
		return s.failed(r, phase, at)
	case r.says == good:
		s = s.succeeded(phase, at)
	}
	if r.whole {
		s.Breaks = 0
	}
	return s
}

// limited takes the provider at its word. Of two words the longer counts, in
// whichever order they come; without a word the pause is as for a failure.
func (s State) limited(r reading, phase Phase, at time.Time) State {
	s.LastBad = at
	if r.pause == 0 {
		if phase == Out {
			return s
		}
		return s.out(RateLimited, at)
	}
	until := at.Add(min(max(r.pause, minPause), maxPause))
	if phase != Out {
		s.Since, s.Successes = at, 0
	}
	if phase != Out || until.After(s.Until) {
		s.Cause, s.Until = RateLimited, until
	}
	return s
}

// failed counts failures, and takes the deployment out for one too many. One that
// is out already was tried by somebody who had no other: that is no news.
func (s State) failed(r reading, phase Phase, at time.Time) State {
	if phase == Out {
		return s
	}
	s.LastBad = at
	if r.broke {
		s.Breaks++
	} else {
		s.Failures++
	}
	if phase == Trial || s.Failures+s.Breaks >= failuresInRow {
		return s.out(Failing, at)
	}
	return s
}

// out begins a pause of our own measure, twice the one before.
func (s State) out(cause Cause, at time.Time) State {
	pause := maxPause
	if s.Pauses < maxPauses {
		pause = min(firstPause<<s.Pauses, maxPause)
		s.Pauses++
	}
	s.Cause, s.Since, s.Until = cause, at, at.Add(pause)
	s.Successes, s.Failures, s.Breaks = 0, 0, 0
	return s
}

// succeeded lets more calls through, and all after enough of them. It does not
// end a limit: smaller calls may pass where larger ones are refused.
func (s State) succeeded(phase Phase, at time.Time) State {
	switch {
	case phase == Out && s.Cause == Failing:
		s.Until, s.Successes = at, 1
	case phase == Trial:
		s.Successes++
	case phase == Well:
		s.Failures = 0
	}
	if s.Successes >= successesInRow {
		s.Until, s.Successes, s.Failures = time.Time{}, 0, 0
	}
	return s
}
