package decision

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// Settle takes the report of one call and replaces its hold by what it cost. It
// is idempotent: the first report of a rank stands, a repeat gets its charge
// again. An error is a *ReportError, or the journal and the spool both failed.
func (s *Service) Settle(ctx context.Context, r Report) (Settled, error) {
	k, err := s.callOf(r)
	if err != nil {
		return Settled{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if prior, ok := s.prior(k, journal.RankExact); ok {
		return prior, nil // Whatever this report says, no word is better than the one we have.
	}
	bill, err := s.bill(k, r)
	if err != nil {
		return Settled{}, err
	}
	if prior, ok := s.prior(k, bill.rank); ok {
		return prior, nil
	}
	s.learn(k, r)
	if len(k.parts) == 0 {
		return s.note(k, bill)
	}
	return s.post(ctx, k, bill)
}

// prior is the charge that stands, where a report of this rank cannot replace it.
// Another replica may have been told better than we were.
func (s *Service) prior(k *call, rank journal.Rank) (Settled, bool) {
	if k.charge == nil {
		return Settled{}, false
	}
	if first, ok := s.firstCharge(k); ok && first.Rank > k.rank {
		s.calls.closed(k, receipt(k.note, *first.Usage, true), first.Rank, s.now())
	}
	if rank > k.rank {
		return Settled{}, false
	}
	prior := *k.charge
	prior.Repeated = true
	s.observe.Settled("repeated", true, prior.OverHold, 0)
	return prior, true
}

// post writes the settlement: one entry on each ledger key the call holds on.
func (s *Service) post(ctx context.Context, k *call, b bill) (Settled, error) {
	parts := s.charges(k, b)
	b.usage.OverHold = b.usage.OverHold || aboveHold(parts)
	outcome, err := s.ledger.Settle(ctx, ledger.Settlement{
		Parts: parts, CallID: k.note.CallID, DecisionID: k.note.DecisionID,
		Rank: b.rank, Outcome: b.outcome, Usage: &b.usage,
	})
	if err != nil {
		return Settled{}, fmt.Errorf("settle call %s: %w", k.note.CallID, err)
	}
	settled := receipt(k.note, b.usage, outcome.Acknowledged)
	if outcome.Repeated {
		// Another replica settled it first; what it charged stands.
		if first, ok := s.firstCharge(k); ok {
			settled = receipt(k.note, *first.Usage, true)
		}
		settled.Repeated = true
	}
	s.calls.closed(k, settled, b.rank, s.now())
	s.observe.Settled(string(b.outcome), settled.Repeated, settled.OverHold, settled.ChargedNanoUSD)
	return settled, nil
}

// note writes down what an unmetered call used. No meter is charged, because
// nothing was held: the journal was away, and the operator had chosen open.
func (s *Service) note(k *call, b bill) (Settled, error) {
	for i := range b.usage.Attempts {
		b.usage.Attempts[i].ChargedNanoUSD = 0
	}
	b.usage.ChargedNanoUSD, b.usage.OverHold = 0, false
	err := s.recorder.Put(journal.Record{Topic: journal.TopicLedger, Key: k.key.tenant,
		Event: journal.Reported{CallID: k.note.CallID, Gateway: k.note.Gateway, Usage: b.usage}})
	if err != nil {
		return Settled{}, fmt.Errorf("note the usage of call %s: %w", k.note.CallID, err)
	}
	settled := receipt(k.note, b.usage, false)
	s.calls.closed(k, settled, b.rank, s.now())
	s.observe.Settled(string(b.outcome), false, false, 0)
	return settled, nil
}

// firstCharge is how the ledger remembers that a call was settled.
func (s *Service) firstCharge(k *call) (journal.Settled, bool) {
	for _, part := range k.parts {
		if first, ok := s.ledger.Lookup(part.Hold, part.Key); ok && first.Usage != nil {
			return first, true
		}
	}
	return journal.Settled{}, false
}

// callOf finds the call a report is about, by its token, its id, or both.
func (s *Service) callOf(r Report) (*call, error) {
	switch {
	case r.Token != "":
		k, err := s.callOfToken(r.Token)
		if err != nil {
			return nil, err
		}
		if r.CallID != "" && r.CallID != k.key.id && k.key.id != k.decision {
			return nil, &ReportError{http.StatusBadRequest, "report_token and call_id are of different calls; send one of them, or both of the same call"}
		}
		return k, nil
	case r.CallID == "":
		return nil, &ReportError{http.StatusBadRequest, "neither report_token nor call_id: send the one the decision answered with"}
	}
	found := s.calls.ofID(callName{r.Gateway, r.CallID})
	switch len(found) {
	case 0:
		return nil, &ReportError{http.StatusNotFound, "no answered call of this gateway has this call_id, or it was settled more than 24 hours ago"}
	case 1:
		return found[0], nil
	}
	return nil, &ReportError{http.StatusBadRequest, "several apps have a call with this call_id; send the report_token instead"}
}

func (s *Service) callOfToken(token string) (*call, error) {
	forged := &ReportError{http.StatusUnauthorized, "the report_token is not one of ours, or it was altered"}
	payload, err := s.signer.Verify(token)
	if err != nil {
		return nil, forged
	}
	t, err := ledger.DecodeToken(payload)
	if err != nil {
		return nil, forged
	}
	n, err := decodeNote(t.Note)
	if err != nil {
		return nil, forged
	}
	if len(t.Parts) == 0 {
		return s.calls.adopt(n, nil, false, s.now()), nil // An unmetered call: the note is all there is.
	}
	if k := s.calls.ofHold(holdKey{t.Parts[0].Key, t.Parts[0].Hold}); k != nil {
		return k, nil
	}
	parts, err := s.ledger.Charges(t)
	if err != nil {
		return nil, &ReportError{http.StatusNotFound, "the call of this report_token is no longer known: " + err.Error()}
	}
	k := s.calls.adopt(n, parts, false, s.now())
	s.remember(k)
	return k, nil
}

// remember finds out whether a call that we took over is settled, and at what: a
// repeat gets the first charge, whoever took the first report.
func (s *Service) remember(k *call) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.charge != nil {
		return
	}
	if first, ok := s.firstCharge(k); ok {
		s.calls.closed(k, receipt(k.note, *first.Usage, true), first.Rank, s.now())
	}
}

// receipt is what a report is answered with.
func receipt(n *note, u journal.Usage, acknowledged bool) Settled {
	return Settled{Settled: acknowledged, ChargedNanoUSD: u.ChargedNanoUSD,
		ReleasedNanoUSD: max(0, n.HeldNanoUSD-u.ChargedNanoUSD), OverHold: u.OverHold}
}

// reportToken is everything a settlement needs, signed, so that any replica can
// take the report. It has room for some 700 bytes, which a long failover list is
// left out of.
func (s *Service) reportToken(c *Case, n note) (string, error) {
	n = n.withoutTags()
	payload, err := c.Held.Token(n.encode()).Encode()
	if err != nil {
		payload, err = c.Held.Token(n.withoutDeployments().encode()).Encode()
	}
	if err != nil {
		// A long id of the gateway's own; another replica will know the call by ours.
		n.CallID = n.DecisionID
		payload, err = c.Held.Token(n.withoutDeployments().encode()).Encode()
	}
	if err != nil {
		return "", fmt.Errorf("make the report token: %w", err)
	}
	return s.signer.Sign(payload), nil
}

// adopt takes over, at start, what the process before left open in this folder.
func (s *Service) adopt() {
	for _, open := range s.ledger.Open() {
		if n, err := decodeNote(open.Note); err == nil {
			s.calls.adopt(n, open.Parts, true, s.now())
		} else {
			s.log.Error("a hold of the process before cannot be read; it is charged by rule", "call", open.CallID, "err", err)
		}
	}
}

// Run settles by rule the calls whose report never came, and writes down how many
// calls nobody decided. It ends with ctx.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.countUndecided()
			return nil
		case <-tick.C:
			s.settleOverdue(ctx)
			s.countUndecided()
		}
	}
}

// settleOverdue charges what nobody reported: unknown is not zero.
func (s *Service) settleOverdue(ctx context.Context) {
	s.calls.leaveOld(s.now())
	for _, open := range s.ledger.Overdue(s.now()) {
		if err := s.settleByRule(ctx, open); err != nil && ctx.Err() == nil {
			s.log.Error("settle by rule", "call", open.CallID, "err", err)
		}
	}
}

func (s *Service) settleByRule(ctx context.Context, open ledger.OpenHold) error {
	k := s.calls.ofHold(firstOfParts(open.Parts))
	if k == nil {
		n, err := decodeNote(open.Note)
		if err != nil {
			n = note{CallID: open.CallID, At: open.HeldAt}
		}
		k = s.calls.adopt(n, open.Parts, true, s.now())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.charge != nil {
		// We remember a charge, and the ledger has the hold open all the same. Money
		// that is out must come back: the fold knows a repeat for what it is.
		n, err := decodeNote(open.Note)
		if err != nil {
			n = note{CallID: open.CallID, At: open.HeldAt}
		}
		k = &call{key: k.key, decision: n.DecisionID, note: &n, parts: open.Parts, line: k.line}
	}
	_, err := s.post(ctx, k, s.byRule(k, journal.OutcomeUnknown))
	return err
}

// charges spreads the bill over the call's meters, each in its own unit, and adds
// the capacity of deployments that the gateway failed over to.
func (s *Service) charges(k *call, b bill) []journal.HeldOn {
	world := s.registry.Snapshot()
	parts := make([]journal.HeldOn, len(k.parts))
	held := map[int64]bool{}
	for i, part := range k.parts {
		parts[i] = part
		parts[i].Charges = make([]journal.Charge, len(part.Charges))
		for j, charge := range part.Charges {
			held[charge.Meter.Budget] = true
			charge.Actual = b.on(world, charge)
			parts[i].Charges[j] = charge
		}
	}
	return withFailoverCapacity(world, parts, b, held)
}

// aboveHold reports whether a meter is charged more than was held on it. Meters
// without a hold of this call do not count: a failover's capacity.
func aboveHold(parts []journal.HeldOn) bool {
	for _, part := range parts {
		for _, charge := range part.Charges {
			if charge.Held > 0 && charge.Actual > charge.Held {
				return true
			}
		}
	}
	return false
}

// withFailoverCapacity charges the capacity of each deployment that answered and
// whose capacity was not held. No lease stands behind it.
func withFailoverCapacity(world *registry.Snapshot, parts []journal.HeldOn, b bill, held map[int64]bool) []journal.HeldOn {
	for _, attempt := range b.usage.Attempts {
		d, ok := world.Deployment(attempt.Deployment)
		if !ok || d.Capacity == nil || held[d.Capacity.Incarnation] {
			continue
		}
		label, _, _, err := ledger.Label(d.Capacity.Window, d.Capacity.Unit, b.usage.At)
		if err != nil {
			continue // The registry validated the window; a zone that vanished cannot stop a settlement.
		}
		extra := journal.Charge{Meter: journal.Meter{Budget: d.Capacity.Incarnation, Unit: d.Capacity.Unit, Label: label}}
		if extra.Actual = b.on(world, extra); extra.Actual == 0 {
			continue
		}
		held[d.Capacity.Incarnation] = true
		for i := range parts {
			if parts[i].Key == journal.SharedKey {
				parts[i].Charges = append(parts[i].Charges, extra)
			}
		}
		// A call that held nothing on the shared key has no hold there to settle
		// under; its failover is seen by the next window's figures only.
	}
	return parts
}
