package proxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// keyHeaders are where callers put their key. None of them reaches a provider,
// whatever stands in it: a coding agent's dummy is none of the provider's business.
var keyHeaders = canonical(decision.KeyHeaders())

func canonical(names []string) []string {
	for i, name := range names {
		names[i] = http.CanonicalHeaderKey(name)
	}
	return names
}

// notToProvider is what we say ourselves, beside what no provider may learn.
var notToProvider = []string{"host", "content-length", "content-encoding", "accept-encoding", "expect"}

// notToCaller is of the provider's message, and not of ours.
var notToCaller = []string{"content-length", "date"}

const (
	headerDeployment = "X-Signalbox-Deployment"
)

func hasKey(h http.Header) bool {
	return slices.ContainsFunc(keyHeaders, func(name string) bool { return strings.TrimSpace(h.Get(name)) != "" })
}

// firstValues is what the decision reads: of a header that is repeated, the first.
func firstValues(h http.Header) map[string]string {
	first := make(map[string]string, len(h))
	for name, values := range h {
		if len(values) > 0 {
			first[name] = values[0]
		}
	}
	return first
}

// toProvider is what goes out of what the caller sent. It is passed by default,
// because what SDKs invent tomorrow must work tomorrow.
func toProvider(from http.Header) http.Header {
	to := make(http.Header, len(from)+4)
	for name, values := range from {
		lower := strings.ToLower(name)
		if door.IsHop(lower) || door.HiddenFromProvider(lower) || slices.Contains(notToProvider, lower) || byConnection(from, name) || holds(values, decision.KeyPrefix) {
			continue
		}
		to[name] = values
	}
	return to
}

// dress adds what each provider wants of us.
func dress(h http.Header, dialect llm.Dialect, p *registry.Provider, secret vault.Secret) {
	// An answer that is encoded could not be read for its usage.
	h.Set("Accept-Encoding", "identity")
	if dialect == llm.Anthropic && h.Get(door.HeaderAnthropicVersion) == "" {
		h.Set(door.HeaderAnthropicVersion, door.AnthropicVersion)
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "signalbox")
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if key, ok := h[name]; ok {
			// Under the names that net/http knows, it would send the call again by itself
			// after a reset, and a provider that ignores the key bills it twice. Names of
			// headers have no case on the wire.
			delete(h, name)
			h[strings.ToLower(name)] = key
		}
	}
	if p.Credential != "" {
		header, prefix := p.Auth()
		h.Set(header, prefix+secret.Reveal())
	}
}

// toCaller passes on what the caller may see of a provider's headers, onto what
// is there.
func toCaller(to, from http.Header, secret string) {
	for name, values := range from {
		lower := strings.ToLower(name)
		if door.IsHop(lower) || door.HiddenFromCaller(lower) || slices.Contains(notToCaller, lower) || byConnection(from, name) || holds(values, secret) {
			continue
		}
		to[name] = values
	}
}

// byConnection reports whether a header is about the connection because
// Connection says so.
func byConnection(h http.Header, name string) bool {
	for _, value := range h["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), name) {
				return true
			}
		}
	}
	return false
}

func holds(values []string, secret string) bool {
	return secret != "" && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, secret) })
}
