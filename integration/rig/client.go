package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Question is what a gateway asks; see the contract of POST /v1/decide.
type Question struct {
	CallID  string  `json:"call_id,omitempty"`
	Request Request `json:"request"`
	Gateway string  `json:"gateway,omitempty"`
}

// Request is the caller's call as the gateway saw it.
type Request struct {
	Method       string            `json:"method"`
	Path         string            `json:"path"`
	Headers      map[string]string `json:"headers"`
	Body         string            `json:"body,omitempty"`
	BodyBase64   string            `json:"body_base64,omitempty"`
	BodyComplete bool              `json:"body_complete"`
}

// Answer is what Signalbox says.
type Answer struct {
	DecisionID  string       `json:"decision_id"`
	CallID      string       `json:"call_id"`
	Action      string       `json:"action"`
	Changes     []string     `json:"changes"`
	Deployments []Deployment `json:"deployments"`
	Request     *struct {
		Body      string `json:"body"`
		ModelSpan []int  `json:"model_span"`
	} `json:"request"`
	Response *struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"response"`
	Reasons []Reason `json:"reasons"`
	Hold    *struct {
		USD             string `json:"usd"`
		Tokens          int64  `json:"tokens"`
		MaxOutputTokens int64  `json:"max_output_tokens"`
		ExpiresAt       string `json:"expires_at"`
	} `json:"hold"`
	ReportToken     string `json:"report_token"`
	PolicyRevision  string `json:"policy_revision"`
	RegistryVersion int64  `json:"registry_version"`
}

// Deployment is one place the call may go.
type Deployment struct {
	Name, Provider, Kind, Host, Path string
	UpstreamModel                    string `json:"upstream_model"`
}

// Reason is one failing check.
type Reason struct {
	Code, Message, Budget, Unit, Limit, Spent, Held, Asked string
	ResetsAt                                               string `json:"resets_at"`
}

// Denied is the first reason's code, "" for an answer that lets the call go.
func (a *Answer) Denied() string {
	if a.Action != "deny" || len(a.Reasons) == 0 {
		return ""
	}
	return a.Reasons[0].Code
}

// Report is what a gateway says after the call.
type Report struct {
	ReportToken   string           `json:"report_token,omitempty"`
	CallID        string           `json:"call_id,omitempty"`
	Outcome       string           `json:"outcome"`
	Deployment    string           `json:"deployment,omitempty"`
	Status        int              `json:"status,omitempty"`
	Usage         map[string]int64 `json:"usage,omitempty"`
	ProviderUsage json.RawMessage  `json:"provider_usage,omitempty"`
	LatencyMS     int64            `json:"latency_ms,omitempty"`
	TTFTMS        int64            `json:"ttft_ms,omitempty"`
}

// Receipt is what Signalbox says to a report.
type Receipt struct {
	Settled  bool
	Repeated bool
	Charged  struct{ USD string }
	Released struct{ USD string }
}

// StatusError is an answer that is not 200.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

// Decide asks.
func (b *Box) Decide(ctx context.Context, q Question) (*Answer, error) {
	var a Answer
	return &a, b.post(ctx, "/v1/decide", q, &a)
}

// Settle reports.
func (b *Box) Settle(ctx context.Context, r Report) (*Receipt, error) {
	var receipt Receipt
	return &receipt, b.post(ctx, "/v1/report", r, &receipt)
}

// Chat asks about an OpenAI chat completion.
func (b *Box) Chat(ctx context.Context, key, body string, headers map[string]string) (*Answer, error) {
	h := map[string]string{"authorization": "Bearer " + key, "content-type": "application/json"}
	for k, v := range headers {
		h[k] = v
	}
	return b.Decide(ctx, Question{Request: Request{Method: http.MethodPost, Path: "/v1/chat/completions", Headers: h, Body: body, BodyComplete: true}})
}

func (b *Box) post(ctx context.Context, path string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL()+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if b.GatewayToken != "" {
		req.Header.Set("X-Signalbox-Gateway-Token", b.GatewayToken)
	}
	resp, err := b.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &StatusError{resp.StatusCode, string(body)}
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s answered what is not its contract: %w: %s", path, err, body)
	}
	return nil
}
