package analytics

import (
	"context"
	"time"
)

// priceRow is one recorded version of one price.
type priceRow struct {
	Deployment     string           `ch:"deployment"`
	ValidFrom      time.Time        `ch:"valid_from"`
	RecordedAt     time.Time        `ch:"recorded_at"`
	Version        int64            `ch:"version"`
	Removed        bool             `ch:"removed"`
	Input          int64            `ch:"input_nano_usd_per_mtok"`
	CachedInput    int64            `ch:"cached_input_nano_usd_per_mtok"`
	CacheWrite     int64            `ch:"cache_write_nano_usd_per_mtok"`
	CacheWriteLong int64            `ch:"cache_write_long_nano_usd_per_mtok"`
	Output         int64            `ch:"output_nano_usd_per_mtok"`
	Tools          map[string]int64 `ch:"tools_nano_usd_per_use"`
	Tiers          []tierRow        `ch:"tiers"`
}

type tierRow = map[string]any

func priceOf(p *PriceVersion) *priceRow {
	r := &priceRow{Deployment: p.Deployment, ValidFrom: storable(p.ValidFrom), RecordedAt: storable(p.RecordedAt),
		Version: p.Version, Removed: p.Removed, Input: p.Input, CachedInput: p.CachedInput, CacheWrite: p.CacheWrite,
		CacheWriteLong: p.CacheWriteLong, Output: p.Output, Tools: p.Tools}
	if r.Tools == nil {
		r.Tools = map[string]int64{}
	}
	for _, t := range p.Tiers {
		r.Tiers = append(r.Tiers, tierRow{"above": t.Above, "service_tier": t.ServiceTier, "input": t.Input,
			"cached_input": t.CachedInput, "cache_write": t.CacheWrite, "cache_write_long": t.CacheWriteLong, "output": t.Output})
	}
	return r
}

// pricesEvery is how often the registry is looked at for new prices.
const pricesEvery = 500 * time.Millisecond

// copyPrices keeps the prices table at the registry's history. The history only
// grows and its rows merge by what they are, so that a start writes all of it
// once more and a version is never there twice.
func (k *Sink) copyPrices(ctx context.Context) error {
	copied := 0
	tick := time.NewTicker(pricesEvery)
	defer tick.Stop()
	for {
		history := k.catalog.Prices()
		if len(history) > copied {
			rows := make([]any, 0, len(history)-copied)
			for i := range history[copied:] {
				rows = append(rows, priceOf(&history[copied+i]))
			}
			if err := k.store.insert(ctx, "prices_log", rows); err != nil {
				return err
			}
			copied = len(history)
			k.mu.Lock()
			k.priced = copied
			k.wake()
			k.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
