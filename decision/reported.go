package decision

import (
	"fmt"
	"net/http"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// attemptsMost bounds the tries of one call.
const attemptsMost = 64

// checkReport refuses a report of what cannot have been.
func (s *Service) checkReport(k *call, r Report) error {
	switch r.Outcome {
	case journal.OutcomeCompleted, journal.OutcomeFailed, journal.OutcomeAborted, journal.OutcomeNotSent:
	default:
		return &ReportError{http.StatusBadRequest, "outcome: want completed, failed, aborted or not_sent"}
	}
	if len(r.Attempts) > attemptsMost {
		return &ReportError{http.StatusBadRequest, fmt.Sprintf("attempts: at most %d", attemptsMost)}
	}
	world := s.registry.Snapshot()
	for _, a := range append([]ReportedAttempt{{Deployment: r.Deployment}}, r.Attempts...) {
		if a.Deployment != "" && !k.note.answered(world, a.Deployment) {
			return &ReportError{http.StatusBadRequest, "deployment " + clip(a.Deployment, 64) + " was not in the answer to this call"}
		}
	}
	return nil
}

// beforeFirstByte: a status that says it went well means that bytes came, whether
// or not the gateway measured when.
func beforeFirstByte(r Report) bool {
	return r.Outcome == journal.OutcomeFailed && r.TTFTMS == 0 && r.SeenOutputTokens <= 0 && !went(r.Status)
}

func went(status int) bool { return status >= 200 && status < 400 }

// cannotHaveCost is a try that surely cost nothing: it did not connect, or was
// turned away. After a time-out nobody knows what the provider billed.
func (a ReportedAttempt) cannotHaveCost() bool {
	return a.Outcome == journal.OutcomeNotSent || a.Outcome == journal.OutcomeFailed && !went(a.Status)
}

// mostTokens is more than any call has used; a report above it is a mistake, and
// sums of such figures could overflow.
const mostTokens = 1 << 40

// reportedUsage is what the gateway says was used, normalised; nil when it does
// not say.
func reportedUsage(k *call, r Report) (*journal.Tokens, string, error) {
	if r.Usage != nil && r.ProviderUsage != nil {
		return nil, "", &ReportError{http.StatusBadRequest, "usage and provider_usage: send one of them"}
	}
	tokens, tier := r.Usage, ""
	if r.ProviderUsage != nil {
		normal, said, err := llm.Usage(llm.Dialect(k.note.Dialect), r.ProviderUsage)
		if err != nil {
			return nil, "", &ReportError{http.StatusBadRequest, "provider_usage: " + err.Error()}
		}
		tokens, tier = &normal, said
	}
	all := []*journal.Tokens{tokens}
	for _, a := range r.Attempts {
		all = append(all, a.Usage)
	}
	for _, t := range all {
		if t == nil {
			continue
		}
		if why := implausible(*t); why != "" {
			return nil, "", &ReportError{http.StatusBadRequest, "usage: " + why}
		}
	}
	return tokens, tier, nil
}

// implausible says what is wrong with figures that cannot be true.
func implausible(t journal.Tokens) string {
	for _, n := range [...]int64{t.Input, t.Cached, t.CacheWrite, t.CacheWriteLong, t.Output, t.Reasoning} {
		if n < 0 || n > mostTokens {
			return "token counts must lie between 0 and 2⁴⁰"
		}
	}
	for _, n := range t.Other {
		if n < 0 || n > mostTokens {
			return "counts of other things must lie between 0 and 2⁴⁰"
		}
	}
	if t.Cached+t.CacheWrite+t.CacheWriteLong > t.Input {
		return "cached and cache-write tokens are part of input_tokens and cannot exceed it"
	}
	if t.Reasoning > t.Output {
		return "reasoning_tokens are part of output_tokens and cannot exceed it"
	}
	return ""
}

func rankOf(r Report, otherwise journal.Rank) journal.Rank {
	if r.Rank != 0 {
		return r.Rank
	}
	return otherwise
}

func sourceOf(r Report) journal.Source {
	if r.Source != "" {
		return r.Source
	}
	return journal.SourceBody
}

func firstText(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
