package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// waiter is a call that waits for money.
type waiter struct {
	req    *HoldRequest
	done   chan answer // cap 1
	prefer int         // the candidate it waits for
	asked  bool        // an ask for it was sent: it takes what that brought
	hands  []*hand     // that count it as waiting
	queued bool
}

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
			k.dequeue(w)
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
	if len(k.waiters) >= waitersMost {
		return nil, answer{short: k.shortages(req, now)}
	}
	w := &waiter{req: req, done: make(chan answer, 1), prefer: v.candidate}
	k.line(w)
	k.serveWaiters()
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

// lastLook is what a call gets whose wait is over.
func (k *Keeper) lastLook(w *waiter) answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case a := <-w.done:
		return a
	default:
	}
	now := k.now()
	k.dequeue(w)
	if v := k.look(w.req, now, stance{asked: true}); v.fits {
		return answer{held: k.take(w.req, &v, now)}
	}
	if err := k.journal.Healthy(); err != nil {
		return answer{err: fmt.Errorf("%w: %w", ErrJournalUnavailable, err)}
	}
	k.serveWaiters()
	return answer{short: k.shortages(w.req, now)}
}

// dequeue takes a call out of the line.
func (k *Keeper) dequeue(w *waiter) {
	if !w.queued {
		return
	}
	k.waiters = slices.DeleteFunc(k.waiters, func(o *waiter) bool { return o == w })
	w.unline()
}

// line puts a call in line on all meters of all its candidates, on each meter
// once: counted by candidate, a lone call would share what is there with itself.
func (k *Keeper) line(w *waiter) {
	w.queued = true
	k.waiters = append(k.waiters, w)
	for i := range w.req.Candidates {
		for j := range w.req.Candidates[i].Demands {
			if d := &w.req.Candidates[i].Demands[j]; d.enforced() {
				if h := k.sight(d).hand; !slices.Contains(w.hands, h) {
					h.waiting++
					w.hands = append(w.hands, h)
				}
			}
		}
	}
}

// unline lets the meters forget a call that waited.
func (w *waiter) unline() {
	w.queued = false
	for _, h := range w.hands {
		h.waiting--
	}
}

// serveWaiters gives what is in hand to the calls that wait, first come first
// served: a call behind another on any meter does not pass it there. What is
// still missing is asked for.
func (k *Keeper) serveWaiters() {
	if len(k.waiters) == 0 {
		k.cancelUnwanted()
		return
	}
	k.turn++
	now := k.now()
	waiting := k.waiters[:0]
	for _, w := range k.waiters {
		v := k.look(w.req, now, stance{waits: true, asked: w.asked, turn: k.turn})
		switch {
		case v.fits:
			k.answer(w, answer{held: k.take(w.req, &v, now)})
		case v.hopeless:
			k.answer(w, answer{short: k.shortages(w.req, now)})
		default:
			w.prefer = v.candidate
			k.blockMeters(w)
			waiting = append(waiting, w)
		}
	}
	clear(k.waiters[len(waiting):])
	k.waiters = waiting
	k.askForWaiters(now)
	k.cancelUnwanted()
}

// answer ends a call's wait.
func (k *Keeper) answer(w *waiter, a answer) {
	w.unline()
	w.done <- a
}

// dismissAll ends every wait: with an error, or by looking for calls whose books
// stopped.
func (k *Keeper) dismissAll(err error) {
	waiting := k.waiters[:0]
	for _, w := range k.waiters {
		cause := err
		if cause == nil {
			cause = k.available(w.req)
		}
		if cause == nil {
			waiting = append(waiting, w)
			continue
		}
		k.answer(w, answer{err: cause})
	}
	clear(k.waiters[len(waiting):])
	k.waiters = waiting
}

func (k *Keeper) blockMeters(w *waiter) {
	for i := range w.req.Candidates[w.prefer].Demands {
		if d := &w.req.Candidates[w.prefer].Demands[i]; d.enforced() {
			k.sight(d).hand.blocked = k.turn
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
