package decision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// conclude is the only exit: it makes the answer, writes the decision down and
// lets it go. What happens when we could not decide, open or closed, is said in
// reserve for the one case an operator may open, and here for all the rest.
func (s *Service) conclude(ctx context.Context, c *Case, err error) (Answer, error) {
	switch {
	case err != nil:
		return s.stop(ctx, c, err)
	case c.Ask.Free:
		return s.free(ctx, c)
	}
	return s.allow(ctx, c)
}

// stop ends a case that a stage could not pass.
func (s *Service) stop(ctx context.Context, c *Case, err error) (Answer, error) {
	if again, ok := errors.AsType[*repeat](err); ok {
		return again.answerTo(c)
	}
	if conflict, ok := errors.AsType[*Conflict](err); ok {
		return Answer{}, conflict
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return s.deny(ctx, c, refusal)
	}
	return s.cannot(ctx, c, err)
}

// deny answers a refusal. It is journaled like every answer, with its reasons.
func (s *Service) deny(ctx context.Context, c *Case, refusal *Refusal) (Answer, error) {
	answer := s.answer(c)
	answer.Refusal = refusal
	s.calls.forget(c)
	if err := s.record(c, &answer); err != nil {
		return s.cannot(ctx, c, err)
	}
	return answer, nil
}

// cannot answers when there is no decision, and that is journaled too, if it can
// be. A question that was withdrawn needs no answer at all.
func (s *Service) cannot(ctx context.Context, c *Case, cause error) (Answer, error) {
	s.calls.forget(c)
	if ctx.Err() != nil {
		s.unname(c)
		return Answer{}, ctx.Err()
	}
	answer := s.answer(c)
	answer.Refusal = refuse(JournalUnavailable, "no decision can be made now; try again")
	answer.Refusal.RetryAfter = unavailableRetry
	if err := s.record(c, &answer); err != nil {
		cause = errors.Join(cause, err)
		s.observe.Decided(c, &answer, s.now().Sub(c.At))
	}
	return Answer{}, &Unavailable{Answer: answer, Cause: cause}
}

// unavailableRetry is when a caller may try again after an outage of ours.
const unavailableRetry = 5 * time.Second

// free answers what costs nothing: a list of models, a count of tokens, a path
// that a rule lets through.
func (s *Service) free(ctx context.Context, c *Case) (Answer, error) {
	answer := s.answer(c)
	switch {
	case c.Ask.Endpoint == llm.Models:
		answer.Served = modelList(c)
	default:
		answer.Plan = &Plan{Free: true, ModelAsked: c.Ask.Model, ModelSpan: c.Ask.ModelSpan}
		if len(c.Candidates) > 0 {
			answer.Plan.Deployments = c.Candidates[0].Deployments
			c.substituted(&answer)
		}
		if err := answer.Plan.edit(c.Request.Body, c.redacted(&answer)); err != nil {
			return s.deny(ctx, c, uneditable(err))
		}
	}
	s.calls.forget(c)
	if err := s.record(c, &answer); err != nil {
		return s.cannot(ctx, c, err)
	}
	return answer, nil
}

// allow lets the call go out under its hold. The hold is on disk before the
// answer leaves; a crash in between frees it, because nobody was told.
func (s *Service) allow(ctx context.Context, c *Case) (Answer, error) {
	answer := s.answer(c)
	plan, err := s.plan(c, &answer)
	if err != nil {
		s.ledger.Release(c.Held)
		return s.deny(ctx, c, uneditable(err))
	}
	answer.Plan = plan
	note := c.note(plan)
	if plan.ReportToken, err = s.reportToken(c, note); err != nil {
		return s.takeBack(ctx, c, err)
	}
	if err := s.ledger.Keep(c.Held, c.callID(), note.kept()); err != nil {
		return s.takeBack(ctx, c, fmt.Errorf("keep the hold: %w", err))
	}
	if err := s.record(c, &answer); err != nil {
		return s.takeBack(ctx, c, err)
	}
	s.calls.answered(c, note, &answer)
	return answer, nil
}

// uneditable refuses a call whose body cannot be made to say what was decided.
func uneditable(err error) *Refusal {
	return refuse(Malformed, "the body cannot be edited safely: %s", err)
}

// takeBack gives up a hold whose answer never left.
func (s *Service) takeBack(ctx context.Context, c *Case, err error) (Answer, error) {
	s.ledger.Release(c.Held)
	return s.cannot(ctx, c, err)
}

// answer is what every answer says.
func (s *Service) answer(c *Case) Answer {
	a := Answer{DecisionID: c.ID, CallID: clip(c.callID(), assertedBytes), PolicyRevision: c.Verdict.Revision, RegistryVersion: c.World.Version}
	a.Dialect, a.Findings = c.dialect(), c.found.told()
	for _, w := range c.Held.Warnings {
		if w.Demand.Budget.Mode != registry.Shadow {
			a.Warnings = append(a.Warnings, shortReason(w))
		}
	}
	if c.Unmetered {
		a.Warnings = append(a.Warnings, c.unmetered())
	}
	return a
}

// unmetered says in the answer and in the journal that nothing was held, and why.
func (c *Case) unmetered() Reason {
	if c.Ask.Free {
		return Reason{Code: Unmetered, Message: "a paths rule lets this path through unjudged"}
	}
	return Reason{Code: Unmetered, Message: "the journal is away and the failure mode is open: no budget counts this call"}
}

// dialect is the one a refusal's body is written in: the path's, also for callers
// who were stopped before anybody read their body. Where the path does not tell, an
// Anthropic client is known by the header that no other sends.
func (c *Case) dialect() llm.Dialect {
	if c.Ask != nil && c.Ask.Dialect != "" {
		return c.Ask.Dialect
	}
	route, known := llm.Recognise(c.Request.Method, c.Request.Path)
	if (!known || route.Endpoint == llm.Models) && c.Request.Headers[versionHeader] != "" {
		return llm.Anthropic
	}
	return route.Dialect
}
