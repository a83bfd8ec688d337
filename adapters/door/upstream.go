package door

import (
	"net/url"
	"strings"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// endpoints is each operation's path under a provider's base URL, as that
// provider's own SDK joins the two.
var endpoints = map[llm.Endpoint]string{
	llm.ChatCompletions: "/chat/completions",
	llm.Responses:       "/responses",
	llm.Embeddings:      "/embeddings",
	llm.Messages:        "/messages",
	llm.Models:          "/models",
	llm.CountTokens:     "/messages/count_tokens",
}

// deployment says where a call goes. known is false for a path that a rule lets
// through unjudged: it goes out as the caller wrote it.
func deployment(d *registry.Deployment, route llm.Route, known bool, asked string) Deployment {
	out := Deployment{Name: d.Name, Provider: d.Provider, UpstreamModel: d.UpstreamModel, Scheme: "https", Path: asked}
	p := d.ProviderRef
	if p == nil {
		return out
	}
	out.Kind = p.Kind
	// The registry has checked the address when it was applied.
	base, err := url.Parse(p.BaseURL)
	if err != nil {
		return out
	}
	out.Host = base.Host
	if base.Scheme != "" {
		out.Scheme = base.Scheme
	}
	if operation, ok := endpoints[route.Endpoint]; known && ok {
		out.Path = upstreamPath(p, strings.TrimSuffix(base.EscapedPath(), "/"), d.UpstreamModel, route.Endpoint, operation)
	}
	return out
}

// upstreamPath is the path of one operation at one provider.
//
//	openai, openai-compatible  base URL with its version + /chat/completions
//	azure-openai               /openai/deployments/{model}/chat/completions?api-version=…
//	                           (responses: /openai/responses?api-version=…, the body names
//	                           the model), or /openai/v1/… where no dated version is configured
//	anthropic                  base URL + /v1/messages; the /v1 is not said twice
func upstreamPath(p *registry.Provider, base, model string, endpoint llm.Endpoint, operation string) string {
	switch p.Kind {
	case registry.ProviderAzureOpenAI:
		base = strings.TrimSuffix(base, "/openai")
		if !dated(p) {
			return strings.TrimSuffix(base, "/openai/v1") + "/openai/v1" + operation
		}
		version := "?api-version=" + url.QueryEscape(p.APIVersion)
		if decision.PathNamesModel(p, endpoint) {
			return base + "/openai/deployments/" + url.PathEscape(model) + operation + version
		}
		return base + "/openai" + operation + version
	case registry.ProviderAnthropic:
		return strings.TrimSuffix(base, "/v1") + "/v1" + operation
	}
	return base + operation
}

// dated reports whether an Azure provider is called by one of the API's dated
// versions and not by its v1.
func dated(p *registry.Provider) bool { return p.APIVersion != "" && p.APIVersion != "v1" }

// WithBeta is a provider's path with the one thing that is kept of the caller's
// query: Anthropic's SDKs ask for beta features by it. The rest is the caller's way
// of addressing us, such as Azure's api-version, or a key.
func WithBeta(path, asked string) string {
	_, query, _ := strings.Cut(asked, "?")
	if !strings.Contains(query, "beta") {
		return path // most paths; parsing is not free
	}
	values, _ := url.ParseQuery(query) // what can be read of it, as net/http does
	if values.Get("beta") != "true" {
		return path
	}
	if strings.Contains(path, "?") {
		return path + "&beta=true"
	}
	return path + "?beta=true"
}
