package proxy

import "context"

// Stats is how many calls are in flight, those that are only read on for their
// usage included, and how many of them are.
func (p *Proxy) Stats() (calls, drains int) { return p.flights.Count(), len(p.drains) }

// Shutdown takes no new calls and waits for those in flight. Shortly before ctx
// ends it cuts them, so that they settle while there is still a ledger to settle
// in. It must be called before whatever the Settler needs is stopped.
func (p *Proxy) Shutdown(ctx context.Context) error {
	defer p.transports.close()
	cut, err := p.flights.Land(ctx)
	if cut > 0 && err == nil {
		p.Log.Warn("calls in flight were cut, and charged by their provider's rule", "calls", cut)
	}
	return err
}
