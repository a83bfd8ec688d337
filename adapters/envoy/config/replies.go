package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// soon is when a caller may try again what nobody had an answer to.
const soon = time.Second

// reply is something that Envoy says itself, and what the caller reads instead.
type reply struct {
	Why     string
	When    string // an expression over Envoy's attributes
	Status  int
	Headers []header
	Body    string
}

type header struct{ Key, Value string }

// localReplies are told apart by response code details, which Envoy sets for its own
// answers alone. Not by status: our refusals and a provider's 503 are none of these.
// The first that fits is taken.
func localReplies() []reply {
	var out []reply
	for _, r := range []struct {
		why, when string
		failed    door.Failed
	}{
		{"nobody decided: Signalbox is away, too slow or broken", `response.code_details.startsWith("ext_authz_error") || response.code_details.startsWith("ext_proc_error")`,
			door.Failed{Status: 503, Code: string(decision.NotDecided), Message: "no decision about this call can be made at present; try again", RetryAfter: soon}},
		{"a body above the routes' limit", `response.code_details == "request_payload_too_large"`,
			door.Failed{Status: 413, Code: string(decision.TooLarge), Message: "the request is larger than this gateway takes"}},
		{"no route", `response.code_details == "route_not_found"`,
			door.Failed{Status: 404, Code: string(decision.PathUnknown), Message: "this path is not served here"}},
		{"too many calls at once for a provider's cluster", `response.code_details.startsWith("upstream_reset_before_response_started{overflow") || response.code_details == "overload"`,
			door.Failed{Status: 503, Code: door.Overloaded, Message: "too many calls at once; try again", RetryAfter: soon}},
		{"the provider took too long", `response.code_details in ["response_timeout", "upstream_per_try_timeout", "upstream_max_stream_duration_reached"] || response.code_details.startsWith("upstream_response_timeout")`,
			door.Failed{Status: 504, Code: door.UpstreamTimeout, Message: "the provider did not answer in time"}},
		{"no provider could be reached", `response.code_details in ["cluster_not_found", "no_healthy_upstream", "maintenance_mode", "failed_to_inject_credential"] || response.code_details.startsWith("upstream_reset_before_response_started")`,
			door.Failed{Status: 502, Code: door.UpstreamUnavailable, Message: "no provider could be reached"}},
	} {
		anthropic := r.failed
		anthropic.Dialect = llm.Anthropic
		out = append(out, newReply(r.why, `(`+r.when+`) && request.path.startsWith("/v1/messages")`, anthropic), newReply("", r.when, r.failed))
	}
	return out
}

func newReply(why, when string, f door.Failed) reply {
	written := door.Failure(f)
	// Envoy reads % as the beginning of a format's command.
	r := reply{Why: why, When: when, Status: written.Status, Body: strings.ReplaceAll(string(written.Bytes()), "%", "%%")}
	for key, value := range written.Headers {
		if key != "content-type" { // the body's format says it
			r.Headers = append(r.Headers, header{key, value})
		}
	}
	slices.SortFunc(r.Headers, func(a, b header) int { return cmp.Compare(a.Key, b.Key) })
	return r
}
