package grpc

import (
	"github.com/signalbox-dev/signalbox/adapters/door"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

// question reads a DecideRequest.
func question(m *decisionv1.DecideRequest) (door.Question, *door.Problem) {
	r := m.GetRequest()
	if r == nil {
		return door.Question{}, &door.Problem{Kind: door.BadEnvelope, Where: "request", Message: "want the caller's request: method, path, headers, body"}
	}
	return door.Question{
		CallID: m.GetCallId(), Gateway: m.GetGateway(), Method: r.GetMethod(), Path: r.GetPath(),
		Headers: r.GetHeaders(), Body: r.GetBody(), BodyComplete: r.BodyComplete,
	}, nil
}

// report reads a ReportRequest.
func report(m *decisionv1.ReportRequest) door.Report {
	r := door.Report{
		ReportToken: m.GetReportToken(), CallID: m.GetCallId(), Gateway: m.GetGateway(),
		Outcome: m.GetOutcome(), Deployment: m.GetDeployment(), Status: int64(m.GetStatus()),
		Usage: usage(m.GetUsage()), ProviderUsage: m.GetProviderUsage(), SeenOutputTokens: m.SeenOutputTokens,
		ServiceTier: m.GetServiceTier(), Source: m.GetSource(), LatencyMS: m.GetLatencyMs(), TTFTMS: m.GetTtftMs(),
	}
	for _, a := range m.GetAttempts() {
		r.Attempts = append(r.Attempts, door.Attempt{
			Deployment: a.GetDeployment(), Status: int64(a.GetStatus()), Outcome: a.GetOutcome(),
			LatencyMS: a.GetLatencyMs(), Usage: usage(a.GetUsage()),
		})
	}
	return r
}

func usage(m *decisionv1.Usage) *door.Usage {
	if m == nil {
		return nil
	}
	return &door.Usage{
		InputTokens: m.GetInputTokens(), CachedInputTokens: m.GetCachedInputTokens(),
		CacheWriteTokens: m.GetCacheWriteTokens(), CacheWriteLongTokens: m.GetCacheWriteLongTokens(),
		OutputTokens: m.GetOutputTokens(), ReasoningTokens: m.GetReasoningTokens(), Other: m.GetOther(),
	}
}
