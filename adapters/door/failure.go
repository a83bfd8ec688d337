package door

import (
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// Failure codes stand beside the decision's reasons where a call was let out and
// nobody could answer it. They are never a decision's reason: no budget and no
// rule was against the call.
const (
	UpstreamUnavailable = "upstream_unavailable" // 502: no deployment could be used
	UpstreamTimeout     = "upstream_timeout"     // 504: the provider did not answer in time
	Overloaded          = "overloaded"           // 503: too much at once, or about to stop; nothing was decided
)

// Failed is a call that was let out, or nearly so, and that we failed.
type Failed struct {
	Dialect    llm.Dialect // "": OpenAI's
	DecisionID string      // "": nothing was decided
	Status     int
	Code       string
	Message    string
	RetryAfter time.Duration // 0: not said
}

// Failure writes what the caller is told, in the same shape as a refusal.
func Failure(f Failed) Response {
	if f.Dialect == "" {
		f.Dialect = llm.OpenAI
	}
	headers := advice(f.Status, f.RetryAfter)
	headers["content-type"] = "application/json"
	body := llm.RefusalBody{Status: f.Status, Code: f.Code, Message: f.Message, RequestID: f.DecisionID}
	if f.DecisionID != "" {
		headers[headerDecision] = f.DecisionID
		headers[requestIDHeader(f.Dialect)] = f.DecisionID
		body.Signalbox = figures{DecisionID: f.DecisionID}
	}
	return Response{Status: f.Status, Headers: headers, Text: NewText(llm.ErrorBody(f.Dialect, body))}
}
