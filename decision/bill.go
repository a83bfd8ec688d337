package decision

import (
	"net/http"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// bill is what a call cost, and how well we know it.
type bill struct {
	rank    journal.Rank
	outcome journal.Outcome
	usage   journal.Usage
	// tries is for how many of them every meter is charged what it held, because
	// nothing better is known; 0: it is charged for what the attempts used.
	tries int64
	note  *note
}

// bill works out what a reported call cost:
//
//	not sent                               0
//	usage given                            its tokens at the price in force when decided
//	completed without usage                what was held for one try
//	failed before the first byte           0
//	failed later, or aborted               the provider's on_abort rule on what was seen
//	nothing at all                         the hold, for all its tries
//
// and for each try before the last that may have been billed, its usage or what was
// held for one.
func (s *Service) bill(k *call, r Report) (bill, error) {
	b, err := s.cost(k, r)
	b.rank = believed(r, b.rank)
	return b, err
}

// believed is how well the cost is known. An access log that did not read the whole
// usage guesses from outside what whoever saw the answer go by knows better, and both
// may speak of one call in any order: its guess stands only where nobody else says
// anything. docs/decisions/079-what-an-access-log-guesses.md
func believed(r Report, rank journal.Rank) journal.Rank {
	if r.Source == journal.SourceAccessLog && (rank < journal.RankExact || r.Outcome == journal.OutcomeNotSent) {
		return journal.RankRule
	}
	return rank
}

func (s *Service) cost(k *call, r Report) (bill, error) {
	tokens, tier, err := reportedUsage(k, r)
	if err != nil {
		return bill{}, err
	}
	if err := s.checkReport(k, r); err != nil {
		return bill{}, err
	}
	final := journal.Attempt{
		Deployment: k.note.deployment(r), Status: r.Status, Outcome: r.Outcome, ServiceTier: tierOf(firstText(r.ServiceTier, tier), k.note.ServiceTier),
		TTFT: time.Duration(r.TTFTMS) * time.Millisecond, Latency: time.Duration(r.LatencyMS) * time.Millisecond,
	}
	switch {
	case r.Outcome == journal.OutcomeNotSent:
		return s.priced(k, r, final, rankOf(r, journal.RankExact), journal.SourceRule)
	case tokens != nil:
		final.Tokens = *tokens
		rank := rankOf(r, journal.RankExact)
		if s.useTools(k, &final) {
			rank = min(rank, journal.RankEstimate)
		}
		return s.priced(k, r, final, rank, sourceOf(r))
	case r.Outcome == journal.OutcomeCompleted:
		return s.byRuleOf(k, r, final), nil
	case beforeFirstByte(r):
		return s.priced(k, r, final, journal.RankEstimate, journal.SourceRule)
	}
	return s.brokenOff(k, r, final)
}

// brokenOff charges a call that ended in the middle by its provider's rule. What was
// seen of an answer that goes on in the background says nothing of what it becomes.
func (s *Service) brokenOff(k *call, r Report, final journal.Attempt) (bill, error) {
	if s.onAbort(final.Deployment) != registry.AbortSeen || r.SeenOutputTokens < 0 || k.note.Background != 0 {
		return s.byRuleOf(k, r, final), nil
	}
	final.Tokens = k.note.seen(r)
	s.useTools(k, &final)
	return s.priced(k, r, final, journal.RankEstimate, sourceOf(r))
}

// seen is what a try used that broke off: the prompt, as the provider had said of it
// or as it was bounded, and what had come. The output seen is a bound by its bytes and
// may lie above the limit that went out with the call; more than that was not billed.
// Figures of the prompt that cannot be true are not believed; the report is taken all
// the same, for the next best word is here. Nor are those of a call with tools of the
// provider's: they are the prompt's at its first reading, and each use is one more.
func (n *note) seen(r Report) journal.Tokens {
	most := n.most()
	tokens := journal.Tokens{Input: most.Input}
	if r.SeenInput != nil && implausible(*r.SeenInput) == "" && len(n.Tools) == 0 {
		tokens = *r.SeenInput
	}
	tokens.Output, tokens.Reasoning = min(r.SeenOutputTokens, most.Output), 0
	return tokens
}

func (s *Service) onAbort(deployment string) string {
	world := s.registry.Snapshot()
	d, ok := world.Deployment(deployment)
	if !ok {
		return registry.AbortCeiling
	}
	p, ok := world.Provider(d.Provider)
	if !ok {
		return registry.AbortCeiling
	}
	if p.OnAbort == "" {
		// A gateway's report of a broken call says what it saw; without figures
		// brokenOff charges the hold anyway.
		return registry.AbortSeen
	}
	return p.OnAbort
}

// asked tiers that the provider's usage does not call a service tier: that it
// says "standard" there takes nothing back.
var besideTheServiceTier = []string{"fast", "inference_geo_us"}

// tierOf is the tier an attempt is charged at: the one reported, unless the call
// asked for something dearer that reports do not name.
func tierOf(reported, held string) string {
	if reported == "" || reported == "unknown" || (reported == "standard" || reported == "default") && slices.Contains(besideTheServiceTier, held) {
		return held
	}
	return reported
}

// byRule charges the hold: nobody said how often the call was tried, so as often as
// it might have been.
func (s *Service) byRule(k *call, outcome journal.Outcome) bill {
	try := journal.Attempt{Deployment: k.note.deployment(Report{}), Outcome: outcome}
	b := bill{rank: journal.RankRule, outcome: outcome, usage: s.usage(k), note: k.note}
	try.Tokens = s.most(k, try.Deployment)
	for range k.note.tries() {
		b.charge(s.placed(try))
	}
	return b
}

// byRuleOf charges what was held for one try, for the last and for each before it
// that may have been billed.
func (s *Service) byRuleOf(k *call, r Report, final journal.Attempt) bill {
	b := bill{rank: journal.RankRule, outcome: r.Outcome, usage: s.usage(k), note: k.note}
	for _, a := range r.Attempts {
		attempt := attemptOf(k, a)
		if a.cannotHaveCost() {
			attempt.Source = journal.SourceRule
			b.usage.Attempts = append(b.usage.Attempts, s.placed(attempt))
			continue
		}
		attempt.Tokens = s.most(k, attempt.Deployment)
		b.charge(s.placed(attempt))
	}
	final.Tokens = s.most(k, final.Deployment)
	b.charge(s.placed(final))
	b.usage.OverHold = b.tries > k.note.tries()
	return b
}

// charge adds one try, which used the most it could, at what was held for it.
func (b *bill) charge(a journal.Attempt) {
	a.Source = journal.SourceRule
	a.ChargedNanoUSD = b.note.worth(1, b.note.HeldNanoUSD)
	b.tries++
	b.usage.ChargedNanoUSD = b.note.worth(b.tries, b.note.HeldNanoUSD)
	b.usage.Attempts = append(b.usage.Attempts, a)
}

// attemptOf is one try before the last, as it was reported.
func attemptOf(k *call, a ReportedAttempt) journal.Attempt {
	return journal.Attempt{Deployment: a.Deployment, Status: a.Status, Outcome: a.Outcome,
		Latency: time.Duration(a.LatencyMS) * time.Millisecond, ServiceTier: k.note.ServiceTier}
}

// priced charges each attempt for its own tokens.
func (s *Service) priced(k *call, r Report, final journal.Attempt, rank journal.Rank, source journal.Source) (bill, error) {
	b := bill{rank: rank, outcome: r.Outcome, usage: s.usage(k), note: k.note}
	for _, a := range r.Attempts {
		attempt := attemptOf(k, a)
		attempt.Source = source
		switch {
		case a.Usage != nil:
			attempt.Tokens = *a.Usage
			if s.useTools(k, &attempt) {
				b.rank = min(b.rank, journal.RankEstimate)
			}
		case !a.cannotHaveCost():
			// Unknown is not zero: as much as was held for one try, until somebody
			// says better.
			attempt.Tokens, attempt.Source = s.most(k, a.Deployment), journal.SourceRule
			b.rank = min(b.rank, journal.RankEstimate)
		}
		b.usage.Attempts = append(b.usage.Attempts, attempt)
	}
	final.Source = source
	b.usage.Attempts = append(b.usage.Attempts, final)
	world := s.registry.Snapshot()
	for i := range b.usage.Attempts {
		a := s.placed(b.usage.Attempts[i])
		charge, err := attemptCost(world, k, a)
		if err != nil {
			return bill{}, err
		}
		a.ChargedNanoUSD = charge
		b.usage.Attempts[i] = a
		if b.usage.ChargedNanoUSD > maxNano-charge {
			return bill{}, &ReportError{http.StatusBadRequest, "usage: costs more than can be counted"}
		}
		b.usage.ChargedNanoUSD += charge
	}
	b.usage.OverHold = b.usage.ChargedNanoUSD > k.note.HeldNanoUSD
	return b, nil
}

// attemptCost is ⌈Σ tokens × price ÷ 10⁶⌉ nano-USD, rounded up once an attempt, and
// its tools' fees, at the price in force when the call was decided.
func attemptCost(world *registry.Snapshot, k *call, a journal.Attempt) (int64, error) {
	price, ok := world.PriceAsOf(a.Deployment, k.note.At, k.note.RegistryVersion)
	if !ok {
		return 0, nil
	}
	charge, err := price.Cost(a.Tokens, a.ServiceTier)
	if err != nil {
		return 0, &ReportError{http.StatusBadRequest, "usage: " + err.Error()}
	}
	return charge, nil
}

// placed says whose deployment the attempt was.
func (s *Service) placed(a journal.Attempt) journal.Attempt {
	if d, ok := s.registry.Snapshot().Deployment(a.Deployment); ok {
		a.Provider, a.UpstreamModel = d.Provider, d.UpstreamModel
	}
	return a
}

func (s *Service) usage(k *call) journal.Usage {
	return journal.Usage{At: k.note.At, Principal: k.note.Principal, Gateway: k.note.Gateway, Dialect: k.note.Dialect,
		Model: k.note.Model, RegistryVersion: k.note.RegistryVersion}
}

// on is what one charge of the hold is settled at, in its meter's unit. A budget
// that matches one deployment, and a deployment's capacity, count only what was
// used there.
func (b bill) on(world *registry.Snapshot, charge journal.Charge) int64 {
	budget, _ := world.BudgetByIncarnation(charge.Meter.Budget)
	switch {
	case charge.Meter.Unit == journal.UnitConcurrent:
		return 0
	case charge.Meter.Unit == journal.UnitRequests && b.outcome != journal.OutcomeNotSent:
		return 1
	case b.tries > 0:
		return b.note.worth(b.tries, charge.Held)
	}
	var sum int64
	for _, a := range b.usage.Attempts {
		if budget != nil && !counts(world, budget, a.Deployment) {
			continue
		}
		sum += amountOf(charge.Meter.Unit, a)
	}
	return sum
}

func amountOf(u journal.Unit, a journal.Attempt) int64 {
	switch u {
	case journal.UnitUSD:
		return a.ChargedNanoUSD
	case journal.UnitTokens:
		return a.Tokens.Input + a.Tokens.Output
	case journal.UnitInputTokens:
		return a.Tokens.Input
	case journal.UnitOutputTokens:
		return a.Tokens.Output
	}
	return 0
}
