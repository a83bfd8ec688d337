package decision

import (
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
// inside the one hold.
//
//	nano-USD(m) = Base + ⌈m × PerMTok ÷ 10⁶⌉   for an output limit of m tokens
type Ceiling struct {
	Input       int64 // tokens
	OutputExtra int64 // output tokens beside the answers
	Answers     int64 // answers, each as long as m
	Base        int64 // nano-USD
	PerMTok     int64 // nano-USD for each million of m, all answers together
}

// route orders the deployments as the verdict does and bounds what each would
// cost. It moves no money.
func (s *Service) route(c *Case) ([]Candidate, error) {
	if c.Ask.Free && c.Ask.Model == "" {
		return nil, nil
	}
	deployments, err := s.ordered(c)
	if err != nil {
		return nil, err
	}
	usage, err := bounded(c, deployments[0])
	if err != nil {
		return nil, err
	}
	if c.Ask.Free {
		return []Candidate{{Deployments: deployments}}, nil
	}
	candidates := make([]Candidate, 0, len(deployments))
	ceiling := Ceiling{Input: usage.Input, OutputExtra: usage.OutputExtra, Answers: usage.N}
	// From the back: the ceiling of a candidate is the dearest of those behind it.
	for i := len(deployments) - 1; i >= 0; i-- {
		d := deployments[i]
		rate, priced := c.World.Price(d.Name, c.At)
		demands, err := s.demands(c, d)
		if err != nil {
			return nil, err
		}
		if !priced && !free(d) && spendsMoney(demands) {
			return nil, refuse(Unpriced, "deployment %q has no price, and a budget in usd counts this call", d.Name)
		}
		if ceiling, err = ceiling.with(rate, usage); err != nil {
			return nil, err
		}
		candidates = append(candidates, Candidate{Deployments: deployments[i:], Ceiling: ceiling, Demands: demands})
	}
	slices.Reverse(candidates)
	for i := range candidates {
		candidates[i].amounts()
		candidates[i].keepCovered(candidates[i+1:])
	}
	return candidates, nil
}

// ordered are the verdict's deployments, in its order, of the model it names.
func (s *Service) ordered(c *Case) ([]*registry.Deployment, error) {
	var deployments []*registry.Deployment
	for _, name := range c.Verdict.Deployments {
		d, ok := c.World.Deployment(name)
		if !ok || !serves(d, c) {
			continue
		}
		deployments = append(deployments, d)
	}
	if len(deployments) == 0 {
		return nil, refuse(Residency, "no deployment of model %q is open to this caller", c.Ask.Model)
	}
	return deployments, nil
}

func serves(d *registry.Deployment, c *Case) bool {
	return d.Model == c.Ask.Model || (c.Verdict.Model != "" && d.Model == c.Verdict.Model)
}

// bounded is what the call can use at most, or the refusal of what nothing bounds.
func bounded(c *Case, first *registry.Deployment) (llm.Ceiling, error) {
	model, ok := c.World.Model(first.Model)
	if !ok {
		model = c.Subject.Model
	}
	usage := c.Ask.Ceiling(llm.ModelLimits{Context: model.Context, MaxOutput: model.MaxOutput})
	for _, fee := range usage.Fees {
		// Prices have no fee for a tool's use yet; what has no price is not let out.
		usage.Unpriced = append(usage.Unpriced, llm.Unbounded{Field: fee.Tool, Why: "a fee for each use, and no price for it"})
	}
	if len(usage.Unpriced) > 0 {
		fields := make([]string, len(usage.Unpriced))
		for i, u := range usage.Unpriced {
			fields[i] = u.Field + " (" + u.Why + ")"
		}
		return usage, refuse(Unpriced, "the body asks for what is billed but not bounded: %s", strings.Join(fields, "; "))
	}
	return usage, nil
}

// with widens the ceiling to cover one more deployment's price.
func (a Ceiling) with(rate registry.Price, usage llm.Ceiling) (Ceiling, error) {
	worst, ok := dearest(rate, usage)
	if !ok {
		return a, refuse(Unpriced, "deployment %q has no price for service tier %q", rate.Deployment, usage.Tier)
	}
	base, ok1 := cost(usage.Input, worst.Input)
	extra, ok2 := cost(usage.OutputExtra, worst.Output)
	perMTok, ok3 := multiply(worst.Output, usage.N)
	if !ok1 || !ok2 || !ok3 || base > maxNano-extra {
		return a, refuse(Unpriced, "the most this call could cost is beyond what can be counted")
	}
	a.Base = max(a.Base, base+extra)
	a.PerMTok = max(a.PerMTok, perMTok)
	return a, nil
}

// demands are the meters the call counts on if it goes to d: every budget that
// matches, and the deployment's own capacity.
func (s *Service) demands(c *Case, d *registry.Deployment) ([]ledger.Demand, error) {
	attributes := c.Subject.Attributes
	attributes.Model, attributes.Deployment, attributes.Provider, attributes.Region = d.Model, d.Name, d.Provider, d.Region
	budgets := c.World.Budgets(&attributes)
	demands := make([]ledger.Demand, 0, len(budgets)+1)
	for _, b := range budgets {
		demand, err := demandOn(b, b.LedgerKey(), &attributes, c.At)
		if err != nil {
			return nil, err
		}
		demands = append(demands, demand)
	}
	if d.Capacity != nil {
		demand, err := demandOn(d.Capacity, journal.SharedKey, &attributes, c.At)
		if err != nil {
			return nil, err
		}
		demands = append(demands, demand)
	}
	return demands, nil
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

func spendsMoney(demands []ledger.Demand) bool {
	return slices.ContainsFunc(demands, func(d ledger.Demand) bool { return d.Budget.Unit == journal.UnitUSD })
}

// amounts fills in what each demand asks, by its unit.
func (k *Candidate) amounts() {
	for i := range k.Demands {
		d, ceiling := &k.Demands[i], k.Ceiling
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

// keepCovered drops from the failover list each deployment on which the call
// would count on a budget that this candidate does not hold: what is not held
// must not be spent. Capacity is the exception; a failover is charged to the
// second's when it is reported.
func (k *Candidate) keepCovered(behind []Candidate) {
	covered := k.Deployments[:1:1]
	for _, next := range behind {
		if k.covers(next.Demands) {
			covered = append(covered, next.Deployments[0])
		}
	}
	k.Deployments = covered
}

func (k *Candidate) covers(demands []ledger.Demand) bool {
	for _, d := range demands {
		if d.Budget.Capacity {
			continue
		}
		if !slices.ContainsFunc(k.Demands, func(mine ledger.Demand) bool { return mine.Meter == d.Meter }) {
			return false
		}
	}
	return true
}

// deploymentFacts describes the places a call could go, cheapest ranks first.
func deploymentFacts(world *registry.Snapshot, deployments []*registry.Deployment, ask *llm.Ask, at time.Time) []DeploymentFacts {
	facts := make([]DeploymentFacts, len(deployments))
	costs := make([]int64, len(deployments))
	for i, d := range deployments {
		rate, priced := world.Price(d.Name, at)
		facts[i] = DeploymentFacts{Name: d.Name, Provider: d.Provider, Kind: d.Kind, Region: d.Region, Priced: priced, Healthy: true}
		// One input token to one output token is the shape a price is ranked by:
		// the rank must not change with the length of the prompt.
		costs[i] = rate.Input + rate.Output
		if !priced && !free(d) {
			costs[i] = maxNano
		}
	}
	for i := range facts {
		for _, other := range costs {
			if other < costs[i] {
				facts[i].PriceRank++
			}
		}
	}
	return facts
}
