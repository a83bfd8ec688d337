package door

import (
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/decision"
)

// Names of headers are in lower case here.

// HeaderAnthropicVersion must stand in every call of Anthropic's dialect. SDKs send
// it; AnthropicVersion, the one there is, is for callers who are no SDK.
const (
	HeaderAnthropicVersion = "anthropic-version"
	AnthropicVersion       = "2023-06-01"
)

// hopHeaders are about one connection (RFC 9110, 7.6.1), beside those that
// Connection names.
var hopHeaders = []string{
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
	"te", "trailer", "transfer-encoding", "upgrade",
}

// notToProvider is what a provider must not learn: the caller's key (a coding
// agent's dummy is none of its business either), who the caller is, as a proxy before us
// may have found out and said, where they are, and whose account they think they use.
// Nor may it be told of another method or path than those that were judged.
var notToProvider = slices.Concat(decision.KeyHeaders(), []string{
	"cookie", "openai-organization", "openai-project",
	"forwarded", "via", "x-real-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "fastly-client-ip",
	"from", "baggage", "remote-user", "x-remote-user", "x-jwt-assertion", "cf-access-jwt-assertion", "cf-access-authenticated-user-email",
	"x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url",
})

var notToProviderPrefixes = []string{"x-signalbox-", "x-forwarded-", "x-auth-request-", "x-amzn-oidc-", "x-goog-iap-", "x-goog-authenticated-user-", "x-ms-client-principal"}

// notToCaller is what callers must not learn: the account with the provider, its
// rates, which are shared by all callers and known to us as health, and what it
// runs on. Www-Authenticate would ask for the provider's credential, and Location
// would send the caller, with their key, to the provider.
var notToCaller = []string{
	"set-cookie", "www-authenticate", "location",
	"openai-organization", "openai-project", "anthropic-organization-id",
	"server", "via", "x-powered-by", "alt-svc", "strict-transport-security", "nel", "report-to", "cf-ray", "cf-cache-status",
}

var notToCallerPrefixes = []string{"x-ratelimit-", "anthropic-ratelimit-", "x-signalbox-", "x-ms-", "x-envoy-", "access-control-"}

// IsHop reports whether a header is about one connection.
func IsHop(name string) bool { return slices.Contains(hopHeaders, name) }

// HiddenFromProvider reports whether a caller's header may not go out.
func HiddenFromProvider(name string) bool { return named(name, notToProvider, notToProviderPrefixes) }

// HiddenFromCaller reports whether a provider's header may not go back.
func HiddenFromCaller(name string) bool { return named(name, notToCaller, notToCallerPrefixes) }

// NotToProvider lists what HiddenFromProvider says, for gateways that are
// configured and not asked: exact names, and beginnings of names.
func NotToProvider() (exact, prefixes []string) {
	return slices.Clone(notToProvider), slices.Clone(notToProviderPrefixes)
}

// NotToCaller lists what HiddenFromCaller says.
func NotToCaller() (exact, prefixes []string) {
	return slices.Clone(notToCaller), slices.Clone(notToCallerPrefixes)
}

func named(name string, exact, prefixes []string) bool {
	return slices.Contains(exact, name) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
