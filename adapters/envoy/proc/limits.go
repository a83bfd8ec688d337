package proc

import "time"

// Limits bound what one call, and all of them, may take. The filter's
// message_timeout must be longer than Decide and than Settle: what takes longer ends
// the call there, with nothing that an SDK can read.
type Limits struct {
	Body    int64         // bytes of a caller's body; a longer one is refused
	Streams int           // calls at once
	Decide  time.Duration // for one decision
	Settle  time.Duration // for the report of a call whose caller waits for its end
	Memory  time.Duration // a call's wait until there is memory for its body
	Try     time.Duration // until a provider's headers, where the hold pays for another try
}

// DefaultLimits stay well under a message_timeout of five seconds.
func DefaultLimits() Limits {
	return Limits{
		Body: 8 << 20, Streams: 10_000,
		Decide: 3 * time.Second, Settle: 2 * time.Second, Memory: time.Second / 2,
		Try: 2 * time.Minute,
	}
}

const (
	// late bounds the report of a call that nobody waits for any more.
	late = 10 * time.Second
	// soon is when a caller may come again who was turned away.
	soon = time.Second
	// maxPiece is the most that Envoy should be sent at once where it takes any number
	// of pieces.
	maxPiece = 64 << 10
)
