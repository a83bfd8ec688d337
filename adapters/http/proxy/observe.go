package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision/health"
)

// Observer watches, so that the stages hold no metrics and no tracing of their
// own. It is called from many goroutines and must not block.
type Observer interface {
	// TurnedAway: a call was refused before anything was decided.
	TurnedAway(why string)
	// Tried: one try has an answer's head, or has failed.
	Tried(ctx context.Context, t Try)
	// FirstByte: of an answer, and how long after its try began.
	FirstByte(ctx context.Context, provider string, after time.Duration)
	// Ended: an answer that was relayed has ended, one way or another.
	Ended(ctx context.Context, e Ending)
	// Unsettled: a report was not taken.
	Unsettled()
}

// Try is one try at one deployment. Status is 0 where no answer came.
type Try struct {
	Provider, Deployment string
	Status               int
	Outcome              string
	Took                 time.Duration
}

// Ending is how an answer ended. Drained: its caller had gone, and it was read on.
type Ending struct {
	Provider string
	How      string
	Rule     string // of the provider, for answers that break off
	Drained  bool
	Bytes    int64 // relayed
}

// Outcomes of tries. A closed set.
const (
	outcomeOK          = "ok"
	outcomeRefused     = "refused"       // 4xx: the caller's own fault
	outcomeLimited     = "rate_limited"  // 429
	outcomeUnavailable = "unavailable"   // 5xx
	outcomeAccount     = "not_admitted"  // 401 and its kin: our account there
	outcomeRedirected  = "redirected"    // 3xx
	outcomeUnreached   = "not_connected" // or cut before the request had left
	outcomeSlow        = "timeout"
	outcomeBroken      = "broken"
	outcomeGone        = "gone" // the caller hung up, or we stop
	noCredential       = "no_credential"
)

func outcomeOf(a *attempt, f fate) string {
	switch {
	case f == ended:
		return outcomeGone
	case a.resp == nil && errors.Is(a.err, errSlow):
		return outcomeSlow
	case f == unsure:
		return outcomeBroken
	case a.resp == nil:
		return outcomeUnreached
	}
	switch status := a.resp.StatusCode; {
	case f == relayed:
		return outcomeOK
	case f == rejected:
		return outcomeRefused
	case status == http.StatusTooManyRequests:
		return outcomeLimited
	case status >= 500:
		return outcomeUnavailable
	case door.AboutUs(status):
		return outcomeAccount
	}
	return outcomeRedirected
}

type nobody struct{}

func (nobody) TurnedAway(string)                                {}
func (nobody) Tried(context.Context, Try)                       {}
func (nobody) FirstByte(context.Context, string, time.Duration) {}
func (nobody) Ended(context.Context, Ending)                    {}
func (nobody) Unsettled()                                       {}

type unlearning struct{}

func (unlearning) Learn(string, health.Sign) {}
