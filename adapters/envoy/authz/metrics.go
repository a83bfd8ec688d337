package authz

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the Observer of production.
type Metrics struct{ checked *prometheus.HistogramVec }

// NewMetrics registers what it counts.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{checked: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "signalbox_envoy_authz_checked_seconds",
		Help:    "Time from ext_authz's question to its answer, by what that was.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1, 3}}, []string{"answer"})}
	r.MustRegister(m.checked)
	return m
}

// Checked takes one measurement.
func (m *Metrics) Checked(how string, took time.Duration) {
	m.checked.WithLabelValues(how).Observe(took.Seconds())
}
