package decision

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
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
		return s.deny(ctx, c, refuse(Malformed, "the body cannot be edited safely: %s", err))
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
	chosen := &c.Candidates[c.Held.Candidate]
	p := &Plan{
		Deployments: chosen.Deployments, ModelAsked: c.Ask.Model, ModelSpan: c.Ask.ModelSpan,
		Hold:   Hold{MaxOutputTokens: c.Held.Output, ExpiresAt: c.Held.ExpiresAt},
		Budget: tightest(c.Held.Tightest),
	}
	if !c.Unmetered {
		p.Hold.NanoUSD, p.Hold.Tokens = chosen.heldNano(c.Held.Output), chosen.heldTokens(c.Held.Output)
	}
	if chosen.Deployments[0].Model != c.Ask.Model {
		answer.Changes = append(answer.Changes, ModelSubstituted)
	}
	edits, err := c.limitOutput(answer)
	if err != nil {
		return nil, err
	}
	if usage := c.Ask.RequestUsage(); len(usage) > 0 {
		edits = append(edits, usage...)
		answer.Changes = append(answer.Changes, UsageRequested)
	}
	return p, p.edit(c.Request.Body, edits)
}

// limitOutput makes the output limit real: what goes out is what was held.
func (c *Case) limitOutput(answer *Answer) ([]llm.Edit, error) {
	if c.Held.Output == c.Ask.MaxOutput || c.Ask.NoOutput {
		return nil, nil
	}
	if c.Ask.MaxOutput == 0 {
		answer.Changes = append(answer.Changes, Defaulted)
	}
	if want, err := outputWanted(c); c.Ask.MaxOutput > 0 || err == nil && c.Held.Output < want {
		answer.Changes = append(answer.Changes, Clamped)
	}
	return c.Ask.ClampOutput(c.Held.Output, c.model().OutputLimit)
}

// edit makes the edits, and finds the caller's model in what comes of them.
func (p *Plan) edit(body []byte, edits []llm.Edit) (err error) {
	if len(edits) == 0 {
		return nil
	}
	p.Edits = edits
	if p.Body, err = llm.Apply(body, edits); err != nil {
		return err
	}
	p.ModelSpan, err = llm.Carry(p.ModelSpan, edits)
	return err
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
func (s *Service) record(c *Case, answer *Answer) error {
	now := s.now()
	decided := c.decided(answer)
	decided.Latency = now.Sub(c.At)
	records := append(c.Subject.NewNames, journal.Record{Topic: journal.TopicDecisions, Key: c.tenant(), Event: decided})
	if err := s.recorder.Put(records...); err != nil {
		s.unname(c)
		return fmt.Errorf("record decision: %w", err)
	}
	c.Subject.NewNames = nil
	s.observe.Decided(c, answer, decided.Latency)
	return nil
}

// unname takes back names whose records were not written, so that the next call
// of the same people writes them.
func (s *Service) unname(c *Case) {
	for _, r := range c.Subject.NewNames {
		s.names.Unnamed(r.Key, r.Name)
	}
	c.Subject.NewNames = nil
}

// decided is the case as the journal keeps it.
func (c *Case) decided(answer *Answer) journal.Decided {
	d := journal.Decided{
		DecisionID: c.ID, CallID: c.callID(), At: c.At, Action: answer.Action(),
		Principal: c.principal(), Gateway: c.Request.Gateway,
		Method: clip(c.Request.Method, 16), Path: clip(withoutQuery(c.Request.Path), 256),
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
	d.Reasons = c.journalReasons(answer)
	if plan := answer.Plan; plan != nil && len(plan.Deployments) > 0 {
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
	return facts.appendJSON(make([]byte, 0, 1024))
}

// journalReasons are the answer's, and what shadow budgets would have said: only
// reports show them.
func (c *Case) journalReasons(answer *Answer) []journal.Reason {
	var reasons []journal.Reason
	add := func(r Reason, warning bool) {
		reasons = append(reasons, journal.Reason{Code: string(r.Code), Message: r.Message, Budget: r.Budget, Unit: r.Unit,
			Limit: r.Limit, Spent: r.Spent, Held: r.Held, Asked: r.Asked, ResetsAt: r.ResetsAt, Warning: warning})
	}
	if answer.Refusal != nil {
		for _, r := range answer.Refusal.Reasons {
			add(r, false)
		}
	}
	for _, w := range answer.Warnings {
		add(w, true)
	}
	for _, w := range c.Held.Warnings {
		if w.Demand.Budget.Mode == registry.Shadow {
			add(shortReason(w), true)
		}
	}
	return reasons
}

// retryCount is what the caller's SDK says of itself; only recorded.
func retryCount(h Headers) int64 {
	said := h["x-stainless-retry-count"]
	if said == "" {
		return 0
	}
	n, err := strconv.ParseInt(said, 10, 16)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
