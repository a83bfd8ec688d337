package registry

import "time"

// KeyKind is what a key lets its holder be.
type KeyKind string

const (
	KeyApp     KeyKind = "app"
	KeyGateway KeyKind = "gateway"
	KeyAdmin   KeyKind = "admin"
)

// KeyState is where a key stands in its life.
type KeyState string

const (
	StateActive   KeyState = "active"
	StateExpiring KeyState = "expiring" // replaced, and valid until the overlap ends
	StateExpired  KeyState = "expired"
	StateRevoked  KeyState = "revoked"
)

// KeyProblem is why a secret does not authenticate; empty when it does.
type KeyProblem string

const (
	KeyOK      KeyProblem = ""
	KeyMissing KeyProblem = "missing"
	KeyUnknown KeyProblem = "unknown" // a bad checksum too
	KeyRevoked KeyProblem = "revoked"
	KeyExpired KeyProblem = "expired"
)

// Hash kinds.
const (
	HashHMAC  = "hmac-sha256" // under a secret derived from the cluster's
	HashPlain = "sha256"      // of keys that another product made
)

// Key is what we keep of a key: never the secret itself.
type Key struct {
	ID         string
	Kind       KeyKind
	Tenant     string
	Team       string // the app's
	App        string
	Gateway    string // of a gateway's key
	Prefix     string // the first characters of the secret, to know it by
	Hash       []byte
	HashKind   string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	RevokedAt  time.Time // zero: not
	ReplacedBy string    // the key that a rotation made
	Version    int64
}

// State is where the key stands at a moment.
func (k *Key) State(now time.Time) KeyState {
	switch {
	case !k.RevokedAt.IsZero():
		return StateRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StateExpired
	case k.ReplacedBy != "":
		return StateExpiring
	}
	return StateActive
}
