package door

import (
	"context"
	"errors"
	"fmt"

	"github.com/signalbox-dev/signalbox/decision"
)

// Kind is why there is no answer to give. A door's status.go maps it to its own
// protocol's word.
type Kind int

const (
	BadEnvelope    Kind = iota + 1 // the question itself cannot be read
	TooLarge                       // the question is larger than any body we judge
	WrongType                      // the question is not in the door's format at all
	UnknownGateway                 // who asks is not known, or is not who it says
	ForgedToken                    // the report token is not one of ours
	Foreign                        // a browser was sent here by somebody else's page
	UnknownCall                    // a report about a call that nobody made
	Conflict                       // the call id stands for something else
	Unavailable                    // nothing can be decided at present
	Withdrawn                      // the question was taken back
	Internal                       // our fault
)

// Problem is why a question or a report has no answer. Message is for whoever
// runs the gateway; Cause is for our own operators and never leaves the process.
type Problem struct {
	Kind    Kind
	Message string
	Where   string  // the field, as in request.headers.authorization; "" for the whole
	Answer  *Answer // Unavailable only: what the caller may be told all the same
	Cause   error
}

func (p *Problem) Error() string {
	if p.Where == "" {
		return p.Message
	}
	return p.Where + ": " + p.Message
}

func (p *Problem) Unwrap() error { return p.Cause }

// bad is a problem of the envelope at one field.
func bad(where, format string, args ...any) *Problem {
	return &Problem{Kind: BadEnvelope, Where: where, Message: fmt.Sprintf(format, args...)}
}

// FromDecide says what an error of Decide means to who asked.
func FromDecide(req *decision.Request, err error) *Problem {
	if conflict, ok := errors.AsType[*decision.Conflict](err); ok {
		return &Problem{Kind: Conflict, Where: "call_id", Message: conflict.Why, Cause: err}
	}
	if away, ok := errors.AsType[*decision.Unavailable](err); ok {
		p := &Problem{Kind: Unavailable, Message: "no decision can be made at present", Cause: err}
		if away.Answer.Refusal != nil && len(away.Answer.Refusal.Reasons) > 0 {
			answer := Render(req, &away.Answer)
			p.Answer = &answer
		}
		return p
	}
	return fromAny(err)
}

// FromSettle says what an error of Settle means to who reported.
func FromSettle(err error) *Problem {
	if refused, ok := errors.AsType[*decision.ReportError](err); ok {
		return &Problem{Kind: reportKind(refused.Status), Message: refused.Message, Cause: err}
	}
	if isWithdrawn(err) {
		return fromAny(err)
	}
	// Whatever else it is, the charge is written down nowhere; sending the report
	// again is safe and the only thing that helps.
	return &Problem{Kind: Unavailable, Message: "the report cannot be taken at present; send it again", Cause: err}
}

func reportKind(status int) Kind {
	switch status {
	case 400:
		return BadEnvelope
	case 401:
		return ForgedToken
	case 404:
		return UnknownCall
	case 409:
		return Conflict
	}
	return Internal
}

func fromAny(err error) *Problem {
	if isWithdrawn(err) {
		return &Problem{Kind: Withdrawn, Message: "the question was withdrawn before it was answered", Cause: err}
	}
	return &Problem{Kind: Internal, Message: "something broke here; the operators' log says what", Cause: err}
}

func isWithdrawn(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
