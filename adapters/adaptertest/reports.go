package adaptertest

import (
	"errors"
	"strconv"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// report is one report: what a gateway says, what must be settled, the receipt.
type report struct {
	name    string
	local   bool
	token   string
	say     door.Report
	want    decision.Report
	settled decision.Settled
	err     error
	problem door.Kind
}

func fullReport() door.Report {
	return door.Report{
		ReportToken: "token", Outcome: "completed", Deployment: "gpt-4o-paygo", Status: 200,
		Attempts: []door.Attempt{{Deployment: "gpt-4o-ptu", Status: 429, Outcome: "failed", LatencyMS: 20}},
		Usage: &door.Usage{InputTokens: 812, CachedInputTokens: 512, CacheWriteTokens: 10, CacheWriteLongTokens: 5,
			OutputTokens: 120, ReasoningTokens: 20, Other: map[string]int64{"web_search": 2}},
		ServiceTier: "flex", Source: "stream", LatencyMS: 912, TTFTMS: 140,
	}
}

func fullSettlement() decision.Report {
	return decision.Report{
		Token: "token", Gateway: Gateway, Outcome: journal.OutcomeCompleted, Deployment: "gpt-4o-paygo", Status: 200,
		Attempts: []decision.ReportedAttempt{{Deployment: "gpt-4o-ptu", Status: 429, Outcome: journal.OutcomeFailed, LatencyMS: 20}},
		Usage: &journal.Tokens{Input: 812, Cached: 512, CacheWrite: 10, CacheWriteLong: 5, Output: 120, Reasoning: 20,
			Other: map[string]int64{"web_search": 2}},
		ServiceTier: "flex", Source: journal.SourceStream, SeenOutputTokens: -1, LatencyMS: 912, TTFTMS: 140,
	}
}

func reports() []report {
	charged := decision.Settled{Settled: true, ChargedNanoUSD: 2_590_000, ReleasedNanoUSD: 9_750_000}
	bare := func(outcome journal.Outcome) decision.Report {
		return decision.Report{CallID: "c-1", Gateway: Gateway, Outcome: outcome, SeenOutputTokens: -1}
	}
	seen := int64(7)
	aborted := bare(journal.OutcomeAborted)
	aborted.SeenOutputTokens = 7
	raw := bare(journal.OutcomeCompleted)
	raw.ProviderUsage, raw.Source = []byte(`{"prompt_tokens":1,"completion_tokens":2}`), journal.SourceBody
	stories := []report{
		{name: "everything in it", token: Token, say: fullReport(), want: fullSettlement(), settled: charged},
		{name: "by call id, usage unknown", token: Token, say: door.Report{CallID: "c-1", Outcome: "completed"}, want: bare(journal.OutcomeCompleted), settled: charged},
		{name: "not sent", token: Token, say: door.Report{CallID: "c-1", Outcome: "not_sent"}, want: bare(journal.OutcomeNotSent), settled: decision.Settled{}},
		{name: "a repeat above its hold", token: Token, say: door.Report{CallID: "c-1", Outcome: "failed"}, want: bare(journal.OutcomeFailed), settled: decision.Settled{Settled: true, Repeated: true, OverHold: true, ChargedNanoUSD: 1}},
		{name: "broken off, with what was seen", token: Token, say: door.Report{CallID: "c-1", Outcome: "aborted", SeenOutputTokens: &seen}, want: aborted, settled: charged},
		{name: "usage as the provider said it", token: Token, say: door.Report{CallID: "c-1", Outcome: "completed", ProviderUsage: raw.ProviderUsage}, want: raw, settled: charged},
		{name: "a gateway that is another", token: Token, say: door.Report{CallID: "c-1", Outcome: "completed", Gateway: Other}, problem: door.UnknownGateway},
		{name: "no token", say: fullReport(), problem: door.UnknownGateway},
	}
	for status, kind := range map[int]door.Kind{400: door.BadEnvelope, 401: door.ForgedToken, 404: door.UnknownCall, 409: door.Conflict} {
		stories = append(stories, report{name: "refused with " + strconv.Itoa(status), token: Token, say: fullReport(),
			err: &decision.ReportError{Status: status, Message: "no"}, problem: kind})
	}
	stories = append(stories, report{name: "the journal and the spool are away", token: Token, say: fullReport(), err: errors.New("disk full"), problem: door.Unavailable})
	return append(stories, badReports()...)
}

func badReports() []report {
	var out []report
	add := func(name string, change func(r *door.Report)) {
		r := fullReport()
		change(&r)
		out = append(out, report{name: name, token: Token, say: r, problem: door.BadEnvelope})
	}
	add("neither token nor call id", func(r *door.Report) { r.ReportToken = "" })
	add("no outcome", func(r *door.Report) { r.Outcome = "" })
	add("an outcome that is ours to say", func(r *door.Report) { r.Outcome = "unknown" })
	add("a source that is ours to say", func(r *door.Report) { r.Source = "rule" })
	add("negative tokens", func(r *door.Report) { r.Usage.OutputTokens = -1 })
	add("more tokens than there are", func(r *door.Report) { r.Usage.InputTokens = 1 << 60 })
	add("cached tokens beside the input", func(r *door.Report) { r.Usage.InputTokens = 1 })
	add("more reasoning than output", func(r *door.Report) { r.Usage.ReasoningTokens = 121 })
	add("usage in both spellings", func(r *door.Report) { r.ProviderUsage = []byte(`{}`) })
	add("a negative latency", func(r *door.Report) { r.LatencyMS = -1 })
	add("a negative time to the first byte", func(r *door.Report) { r.TTFTMS = -1 })
	add("a status of four digits", func(r *door.Report) { r.Status = 2000 })
	add("an attempt without an outcome", func(r *door.Report) { r.Attempts[0].Outcome = "" })
	add("65 attempts", func(r *door.Report) {
		for len(r.Attempts) < 65 {
			r.Attempts = append(r.Attempts, r.Attempts[0])
		}
	})
	add("a negative count of what was seen", func(r *door.Report) { n := int64(-2); r.SeenOutputTokens = &n })
	return out
}
