package decision

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the Observer of production. Its labels are our closed sets of words,
// never what a caller sent.
type Metrics struct {
	decisions *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	settled   *prometheus.CounterVec
	overHold  prometheus.Counter
	charged   prometheus.Counter
	failed    prometheus.Counter
	undecided *prometheus.CounterVec
	log       *slog.Logger
}

// NewMetrics registers what it counts.
func NewMetrics(r prometheus.Registerer, log *slog.Logger) *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_decisions_total",
			Help: "Decisions, by action and by the first reason of a denial."}, []string{"action", "reason"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "signalbox_decision_seconds",
			Help:    "Time from the question to the answer, waits for leases included.",
			Buckets: []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1}}, []string{"action"}),
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_settlements_total",
			Help: "Settlements, by outcome; repeated ones count as repeated."}, []string{"outcome"}),
		overHold: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_over_hold_total",
			Help: "Settlements above their hold: the ceiling was not one."}),
		charged: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_charged_usd_total",
			Help: "Money charged, in US dollars, rounded by this metric; the ledger has it exactly."}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_policy_errors_total",
			Help: "Policy evaluations that failed; each denied its call."}),
		undecided: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_undecided_total",
			Help: "Calls of which a gateway told that it got no decision, by what it did with them: passed or refused."}, []string{"outcome"}),
		log: log,
	}
	r.MustRegister(m.decisions, m.latency, m.settled, m.overHold, m.charged, m.failed, m.undecided)
	return m
}

// Decided counts one decision.
func (m *Metrics) Decided(_ *Case, a *Answer, took time.Duration) {
	reason := ""
	if a.Refusal != nil {
		reason = string(a.Refusal.Reasons[0].Code)
	}
	action := a.Action()
	m.decisions.WithLabelValues(action, reason).Inc()
	m.latency.WithLabelValues(action).Observe(took.Seconds())
}

// Settled counts one settlement.
func (m *Metrics) Settled(outcome string, repeated, overHold bool, chargedNanoUSD int64) {
	if repeated {
		outcome = "repeated"
	} else {
		m.charged.Add(float64(chargedNanoUSD) / 1e9)
		if overHold {
			m.overHold.Inc()
		}
	}
	m.settled.WithLabelValues(outcome).Inc()
}

// PolicyFailed tells operators what callers are not told.
func (m *Metrics) PolicyFailed(err error) {
	m.failed.Inc()
	m.log.Error("the policy could not be evaluated; the call was denied", "err", err)
}

// Undecided counts one call that no decision was made of.
func (m *Metrics) Undecided(passed bool) {
	did := "refused"
	if passed {
		did = "passed"
	}
	m.undecided.WithLabelValues(did).Inc()
}
