package envoy

// LoggedHeaders are the headers of answers that an access log must hold: by the first
// two we know what its bytes can say of usage, and by the others when a deployment may
// be tried again, as decision/health reads them. Names are in lower case.
func LoggedHeaders() []string {
	return []string{
		"content-type", "content-encoding", "retry-after", "retry-after-ms", "date",
		"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
		"x-ratelimit-remaining-project-requests", "x-ratelimit-reset-project-requests", "x-ratelimit-remaining-project-tokens", "x-ratelimit-reset-project-tokens",
		"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset",
		"anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset",
	}
}
