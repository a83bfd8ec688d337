package proxy

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the Observer of production. Its labels are our closed sets of words
// and the registry's providers, never what a caller sent.
type Metrics struct {
	tries     *prometheus.CounterVec
	firstByte *prometheus.HistogramVec
	ended     *prometheus.CounterVec
	aborted   *prometheus.CounterVec
	away      *prometheus.CounterVec
	bytes     prometheus.Counter
	unsettled prometheus.Counter
}

// NewMetrics registers what it counts.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_proxy_tries_total",
			Help: "Tries at deployments, by provider and outcome."}, []string{"provider", "outcome"}),
		firstByte: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "signalbox_proxy_first_byte_seconds",
			Help:    "Time from a try's beginning to the first byte of the provider's answer.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}}, []string{"provider"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_proxy_answers_total",
			Help: "Relayed answers, by how they ended."}, []string{"ended"}),
		aborted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_proxy_aborted_total",
			Help: "Answers that broke off, by the rule they are charged by; drained ones were read to their end."}, []string{"rule", "drained"}),
		away: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_proxy_turned_away_total",
			Help: "Calls refused before anything was decided, by reason."}, []string{"reason"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_proxy_relayed_bytes_total",
			Help: "Bytes of providers' answers that callers were given."}),
		unsettled: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_proxy_unsettled_total",
			Help: "Calls whose report was not taken; their holds are charged by rule."}),
	}
	r.MustRegister(m.tries, m.firstByte, m.ended, m.aborted, m.away, m.bytes, m.unsettled)
	return m
}

// TurnedAway counts one call.
func (m *Metrics) TurnedAway(why string) { m.away.WithLabelValues(why).Inc() }

// Tried counts one try.
func (m *Metrics) Tried(_ context.Context, t Try) {
	m.tries.WithLabelValues(t.Provider, t.Outcome).Inc()
}

// FirstByte takes one measurement.
func (m *Metrics) FirstByte(_ context.Context, provider string, after time.Duration) {
	m.firstByte.WithLabelValues(provider).Observe(after.Seconds())
}

// Ended counts one answer.
func (m *Metrics) Ended(_ context.Context, e Ending) {
	m.ended.WithLabelValues(e.How).Inc()
	m.bytes.Add(float64(e.Bytes))
	if e.How == endComplete {
		return
	}
	drained := "no"
	if e.Drained {
		drained = "yes"
	}
	m.aborted.WithLabelValues(e.Rule, drained).Inc()
}

// Unsettled counts one report.
func (m *Metrics) Unsettled() { m.unsettled.Inc() }
