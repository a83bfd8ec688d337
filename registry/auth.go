package registry

import (
	"fmt"
	"slices"
	"strings"
)

// Auth is the header in which a provider takes its credential, and what stands
// in front of it there.
//
//	openai, openai-compatible  authorization: Bearer …
//	azure-openai               api-key: …
//	anthropic                  x-api-key: …
//
// A provider with an auth_header of its own has its own prefix too: an Entra
// token at Azure is auth_header: authorization, auth_prefix: "Bearer ".
func (p *Provider) Auth() (header, prefix string) {
	switch {
	case p.AuthHeader != "":
		return p.AuthHeader, p.AuthPrefix
	case p.Kind == ProviderAzureOpenAI:
		return "api-key", ""
	case p.Kind == ProviderAnthropic:
		return "x-api-key", ""
	}
	return "authorization", "Bearer "
}

const (
	// maxHeader is the longest auth_header and auth_prefix, in bytes.
	maxHeader = 64

	// maxScheme is the longest word in an auth_prefix; keys have longer ones.
	maxScheme = 16

	wantHeader = "write the header that the provider's manual names, such as authorization or x-api-key"
)

// ownHeaders are those that say something else than who calls: they belong to a
// connection (RFC 9110, 7.6.1), or are written by whoever sends the call on.
var ownHeaders = []string{
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	"host", "expect", "date", "accept", "accept-encoding", "user-agent", "cookie", "set-cookie", "forwarded", "via", "traceparent", "tracestate",
}

// ownPrefixes begin such headers.
var ownPrefixes = []string{"content-", "x-signalbox-", "x-forwarded-", "x-envoy-"}

// schemes are words that a credential follows after a space.
var schemes = []string{"bearer", "basic", "token", "apikey", "api-key"}

// checkAuth judges where the credential goes: the field that is wrong, and how.
func (p *Provider) checkAuth() (field string, _ addressProblem, ok bool) {
	no := func(field, want, what string, args ...any) (string, addressProblem, bool) {
		return field, addressProblem{fmt.Sprintf(what, args...), want}, false
	}
	switch h := p.AuthHeader; {
	case h == "" && p.AuthPrefix != "":
		return no("auth_prefix", "write auth_header: authorization too, or another header", "auth_prefix stands without auth_header")
	case h == "":
		return "", addressProblem{}, true
	case strings.Trim(h, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") != "":
		// Not repeated: it may be the whole header, with the secret in it.
		return no("auth_header", wantHeader, "auth_header is not a header's name")
	case slices.Contains(ownHeaders, h) || slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(h, p) }):
		return no("auth_header", wantHeader, "auth_header cannot be %s, which says something else than who calls", h)
	case p.Credential == "":
		return no("auth_header", "write credential: NAME, or leave auth_header out", "auth_header stands without a credential to put there")
	}
	switch word := p.AuthPrefix; {
	case strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r > '~' }) || strings.HasPrefix(word, " "):
		return no("auth_prefix", `write ASCII, such as "Bearer "`, "auth_prefix cannot stand in a header")
	case longestWord(word) > maxScheme:
		return no("auth_prefix", "write only what stands before the secret, and put the secret under the credential's name", "auth_prefix looks like the secret itself")
	case slices.Contains(schemes, strings.ToLower(word)):
		// YAML takes the space from the end of what has no quotes.
		return no("auth_prefix", fmt.Sprintf("write it in quotes, with the space: %q", word+" "), "auth_prefix %s would stand right at the credential", word)
	}
	return "", addressProblem{}, true
}

func longestWord(s string) int {
	longest := 0
	for word := range strings.FieldsFuncSeq(strings.ToLower(s), func(r rune) bool { return r > '~' || !lowerOrDigit(byte(r)) }) {
		longest = max(longest, len(word))
	}
	return longest
}
