package xds

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the Observer of production.
type Metrics struct {
	connected, whole prometheus.Gauge
	pushed           prometheus.Counter
	answered         *prometheus.CounterVec
}

// NewMetrics registers what it counts.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signalbox_envoy_xds_connected", Help: "Envoys that are configured from here."}),
		whole: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signalbox_envoy_xds_whole",
			Help: "1 while what the registry comes to could be handed out; 0: Envoys keep the last that could."}),
		pushed: prometheus.NewCounter(prometheus.CounterOpts{Name: "signalbox_envoy_xds_pushed_total", Help: "Configurations handed out."}),
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signalbox_envoy_xds_answers_total",
			Help: "Envoys' answers to what they were told, by kind and whether they took it."}, []string{"kind", "ack"}),
	}
	r.MustRegister(m.connected, m.whole, m.pushed, m.answered)
	return m
}

// Connected takes how many there are.
func (m *Metrics) Connected(envoys int) { m.connected.Set(float64(envoys)) }

// Pushed counts one configuration.
func (m *Metrics) Pushed() { m.pushed.Inc() }

// Answered counts one answer.
func (m *Metrics) Answered(kind string, ack bool) {
	m.answered.WithLabelValues(kind, strconv.FormatBool(ack)).Inc()
}

// Whole takes whether the newest could be handed out.
func (m *Metrics) Whole(ok bool) {
	m.whole.Set(0)
	if ok {
		m.whole.Set(1)
	}
}
