package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/decision"
)

// asked is what the doors ask of the decision.
type asked interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// tracing wraps what has spans, so that nothing of it holds any. nil: nobody
// traces, and what would be wrapped is given back as it is.
type tracing struct{ tracer trace.Tracer }

// openTracing turns tracing on where the OpenTelemetry environment says where to
// send spans to (OTEL_EXPORTER_OTLP_ENDPOINT and its kin).
func (b *box) openTracing(ctx context.Context) (*tracing, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil
	}
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "signalbox"), attribute.String("service.version", version))))
	b.onStop("tracing", provider.Shutdown)
	return &tracing{provider.Tracer("signalbox")}, nil
}

func (t *tracing) decisions(inner asked) asked {
	if t == nil {
		return inner
	}
	return &tracedDecisions{inner, t.tracer}
}

// tracedDecisions are decisions with a span each. The parent is the call's own span
// where the proxy made one, else the caller's traceparent, as the gateway handed it
// over.
type tracedDecisions struct {
	inner  asked
	tracer trace.Tracer
}

func (t *tracedDecisions) Decide(ctx context.Context, req decision.Request) (decision.Answer, error) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(req.Headers))
	}
	ctx, span := t.tracer.Start(ctx, "signalbox.decide", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	answer, err := t.inner.Decide(ctx, req)
	if err != nil {
		span.SetStatus(codes.Error, "no decision")
		return answer, err
	}
	span.SetAttributes(attribute.String("signalbox.decision", answer.DecisionID), attribute.String("signalbox.action", answer.Action()))
	if answer.Refusal != nil {
		span.SetAttributes(attribute.String("signalbox.reason", string(answer.Refusal.Reasons[0].Code)))
	}
	return answer, nil
}

func (t *tracedDecisions) Settle(ctx context.Context, report decision.Report) (decision.Settled, error) {
	ctx, span := t.tracer.Start(ctx, "signalbox.settle", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	settled, err := t.inner.Settle(ctx, report)
	if err != nil {
		span.SetStatus(codes.Error, "not settled")
		return settled, err
	}
	span.SetAttributes(attribute.Int64("signalbox.charged_nano_usd", settled.ChargedNanoUSD), attribute.Bool("signalbox.repeated", settled.Repeated))
	return settled, nil
}

// calls gives each call through the proxy a span: around its decision, its tries and
// its relay, to the settlement. What is sent to the provider keeps the caller's own
// traceparent: whose trace it is, is the caller's to say.
func (t *tracing) calls(inner http.Handler) http.Handler {
	if t == nil {
		return inner
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, "signalbox.call", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		inner.ServeHTTP(w, r.WithContext(ctx))
	})
}

// tries notes on a call's span what happened to it, beside whoever watches already.
func (t *tracing) tries(inner proxy.Observer) proxy.Observer {
	if t == nil {
		return inner
	}
	return tracedCalls{inner}
}

type tracedCalls struct{ proxy.Observer }

func (o tracedCalls) Tried(ctx context.Context, try proxy.Try) {
	o.Observer.Tried(ctx, try)
	trace.SpanFromContext(ctx).AddEvent("try", trace.WithAttributes(
		attribute.String("signalbox.deployment", try.Deployment), attribute.String("signalbox.provider", try.Provider),
		attribute.String("signalbox.outcome", try.Outcome), attribute.Int("http.response.status_code", try.Status)))
}

func (o tracedCalls) FirstByte(ctx context.Context, provider string, after time.Duration) {
	o.Observer.FirstByte(ctx, provider, after)
	trace.SpanFromContext(ctx).AddEvent("first byte")
}

func (o tracedCalls) Ended(ctx context.Context, e proxy.Ending) {
	o.Observer.Ended(ctx, e)
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("signalbox.ended", e.How), attribute.Int64("signalbox.relayed_bytes", e.Bytes))
}
