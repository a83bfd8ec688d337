package registry

import "time"

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
	Tiers      []Tier
	RecordedAt time.Time // when we learnt of it
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
