package proc

import "time"

// Observer watches, so that the stages hold no metrics of their own. It is called
// from many goroutines and must not block.
type Observer interface {
	// TurnedAway: a call was refused before anything was decided.
	TurnedAway(why string)
	// Decided: how a call was answered, and how long that took.
	Decided(how string, took time.Duration)
	// Tried: what is known of one try, when the answer's head is here.
	Tried(t Try)
	// Ended: an answer has ended, one way or another.
	Ended(e Ending)
	// Unsettled: a report was not taken.
	Unsettled()
	// Misconfigured: the filter is not set up as it must be.
	Misconfigured(what string)
}

// Try is one try at one deployment. Status is 0 where no answer came.
type Try struct {
	Provider, Deployment string
	Status               int
	Outcome              string
}

// Ending is how an answer ended.
type Ending struct {
	Provider string
	How      string
	Rule     string // of the provider, for answers that break off
	Bytes    int64  // of the provider's, that passed by
}

// awayMemory is why a call is turned away, beside door's reasons.
const awayMemory = "memory"

// How a call was answered. A closed set.
const (
	decidedGo         = "go"
	decidedUnmetered  = "unmetered" // let through by its path
	decidedRefused    = "refused"
	decidedServed     = "served"
	decidedMalformed  = "malformed"  // no question could be made of it
	decidedUndecided  = "undecided"  // nothing could be decided
	decidedWithdrawn  = "withdrawn"  // the caller had gone
	decidedImpossible = "impossible" // the filter is not set up to ask
)

// Outcomes of tries. A closed set, the proxy's.
const (
	outcomeOK          = "ok"
	outcomeRefused     = "refused"
	outcomeLimited     = "rate_limited"
	outcomeUnavailable = "unavailable"
	outcomeAccount     = "not_admitted"
	outcomeRedirected  = "redirected"
	outcomeUnreached   = "not_connected"
	outcomeSlow        = "timeout"
	outcomeBroken      = "broken"
)

// How an answer ended. A closed set.
const (
	endComplete = "complete" // whole
	endFailed   = "failed"   // the provider said in the answer that it failed
	endBroken   = "broken"   // the provider ended it, and it was not whole
	endGone     = "gone"     // the stream ended before it: the caller hung up, or the provider did
	endGuarded  = "guarded"  // a guard ended it
	endStopped  = "stopped"  // we did, because the process ends
)

// What of a filter's configuration is not as it must be. A closed set.
const (
	wrongBodyMode   = "request_body_mode"
	wrongObserving  = "observability_mode"
	wrongUnseen     = "allow_mode_override"
	wrongUndecided  = "undecided_answer"
	wrongAttributes = "response_attributes"
)

type nobody struct{}

func (nobody) TurnedAway(string)             {}
func (nobody) Decided(string, time.Duration) {}
func (nobody) Tried(Try)                     {}
func (nobody) Ended(Ending)                  {}
func (nobody) Unsettled()                    {}
func (nobody) Misconfigured(string)          {}
