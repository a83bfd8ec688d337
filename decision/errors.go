package decision

import "fmt"

// Conflict means that a call id was used again for another call, or for one that
// is settled.
type Conflict struct{ CallID, Why string }

func (e *Conflict) Error() string { return fmt.Sprintf("call_id %q: %s", e.CallID, e.Why) }

// Unavailable means that we could not decide. Answer is what the caller may be
// told, in the caller's dialect.
type Unavailable struct {
	Answer Answer
	Cause  error // for operators, never for callers
}

func (e *Unavailable) Error() string { return "cannot decide: " + e.Cause.Error() }
func (e *Unavailable) Unwrap() error { return e.Cause }

// ReportError is a report that cannot be taken, with the HTTP status that says so.
type ReportError struct {
	Status  int // 400, 401, 404, 409
	Message string
}

func (e *ReportError) Error() string { return e.Message }

// repeat carries an answer given before through the pipeline to its exit.
type repeat struct{ answer Answer }

func (r *repeat) Error() string { return "answered before" }
