package proxy

import "time"

// Limits bound what one call, and all of them, may take.
type Limits struct {
	Body    int64 // bytes of a caller's body; a longer one is refused
	Streams int   // calls at once
	Drains  int   // calls at once that are read on after their caller has gone

	Connect   time.Duration // until a connection to a provider stands, TLS included
	FirstByte time.Duration // from a try's beginning until the provider's headers
	Idle      time.Duration // between two bytes of a provider's answer
	Write     time.Duration // until a caller has taken what was written
	Settle    time.Duration // for the report of one call
	Memory    time.Duration // a call's wait until there is memory for its body
}

// DefaultLimits leave a model ten minutes to think, which the official SDKs also
// wait, and cut a caller who takes nothing for a minute.
func DefaultLimits() Limits {
	return Limits{
		Body: 8 << 20, Streams: 10_000, Drains: 256,
		Connect: 10 * time.Second, FirstByte: 10 * time.Minute, Idle: 5 * time.Minute,
		Write: time.Minute, Settle: 10 * time.Second, Memory: 10 * time.Second,
	}
}

const (
	// maxTries bounds the deployments tried for one call, however many the answer
	// names: a report has room for as many.
	maxTries = 32
	// maxRejection is how much of a provider's error is read. Nobody's error object
	// is longer; what is, is replaced by ours.
	maxRejection = 256 << 10
	// rejectionTime bounds the reading of it.
	rejectionTime = 10 * time.Second
	// maxDiscarded is how much of a body that is refused anyway is read and thrown
	// away. A client that is still sending when the connection closes may lose the
	// answer that says why.
	maxDiscarded = 64 << 20
	// restTime is how long the end of a connection's answer is waited for after the
	// last event, so that the connection can be used again.
	restTime = 100 * time.Millisecond
	// unheldDrain bounds the drain of a call that holds nothing.
	unheldDrain = 15 * time.Minute
	// soon is when a caller may come again who was turned away.
	soon = time.Second
)
