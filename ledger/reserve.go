package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

type answer struct {
	held  Held
	short []Shortage
	err   error
}

// Hold sets aside what a call can cost, on all its meters or on none, on the
// first candidate that has room. Where none has, it waits a bounded time. It
// returns what is short when the call is refused, and an error only when it
// cannot know.
func (k *Keeper) Hold(ctx context.Context, req *HoldRequest) (Held, []Shortage, error) {
	if err := checkRequest(req); err != nil {
		return Held{}, nil, err
	}
	k.mu.Lock()
	w, a := k.tryHold(req)
	k.mu.Unlock()
	if w == nil {
		return a.held, a.short, a.err
	}
	k.wake()
	timer := time.NewTimer(k.cfg.LeaseWait + k.cfg.HoldWait)
	defer timer.Stop()
	select {
	case a := <-w.done:
		return a.held, a.short, a.err
	case <-timer.C:
		a = k.lastLook(w)
	case <-ctx.Done():
		k.mu.Lock()
		defer k.mu.Unlock()
		select {
		case a := <-w.done: // It was given money in this moment: nobody will use it.
			k.releaseLocked(a.held)
		default:
			k.leave(w)
			k.serve(nil, k.now())
		}
		return Held{}, nil, ctx.Err()
	}
	return a.held, a.short, a.err
}

func checkRequest(req *HoldRequest) error {
	if req.Floor < 0 || req.Want < req.Floor {
		return fmt.Errorf("ledger: hold: output from %d to %d", req.Floor, req.Want)
	}
	if len(req.Candidates) == 0 {
		return errors.New("ledger: hold: no candidate")
	}
	for i := range req.Candidates {
		demands := req.Candidates[i].Demands
		for j := range demands {
			for l := range j {
				if demands[l].Meter.Budget == demands[j].Meter.Budget && demands[l].Key == demands[j].Key {
					return fmt.Errorf("ledger: hold: budget %q is asked twice", demands[j].Budget.Name)
				}
			}
		}
	}
	return nil
}

// tryHold holds from what is in hand, refuses what the fold says is spent, or
// makes the call wait.
func (k *Keeper) tryHold(req *HoldRequest) (*waiter, answer) {
	if err := k.available(req); err != nil {
		return nil, answer{err: err}
	}
	now := k.now()
	v := k.look(req, now, newcomer)
	if v.fits {
		return nil, answer{held: k.take(req, &v, now)}
	}
	if v.hopeless {
		return nil, answer{short: k.shortages(req, now)}
	}
	if err := k.journal.Healthy(); err != nil {
		return nil, answer{err: fmt.Errorf("%w: %w", ErrJournalUnavailable, err)}
	}
	if len(k.waiters) >= waitersMost || k.home(req).callers >= waitersOfOne {
		return nil, answer{short: k.shortages(req, now)}
	}
	w := &waiter{req: req, done: make(chan answer, 1), prefer: v.candidate}
	k.line(w)
	k.turn++
	if w.looked = k.turn; !k.lookAgain(w, now) {
		k.looked = append(k.looked[:0], w)
		k.askForWaiters(nil, now)
	}
	return w, answer{}
}

// available refuses keys whose books cannot be trusted or are not read yet.
func (k *Keeper) available(req *HoldRequest) error {
	if k.fatal != nil {
		return k.fatal
	}
	for i := range req.Candidates {
		for j := range req.Candidates[i].Demands {
			if err := k.readyOn(k.purse(req.Candidates[i].Demands[j].Key).partition); err != nil {
				return err
			}
		}
	}
	if k.cfg.Mode == ModeClosed {
		if err := k.journal.Healthy(); err != nil {
			return fmt.Errorf("%w: %w", ErrJournalUnavailable, err)
		}
	}
	return nil
}

// lastLook is what a call gets whose wait is over: the first candidate that is in
// hand, though an earlier one might still have come.
func (k *Keeper) lastLook(w *waiter) answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case a := <-w.done:
		return a
	default:
	}
	now := k.now()
	defer k.serve(nil, now)
	v := k.look(w.req, now, stance{waits: true, asked: true, n: w.n, last: true})
	if v.fits {
		held := k.take(w.req, &v, now)
		k.leave(w)
		return answer{held: held}
	}
	k.leave(w)
	if err := k.journal.Healthy(); err != nil {
		return answer{err: fmt.Errorf("%w: %w", ErrJournalUnavailable, err)}
	}
	return answer{short: k.shortages(w.req, now)}
}

// serveWaiters gives what is in hand to the calls that wait, on all keys.
func (k *Keeper) serveWaiters() { k.serve(k.lined, k.now()) }

// serve gives what is in hand to the calls that wait, first come first served: a
// call behind another on any meter does not pass it there. Only those look again
// for whom something changed, on the meters of these purses or because somebody
// left: thousands may wait for one meter, and others must not pay for that. What
// is still missing is asked for.
func (k *Keeper) serve(purses map[*purse]bool, now time.Time) {
	k.turn++
	for p := range purses {
		k.lookForChanges(p, now)
	}
	k.looked = k.looked[:0]
	for w := k.next(); w != nil; w = k.next() {
		if !k.lookAgain(w, now) {
			k.looked = append(k.looked, w)
		}
	}
	k.askForWaiters(purses, now)
	clear(k.looked)
	k.cancelUnwanted()
}

// lookAgain answers a call that waits, if it can.
func (k *Keeper) lookAgain(w *waiter, now time.Time) bool {
	v := k.look(w.req, now, stance{waits: true, asked: w.asked, n: w.n})
	switch {
	case v.fits:
		k.answer(w, answer{held: k.take(w.req, &v, now)})
		return true
	case v.hopeless:
		k.answer(w, answer{short: k.shortages(w.req, now)})
		return true
	case v.candidate != w.prefer || k.strayed(w):
		k.want(w, v.candidate)
	}
	return false
}

// answer ends a call's wait.
func (k *Keeper) answer(w *waiter, a answer) {
	k.leave(w)
	w.done <- a
}

// dismissAll ends every wait: with an error, or by looking for calls whose books
// stopped.
func (k *Keeper) dismissAll(err error) {
	for _, w := range slices.Clone(k.waiters) {
		cause := err
		if cause == nil {
			cause = k.available(w.req)
		}
		if cause != nil {
			k.answer(w, answer{err: cause})
		}
	}
}

// take holds what look just found, at its sights: the one place where money in
// hand becomes a hold.
func (k *Keeper) take(req *HoldRequest, v *view, now time.Time) Held {
	demands := req.Candidates[v.candidate].Demands
	o := &openHold{callID: req.CallID, heldAt: now}
	o.parts, o.drawn = o.roomForParts[:0], o.roomForDrawn[:0]
	held := Held{Candidate: v.candidate, Output: v.output, open: o}
	if req.Key != "" {
		k.partOn(o, req.Key, len(demands))
	}
	for j := range demands {
		d := &demands[j]
		amount, _ := d.Amount(v.output)
		held.Amounts[d.Budget.Unit] = max(held.Amounts[d.Budget.Unit], amount)
		p, h := k.sights[j].purse, k.sights[j].hand
		c := journal.Charge{Meter: h.meter, Held: amount}
		position := -1
		if d.enforced() {
			h.used = now
			h.rate.add(amount, now)
			if draw := h.pick(amount, now); draw != nil && amount > 0 {
				draw.free -= amount
				c.Lease, position = draw.lease.n, draw.position
			}
			k.askAhead(p, h, d, now)
		} else {
			held.warn(k, p, d, amount, now)
		}
		i := k.partOn(o, d.Key, len(demands))
		if position >= 0 {
			o.drawn = append(o.drawn, drawn{int32(i), int32(len(o.parts[i].Charges)), int32(position)})
		}
		o.parts[i].Charges = append(o.parts[i].Charges, c)
	}
	ttl := req.TTL
	if ttl <= 0 {
		ttl = k.cfg.HoldTTL
	}
	o.expiresAt = req.At.Add(ttl)
	if req.At.IsZero() {
		o.expiresAt = now.Add(ttl)
	}
	held.Parts, held.ExpiresAt = o.parts, o.expiresAt
	held.Tightest = k.tightest(demands, k.sights)
	k.remember(o)
	return held
}

// partOn finds or begins a hold's part on a key, with a number of its own.
func (k *Keeper) partOn(o *openHold, key string, size int) int {
	for i := range o.parts {
		if o.parts[i].Key == key {
			return i
		}
	}
	p := k.purse(key)
	p.lastHold++
	o.parts = append(o.parts, journal.HeldOn{Key: key, Hold: journal.HoldID{Epoch: k.cfg.Epoch, N: p.lastHold},
		Charges: make([]journal.Charge, 0, size)})
	return len(o.parts) - 1
}
