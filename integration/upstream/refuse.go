package upstream

import (
	"fmt"
	"net/http"
)

// refusal is an error before each dialect spells it. An empty kind or code is the
// status's own.
type refusal struct {
	status      int
	kind        string
	code, param string
	message     string
}

// refuse answers with an error, which is billed nothing.
func (x *exchange) refuse(r refusal) {
	x.call.Status = r.status
	x.headers("application/json")
	if r.status == http.StatusTooManyRequests || r.status == 529 {
		x.limited()
	}
	raw, err := marshal(x.errorBody(r))
	if err != nil {
		return // strings alone: they can be marshalled
	}
	x.w.WriteHeader(r.status)
	_, _ = x.w.Write(raw)
}

func (x *exchange) errorBody(r refusal) any {
	if x.place.anthropic {
		return map[string]any{"type": "error", "request_id": x.id("req_"),
			"error": map[string]any{"type": r.anthropicType(), "message": r.message}}
	}
	if x.place.azure && (r.status == http.StatusUnauthorized || r.status == http.StatusNotFound) {
		return map[string]any{"error": map[string]any{"code": fmt.Sprint(r.status), "message": r.message}}
	}
	return map[string]any{"error": r.openAI()}
}

func (r refusal) openAI() map[string]any {
	e := map[string]any{"message": r.message, "type": r.openAIType(), "param": nil, "code": nil}
	if r.param != "" {
		e["param"] = r.param
	}
	if r.code != "" {
		e["code"] = r.code
	}
	return e
}

func (r refusal) openAIType() string {
	switch {
	case r.kind != "":
		return r.kind
	case r.status == http.StatusTooManyRequests:
		return "requests"
	case r.status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

func (r refusal) anthropicType() string {
	switch r.status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	case 529:
		return "overloaded_error"
	}
	if r.status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// steered is the error that a test asked for.
func (x *exchange) steered() refusal {
	r := refusal{status: x.steer.status, message: "The test asked for this error."}
	switch r.status {
	case http.StatusTooManyRequests:
		r.code, r.message = "rate_limit_exceeded", "Rate limit reached for requests"
	case 529:
		r.message = "Overloaded"
	}
	return r
}

func bad(param, code, format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, param: param, code: code, message: fmt.Sprintf(format, args...)}
}

func notFound(at place, method, path string) refusal {
	switch {
	case at.azure:
		return refusal{status: http.StatusNotFound, message: "Resource not found"}
	case at.anthropic:
		return refusal{status: http.StatusNotFound, message: "Not found"}
	}
	return refusal{status: http.StatusNotFound, message: fmt.Sprintf("Invalid URL (%s %s)", method, path)}
}

// unauthenticated is each one's 401. OpenAI's shows the end of the wrong key; ours
// shows nothing of it.
func unauthenticated(at place, given string) refusal {
	r := refusal{status: http.StatusUnauthorized}
	switch {
	case at.azure:
		r.message = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."
	case at.anthropic && given == "":
		r.message = "x-api-key header is required"
	case at.anthropic:
		r.message = "invalid x-api-key"
	case given == "":
		r.message = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
	default:
		r.message, r.code = "Incorrect API key provided: ****. You can find your API key at https://platform.openai.com/account/api-keys.", "invalid_api_key"
	}
	return r
}
