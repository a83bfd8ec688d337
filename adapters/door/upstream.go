package door

import (
	"net/url"
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// endpoints is each operation's path under a provider's base URL, as that
// provider's own SDK joins the two.
var endpoints = map[llm.Endpoint]string{
	llm.ChatCompletions: "/chat/completions",
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
		out.Path = upstreamPath(p, strings.TrimSuffix(base.EscapedPath(), "/"), d.UpstreamModel, operation)
	}
	return out
}

// upstreamPath is the path of one operation at one provider.
//
//	openai, openai-compatible  base URL with its version + /chat/completions
//	azure-openai               /openai/deployments/{model}/chat/completions?api-version=…,
//	                           or /openai/v1/… where no dated version is configured
//	anthropic                  base URL + /v1/messages; the /v1 is not said twice
func upstreamPath(p *registry.Provider, base, model, operation string) string {
	switch p.Kind {
	case registry.ProviderAzureOpenAI:
		base = strings.TrimSuffix(base, "/openai")
		if p.APIVersion == "" || p.APIVersion == "v1" {
			return strings.TrimSuffix(base, "/openai/v1") + "/openai/v1" + operation
		}
		return base + "/openai/deployments/" + url.PathEscape(model) + operation + "?api-version=" + url.QueryEscape(p.APIVersion)
	case registry.ProviderAnthropic:
		return strings.TrimSuffix(base, "/v1") + "/v1" + operation
	}
	return base + operation
}
