package decision

import (
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// plan edits the body so that what goes out is what was held.
func (s *Service) plan(c *Case, answer *Answer) (*Plan, error) {
	chosen := &c.Candidates[c.Held.Candidate]
	p := &Plan{
		Deployments: chosen.Deployments, ModelAsked: c.Ask.Model, ModelSpan: c.Ask.ModelSpan,
		Hold:   Hold{MaxOutputTokens: c.Held.Output, Attempts: int(chosen.Ceiling.Attempts), ExpiresAt: c.Held.ExpiresAt},
		Budget: tightest(c.Held.Tightest),
	}
	if !c.Unmetered {
		p.Hold.NanoUSD, p.Hold.Tokens = chosen.heldNano(c.Held.Output), chosen.heldTokens(c.Held.Output)
	}
	c.substituted(answer)
	if c.Request.Fixed {
		return p, nil // It goes out as it is, and so it was held.
	}
	edits, err := c.limitOutput(answer)
	if err != nil {
		return nil, err
	}
	edits = append(edits, c.limitTools(answer)...)
	edits = append(edits, c.redacted(answer)...)
	if usage := c.Ask.RequestUsage(); len(usage) > 0 {
		edits = append(edits, usage...)
		answer.change(UsageRequested)
	}
	return p, p.edit(c.Request.Body, edits)
}

// substituted says that policy put another model in the place of the caller's.
func (c *Case) substituted(answer *Answer) {
	if c.model().Name != c.Ask.Model {
		answer.change(ModelSubstituted)
	}
}

// redacted are the edits that take out of the prompt what policy said.
func (c *Case) redacted(answer *Answer) []llm.Edit {
	if len(c.Redactions) > 0 {
		answer.change(Redacted)
	}
	return c.Redactions
}

// limitOutput makes the output limit real: what goes out is what was held. Another
// model than the caller's may spell it in another way.
func (c *Case) limitOutput(answer *Answer) ([]llm.Edit, error) {
	model := c.model()
	switch {
	case c.Ask.NoOutput:
		return nil, nil
	case c.Held.Output == c.Ask.MaxOutput && model.Name != c.Ask.Model:
		return c.Ask.ClampOutputAs(c.Held.Output, model.OutputLimit)
	case c.Held.Output == c.Ask.MaxOutput:
		return nil, nil
	}
	if c.Ask.MaxOutput == 0 {
		answer.change(Defaulted)
	}
	if want, err := outputWanted(c); c.Ask.MaxOutput > 0 || err == nil && c.Held.Output < want {
		answer.change(Clamped)
	}
	if model.Name != c.Ask.Model {
		return c.Ask.ClampOutputAs(c.Held.Output, model.OutputLimit)
	}
	return c.Ask.ClampOutput(c.Held.Output, model.OutputLimit)
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
	return k.Ceiling.Attempts * (k.Ceiling.Input + k.Ceiling.OutputExtra + output*k.Ceiling.Answers)
}

func tightest(sh *ledger.Shortage) *BudgetLeft {
	if sh == nil {
		return nil
	}
	b := sh.Demand.Budget
	return &BudgetLeft{Name: b.Name, Unit: b.Unit.String(), Left: registry.FormatAmount(b.Unit, max(0, sh.Limit-sh.Spent-sh.Held))}
}
