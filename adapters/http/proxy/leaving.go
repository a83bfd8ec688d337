package proxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/registry"
)

var (
	// errGone: the caller hung up, or took nothing for too long.
	errGone = errors.New("the caller has gone")
	// errDrained: a drain took longer than the call's hold lasts.
	errDrained = errors.New("the hold's time is over")
)

// leaving is what happens when the caller goes away, at any moment of the call and
// seen by any goroutine: the provider is hung up on, unless its rule is to read on
// so that what it bills is known.
type leaving struct {
	ctx    context.Context // of the tries: it ends when nobody wants an answer any more
	cancel context.CancelCauseFunc
	unhook []func() bool

	mu       sync.Mutex
	trying   *attempt // the try that runs, nil between tries
	left     bool
	draining bool
	over     bool // the call has ended
	expiry   *time.Timer
}

// watch looks out for the caller's leaving and for the process's end. The tries'
// context is none of the caller's: it must be able to outlive them.
func (c *call) watch() {
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(c.r.Context()))
	c.unhook = []func() bool{
		context.AfterFunc(c.r.Context(), c.leave),
		context.AfterFunc(c.p.flights.Context(), func() { c.cancel(door.ErrStopping) }),
	}
}

// leave is called when the caller has gone, at least once if so.
func (c *call) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left || c.over {
		return
	}
	c.left = true
	if !c.readsOn(c.trying) || !c.mayDrain() {
		c.cancel(errGone)
		return
	}
	c.draining = true
	c.expiry = time.AfterFunc(c.drainTime(), func() { c.cancel(errDrained) })
}

// readsOn reports whether the answer of a try is wanted although its caller is not
// there: by its provider's rule, and whatever that is when a document has begun to
// come. Then the model has written all of it, and hanging up would save nothing but
// leave open what it was.
func (c *call) readsOn(a *attempt) bool {
	if a == nil || c.plan.Free || !a.sent.Load() {
		return false
	}
	return a.document.Load() || c.rule(a) == registry.AbortDrain
}

// drainTime is as long as the hold lasts: beyond it the call is charged by rule
// anyway. A call without a hold, because there was no ledger to hold in, is bounded
// all the same.
func (c *call) drainTime() time.Duration {
	if c.plan.Hold.ExpiresAt.IsZero() {
		return unheldDrain
	}
	return c.plan.Hold.ExpiresAt.Sub(c.p.Now())
}

// mayDrain takes one of the places for drains. Each keeps a connection and a
// goroutine for somebody who no longer waits, so there are only so many.
func (c *call) mayDrain() bool {
	select {
	case c.p.drains <- struct{}{}:
		return true
	default:
		return false
	}
}

// begins notes which try runs, nil for none; false: nobody wants an answer any more.
func (c *call) begins(a *attempt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying = a
	return !c.left && c.ctx.Err() == nil
}

// hasLeft reports whether the caller has gone, and whether their answer is read
// on all the same.
func (c *call) hasLeft() (left, draining bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left, c.draining
}

// stay ends the watch.
func (c *call) stay() {
	for _, unhook := range c.unhook {
		unhook()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.expiry != nil {
		c.expiry.Stop()
	}
	if c.draining {
		c.draining = false
		<-c.p.drains
	}
	if c.cancel != nil {
		c.cancel(nil)
	}
}

// rule is what is charged for an answer of this try that breaks off.
func (c *call) rule(a *attempt) string {
	if a.provider.OnAbort == "" {
		return registry.AbortSeen
	}
	return a.provider.OnAbort
}
