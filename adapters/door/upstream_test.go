package door_test

import (
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// Every operation at every kind of provider, and whether its path names the model:
// where it does not, the body must.
func TestEveryOperationEverywhere(t *testing.T) {
	azure := registry.Provider{Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com", APIVersion: "2025-04-01-preview"}
	v1 := registry.Provider{Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com", APIVersion: "v1"}
	openai := registry.Provider{Kind: registry.ProviderOpenAI, BaseURL: "https://api.openai.com/v1"}
	vllm := registry.Provider{Kind: registry.ProviderOpenAICompatible, BaseURL: "http://vllm.internal:8000/team/v1"}
	anthropic := registry.Provider{Kind: registry.ProviderAnthropic, BaseURL: "https://contoso.services.ai.azure.com/anthropic"}
	const version = "?api-version=2025-04-01-preview"
	for _, c := range []struct {
		provider *registry.Provider
		asked    string
		want     string
		named    bool
	}{
		{&openai, "/v1/responses", "/v1/responses", false},
		{&openai, "/v1/embeddings", "/v1/embeddings", false},
		{&openai, "/openai/v1/responses", "/v1/responses", false},
		{&vllm, "/v1/embeddings", "/team/v1/embeddings", false},
		{&vllm, "/v1/messages", "/team/v1/messages", false},
		{&azure, "/v1/chat/completions", "/openai/deployments/std/chat/completions" + version, true},
		{&azure, "/v1/embeddings", "/openai/deployments/std/embeddings" + version, true},
		{&azure, "/openai/deployments/x/embeddings?api-version=2023-05-15", "/openai/deployments/std/embeddings" + version, true},
		{&azure, "/v1/responses", "/openai/responses" + version, false},
		{&v1, "/v1/responses", "/openai/v1/responses", false},
		{&v1, "/openai/deployments/x/chat/completions", "/openai/v1/chat/completions", false},
		{&anthropic, "/v1/messages", "/anthropic/v1/messages", false},
		{&anthropic, "/v1/messages/count_tokens?beta=true", "/anthropic/v1/messages/count_tokens", false},
	} {
		a := decision.Answer{Plan: &decision.Plan{Deployments: []*registry.Deployment{{Name: "d", UpstreamModel: "std", ProviderRef: c.provider}}}}
		if got := door.Render(&decision.Request{Method: "POST", Path: c.asked}, &a).Deployments[0].Path; got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.asked, c.provider.Kind, got, c.want)
		}
		route, known := llm.Recognise("POST", c.asked)
		if named := decision.PathNamesModel(c.provider, route.Endpoint); !known || named != c.named {
			t.Errorf("%s at %s: known %v, the path names the model: %v", c.asked, c.provider.Kind, known, named)
		}
	}
}

// A call that we fail looks like a refusal, in the caller's dialect.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		failed     door.Failed
		kind, code []string
		id         string
	}{
		{door.Failed{Dialect: llm.OpenAI, DecisionID: "d-1", Status: 502, Code: door.UpstreamUnavailable, Message: "m"}, []string{"error", "type"}, []string{"error", "code"}, "x-request-id"},
		{door.Failed{Status: 503, Code: door.Overloaded, Message: "m", RetryAfter: time.Second}, []string{"error", "type"}, []string{"error", "code"}, ""},
		{door.Failed{Dialect: llm.Anthropic, DecisionID: "d-1", Status: 504, Code: door.UpstreamTimeout, Message: "m"}, []string{"error", "type"}, []string{"error", "details", "error_code"}, "request-id"},
	} {
		got := door.Failure(c.failed)
		body := object(t, got)
		kind := map[bool]string{true: "api_error", false: "server_error"}[c.failed.Dialect == llm.Anthropic]
		if got.Status != c.failed.Status || at(body, c.kind...) != kind || at(body, c.code...) != c.failed.Code {
			t.Errorf("%d %s", got.Status, got.Bytes())
		}
		if got.Headers["x-signalbox-decision"] != c.failed.DecisionID || c.id != "" && got.Headers[c.id] != "d-1" || (got.Headers["retry-after"] == "1") != (c.failed.Status == 503) {
			t.Errorf("headers: %v", got.Headers)
		}
	}
}
