package health

import "time"

// Adopt is what hearing of another replica does to the board.
func (b *Board) Adopt(s State, at time.Time) { b.adopt(s.within(at)) }

// Joined is what two replicas know together.
func (s State) Joined(o State) State { return s.joined(o) }

// Between is the least time from one writing to the next, and WorthTelling how much
// later a pause must end than the others know.
const (
	Between      = between
	WorthTelling = worthTelling
	Replayed     = replayed
)
