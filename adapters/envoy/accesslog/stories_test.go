package accesslog_test

import (
	"errors"
	"net/http"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/accesslog"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

func report(change func(*decision.Report)) decision.Report {
	r := decision.Report{Token: "token", Gateway: "edge-1", Outcome: journal.OutcomeCompleted, Deployment: "a", Status: 200,
		Source: journal.SourceAccessLog, SeenOutputTokens: -1, LatencyMS: 498, TTFTMS: 40, Learnt: true}
	change(&r)
	return r
}

func used(input, output int64) func(*decision.Report) {
	return func(r *decision.Report) {
		r.Usage, r.Rank = &journal.Tokens{Input: input, Output: output}, journal.RankExact
	}
}

func ended(outcome journal.Outcome, code int) func(*decision.Report) {
	return func(r *decision.Report) { r.Outcome, r.Status, r.TTFTMS = outcome, code, 0 }
}

// stories are entries, as Envoy 1.40.0 logged them, and what is settled by them.
var stories = []struct {
	name  string
	entry *datav3.HTTPAccessLogEntry
	want  decision.Report
}{
	{"a stream to its end", chat(allowed, counted), report(used(12, 34))},
	{"the same of a call of ext_proc's", chat(allowedByProc, counted), report(used(12, 34))},
	{"one that was not counted", chat(allowed), report(func(*decision.Report) {})},
	{"zeros are no count", chat(allowed, func(e *entry) {
		e.put(envoy.NamespaceUsage, texts("usage", `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`))
	}), report(func(*decision.Report) {})},
	{"figures that cannot be true", chat(allowed, func(e *entry) {
		e.put(envoy.NamespaceUsage, texts("usage", `{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9}}`))
	}), report(func(*decision.Report) {})},
	{"one that the provider ended with an error", chat(allowed, func(e *entry) { e.put(envoy.NamespaceUsage, texts("error.type", "server_error")) }),
		report(func(r *decision.Report) { r.Outcome, r.SeenOutputTokens = journal.OutcomeFailed, 700 })},
	{"the caller left in the middle", chat(allowed, details(200, "downstream_remote_disconnect")),
		report(func(r *decision.Report) { r.Outcome, r.SeenOutputTokens = journal.OutcomeAborted, 700 })},
	{"the same, through ext_proc, which saw more than we", chat(allowedByProc, details(200, "downstream_remote_disconnect")),
		report(func(r *decision.Report) { r.Outcome = journal.OutcomeAborted })},
	{"a server that counts along, broken off", chat(allowed, counted, details(200, "upstream_reset_after_response_started{protocol_error}")),
		report(func(r *decision.Report) {
			r.Outcome, r.SeenOutputTokens, r.SeenInput = journal.OutcomeAborted, 700, &journal.Tokens{Input: 12}
		})},
	{"a message that had said all, broken off", chat(func(e *entry) {
		c := envoy.Call{DecisionID: "d-1", Token: "token", Dialect: llm.Anthropic, Order: []string{"a"}}
		e.put(envoy.NamespaceAuthz, c.Metadata())
		e.put(envoy.NamespaceUsage, texts("message.usage", `{"input_tokens":10,"output_tokens":1}`, "usage", `{"output_tokens":20}`, "delta.stop_reason", "end_turn"))
	}, details(200, "downstream_remote_disconnect")), report(func(r *decision.Report) {
		r.Outcome, r.Rank = journal.OutcomeAborted, journal.RankExact
		r.Usage = &journal.Tokens{Input: 10, Output: 20, Other: map[string]int64{llm.WebSearch: 0, llm.WebFetch: 0}}
	})},
	{"a document that broke off was written whole", chat(allowed, details(200, "downstream_remote_disconnect"), func(e *entry) { e.Response.ResponseHeaders["content-type"] = "application/json" }),
		report(func(r *decision.Report) { r.Outcome = journal.OutcomeAborted })},
	{"bytes that are encoded bound nothing", chat(allowed, details(200, "downstream_remote_disconnect"), func(e *entry) { e.Response.ResponseHeaders["content-encoding"] = "gzip" }),
		report(func(r *decision.Report) { r.Outcome = journal.OutcomeAborted })},
	{"a flag says what the details do not", chat(allowed, func(e *entry) {
		e.CommonProperties.ResponseFlags = &datav3.ResponseFlags{UpstreamConnectionTermination: true}
	}), report(func(r *decision.Report) { r.Outcome, r.SeenOutputTokens = journal.OutcomeAborted, 700 })},
	{"the provider's no", chat(allowed, details(429, "via_upstream")), report(ended(journal.OutcomeFailed, 429))},
	{"a redirect is nobody's answer", chat(allowed, details(302, "via_upstream")), report(ended(journal.OutcomeNotSent, 0))},
	{"the caller left before the answer", chat(allowed, silent, details(0, "downstream_remote_disconnect")), report(ended(journal.OutcomeAborted, 0))},
	{"no answer in time", chat(allowed, silent, details(504, "response_timeout")), report(ended(journal.OutcomeAborted, 0))},
	{"cut before the answer", chat(allowed, silent, details(503, "upstream_reset_before_response_started{connection_termination}")), report(ended(journal.OutcomeAborted, 0))},
	{"not connected", chat(allowed, silent, details(503, "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}")), report(ended(journal.OutcomeNotSent, 0))},
	{"not connected, in older words", chat(allowed, silent, details(503, "upstream_reset_before_response_started{connection_failure,refused}")), report(ended(journal.OutcomeNotSent, 0))},
	{"no room in Envoy", chat(allowed, silent, details(503, "upstream_reset_before_response_started{overflow}")), report(ended(journal.OutcomeNotSent, 0))},
	{"a reason that nobody knows may have been billed", chat(allowed, silent, details(503, "upstream_reset_before_response_started{overflowing}")), report(ended(journal.OutcomeAborted, 0))},
	{"a word that nobody knows may have been billed", chat(allowed, silent, details(500, "something_new")), report(ended(journal.OutcomeAborted, 0))},
	{"no host", chat(allowed, silent, details(503, "no_healthy_upstream")), report(ended(journal.OutcomeNotSent, 0))},
	{"no route", chat(allowed, silent, details(404, "route_not_found"), at("")), report(ended(journal.OutcomeNotSent, 0))},

	{"a says 429, b answers", chat(allowed, counted, tried("a", "429", "b", "200"), at("deployment/b")), report(func(r *decision.Report) {
		used(12, 34)(r)
		r.Deployment = "b"
		r.Attempts = []decision.ReportedAttempt{{Deployment: "a", Status: 429, Outcome: journal.OutcomeFailed}}
	})},
	{"a did not connect, b answers", chat(allowed, counted, tried("a", "0", "b", "200"), at("deployment/b")), report(func(r *decision.Report) {
		used(12, 34)(r)
		r.Deployment = "b"
		r.Attempts = []decision.ReportedAttempt{{Deployment: "a", Outcome: journal.OutcomeNotSent}}
	})},
	{"a was silent, and the hold pays for that", chat(func(e *entry) { e.put(envoy.NamespaceCall, call("token", 2)) }, counted, tried("a", "0", "b", "200"), at("deployment/b")),
		report(func(r *decision.Report) {
			used(12, 34)(r)
			r.Deployment = "b"
			r.Attempts = []decision.ReportedAttempt{{Deployment: "a", Outcome: journal.OutcomeAborted}}
		})},
	{"a redirects, b answers", chat(allowed, counted, tried("a", "302", "b", "200"), at("deployment/b")), report(func(r *decision.Report) {
		used(12, 34)(r)
		r.Deployment = "b"
		r.Attempts = []decision.ReportedAttempt{{Deployment: "a", Outcome: journal.OutcomeNotSent}}
	})},
	{"a says 503, b has no host", chat(allowed, silent, tried("a", "503"), details(503, "no_healthy_upstream"), at("deployment/b")), report(func(r *decision.Report) {
		ended(journal.OutcomeFailed, 0)(r)
		r.Deployment = "b"
		r.Attempts = []decision.ReportedAttempt{{Deployment: "a", Status: 503, Outcome: journal.OutcomeFailed}}
	})},
	{"a was silent, and b's cluster went meanwhile", chat(func(e *entry) { e.put(envoy.NamespaceAuthz, call("token", 2)) }, silent, tried("a", "0"), details(502, "no_healthy_upstream"), at(""), times(2)),
		report(func(r *decision.Report) {
			ended(journal.OutcomeFailed, 0)(r)
			r.Deployment = "b"
			r.Attempts = []decision.ReportedAttempt{{Deployment: "a", Outcome: journal.OutcomeAborted}}
		})},
	{"ext_proc's stream broke while the provider was at work", chat(allowedByProc, silent, tried("a", "0"), details(503, "ext_proc_error_gRPC_error_14{Connection_refused}")),
		report(ended(journal.OutcomeAborted, 0))},
	{"it was too slow when the provider had answered", chat(allowedByProc, tried("a", "200"), details(503, "ext_proc_error_per-message_timeout_exceeded")),
		report(func(r *decision.Report) { r.Outcome = journal.OutcomeAborted })},
	{"it broke before the router had the call", chat(allowedByProc, silent, details(503, "ext_proc_error_gRPC_error_14{Connection_refused}"), unrouted),
		report(func(r *decision.Report) {
			ended(journal.OutcomeNotSent, 0)(r)
			r.LatencyMS = 500
		})},
	{"the caller left before the router had the call", chat(allowed, silent, unrouted, details(0, "downstream_remote_disconnect"), at("deny")), report(func(r *decision.Report) {
		ended(journal.OutcomeNotSent, 0)(r)
		r.LatencyMS = 500
	})},
	{"a filter behind ours refused it", chat(allowed, silent, details(403, "rbac_access_denied_matched_policy[none]"), unrouted), report(func(r *decision.Report) {
		ended(journal.OutcomeNotSent, 0)(r)
		r.LatencyMS = 500
	})},
	{"routes of somebody's own tried it again", chat(allowed, counted, at("their-cluster"), func(e *entry) { e.CommonProperties.UpstreamRequestAttemptCount = 2 }), report(func(r *decision.Report) {
		used(12, 34)(r)
		r.Rank = journal.RankEstimate
	})},
	{"a document of Anthropic's", chat(func(e *entry) {
		c := envoy.Call{DecisionID: "d-1", Token: "token", Dialect: llm.Anthropic, Order: []string{"a"}}
		e.put(envoy.NamespaceAuthz, c.Metadata())
		e.put(envoy.NamespaceUsage, &structpb.Struct{Fields: map[string]*structpb.Value{
			"usage.input_tokens": structpb.NewNumberValue(10), "usage.output_tokens": structpb.NewNumberValue(20)}})
	}), report(func(r *decision.Report) {
		r.Usage, r.Rank = &journal.Tokens{Input: 10, Output: 20, Other: map[string]int64{llm.WebSearch: 0, llm.WebFetch: 0}}, journal.RankExact
	})},
	{"over HTTP, the call stands in one header", chat(counted, func(e *entry) {
		c := envoy.Call{DecisionID: "d-1", Token: "token", Dialect: llm.OpenAI, Order: []string{"a"}, Attempts: 1}
		header, _ := c.Header()
		e.put(envoy.NamespaceAuthz, texts(envoy.HeaderCall, header))
	}), report(used(12, 34))},
}

func TestWhatIsSettled(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			h := &house{}
			if err := h.send(t, nil, []*datav3.HTTPAccessLogEntry{s.entry}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]decision.Report{s.want}, h.reports); diff != "" {
				t.Error(diff)
			}
			if h.became[accesslog.Settled] != 1 || len(h.undecided) != 0 {
				t.Errorf("became %v, undecided %v", h.became, h.undecided)
			}
		})
	}
}

// Calls that passed, or were refused, without us are in the audit, and nothing else is.
func TestWhatNobodyDecided(t *testing.T) {
	undecided := func(passed bool, code int, why string) []decision.Undecided {
		return []decision.Undecided{{Gateway: "edge-1", At: began, Method: "POST", Path: "/v1/chat/completions?x=1", Passed: passed, Status: code, Why: why}}
	}
	path := func(p string) func(*entry) { return func(e *entry) { e.Request.Path = p } }
	for _, c := range []struct {
		name  string
		entry *datav3.HTTPAccessLogEntry
		want  []decision.Undecided
	}{
		{"the filter failed open", chat(), undecided(true, 200, "via_upstream")},
		{"it failed open, and the caller left", chat(details(200, "downstream_remote_disconnect")), undecided(true, 200, "downstream_remote_disconnect")},
		{"ext_authz failed closed", chat(silent, details(503, "ext_authz_error")), undecided(false, 503, "ext_authz_error")},
		{"ext_proc failed closed", chat(silent, details(500, "ext_proc_error_gRPC_error_14{Connection_refused}")), undecided(false, 500, "ext_proc_error_gRPC_error_14")},
		{"ext_proc was too slow", chat(silent, details(504, "ext_proc_error_per-message_timeout_exceeded")), undecided(false, 504, "ext_proc_error_per-message_timeout_exceeded")},
		{"we refused it", chat(silent, details(402, "ext_authz_denied"), func(e *entry) { e.put(envoy.NamespaceAuthz, envoy.Refused("d-2", "budget_exhausted")) }), nil},
		{"we refused it over HTTP, which has no metadata then", chat(silent, details(402, "ext_authz_denied")), nil},
		{"we refused it by ext_proc", chat(silent, details(402, "signalbox_budget_exhausted"), func(e *entry) { e.put(envoy.NamespaceCall, envoy.Refused("d-2", "budget_exhausted")) }), nil},
		{"the caller left before anybody was asked", chat(silent, unrouted, details(0, "downstream_remote_disconnect"), at("deny")), nil},
		{"no call at all", chat(path("/healthz")), nil},
		{"no route for it, so nobody was asked", chat(silent, details(404, "route_not_found"), at("")), nil},
		{"one try, logged by itself", chat(func(e *entry) { e.CommonProperties.AccessLogType = datav3.AccessLogType_UpstreamEnd }), nil},
		{"a call that is not over", chat(func(e *entry) { e.CommonProperties.AccessLogType = datav3.AccessLogType_DownstreamPeriodic }, allowed, counted), nil},
		{"a free call", chat(func(e *entry) { e.put(envoy.NamespaceCall, call("", 1)) }), nil},
		{"an empty entry", &datav3.HTTPAccessLogEntry{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &house{}
			if err := h.send(t, nil, []*datav3.HTTPAccessLogEntry{c.entry}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, h.undecided); diff != "" || len(h.reports) != 0 {
				t.Errorf("%s, settled %v", diff, h.reports)
			}
		})
	}
}

// The log is who tells the board of health where no other filter sees answers.
func TestWhatIsLearnt(t *testing.T) {
	later := http.Header{"Retry-After": {"7"}}
	for _, c := range []struct {
		name  string
		entry *datav3.HTTPAccessLogEntry
		want  []sign
	}{
		{"a limit at one, an answer at the other", chat(allowed, counted, tried("a", "429", "b", "200"), at("deployment/b")), []sign{
			{"a", health.Sign{Status: 429, Header: later, Began: began}}, {"b", health.Sign{Status: 200, Header: later, Whole: true, Began: began}}}},
		{"no connection at one", chat(allowed, counted, tried("a", "0", "b", "200"), at("deployment/b")), []sign{
			{"a", health.Sign{Failed: true, Began: began}}, {"b", health.Sign{Status: 200, Header: later, Whole: true, Began: began}}}},
		{"no connection", chat(allowed, silent, details(503, "upstream_reset_before_response_started{remote_connection_failure}")), []sign{{"a", health.Sign{Failed: true, Began: began}}}},
		{"a time-out", chat(allowed, silent, details(504, "response_timeout")), []sign{{"a", health.Sign{Failed: true, Began: began}}}},
		{"an answer that broke off", chat(allowed, details(200, "upstream_reset_after_response_started{protocol_error}")), []sign{
			{"a", health.Sign{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Failed: true, Began: began}}}},
		{"the caller left", chat(allowed, details(200, "downstream_remote_disconnect")), nil},
		{"no room in Envoy", chat(allowed, silent, details(503, "no_healthy_upstream")), nil},
		{"ext_proc has told already", chat(allowedByProc, counted), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &house{}
			if err := h.send(t, nil, []*datav3.HTTPAccessLogEntry{c.entry}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, h.signs, cmp.AllowUnexported(sign{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What an entry says ends no stream: Envoy sends nothing twice.
func TestNoEntryEndsTheStream(t *testing.T) {
	h := &house{err: errors.New("no journal")}
	good := []*datav3.HTTPAccessLogEntry{chat(allowed, counted), chat(), nil, {}, chat(allowed)}
	if err := h.send(t, nil, good, nil, good); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{accesslog.Unsettled: 4, accesslog.Undecided: 2, accesslog.Passed: 4}
	if diff := cmp.Diff(want, h.became); diff != "" {
		t.Error(diff)
	}
}

func TestAGatewayThatIsNotLetIn(t *testing.T) {
	h := &house{}
	err := h.send(t, &door.Problem{Kind: door.UnknownGateway, Message: "who is it"}, []*datav3.HTTPAccessLogEntry{chat(allowed, counted)})
	if status.Code(err) != codes.Unauthenticated || len(h.reports) != 0 {
		t.Errorf("%v, settled %v", err, h.reports)
	}
}

// A stream lasts for weeks; a token that is revoked meanwhile ends it.
func TestAGatewayWhoseTokenIsRevoked(t *testing.T) {
	h := &house{admitted: 1}
	one, other := chat(allowed, counted), chat(func(e *entry) { e.put(envoy.NamespaceAuthz, call("another", 1)) })
	err := h.send(t, nil, []*datav3.HTTPAccessLogEntry{one}, []*datav3.HTTPAccessLogEntry{other})
	if status.Code(err) != codes.Unauthenticated || len(h.reports) != 1 {
		t.Errorf("%v, settled %v", err, h.reports)
	}
}
