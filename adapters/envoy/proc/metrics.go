package proc

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the Observer of production. Its labels are our closed sets of words and
// the registry's providers, never what a caller sent.
type Metrics struct {
	decided   *prometheus.HistogramVec
	tries     *prometheus.CounterVec
	ended     *prometheus.CounterVec
	aborted   *prometheus.CounterVec
	away      *prometheus.CounterVec
	wrong     *prometheus.CounterVec
	bytes     prometheus.Counter
	unsettled prometheus.Counter
}

// NewMetrics registers what it counts.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		decided: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "signalbox_envoy_proc_decided_seconds",
			Help:    "Time from a call's last byte to its answer, by what that was.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1, 3}}, []string{"answer"}),
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_envoy_proc_tries_total",
			Help: "Tries at deployments, by provider and outcome."}, []string{"provider", "outcome"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_envoy_proc_answers_total",
			Help: "Providers' answers that passed by, by how they ended."}, []string{"ended"}),
		aborted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_envoy_proc_aborted_total",
			Help: "Answers that broke off, by the rule they are charged by."}, []string{"rule"}),
		away: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_envoy_proc_turned_away_total",
			Help: "Calls refused before anything was decided, by reason."}, []string{"reason"}),
		wrong: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_envoy_proc_misconfigured_total",
			Help: "Calls on which the filter's configuration kept us from our work, by the setting."}, []string{"setting"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_envoy_proc_answer_bytes_total",
			Help: "Bytes of providers' answers that passed by."}),
		unsettled: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_envoy_proc_unsettled_total",
			Help: "Calls whose report was not taken; their holds are charged by rule."}),
	}
	r.MustRegister(m.decided, m.tries, m.ended, m.aborted, m.away, m.wrong, m.bytes, m.unsettled)
	return m
}

// TurnedAway counts one call.
func (m *Metrics) TurnedAway(why string) { m.away.WithLabelValues(why).Inc() }

// Decided takes one measurement.
func (m *Metrics) Decided(how string, took time.Duration) {
	m.decided.WithLabelValues(how).Observe(took.Seconds())
}

// Tried counts one try.
func (m *Metrics) Tried(t Try) { m.tries.WithLabelValues(t.Provider, t.Outcome).Inc() }

// Ended counts one answer.
func (m *Metrics) Ended(e Ending) {
	m.ended.WithLabelValues(e.How).Inc()
	m.bytes.Add(float64(e.Bytes))
	if e.How != endComplete {
		m.aborted.WithLabelValues(e.Rule).Inc()
	}
}

// Unsettled counts one report.
func (m *Metrics) Unsettled() { m.unsettled.Inc() }

// Misconfigured counts one call.
func (m *Metrics) Misconfigured(what string) { m.wrong.WithLabelValues(what).Inc() }
