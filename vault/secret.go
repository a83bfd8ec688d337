package vault

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a credential that hides itself: whatever prints, logs or marshals it
// gets redactedSecret. Only Reveal gives it out, and only whoever writes the
// provider's header may call that.
//
// The value stands behind a function and not in a field. Methods do not reach
// everywhere: fmt calls none on an unexported field of the struct it prints, nor
// for %p, and printers that walk by reflection call none at all; they would find
// a string, and find a function's address instead. It also makes == on secrets a
// compile error, which is right: compare with Equal.
//
// There is no way back from any of the spellings, so that a redacted secret that
// was stored cannot be taken for a credential when it is read again.
type Secret struct{ reveal func() string }

// redactedSecret is what stands wherever a Secret is printed.
const redactedSecret = "[credential]"

// NewSecret hides a value.
func NewSecret(value string) Secret { return Secret{func() string { return value }} }

// Reveal is the value itself; "" of the zero Secret.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Empty reports whether there is nothing in it.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// Equal compares two secrets in a time that tells nothing about either, their
// lengths included.
func (s Secret) Equal(other Secret) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Format hides the secret from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedSecret) }

// String hides the secret where fmt is not asked.
func (s Secret) String() string { return redactedSecret }

// GoString hides the secret from whoever looks for a GoStringer.
func (s Secret) GoString() string { return redactedSecret }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redactedSecret) }

// MarshalJSON hides the secret from JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedSecret + `"`), nil }

// MarshalText hides the secret from XML, from keys of JSON objects and from
// whatever else writes text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redactedSecret), nil }

// MarshalYAML hides the secret from YAML.
func (s Secret) MarshalYAML() (any, error) { return redactedSecret, nil }
