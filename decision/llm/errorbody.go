package llm

import (
	"bytes"
	"encoding/json"
)

// RefusalBody is what a refusal tells the caller.
type RefusalBody struct {
	Status    int
	Code      string // the reason's
	Message   string
	Param     string
	RequestID string // the decision's id
	Signalbox any    // marshalled under "signalbox"; nil: left out
}

// ErrorBody writes a refusal as the caller's dialect spells errors, so that the
// caller's SDK raises what it would raise for the provider's own.
func ErrorBody(d Dialect, e RefusalBody) []byte {
	if d == Anthropic {
		return anthropicError(e)
	}
	return openAIError(e)
}

type openAIErrorBody struct {
	Error struct {
		Message   string          `json:"message"`
		Type      string          `json:"type"`
		Param     *string         `json:"param"` // null when there is none, as OpenAI writes it
		Code      string          `json:"code"`
		Signalbox json.RawMessage `json:"signalbox,omitempty"`
	} `json:"error"`
}

func openAIError(e RefusalBody) []byte {
	var b openAIErrorBody
	b.Error.Message = e.Message
	b.Error.Type = openAIErrorType(e.Status)
	b.Error.Code = e.Code
	b.Error.Signalbox = detail(e.Signalbox)
	if e.Param != "" {
		b.Error.Param = &e.Param
	}
	return marshal(b)
}

func openAIErrorType(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 402:
		return "insufficient_quota"
	case 403:
		return "permission_error"
	case 429:
		return "rate_limit_error"
	}
	if status >= 500 {
		return "server_error"
	}
	return "invalid_request_error"
}

type anthropicErrorBody struct {
	Type  string `json:"type"`
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Details struct {
			ErrorCode string          `json:"error_code"`
			Signalbox json.RawMessage `json:"signalbox,omitempty"`
		} `json:"details"`
	} `json:"error"`
	RequestID string `json:"request_id"`
}

func anthropicError(e RefusalBody) []byte {
	var b anthropicErrorBody
	b.Type = "error"
	b.Error.Type = anthropicErrorType(e.Status)
	b.Error.Message = e.Message
	b.Error.Details.ErrorCode = e.Code
	b.Error.Details.Signalbox = detail(e.Signalbox)
	b.RequestID = e.RequestID
	return marshal(b)
}

func anthropicErrorType(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 402:
		return "billing_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// detail marshals what we add of our own. A refusal without it is still a
// refusal, so a value that cannot be marshalled is left out.
func detail(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	return marshal(v)
}

// marshal writes JSON without escaping <, > and &: these bodies are read by
// people in terminals, and never stand inside HTML.
func marshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// quote writes a JSON string.
func quote(s string) []byte { return marshal(s) }
