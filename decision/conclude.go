package decision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// conclude is the only exit: it makes the answer, writes the decision down and
// lets it go. What happens when we could not decide, open or closed, is said in
// reserve for the one case an operator may open, and here for all the rest.
func (s *Service) conclude(ctx context.Context, c *Case, err error) (Answer, error) {
	var (
		again    *repeat
		conflict *Conflict
		refusal  *Refusal
	)
	switch {
	case errors.As(err, &again):
		return again.answer, nil
	case errors.As(err, &conflict):
		return Answer{}, conflict
	case errors.As(err, &refusal):
		return s.deny(c, refusal)
	case err != nil:
		return s.cannot(ctx, c, err)
	case c.Ask.Free:
		return s.free(c)
	}
	return s.allow(ctx, c)
}

// deny answers a refusal. It is journaled like every answer, with its reasons.
func (s *Service) deny(c *Case, refusal *Refusal) (Answer, error) {
	answer := s.answer(c)
	answer.Refusal = refusal
	s.calls.forget(c)
	if err := s.record(c, &answer, nil); err != nil {
		return Answer{}, s.unavailable(c, err)
	}
	return answer, nil
}

// cannot answers when there is no decision. A question that was withdrawn needs
// no answer at all.
func (s *Service) cannot(ctx context.Context, c *Case, err error) (Answer, error) {
	s.calls.forget(c)
	if ctx.Err() != nil {
		return Answer{}, ctx.Err()
	}
	return Answer{}, s.unavailable(c, err)
}

func (s *Service) unavailable(c *Case, cause error) *Unavailable {
	answer := s.answer(c)
	answer.Refusal = refuse(JournalUnavailable, "no decision can be made now; try again")
	answer.Refusal.RetryAfter = unavailableRetry
	s.observe.Decided(c, &answer, s.now().Sub(c.At))
	return &Unavailable{Answer: answer, Cause: cause}
}

// free answers what costs nothing: a list of models, a count of tokens, a path
// that a rule lets through.
func (s *Service) free(c *Case) (Answer, error) {
	answer := s.answer(c)
	switch {
	case c.Ask.Endpoint == llm.Models:
		answer.Served = modelList(c)
	default:
		answer.Plan = &Plan{Free: true, ModelSpan: c.Ask.ModelSpan}
		if len(c.Candidates) > 0 {
			answer.Plan.Deployments = c.Candidates[0].Deployments
		}
	}
	s.calls.forget(c)
	if err := s.record(c, &answer, nil); err != nil {
		return Answer{}, s.unavailable(c, err)
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
		return s.deny(c, refuse(Malformed, "the body cannot be edited safely: %s", err))
	}
	note := c.note(plan)
	if plan.ReportToken, err = s.reportToken(c, note); err != nil {
		return s.takeBack(ctx, c, err)
	}
	answer.Plan = plan
	if err := s.ledger.Keep(c.Held, c.callID(), note.encode()); err != nil {
		return s.takeBack(ctx, c, fmt.Errorf("keep the hold: %w", err))
	}
	if err := s.record(c, &answer, plan); err != nil {
		return s.takeBack(ctx, c, err)
	}
	s.calls.answered(c, note, answer)
	return answer, nil
}

// takeBack gives up a hold whose answer never left.
func (s *Service) takeBack(ctx context.Context, c *Case, err error) (Answer, error) {
	s.ledger.Release(c.Held)
	return s.cannot(ctx, c, err)
}

// answer is what every answer says.
func (s *Service) answer(c *Case) Answer {
	a := Answer{DecisionID: c.ID, CallID: c.callID(), PolicyRevision: c.Verdict.Revision, RegistryVersion: c.World.Version}
	a.Dialect = c.dialect()
	for _, w := range c.Held.Warnings {
		a.Warnings = append(a.Warnings, shortReason(w))
	}
	return a
}

// dialect is the one a refusal's body is written in: the path's, also for callers
// who were stopped before anybody read their body.
func (c *Case) dialect() llm.Dialect {
	if c.Ask != nil && c.Ask.Dialect != "" {
		return c.Ask.Dialect
	}
	route, _ := llm.Recognise(c.Request.Method, c.Request.Path)
	return route.Dialect
}

// plan edits the body so that what goes out is what was held.
func (s *Service) plan(c *Case, answer *Answer) (*Plan, error) {
	chosen := c.Candidates[c.Held.Candidate]
	p := &Plan{
		Deployments: chosen.Deployments, ModelSpan: c.Ask.ModelSpan,
		Hold: Hold{NanoUSD: chosen.heldNano(c.Held.Output), Tokens: chosen.heldTokens(c.Held.Output),
			MaxOutputTokens: c.Held.Output, ExpiresAt: c.Held.ExpiresAt},
		Budget: tightest(c.Held.Tightest),
	}
	if err := s.edit(c, p, answer); err != nil {
		return nil, err
	}
	if c.Verdict.Model != "" && c.Verdict.Model != c.Ask.Model {
		answer.Changes = append(answer.Changes, ModelSubstituted)
	}
	return p, nil
}

// edit makes the output limit real and asks for the usage we settle by.
func (s *Service) edit(c *Case, p *Plan, answer *Answer) error {
	if c.Held.Output != c.Ask.MaxOutput && !c.Ask.NoOutput {
		edits, err := c.Ask.ClampOutput(c.Held.Output, c.Subject.Model.OutputLimit)
		if err != nil {
			return err
		}
		p.Edits = append(p.Edits, edits...)
		answer.Changes = append(answer.Changes, limitChange(c))
	}
	if c.Ask.Stream && !c.Ask.IncludeUsage {
		if edits := c.Ask.RequestUsage(); len(edits) > 0 {
			p.Edits = append(p.Edits, edits...)
			answer.Changes = append(answer.Changes, UsageRequested)
		}
	}
	if len(p.Edits) == 0 {
		return nil
	}
	body, err := llm.Apply(c.Request.Body, p.Edits)
	if err != nil {
		return err
	}
	p.Body = body
	p.ModelSpan, err = llm.Carry(c.Ask.ModelSpan, p.Edits)
	return err
}

// limitChange tells a default that was written in from a limit that was lowered.
func limitChange(c *Case) Change {
	if c.Ask.MaxOutput == 0 {
		return Defaulted
	}
	return Clamped
}

func (k *Candidate) heldNano(output int64) int64 {
	more, _ := cost(output, k.Ceiling.PerMTok)
	return k.Ceiling.Base + more
}

func (k *Candidate) heldTokens(output int64) int64 {
	return k.Ceiling.Input + k.Ceiling.OutputExtra + output*k.Ceiling.Answers
}

func tightest(sh *ledger.Shortage) *BudgetLeft {
	if sh == nil {
		return nil
	}
	b := sh.Demand.Budget
	return &BudgetLeft{Name: b.Name, Unit: b.Unit.String(), Left: registry.FormatAmount(b.Unit, max(0, sh.Limit-sh.Spent-sh.Held))}
}

// record writes the decision behind the answer: on our disk now, in the journal
// in a moment.
func (s *Service) record(c *Case, answer *Answer, plan *Plan) error {
	now := s.now()
	decided := c.decided(answer, plan)
	decided.Latency = now.Sub(c.At)
	records := append(c.Subject.NewNames, journal.Record{Topic: journal.TopicDecisions, Key: c.tenant(), Event: decided})
	if err := s.recorder.Put(records...); err != nil {
		return fmt.Errorf("record decision: %w", err)
	}
	s.observe.Decided(c, answer, decided.Latency)
	return nil
}

// decided is the case as the journal keeps it.
func (c *Case) decided(answer *Answer, plan *Plan) journal.Decided {
	d := journal.Decided{
		DecisionID: c.ID, CallID: c.callID(), At: c.At, Action: answer.Action(),
		Principal: c.principal(), Gateway: c.Request.Gateway,
		Method: clip(c.Request.Method, 16), Path: clip(routePath(c.Ask, c.Request.Path), 256),
		PolicyRevision: c.Verdict.Revision, RegistryVersion: c.World.Version, ZoneRules: ledger.ZoneRules(),
		Verdict: c.Verdict.Raw, PromptHash: c.Subject.Attributes.PromptHash,
		TraceParent: clip(c.Request.Headers["traceparent"], 64),
		RetryCount:  retryCount(c.Request.Headers),
	}
	for _, change := range answer.Changes {
		d.Changes = append(d.Changes, string(change))
	}
	if c.Ask != nil {
		d.Dialect, d.ModelAsked, d.Model, d.InputTokens = string(c.Ask.Dialect), clip(c.Ask.Model, 128), clip(c.Ask.Model, 128), c.Ask.InputTokens
	}
	if c.Facts.Model.Name != "" {
		d.Facts = c.pseudonymousFacts()
	}
	d.Reasons = journalReasons(answer)
	if plan != nil {
		for _, to := range plan.Deployments {
			d.Deployments = append(d.Deployments, to.Name)
		}
		d.Model = plan.Deployments[0].Model
		d.MaxOutputTokens, d.HeldNanoUSD = plan.Hold.MaxOutputTokens, plan.Hold.NanoUSD
		d.Holds, d.ExpiresAt = c.Held.Parts, plan.Hold.ExpiresAt
	}
	return d
}

// pseudonymousFacts are the policy's input without readable names: what policy
// saw in the clear for a moment must not stand in the journal for ever.
func (c *Case) pseudonymousFacts() []byte {
	facts := c.Facts
	a := &c.Subject.Attributes
	facts.Principal.User, facts.Principal.Session, facts.Principal.Agent = a.User, a.Session, a.Agent
	raw, err := json.Marshal(&facts)
	if err != nil {
		// Facts are strings, numbers and booleans of ours: they always marshal.
		panic("decision: facts: " + err.Error())
	}
	return raw
}

func journalReasons(answer *Answer) []journal.Reason {
	var reasons []journal.Reason
	add := func(rs []Reason, warning bool) {
		for _, r := range rs {
			reasons = append(reasons, journal.Reason{Code: string(r.Code), Message: r.Message, Budget: r.Budget, Unit: r.Unit,
				Limit: r.Limit, Spent: r.Spent, Held: r.Held, Asked: r.Asked, ResetsAt: r.ResetsAt, Warning: warning})
		}
	}
	if answer.Refusal != nil {
		add(answer.Refusal.Reasons, false)
	}
	add(answer.Warnings, true)
	return reasons
}

// retryCount is what the caller's SDK says of itself; only recorded.
func retryCount(h Headers) int64 {
	n, err := strconv.ParseInt(h["x-stainless-retry-count"], 10, 16)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
