package proc

import "context"

// Streams is how many calls are in flight.
func (p *Processor) Streams() int { return p.flights.Count() }

// Shutdown takes no new calls and waits for those in flight. Shortly before ctx
// ends it cuts them, so that they settle while there is still a ledger to settle in.
// It must be called before whatever the Settler needs is stopped, and before the
// server: streams that the server cuts settle too, but nobody waits for them.
func (p *Processor) Shutdown(ctx context.Context) error {
	cut, err := p.flights.Land(ctx)
	if cut > 0 && err == nil {
		p.Log.Warn("calls of an Envoy's were cut in flight, and charged by their provider's rule", "calls", cut)
	}
	return err
}
