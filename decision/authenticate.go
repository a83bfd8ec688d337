package decision

import (
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/registry"
)

// Caller is who holds the key, as the registry knows it.
type Caller struct {
	Key    *registry.Key
	Tenant *registry.Tenant
	App    *registry.App
}

// keyHeaders are where SDKs put a key. Coding agents send a dummy beside the real
// one, so the value that starts like ours wins wherever it stands.
var keyHeaders = [...]string{"authorization", "x-api-key", "api-key", "ocp-apim-subscription-key"}

// KeyHeaders are those in which a caller's key is looked for, names in lower case.
// Whoever sends a call on takes all of them out: what we read as a key must never
// reach a provider.
func KeyHeaders() []string { return slices.Clone(keyHeaders[:]) }

// KeyPrefix begins every caller's key.
const KeyPrefix = "sbx_"

// authenticate finds the caller's key and whose it is.
func (s *Service) authenticate(c *Case) (Caller, error) {
	secret := credential(c.Request.Headers)
	key, problem := c.World.Authenticate(s.hasher, secret, c.At)
	switch problem {
	case registry.KeyOK:
	case registry.KeyMissing:
		return Caller{}, refuse(KeyMissing, "no key: send it as Authorization: Bearer %s…, x-api-key or api-key", KeyPrefix)
	case registry.KeyRevoked:
		return Caller{}, refuse(KeyRevoked, "this key was revoked on %s", key.RevokedAt.UTC().Format("2006-01-02"))
	case registry.KeyExpired:
		return Caller{}, refuse(KeyExpired, "this key expired on %s", key.ExpiresAt.UTC().Format("2006-01-02"))
	default:
		return Caller{}, refuse(KeyUnknown, "unknown key: it was mistyped, or never made here")
	}
	if key.Kind != registry.KeyApp {
		return Caller{}, refuse(KeyUnknown, "this is not an application's key")
	}
	tenant, ok := c.World.Tenant(key.Tenant)
	if !ok {
		return Caller{}, refuse(KeyUnknown, "the key's tenant no longer exists")
	}
	app, ok := c.World.App(key.Tenant, key.App)
	if !ok {
		return Caller{}, refuse(KeyUnknown, "the key's app no longer exists")
	}
	return Caller{Key: key, Tenant: tenant, App: app}, nil
}

// Knows reports whether these headers hold a key that is good now. Whoever reads
// bodies asks before it gives one room: anybody can send a key.
func (s *Service) Knows(h Headers) bool {
	key, problem := s.registry.Snapshot().Authenticate(s.hasher, credential(h), s.now())
	return problem == registry.KeyOK && key.Kind == registry.KeyApp
}

// credential is the caller's key: the one that looks like ours, else the first
// there is.
func credential(h Headers) string {
	first := ""
	for _, name := range keyHeaders {
		value := strings.TrimSpace(h[name])
		if name == "authorization" {
			value = bearer(value)
		}
		if strings.HasPrefix(value, KeyPrefix) {
			return value
		}
		if first == "" {
			first = value
		}
	}
	return first
}

func bearer(value string) string {
	if scheme, token, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return value
}
