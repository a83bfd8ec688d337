package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

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

// keyBody is a key in the journal.
type keyBody struct {
	ID         string    `json:"id"`
	Kind       KeyKind   `json:"kind"`
	Tenant     string    `json:"tenant,omitempty"`
	App        string    `json:"app,omitempty"`
	Gateway    string    `json:"gateway,omitempty"`
	Prefix     string    `json:"prefix"`
	Hash       []byte    `json:"hash"`
	HashKind   string    `json:"hash_kind"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	ReplacedBy string    `json:"replaced_by,omitempty"`
}

func (k *Key) id() objectID { return objectID{Kind: kindKey, Tenant: k.Tenant, Name: k.ID} }

func (k *Key) body() any {
	return keyBody{k.ID, k.Kind, k.Tenant, k.App, k.Gateway, k.Prefix, k.Hash, k.HashKind,
		k.CreatedAt.UTC(), k.ExpiresAt.UTC(), k.RevokedAt.UTC(), k.ReplacedBy}
}

// decodeKey reads a key's body; like all bodies, one with a field that is not
// known stops the fold.
func decodeKey(body []byte) (value, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var b keyBody
	if err := dec.Decode(&b); err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	if _, known := hashes[b.HashKind]; !known {
		return nil, fmt.Errorf("key %s: hash kind %q is not known to this program", b.ID, clip(b.HashKind))
	}
	if b.ID == "" || len(b.Hash) != sha256.Size || b.Kind != KeyApp && b.Kind != KeyGateway && b.Kind != KeyAdmin {
		return nil, fmt.Errorf("key %q: want an id, a kind and a hash of %d bytes", clip(b.ID), sha256.Size)
	}
	return &Key{ID: b.ID, Kind: b.Kind, Tenant: b.Tenant, App: b.App, Gateway: b.Gateway, Prefix: b.Prefix, Hash: b.Hash,
		HashKind: b.HashKind, CreatedAt: b.CreatedAt, ExpiresAt: b.ExpiresAt, RevokedAt: b.RevokedAt, ReplacedBy: b.ReplacedBy}, nil
}
