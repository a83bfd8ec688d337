package decision

import (
	"context"
	"fmt"
)

// Policy says whether a call may go out, and how. It sees facts and nothing
// else: equal facts have equal verdicts. An error means that it could not say,
// and conclude makes a policy_error of it: a rule that errors denies.
type Policy interface {
	Evaluate(ctx context.Context, facts *Facts) (Verdict, error)
}

// consult asks the policy. A policy that cannot say denies: skipping a rule that
// failed, as other engines do, would let through what it was written to stop.
func (s *Service) consult(ctx context.Context, c *Case) (Verdict, error) {
	if !c.asksModel() {
		return Verdict{Allow: true}, nil
	}
	verdict, err := s.policy.Evaluate(ctx, &c.Facts)
	if err != nil {
		if ctx.Err() != nil {
			return verdict, fmt.Errorf("evaluate policy: %w", ctx.Err())
		}
		return verdict, s.policyFailed(err)
	}
	if verdict.Capture == captureRedacted {
		c.Facts.Look() // before the answer is made, which tells what was found
	}
	if !verdict.Allow {
		return verdict, denied(verdict)
	}
	return verdict, nil
}

// policyFailed refuses what the policy could not judge, or judged in a way that
// makes no sense here. Operators learn why, callers do not.
func (s *Service) policyFailed(err error) *Refusal {
	s.observe.PolicyFailed(err)
	return refuse(PolicyError, "the policy could not be evaluated; its operators have been told")
}

// denied is a verdict's refusal; a policy that denies without a reason still
// gives one.
func denied(v Verdict) *Refusal {
	if len(v.Reasons) == 0 {
		return refuse(PolicyDenied, "denied by policy")
	}
	reasons := make([]Reason, len(v.Reasons))
	for i, r := range v.Reasons {
		if r.Code.Status() == 0 {
			r.Message = string(r.Code) + ": " + r.Message
			r.Code = PolicyDenied
		}
		reasons[i] = r
	}
	return &Refusal{Reasons: reasons}
}
