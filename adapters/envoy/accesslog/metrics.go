package accesslog

import "github.com/prometheus/client_golang/prometheus"

// Metrics is the Observer of production.
type Metrics struct{ logged *prometheus.CounterVec }

// NewMetrics registers what it counts.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{logged: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_envoy_accesslog_entries_total",
		Help: "Entries of Envoys' access logs, by what became of them."}, []string{"entry"})}
	r.MustRegister(m.logged)
	return m
}

// Logged counts one entry.
func (m *Metrics) Logged(what string) { m.logged.WithLabelValues(what).Inc() }
