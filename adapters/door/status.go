package door

import (
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// The header names of refusals.
const (
	headerDecision     = "x-signalbox-decision"
	headerBudget       = "x-signalbox-budget"
	headerBudgetLeft   = "x-signalbox-budget-left"
	headerRetryAfter   = "retry-after"
	headerRetryAfterMS = "retry-after-ms"
	headerShouldRetry  = "x-should-retry"
)

const (
	// patience is how long official SDKs are willing to wait because a server
	// says so; told to wait longer they fall back to guessing and retry at once.
	// So above it they are told not to retry.
	patience = time.Minute
	// soon is said where a rate refuses and nobody knows for how long: calls in
	// flight end when they end.
	soon = time.Second
)

// advice is what a refusal of each status tells an SDK about trying again. The
// statuses themselves belong to the codes: decision.Code.Status.
//
//	400 401 403 404 413  nothing: SDKs do not retry these by themselves
//	402                  x-should-retry: false, and no Retry-After: money does
//	                     not come back by waiting
//	429                  Retry-After and retry-after-ms, always; above a minute
//	                     also x-should-retry: false
//	503                  Retry-After and retry-after-ms where we know
func advice(status int, after time.Duration) map[string]string {
	switch status {
	case 402:
		return map[string]string{headerShouldRetry: "false"}
	case 429:
		if after <= 0 {
			after = soon
		}
		return wait(after)
	case 503:
		if after > 0 {
			return wait(after)
		}
	}
	return map[string]string{}
}

func wait(after time.Duration) map[string]string {
	headers := map[string]string{
		headerRetryAfter:   strconv.FormatInt(ceil(after, time.Second), 10),
		headerRetryAfterMS: strconv.FormatInt(ceil(after, time.Millisecond), 10),
	}
	if after > patience {
		headers[headerShouldRetry] = "false"
	}
	return headers
}

// ceil counts whole units, rounded up, so that nobody comes back early.
func ceil(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}

// requestIDHeader is where a dialect's SDK looks for the id that it prints in
// its errors, so that the decision can be found from a user's stack trace.
func requestIDHeader(d llm.Dialect) string {
	if d == llm.Anthropic {
		return "request-id"
	}
	return "x-request-id"
}

// statusOf is the first reason's. A code outside the closed set is a bug of
// ours, and the caller is refused rather than let through or shown a 500.
func statusOf(refusal *decision.Refusal) int {
	if len(refusal.Reasons) == 0 {
		return 403
	}
	if status := refusal.Status(); status != 0 {
		return status
	}
	return 403
}
