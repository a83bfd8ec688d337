package follow

// MaxEvent is the bound of what waits.
const MaxEvent = maxEvent

// MaxGuarded is the bound of what waits to be guarded.
const MaxGuarded = maxGuarded

// Keeps is how many bytes the answer has in its buffers.
func (a *Answer) Keeps() int {
	r := &a.relay
	return cap(r.buf) + cap(r.pending) + cap(r.held) + cap(a.scan.usage) + cap(a.scan.tier) + cap(a.said) + cap(a.tier)
}
