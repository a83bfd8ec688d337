package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/decision"
)

type answers struct{}

func (answers) Decide(context.Context, decision.Request) (decision.Answer, error) {
	return decision.Answer{DecisionID: "d-1", Refusal: &decision.Refusal{Reasons: []decision.Reason{{Code: decision.KeyMissing}}}}, nil
}

func (answers) Settle(context.Context, decision.Report) (decision.Settled, error) {
	return decision.Settled{}, nil
}

// A call through the proxy is one span of the caller's trace, its decision a child of
// it; a question of a gateway's hangs on the caller's span itself.
func TestSpans(t *testing.T) {
	const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	recorder := tracetest.NewSpanRecorder()
	traces := &tracing{sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")}
	decisions := traces.decisions(answers{})
	calls := traces.calls(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = decisions.Decide(r.Context(), decision.Request{Headers: decision.Headers{"traceparent": caller}})
		watch := traces.tries(proxy.NewMetrics(newBox(Config{}, nil).metrics))
		watch.Tried(r.Context(), proxy.Try{Provider: "openai", Deployment: "mini", Status: 429, Outcome: "rate_limited"})
		watch.Ended(r.Context(), proxy.Ending{How: "complete", Bytes: 7})
	}))
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil)
	r.Header.Set("Traceparent", caller)
	calls.ServeHTTP(httptest.NewRecorder(), r)
	_, _ = decisions.Decide(t.Context(), decision.Request{Headers: decision.Headers{"traceparent": caller}})

	ended := recorder.Ended()
	if len(ended) != 3 || ended[0].Name() != "signalbox.decide" || ended[1].Name() != "signalbox.call" || ended[2].Name() != "signalbox.decide" {
		t.Fatalf("spans: %v", ended)
	}
	within, call, alone := ended[0], ended[1], ended[2]
	for _, span := range ended {
		if span.SpanContext().TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("%s is of another trace", span.Name())
		}
	}
	if within.Parent().SpanID() != call.SpanContext().SpanID() || call.Parent().SpanID().String() != "00f067aa0ba902b7" || alone.Parent().SpanID().String() != "00f067aa0ba902b7" {
		t.Errorf("parents: %s, %s, %s", within.Parent().SpanID(), call.Parent().SpanID(), alone.Parent().SpanID())
	}
	if events := call.Events(); len(events) != 1 || events[0].Name != "try" || len(call.Attributes()) != 2 {
		t.Errorf("the call's span says %v %v", events, call.Attributes())
	}
}

// Without tracing nothing is wrapped.
func TestNoTracing(t *testing.T) {
	var none *tracing
	metrics := proxy.NewMetrics(newBox(Config{}, nil).metrics)
	if none.decisions(answers{}) != asked(answers{}) || none.tries(metrics) != proxy.Observer(metrics) {
		t.Error("something is wrapped")
	}
}
