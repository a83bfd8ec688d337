package llm_test

import (
	"encoding/json"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

func TestARefusalSpeaksTheCallersDialect(t *testing.T) {
	e := llm.RefusalBody{Status: 402, Code: "budget_exhausted", Message: `spent "5000" <of> 5000 & more` + "\n\x00\xff", RequestID: "d-1",
		Signalbox: map[string]any{"budget": "acme-month", "spent": "5000"}}
	for d, want := range map[llm.Dialect]string{
		llm.OpenAI: `{"error":{"message":"spent \"5000\" <of> 5000 & more\n\u0000` + "\ufffd" + `","type":"insufficient_quota","param":null,"code":"budget_exhausted","signalbox":{"budget":"acme-month","spent":"5000"}}}`,
		llm.Anthropic: `{"type":"error","error":{"type":"billing_error","message":"spent \"5000\" <of> 5000 & more\n\u0000` + "\ufffd" +
			`","details":{"error_code":"budget_exhausted","signalbox":{"budget":"acme-month","spent":"5000"}}},"request_id":"d-1"}`,
	} {
		got := string(llm.ErrorBody(d, e))
		var a, b any
		if err := json.Unmarshal([]byte(got), &a); err != nil {
			t.Fatalf("%s: %s: %v", d, got, err)
		}
		_ = json.Unmarshal([]byte(want), &b)
		if x, y := mustMarshal(t, a), mustMarshal(t, b); x != y {
			t.Errorf("%s:\n got %s\nwant %s", d, got, want)
		}
	}
	e = llm.RefusalBody{Status: 400, Code: "malformed", Message: "m", Param: "max_tokens"}
	if got := string(llm.ErrorBody(llm.OpenAI, e)); got != `{"error":{"message":"m","type":"invalid_request_error","param":"max_tokens","code":"malformed"}}` {
		t.Error(got)
	}
	e.Signalbox = func() {} // cannot be written: the refusal can
	if got := string(llm.ErrorBody(llm.OpenAI, e)); got != `{"error":{"message":"m","type":"invalid_request_error","param":"max_tokens","code":"malformed"}}` {
		t.Error(got)
	}
}

func mustMarshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestErrorTypesByStatus(t *testing.T) {
	for _, c := range []struct {
		status            int
		openAI, anthropic string
	}{
		{400, "invalid_request_error", "invalid_request_error"},
		{401, "authentication_error", "authentication_error"},
		{402, "insufficient_quota", "billing_error"},
		{403, "permission_error", "permission_error"},
		{404, "invalid_request_error", "not_found_error"},
		{413, "invalid_request_error", "request_too_large"},
		{429, "rate_limit_error", "rate_limit_error"},
		{500, "server_error", "api_error"},
		{503, "server_error", "api_error"},
	} {
		var body struct{ Error struct{ Type string } }
		for d, want := range map[llm.Dialect]string{llm.OpenAI: c.openAI, llm.Anthropic: c.anthropic} {
			if err := json.Unmarshal(llm.ErrorBody(d, llm.RefusalBody{Status: c.status}), &body); err != nil || body.Error.Type != want {
				t.Errorf("%d in %s: %q, want %q (%v)", c.status, d, body.Error.Type, want, err)
			}
		}
	}
}
