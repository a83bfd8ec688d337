package registry

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Rates are nano-USD per million tokens, by what kind of token it is.
type Rates struct {
	Input, CachedInput, CacheWrite, CacheWriteLong, Output int64
}

// Price is what one deployment charges from a moment on. What the file does not
// say is resolved: cached input and cache writes cost what input costs.
type Price struct {
	Deployment string
	From       time.Time
	Rates
	Tools      map[string]int64 // nano-USD for each use, by the tool's name; a tool that is not in it has no fee that we know
	Tiers      []Tier           // sorted by service tier, then length
	RecordedAt time.Time        // when we learnt of it
	Version    int64
}

// Tier is a price for some calls only: those whose input is longer than Above,
// those of a service tier, or those that are both. What it does not say costs
// what the price says.
type Tier struct {
	Above       int64  // input tokens; 0: any
	ServiceTier string // as the provider spells it; empty: any
	Rates
}

// RecordedPrice is one entry of the history: a price as it was recorded, or its
// removal.
type RecordedPrice struct {
	Price
	Removed bool
}

// RatesFor is what a call of this much input and this service tier pays. Of the
// tiers that fit, one for the service tier goes before one for all, and then the
// longest length that is passed: which is the last that fits, as they are sorted.
func (p *Price) RatesFor(input int64, serviceTier string) Rates {
	rates := p.Rates
	for i := range p.Tiers {
		if t := &p.Tiers[i]; (t.Above == 0 || input > t.Above) && (t.ServiceTier == "" || t.ServiceTier == serviceTier) {
			rates = t.Rates
		}
	}
	return rates
}

// Dearest is an upper bound of what a call of at most this much input can pay,
// rate by rate: in this service tier, or, where it is empty, in any.
func (p *Price) Dearest(input int64, serviceTier string) Rates {
	r := p.Rates
	for i := range p.Tiers {
		t := &p.Tiers[i]
		if input <= t.Above && t.Above > 0 || serviceTier != "" && t.ServiceTier != "" && t.ServiceTier != serviceTier {
			continue
		}
		r = Rates{max(r.Input, t.Input), max(r.CachedInput, t.CachedInput), max(r.CacheWrite, t.CacheWrite),
			max(r.CacheWriteLong, t.CacheWriteLong), max(r.Output, t.Output)}
	}
	return r
}

// Cost is what a call that used this much pays, in the service tier it was answered
// in: its tokens at their rates, and each use of a tool its fee. Uses of a tool that
// the price does not know cost nothing here: whoever holds money asks Fee first.
func (p *Price) Cost(t journal.Tokens, serviceTier string) (int64, error) {
	cost, err := p.RatesFor(t.Input, serviceTier).Cost(t)
	if err != nil {
		return 0, err
	}
	for tool, fee := range p.Tools {
		uses := t.Other[tool]
		if uses < 0 {
			return 0, fmt.Errorf("%d uses of %s cannot be", uses, tool)
		}
		hi, lo := bits.Mul64(uint64(uses), uint64(fee))
		if hi > 0 || lo > uint64(math.MaxInt64-cost) {
			return 0, fmt.Errorf("the cost of %d uses of %s is more than can be counted", uses, tool)
		}
		// A whole number beside a sum that was rounded up is the sum of both rounded up.
		cost += int64(lo)
	}
	return cost, nil
}

// Fee is what one use of a tool costs; false: the price does not say.
func (p *Price) Fee(tool string) (nano int64, ok bool) {
	nano, ok = p.Tools[tool]
	return nano, ok
}

// tokensPerPrice is how many tokens a rate is for.
const tokensPerPrice = 1_000_000

// Cost is what these tokens cost in nano-USD: the sum over their kinds of
// tokens × rate ÷ 10⁶, rounded up once. Input includes what is cached, read or
// written; those parts pay their own rates and the rest pays the input's.
func (r Rates) Cost(t journal.Tokens) (int64, error) {
	plain := t.Input
	for _, part := range [...]int64{t.Cached, t.CacheWrite, t.CacheWriteLong} {
		if part < 0 || part > plain { // before the subtraction: huge parts must not wrap around
			plain = -1
			break
		}
		plain -= part
	}
	if plain < 0 || min(t.Input, t.Output) < 0 {
		return 0, fmt.Errorf("tokens do not add up: input %d of which cached %d, written %d and %d; output %d",
			t.Input, t.Cached, t.CacheWrite, t.CacheWriteLong, t.Output)
	}
	var hi, lo uint64
	for _, part := range [...][2]int64{{plain, r.Input}, {t.Cached, r.CachedInput}, {t.CacheWrite, r.CacheWrite},
		{t.CacheWriteLong, r.CacheWriteLong}, {t.Output, r.Output}} {
		h, l := bits.Mul64(uint64(part[0]), uint64(part[1]))
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi, carry = bits.Add64(hi, h, carry)
		if carry != 0 {
			return 0, fmt.Errorf("the cost of %d tokens is more than can be counted", t.Input+t.Output)
		}
	}
	lo, carry := bits.Add64(lo, tokensPerPrice-1, 0)
	hi += carry
	if hi >= tokensPerPrice {
		return 0, fmt.Errorf("the cost of %d input and %d output tokens is more than can be counted", t.Input, t.Output)
	}
	cost, _ := bits.Div64(hi, lo, tokensPerPrice)
	if cost > math.MaxInt64 {
		return 0, fmt.Errorf("the cost of %d input and %d output tokens is more than can be counted", t.Input, t.Output)
	}
	return int64(cost), nil
}

// prices are the versions of one deployment's prices.
type prices struct {
	current []*Price        // by From; what was corrected or removed is not in it
	history []RecordedPrice // in the order of recording
}

// at is the price in force at a moment.
func (p *prices) at(at time.Time) (Price, bool) {
	if p == nil {
		return Price{}, false
	}
	for i := len(p.current) - 1; i >= 0; i-- {
		if !p.current[i].From.After(at) {
			return *p.current[i], true
		}
	}
	return Price{}, false
}

// asOf is the price in force at a moment as it was known at a registry version.
func (p *prices) asOf(at time.Time, version int64) (Price, bool) {
	if p == nil {
		return Price{}, false
	}
	var best *RecordedPrice
	seen := make([]int64, 0, 16) // beginnings whose newest record was met
	for i := len(p.history) - 1; i >= 0; i-- {
		h := &p.history[i]
		if h.Version > version || h.From.After(at) || slices.Contains(seen, h.From.Unix()) {
			continue
		}
		seen = append(seen, h.From.Unix())
		if !h.Removed && (best == nil || h.From.After(best.From)) {
			best = h
		}
	}
	if best == nil {
		return Price{}, false
	}
	return best.Price, true
}

func sortPrices(list []*Price) {
	slices.SortFunc(list, func(a, b *Price) int { return a.From.Compare(b.From) })
}
