package vault

import "log/slog"

// Secret is a credential that hides itself: whatever prints, logs or marshals it
// gets redactedSecret. Only Reveal gives it out, and only whoever writes the
// provider's header may call that.
type Secret struct{ value string }

// redactedSecret is what stands wherever a Secret is printed.
const redactedSecret = "[credential]"

// NewSecret hides a value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal is the value itself.
func (s Secret) Reveal() string { return s.value }

// String hides the secret from %s and %v.
func (s Secret) String() string { return redactedSecret }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return redactedSecret }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redactedSecret) }

// MarshalJSON hides the secret from JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedSecret + `"`), nil }
