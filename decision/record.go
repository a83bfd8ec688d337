package decision

import (
	"fmt"
	"strconv"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// record writes the decision behind the answer: on our disk now, in the journal
// in a moment.
func (s *Service) record(c *Case, answer *Answer) error {
	now := s.now()
	decided := c.decided(answer)
	decided.Latency = now.Sub(c.At)
	records := append(c.Subject.NewNames, journal.Record{Topic: journal.TopicDecisions, Key: c.tenant(), Event: decided})
	if traced := s.captured(c); traced != nil {
		records = append(records, *traced)
	}
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
		DecisionID: c.ID, CallID: clip(c.callID(), assertedBytes), At: c.At, Action: answer.Action(),
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
	if c.found != nil {
		d.Findings = c.found.written(answer.Findings)
	}
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
