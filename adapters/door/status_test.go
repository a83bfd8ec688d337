package door_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// The status table, row by row: what a caller is told for each reason, in both
// dialects. anthropic is the type in Anthropic's shape.
var table = []struct {
	status            int
	openai, anthropic string
	codes             []decision.Code
}{
	{400, "invalid_request_error", "invalid_request_error", []decision.Code{decision.Malformed, decision.DialectMismatch}},
	{401, "authentication_error", "authentication_error", []decision.Code{decision.KeyMissing, decision.KeyUnknown, decision.KeyRevoked, decision.KeyExpired}},
	{402, "insufficient_quota", "billing_error", []decision.Code{decision.BudgetExhausted}},
	{403, "permission_error", "permission_error", []decision.Code{decision.ModelNotAllowed, decision.PolicyDenied, decision.PolicyError,
		decision.Residency, decision.Unpriced, decision.Killed, decision.GuardPII, decision.GuardSecret,
		decision.GuardInjection, decision.GuardModeration, decision.GuardSchema}},
	{404, "invalid_request_error", "not_found_error", []decision.Code{decision.ModelUnknown, decision.PathUnknown}},
	{413, "invalid_request_error", "request_too_large", []decision.Code{decision.TooLarge}},
	{429, "rate_limit_error", "rate_limit_error", []decision.Code{decision.RateLimited, decision.Concurrency, decision.CapacityExhausted, decision.BudgetHeld}},
	{503, "server_error", "api_error", []decision.Code{decision.JournalUnavailable}},
}

func TestEveryReasonStandsInTheTable(t *testing.T) {
	var told []decision.Code
	for _, row := range table {
		told = append(told, row.codes...)
	}
	for _, code := range decision.Codes() {
		if !slices.Contains(told, code) {
			t.Errorf("no row of the table tells what callers see for %s", code)
		}
	}
}

func TestStatusTable(t *testing.T) {
	for _, row := range table {
		for _, code := range row.codes {
			t.Run(string(code), func(t *testing.T) {
				got := refused(llm.OpenAI, 0, code)
				body := object(t, got)
				if got.Status != row.status || at(body, "error", "type") != row.openai || at(body, "error", "code") != string(code) {
					t.Errorf("OpenAI: %d %s, want %d %s", got.Status, got.Bytes(), row.status, row.openai)
				}
				if got.Headers["x-request-id"] != "d-2" || got.Headers["x-signalbox-decision"] != "d-2" || got.Headers["content-type"] != "application/json" {
					t.Errorf("headers: %v", got.Headers)
				}
				got = refused(llm.Anthropic, 0, code)
				body = object(t, got)
				if got.Status != row.status || at(body, "type") != "error" || at(body, "error", "details", "error_code") != string(code) || at(body, "request_id") != "d-2" {
					t.Errorf("Anthropic: %d %s", got.Status, got.Bytes())
				}
				if kind := at(body, "error", "type"); kind != row.anthropic {
					t.Errorf("Anthropic's type is %q, want %q", kind, row.anthropic)
				}
				if got.Headers["request-id"] != "d-2" || got.Headers["x-request-id"] != "" {
					t.Errorf("Anthropic's SDKs read request-id: %v", got.Headers)
				}
			})
		}
	}
}

// What SDKs are told about trying again.
func TestRetryAdvice(t *testing.T) {
	for _, c := range []struct {
		name              string
		code              decision.Code
		after             time.Duration
		seconds, ms, word string
	}{
		{"money does not come back by waiting", decision.BudgetExhausted, time.Hour, "", "", "false"},
		{"a rate tells when", decision.RateLimited, 17 * time.Second, "17", "17000", ""},
		{"seconds are rounded up", decision.RateLimited, 1500 * time.Millisecond, "2", "1500", ""},
		{"milliseconds are rounded up", decision.RateLimited, 1500*time.Millisecond + 1, "2", "1501", ""},
		{"a nanosecond is a second", decision.Concurrency, 1, "1", "1", ""},
		{"a minute is waited for", decision.CapacityExhausted, time.Minute, "60", "60000", ""},
		{"more than a minute is not", decision.CapacityExhausted, time.Minute + time.Millisecond, "61", "60001", "false"},
		{"nobody knows how long calls in flight last", decision.BudgetHeld, 0, "1", "1000", ""},
		{"our own outage, with a guess", decision.JournalUnavailable, 5 * time.Second, "5", "5000", ""},
		{"our own outage, without", decision.JournalUnavailable, 0, "", "", ""},
		{"policy", decision.PolicyDenied, time.Second, "", "", ""},
		{"a bad key", decision.KeyUnknown, time.Second, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := refused(llm.OpenAI, c.after, c.code).Headers
			if h["retry-after"] != c.seconds || h["retry-after-ms"] != c.ms || h["x-should-retry"] != c.word {
				t.Errorf("got %v", h)
			}
		})
	}
}

// The first reason sets the status; the others are named.
func TestTheFirstReasonLeads(t *testing.T) {
	a := refusal(llm.OpenAI, 0, decision.BudgetExhausted, decision.RateLimited)
	got := door.Render(&decision.Request{}, &a)
	if got.Response.Status != 402 || len(got.Reasons) != 2 {
		t.Fatalf("got %+v", got)
	}
	said := object(t, *got.Response)["error"].(map[string]any)["signalbox"]
	want := map[string]any{
		"decision_id": "d-2", "budget": "acme-month", "unit": "usd", "limit": "5000", "spent": "4999.98", "held": "0",
		"asked": "0.0123", "resets_at": "2026-04-01T00:00:00Z",
		"also": []any{map[string]any{"code": "rate_limited", "budget": "acme-month"}},
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("error.signalbox (-want +got):\n%s", diff)
	}
	if h := got.Response.Headers; h["x-signalbox-budget"] != "acme-month" || h["x-signalbox-budget-left"] != "0.02" {
		t.Errorf("headers: %v", h)
	}
}

// A code outside the closed set is a bug of ours; the caller is still refused.
func TestACodeOfNoRowRefuses(t *testing.T) {
	if got := refused(llm.OpenAI, 0, "no_such_code"); got.Status != 403 {
		t.Errorf("status %d", got.Status)
	}
	a := decision.Answer{Refusal: &decision.Refusal{}}
	if got := door.Render(&decision.Request{}, &a); got.Response.Status != 403 || got.Action != "deny" {
		t.Errorf("a refusal without reasons: %+v", got.Response)
	}
}

func refused(d llm.Dialect, after time.Duration, codes ...decision.Code) door.Response {
	a := refusal(d, after, codes...)
	return *door.Render(&decision.Request{}, &a).Response
}

func refusal(d llm.Dialect, after time.Duration, codes ...decision.Code) decision.Answer {
	a := decision.Answer{DecisionID: "d-2", Dialect: d, Refusal: &decision.Refusal{RetryAfter: after}}
	for _, code := range codes {
		a.Refusal.Reasons = append(a.Refusal.Reasons, decision.Reason{
			Code: code, Message: "said \"so\"", Budget: "acme-month", Unit: journal.UnitUSD, Limit: 5000 * registry.NanoPerUSD,
			Spent: 4999_980_000_000, Asked: 12_300_000, ResetsAt: time.Date(2026, 4, 1, 2, 0, 0, 0, time.FixedZone("CEST", 7200)),
		})
	}
	return a
}

func object(t *testing.T, r door.Response) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(r.Bytes(), &body); err != nil {
		t.Fatalf("%v in %s", err, r.Bytes())
	}
	return body
}

func at(body any, path ...string) string {
	for _, name := range path {
		m, ok := body.(map[string]any)
		if !ok {
			return "(no " + strings.Join(path, ".") + ")"
		}
		body = m[name]
	}
	s, _ := body.(string)
	return s
}
