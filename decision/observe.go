package decision

import "time"

// Observer watches what the pipeline does, so that the stages hold no metrics
// and no logging of their own.
type Observer interface {
	Decided(c *Case, a *Answer, took time.Duration)
	Settled(outcome string, repeated, overHold bool, chargedNanoUSD int64)
	PolicyFailed(err error)
	Undecided(passed bool)
}

// nobody watches.
type nobody struct{}

func (nobody) Decided(*Case, *Answer, time.Duration) {}
func (nobody) Settled(string, bool, bool, int64)     {}
func (nobody) PolicyFailed(error)                    {}
func (nobody) Undecided(bool)                        {}
