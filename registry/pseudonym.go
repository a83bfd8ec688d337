package registry

import (
	"encoding/hex"
	"log/slog"
)

// pseudonymBytes is how much of the MAC is kept: two of a tenant's names meet by
// chance only among some 2⁶⁴ of them.
const pseudonymBytes = 16

// Pseudonymiser makes keyed pseudonyms of people's names. Whoever has the journal
// and not the secret cannot even test a guess, and a name in one tenant tells
// nothing about the same name in another.
//
// Another secret makes other pseudonyms: a budget per user then counts everyone
// from zero, so the secret of this purpose is not rotated with the others.
type Pseudonymiser struct{ macs *macs }

// NewPseudonymiser makes one of the secret derived for the purpose "pseudonym".
func NewPseudonymiser(secret [32]byte) *Pseudonymiser {
	return &Pseudonymiser{newMACs(secret)}
}

// String and LogValue hide the secret.
func (p *Pseudonymiser) String() string { return "[pseudonymiser]" }

// LogValue hides the secret from slog.
func (p *Pseudonymiser) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Pseudonym is the same for the same tenant, kind (user, session, agent) and
// name, in 32 hexadecimal digits. Empty for an empty name.
func (p *Pseudonymiser) Pseudonym(tenant, kind, name string) string {
	if name == "" {
		return ""
	}
	sum := p.macs.ofAll(tenant, kind, name)
	return hex.EncodeToString(sum[:pseudonymBytes])
}
