package upstream_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// What the real ones refuse is refused, with their words, and billed nothing.
func TestWhatIsRefused(t *testing.T) {
	const (
		chat     = "/v1/chat/completions"
		response = "/v1/responses"
		message  = "/v1/messages"
		turns    = `"messages":[{"role":"user","content":"Hello"}]`
	)
	for _, row := range []struct {
		name, path, body, header string
		status                   int
		says                     string
	}{
		{"no model", chat, `{` + turns + `}`, "", 400, "you must provide a model"},
		{"no messages", chat, `{"model":"gpt-4o"}`, "", 400, "Missing required parameter: 'messages'"},
		{"not JSON", chat, `{"model":`, "", 400, "could not parse the JSON body"},
		{"max_tokens of a reasoning model", chat, `{"model":"gpt-5-mini","max_tokens":9,` + turns + `}`, "", 400, "Use 'max_completion_tokens' instead."},
		{"max_tokens of another reasoning model", chat, `{"model":"o4-mini","max_tokens":9,` + turns + `}`, "", 400, "unsupported_parameter"},
		{"both limits", chat, `{"model":"gpt-4o","max_tokens":9,"max_completion_tokens":9,` + turns + `}`, "", 400, "at the same time"},
		{"another endpoint's limit", chat, `{"model":"gpt-4o","max_output_tokens":9,` + turns + `}`, "", 400, "Unrecognized request argument supplied: max_output_tokens"},
		{"no room", chat, `{"model":"gpt-4o","max_tokens":0,` + turns + `}`, "", 400, "integer_below_min_value"},
		{"options of a stream that is none", chat, `{"model":"gpt-4o","stream_options":{"include_usage":true},` + turns + `}`, "", 400, "only allowed when 'stream' is enabled"},
		{"too little room for a response", response, `{"model":"gpt-4o","input":"Hello","max_output_tokens":15}`, "", 400, "Expected a value >= 16, but got 15"},
		{"another endpoint's limit of a response", response, `{"model":"gpt-4o","input":"Hello","max_tokens":20}`, "", 400, "moved to 'max_output_tokens'"},
		{"usage asked of a response's stream", response, `{"model":"gpt-4o","input":"Hello","stream":true,"stream_options":{"include_usage":true}}`, "", 400, "Unknown parameter: 'stream_options.include_usage'"},
		{"a response that continues nothing", response, `{"model":"gpt-4o","input":"Hello","previous_response_id":"resp_1"}`, "", 400, "previous_response_not_found"},
		{"no limit of a message", message, `{"model":"claude",` + turns + `}`, "anthropic-version: 2023-06-01", 400, "max_tokens: Field required"},
		{"no version", message, `{"model":"claude","max_tokens":9,` + turns + `}`, "", 400, "anthropic-version: header is required"},
		{"a limit spelt as another dialect does", message, `{"model":"claude","max_tokens":9,"max_completion_tokens":9,` + turns + `}`, "anthropic-version: 2023-06-01", 400, "Extra inputs are not permitted"},
		{"stream_options of a message", message, `{"model":"claude","max_tokens":9,"stream":true,"stream_options":{},` + turns + `}`, "anthropic-version: 2023-06-01", 400, "stream_options: Extra inputs"},
		{"too little to think with", message, `{"model":"claude","max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1023},` + turns + `}`, "anthropic-version: 2023-06-01", 400, "greater than or equal to 1024"},
		{"thoughts that fill the answer", message, `{"model":"claude","max_tokens":1024,"thinking":{"type":"enabled","budget_tokens":1024},` + turns + `}`, "anthropic-version: 2023-06-01", 400, "must be greater than `thinking.budget_tokens`"},
		{"a path nobody has", "/v1/nothing", `{}`, "", 404, "Invalid URL (POST /v1/nothing)"},
		{"Azure without a version", "/openai/deployments/prod/chat/completions", `{` + turns + `}`, "", 404, "Resource not found"},
		{"an error as steered", chat, `{"model":"gpt-4o",` + turns + `}`, "x-upstream-status: 429", 429, "rate_limit_exceeded"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &upstream.Provider{}
			status, body, _ := ask(t, p, row.path, row.body, row.header)
			if status != row.status || !strings.Contains(body, row.says) {
				t.Errorf("%d %s; want %d and %q", status, body, row.status, row.says)
			}
			if calls, input, output := p.Totals(); calls != 0 || input != 0 || output != 0 {
				t.Errorf("billed %d calls of %d and %d tokens", calls, input, output)
			}
			if got := p.Calls(); len(got) != 1 || got[0].Status != row.status || got[0].Completed {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

// Each dialect says in its own words that it does not know the credential, and
// each looks for it where its own clients put it.
func TestCredentials(t *testing.T) {
	const chat, message, azure = "/v1/chat/completions", "/v1/messages", "/openai/deployments/prod/chat/completions?api-version=2024-10-21"
	for _, row := range []struct {
		path, header string
		status       int
		says         string
	}{
		{chat, "authorization: Bearer right", 200, "chat.completion"},
		{chat, "authorization: Bearer wrong", 401, `"code":"invalid_api_key"`},
		{chat, "x-api-key: right", 401, "didn't provide an API key"},
		{message, "x-api-key: right", 200, `"type":"message"`},
		{message, "authorization: Bearer right", 200, `"type":"message"`},
		{message, "x-api-key: wrong", 401, `"authentication_error"`},
		{message, "api-key: right", 401, "x-api-key header is required"},
		{azure, "api-key: right", 200, "chat.completion"},
		{azure, "authorization: Bearer right", 200, "chat.completion"},
		{azure, "api-key: wrong", 401, `"code":"401"`},
	} {
		p := upstream.New(map[string]bool{"Bearer right": true, "right": true})
		body := `{"model":"m","max_tokens":3,"messages":[{"role":"user","content":"Hello"}]}`
		status, says, _ := ask(t, p, row.path, body, row.header, "anthropic-version: 2023-06-01")
		if status != row.status || !strings.Contains(says, row.says) {
			t.Errorf("%s with %s: %d %s; want %d and %q", row.path, row.header, status, says, row.status, row.says)
		}
	}
}

// A limit that is reached says so in the headers by which gateways learn it.
func TestRateLimitHeaders(t *testing.T) {
	body := `{"model":"m","max_tokens":3,"messages":[{"role":"user","content":"Hello"}]}`
	for path, want := range map[string]map[string]string{
		"/v1/chat/completions": {"retry-after": "7", "retry-after-ms": "7000", "x-ratelimit-remaining-requests": "0", "openai-organization": "the-provider-s-customer", "x-request-id": "req_000000000000000000000001"},
		"/v1/messages":         {"retry-after": "7", "anthropic-ratelimit-requests-remaining": "0", "request-id": "req_000000000000000000000001"},
	} {
		_, _, h := ask(t, &upstream.Provider{}, path, body, "x-upstream-status: 429", "x-upstream-retry-after: 7", "anthropic-version: 2023-06-01")
		for name, value := range want {
			if h.Get(name) != value {
				t.Errorf("%s: %s is %q; want %q", path, name, h.Get(name), value)
			}
		}
		if h.Get("set-cookie") == "" {
			t.Errorf("%s: no cookie", path)
		}
	}
}

// ask posts a body, with headers written as "name: value", and gives the answer.
func ask(t *testing.T, p *upstream.Provider, path, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	raw, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(raw), w.Header()
}
