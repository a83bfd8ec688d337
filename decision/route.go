package decision

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// Candidate is one place the call may go first, with those it may fail over to
// behind it, and the most that can cost.
type Candidate struct {
	Deployments []*registry.Deployment // this one first, then the rest of the order
	Ceiling     Ceiling
	Demands     []ledger.Demand
}

// Ceiling bounds a call over every deployment of its candidate: the price is the
// dearest that may apply, because the gateway may fail over to any of them
// inside the one hold. Tokens are one try's, money is all tries':
//
//	nano-USD(m) = Base + ⌈m × PerMTok ÷ 10⁶⌉   for an output limit of m tokens
type Ceiling struct {
	Attempts    int64     // tries that may each be billed
	Input       int64     // tokens
	OutputExtra int64     // output tokens beside the answers
	Answers     int64     // answers, each as long as m
	Base        int64     // nano-USD
	PerMTok     int64     // nano-USD for each million of m, all answers and tries together
	Tier        string    // the service tier that was priced, "" for the standard one
	Tools       []llm.Fee // the provider's tools, as often as one try may use them; Base has their fees
}

// place is one deployment the call may go to, with what it would cost there and
// what it would count on.
type place struct {
	deployment *registry.Deployment
	base       int64 // nano-USD, whatever the output limit
	perMTok    int64
	demands    []ledger.Demand
}

// route orders the deployments as the verdict does and bounds what each would
// cost. It moves no money.
func (s *Service) route(c *Case) ([]Candidate, error) {
	if !c.asksModel() {
		return nil, nil
	}
	deployments, err := s.ordered(c)
	if err != nil {
		return nil, err
	}
	if c.Ask.Free {
		return []Candidate{{Deployments: deployments}}, nil
	}
	usage, err := bounded(c, deployments[0].ModelRef)
	if err != nil {
		return nil, err
	}
	places, err := s.places(c, deployments, usage)
	if err != nil {
		return nil, err
	}
	candidates := make([]Candidate, len(places))
	order := make([]*registry.Deployment, len(places))
	for i := range places {
		order[i] = places[i].deployment
	}
	for i := range places {
		candidates[i] = candidate(places[i:], order[i:], usage, c.attempts())
	}
	return candidates, nil
}

// ordered are the verdict's deployments, in its order. A verdict that names what
// is not there, or what serves another model, was written by mistake: it denies
// like a rule that fails.
func (s *Service) ordered(c *Case) ([]*registry.Deployment, error) {
	model, substituted := c.Ask.Model, c.Verdict.Model != "" && c.Verdict.Model != c.Ask.Model
	if substituted {
		model = c.Verdict.Model
		to, ok := c.World.Model(model)
		switch {
		case !ok:
			return nil, s.policyFailed(fmt.Errorf("verdict.model: no model is called %q", model))
		case to.Dialect != c.Subject.Model.Dialect:
			return nil, s.policyFailed(fmt.Errorf("verdict.model: %q speaks the %s dialect and the caller %s", model, to.Dialect, c.Subject.Model.Dialect))
		}
	}
	if len(c.Verdict.Deployments) == 0 {
		return nil, refuse(ModelUnknown, "model %q has no deployment", clip(model, 128))
	}
	deployments := make([]*registry.Deployment, 0, len(c.Verdict.Deployments))
	for _, name := range c.Verdict.Deployments {
		d, ok := c.World.Deployment(name)
		if !ok || d.Model != model {
			return nil, s.policyFailed(fmt.Errorf("verdict.deployments: %q does not serve model %q", name, model))
		}
		if slices.Contains(deployments, d) {
			continue // Named twice: once is enough.
		}
		// The rules saw where the asked model's deployments stand, and not this one's.
		if substituted && !resident(c.Caller.Tenant, d) {
			continue
		}
		deployments = append(deployments, d)
	}
	if len(deployments) == 0 {
		return nil, refuse(Residency, "no deployment of model %q is in a region open to this tenant", clip(model, 128))
	}
	return c.unrenamed(deployments)
}

// resident reports whether a tenant's data may go to a deployment.
func resident(t *registry.Tenant, d *registry.Deployment) bool {
	return len(t.Regions) == 0 || slices.Contains(t.Regions, d.Region)
}

// places are the deployments whose price is known; where there is none, the first
// one's reason refuses.
func (s *Service) places(c *Case, deployments []*registry.Deployment, usage llm.Ceiling) ([]place, error) {
	places := make([]place, 0, len(deployments))
	var unpriced error
	var budgets []ledger.Demand
	each := s.traits.of(c.World, c.Caller.Tenant.Name).places
	for i, d := range deployments {
		var err error
		if i == 0 || each {
			if budgets, err = s.demands(c, d); err != nil {
				return nil, err
			}
		}
		p := place{deployment: d}
		if p.demands, err = withCapacity(budgets, d, c.At); err != nil {
			return nil, err
		}
		if err := p.price(c, usage); err != nil {
			if unpriced == nil {
				unpriced = err
			}
			continue
		}
		places = append(places, p)
	}
	if len(places) == 0 {
		return nil, unpriced
	}
	return places, nil
}

// candidate is the first of the places, and behind it those of the order that it
// may fail over to: not one on which the call would count on a budget that is not
// held here, for what is not held must not be spent. Capacity is the exception; a
// failover is charged to the second's when it is reported.
func candidate(places []place, order []*registry.Deployment, usage llm.Ceiling, attempts int64) Candidate {
	first := &places[0]
	k := Candidate{Deployments: order, Demands: first.demands,
		Ceiling: Ceiling{Attempts: attempts, Input: usage.Input, OutputExtra: usage.OutputExtra, Answers: usage.N, Tier: usage.Tier, Tools: usage.Fees}}
	for i := range places {
		p := &places[i]
		if !first.covers(p.demands) {
			k.Deployments = slices.DeleteFunc(slices.Clone(k.Deployments), func(d *registry.Deployment) bool { return d == p.deployment })
			continue
		}
		k.Ceiling.Base, k.Ceiling.PerMTok = max(k.Ceiling.Base, p.base), max(k.Ceiling.PerMTok, p.perMTok)
	}
	k.amounts()
	return k
}

// covers reports whether all these demands count on meters of this place's.
func (p *place) covers(demands []ledger.Demand) bool {
	for i := range demands {
		if demands[i].Budget.Capacity {
			continue
		}
		if !slices.ContainsFunc(p.demands, func(mine ledger.Demand) bool { return mine.Meter == demands[i].Meter }) {
			return false
		}
	}
	return true
}

// demands are the meters of every budget that counts the call if it goes to d.
func (s *Service) demands(c *Case, d *registry.Deployment) ([]ledger.Demand, error) {
	attributes := c.Subject.Attributes
	attributes.Model, attributes.Deployment, attributes.Provider, attributes.Region = d.Model, d.Name, d.Provider, d.Region
	var room [16]*registry.Budget // enough for most calls
	budgets := c.World.AppendBudgets(room[:0], &attributes)
	demands := make([]ledger.Demand, 0, len(budgets))
	for _, b := range budgets {
		demand, err := demandOn(b, b.LedgerKey(), &attributes, c.At)
		if err != nil {
			return nil, err
		}
		demands = append(demands, demand)
	}
	return demands, nil
}

// withCapacity is a place's own copy of the demands, and its capacity's behind
// them: what each asks for is filled in later, and differs from place to place.
func withCapacity(demands []ledger.Demand, d *registry.Deployment, at time.Time) ([]ledger.Demand, error) {
	own := append(make([]ledger.Demand, 0, len(demands)+1), demands...)
	if d.Capacity == nil {
		return own, nil
	}
	capacity, err := demandOn(d.Capacity, journal.SharedKey, nil, at)
	return append(own, capacity), err
}

func demandOn(b *registry.Budget, key string, a *registry.Attributes, at time.Time) (ledger.Demand, error) {
	label, _, _, err := ledger.Label(b.Window, b.Unit, at)
	if err != nil {
		return ledger.Demand{}, err
	}
	return ledger.Demand{Key: key, Budget: b,
		Meter: journal.Meter{Budget: b.Incarnation, Unit: b.Unit, Per: per(b, a), Label: label}}, nil
}

// per joins the call's values of the budget's per attributes. A call without a
// value shares the meter of "".
func per(b *registry.Budget, a *registry.Attributes) string {
	switch len(b.Per) {
	case 0:
		return ""
	case 1:
		return a.Get(b.Per[0])
	}
	values := make([]string, len(b.Per))
	for i, name := range b.Per {
		values[i] = a.Get(name)
	}
	return strings.Join(values, journal.PerSeparator)
}

// spendsMoney reports whether money could be refused: a warn or shadow budget
// refuses nothing, so it cannot make a price a condition either.
func spendsMoney(demands []ledger.Demand) bool {
	return slices.ContainsFunc(demands, func(d ledger.Demand) bool {
		return d.Budget.Unit == journal.UnitUSD && (d.Budget.Mode == registry.Enforce || d.Budget.Mode == "")
	})
}

// attempts is how many tries, each of which may be billed, policy has the hold pay
// for.
func (c *Case) attempts() int64 { return max(1, c.Verdict.Attempts) }

// amounts fills in what each demand asks, by its unit. A call that is tried twice is
// one request.
func (k *Candidate) amounts() {
	for i := range k.Demands {
		d, ceiling := &k.Demands[i], k.Ceiling
		ceiling.Input *= ceiling.Attempts
		ceiling.OutputExtra *= ceiling.Attempts
		ceiling.Answers *= ceiling.Attempts
		switch d.Budget.Unit {
		case journal.UnitUSD:
			d.Base, d.PerMTok = ceiling.Base, ceiling.PerMTok
		case journal.UnitTokens:
			d.Base, d.PerMTok = ceiling.Input+ceiling.OutputExtra, ceiling.Answers*perToken
		case journal.UnitInputTokens:
			d.Base = ceiling.Input
		case journal.UnitOutputTokens:
			d.Base, d.PerMTok = ceiling.OutputExtra, ceiling.Answers*perToken
		case journal.UnitRequests, journal.UnitConcurrent:
			d.Base = 1
		}
	}
}
