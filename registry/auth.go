package registry

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
