package proc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/adapters/envoy/proc"
)

// The metrics count what happened, in closed sets of words.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := build(t, func(h *house) { h.parts.Observe = proc.NewMetrics(registry) })
	f := h.filter()
	f.ask("POST", chat, ask)
	f.pass("application/json", answerJSON)
	h.report()
	f = h.filter()
	f.ask("POST", chat, ask)
	f.answer(1, "via_upstream", 200, false, "content-type", "text/event-stream")
	f.chunk(oneWord, false)
	f.abort()
	h.report()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		for _, m := range family.GetMetric() {
			text.WriteString(strings.TrimPrefix(family.GetName(), "signalbox_envoy_proc_"))
			for _, l := range m.GetLabel() {
				text.WriteString(" " + l.GetValue())
			}
			if c := m.GetCounter(); c != nil {
				fmt.Fprint(&text, " ", c.GetValue())
			}
			text.WriteString("\n")
		}
	}
	for _, want := range []string{"aborted_total seen 1\n", "answers_total complete 1\n", "answers_total gone 1\n", "decided_seconds go\n", "tries_total ok p1 2\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}
