package main

import (
	"fmt"
	"sort"
	"sync"
)

// readiness tells the truth about the box: what stops decisions, and what is
// missing while they go on.
type readiness struct {
	mu       sync.Mutex
	up       bool
	down     bool
	parts    map[string]error
	degraded []func() string // each says what is missing, "" when nothing is
	stopped  []func() string
}

func newReadiness() *readiness { return &readiness{parts: map[string]error{}} }

func (r *readiness) started()  { r.mu.Lock(); defer r.mu.Unlock(); r.up = true }
func (r *readiness) draining() { r.mu.Lock(); defer r.mu.Unlock(); r.down = true }

// broken is a part that ended by itself.
func (r *readiness) broken(part string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[part] = err
}

// watch adds a check of a part that can come and go.
func (r *readiness) watch(stops bool, check func() string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stops {
		r.stopped = append(r.stopped, check)
		return
	}
	r.degraded = append(r.degraded, check)
}

// Stopped names what keeps decisions from being made.
func (r *readiness) Stopped() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var why []string
	switch {
	case r.down:
		why = append(why, "draining: this process is about to end")
	case !r.up:
		why = append(why, "starting: the books are not folded yet")
	}
	for part, err := range r.parts {
		if !optional(part) {
			why = append(why, fmt.Sprintf("%s: stopped: %v", part, err))
		}
	}
	sort.Strings(why)
	return append(why, said(r.stopped)...)
}

// Degraded names what is missing while decisions go on.
func (r *readiness) Degraded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	why := said(r.degraded)
	for part, err := range r.parts {
		if optional(part) {
			why = append(why, fmt.Sprintf("%s: stopped: %v", part, err))
		}
	}
	sort.Strings(why)
	return why
}

// optional parts end without a decision being lost.
func optional(part string) bool {
	return part == "analytics" || part == "names" || part == "policy" || part == "credentials"
}

func said(checks []func() string) []string {
	why := []string{}
	for _, check := range checks {
		if s := check(); s != "" {
			why = append(why, s)
		}
	}
	return why
}
