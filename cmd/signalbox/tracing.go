package main

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-dev/signalbox/decision"
)

// asked is what the doors ask of the decision.
type asked interface {
	Decide(ctx context.Context, req decision.Request) (decision.Answer, error)
	Settle(ctx context.Context, report decision.Report) (decision.Settled, error)
}

// traced wraps the decision in spans, so that its stages hold none. The parent is
// the caller's traceparent, as the gateway handed it over.
type traced struct {
	inner  asked
	tracer trace.Tracer
}

// traceDecisions turns tracing on where the OpenTelemetry environment says where
// to send spans to (OTEL_EXPORTER_OTLP_ENDPOINT and its kin).
func (b *box) traceDecisions(ctx context.Context, inner asked) (asked, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return inner, nil
	}
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "signalbox"), attribute.String("service.version", version))))
	b.onStop("tracing", provider.Shutdown)
	return &traced{inner: inner, tracer: provider.Tracer("signalbox")}, nil
}

func (t *traced) Decide(ctx context.Context, req decision.Request) (decision.Answer, error) {
	parent := propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(req.Headers))
	ctx, span := t.tracer.Start(parent, "signalbox.decide", trace.WithSpanKind(trace.SpanKindServer))
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

func (t *traced) Settle(ctx context.Context, report decision.Report) (decision.Settled, error) {
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
