package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are read from the parts when Prometheus asks, so that no part has to
// keep them up to date.
type gauges struct{ b *box }

var (
	descHolds     = desc("signalbox_holds_open", "Holds that nobody has settled yet.")
	descLeases    = desc("signalbox_leases", "Leases of this replica in hand.")
	descWaiting   = desc("signalbox_calls_waiting", "Calls waiting for money.")
	descMeters    = desc("signalbox_meters", "Meters in the books.")
	descFoldLag   = desc("signalbox_journal_lag_entries", "Ledger entries not folded yet.", "partition")
	descSpool     = desc("signalbox_spool_records", "Facts on disk that the journal does not have yet.")
	descSpoolB    = desc("signalbox_spool_bytes", "Their size.")
	descSpooled   = desc("signalbox_settlements_spooled_total", "Settlements that went to the spool because the journal did not answer.")
	descAnalytics = desc("signalbox_analytics_lag_entries", "Journal entries that ClickHouse does not have yet.", "topic", "partition")
	descRegistry  = desc("signalbox_registry_version", "Version of the registry in force.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descHolds, descLeases, descWaiting, descMeters, descFoldLag, descSpool, descSpoolB, descSpooled, descAnalytics, descRegistry} {
		ch <- d
	}
}

func (g gauges) Collect(ch chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	stats := g.b.keeper.Stats()
	set(descHolds, float64(stats.HoldsOpen))
	set(descLeases, float64(stats.Leases))
	set(descWaiting, float64(stats.Waiting))
	set(descMeters, float64(stats.Meters))
	for partition, lag := range stats.FoldLag {
		set(descFoldLag, float64(lag), strconv.Itoa(int(partition)))
	}
	records, bytes := g.b.spool.Depth()
	set(descSpool, float64(records))
	set(descSpoolB, float64(bytes))
	ch <- prometheus.MustNewConstMetric(descSpooled, prometheus.CounterValue, float64(stats.Spooled))
	set(descRegistry, float64(g.b.registry.Snapshot().Version))
	if g.b.sink != nil {
		for _, l := range g.b.sink.Lag() {
			set(descAnalytics, float64(max(0, l.End-l.Next)), string(l.Topic), strconv.Itoa(int(l.Partition)))
		}
	}
}
