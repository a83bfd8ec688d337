package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// Bounds of what is asked for a key.
const (
	maxKeyLife = 10 * 366 * 24 * time.Hour
	maxOverlap = 90 * 24 * time.Hour
	// idRandom is 80 bits: ids need not be secret, only different.
	idRandom   = 16
	idAlphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

// RequestProblem is a request about a key that cannot be granted. Its message is
// for whoever asked, and holds no secret.
type RequestProblem struct {
	Code    string // invalid, not_found, conflict
	Message string
}

// Codes of a RequestProblem.
const (
	Invalid  = "invalid"
	NotFound = "not_found"
	Conflict = "conflict"
)

func (p *RequestProblem) Error() string { return p.Message }

func refuse(code, format string, args ...any) error {
	return &RequestProblem{Code: code, Message: fmt.Sprintf(format, args...)}
}

// KeyRequest asks for a key.
type KeyRequest struct {
	Kind        KeyKind
	Tenant, App string        // of an app's key
	Gateway     string        // of a gateway's key
	Expires     time.Duration // 0: never
	By, Why     string
}

// CreateKey makes a key. The secret is returned once, and kept nowhere.
func (r *Registry) CreateKey(ctx context.Context, req KeyRequest) (Key, string, error) {
	secret := newSecret(req.Kind)
	var id string
	s, err := r.write(ctx, author{req.By, req.Why}, func(s *Snapshot) ([]journal.RegistryChanged, error) {
		if err := req.check(s); err != nil {
			return nil, err
		}
		k := r.newKey(req, secret)
		id = k.ID
		return keyChanges(k)
	})
	if err != nil {
		return Key{}, "", err
	}
	k, _ := s.Key(id)
	return *k, secret, nil
}

func (req *KeyRequest) check(s *Snapshot) error {
	if req.Expires < 0 || req.Expires > maxKeyLife {
		return refuse(Invalid, "a key cannot expire after %s: write up to %s, or leave it out for a key that does not expire", formatDuration(req.Expires), formatDuration(maxKeyLife))
	}
	switch req.Kind {
	case KeyApp:
		if _, ok := s.App(req.Tenant, req.App); !ok {
			return refuse(NotFound, "there is no app %s/%s: declare it in a registry file and apply that first", clip(req.Tenant), clip(req.App))
		}
	case KeyGateway:
		if _, ok := s.Gateway(req.Gateway); !ok {
			return refuse(NotFound, "there is no gateway %s: declare it in a registry file and apply that first", clip(req.Gateway))
		}
	case KeyAdmin:
	default:
		return refuse(Invalid, "a key cannot be of kind %q: want app, gateway or admin", clip(string(req.Kind)))
	}
	return nil
}

func (r *Registry) newKey(req KeyRequest, secret string) *Key {
	now := r.now().UTC()
	k := &Key{ID: "key-" + randomText(idAlphabet, idRandom), Kind: req.Kind, Prefix: secret[:shownPrefix],
		Hash: r.hasher.hash(secret), HashKind: HashHMAC, CreatedAt: now}
	switch req.Kind {
	case KeyApp:
		k.Tenant, k.App = req.Tenant, req.App
	case KeyGateway:
		k.Gateway = req.Gateway
	}
	if req.Expires > 0 {
		k.ExpiresAt = now.Add(req.Expires)
	}
	return k
}

// keyChanges are the records of keys.
func keyChanges(keys ...*Key) ([]journal.RegistryChanged, error) {
	var out []journal.RegistryChanged
	for _, k := range keys {
		body, err := encode(k)
		if err != nil {
			return nil, err
		}
		out = append(out, change(k.id(), body))
	}
	return out, nil
}

// RevokeKey ends a key now. Revoking it again changes nothing.
func (r *Registry) RevokeKey(ctx context.Context, id, by, why string) (Key, error) {
	s, err := r.write(ctx, author{by, why}, func(s *Snapshot) ([]journal.RegistryChanged, error) {
		k, err := s.mustKey(id)
		if err != nil || !k.RevokedAt.IsZero() {
			return nil, err
		}
		gone := *k
		gone.RevokedAt = r.now().UTC()
		return keyChanges(&gone)
	})
	if err != nil {
		return Key{}, err
	}
	k, _ := s.Key(id)
	return *k, nil
}

func (s *Snapshot) mustKey(id string) (*Key, error) {
	if k, ok := s.Key(id); ok {
		return k, nil
	}
	// What was typed may be a secret, typed in the wrong place: not repeated.
	return nil, refuse(NotFound, "there is no key with this id: `signalbox keys list` shows those there are")
}

// RotateRequest asks for a key's successor.
type RotateRequest struct {
	ID      string
	Overlap time.Duration // how long the old key stays valid; 0: it ends now
	By, Why string
}

// RotateKey makes a key's successor, which lives as long as the old one was
// given, and lets the old one live on for the overlap.
func (r *Registry) RotateKey(ctx context.Context, req RotateRequest) (Key, string, error) {
	if req.Overlap < 0 || req.Overlap > maxOverlap {
		return Key{}, "", refuse(Invalid, "keys cannot overlap for %s: write from 0s to %s", formatDuration(req.Overlap), formatDuration(maxOverlap))
	}
	var id, secret string
	s, err := r.write(ctx, author{req.By, req.Why}, func(s *Snapshot) ([]journal.RegistryChanged, error) {
		old, err := s.mustKey(req.ID)
		if err != nil {
			return nil, err
		}
		if err := old.rotatable(r.now()); err != nil {
			return nil, err
		}
		secret = newSecret(old.Kind)
		k := r.newKey(KeyRequest{Kind: old.Kind, Tenant: old.Tenant, App: old.App, Gateway: old.Gateway}, secret)
		if !old.ExpiresAt.IsZero() {
			k.ExpiresAt = k.CreatedAt.Add(old.ExpiresAt.Sub(old.CreatedAt))
		}
		last := *old
		last.ReplacedBy, id = k.ID, k.ID
		if end := k.CreatedAt.Add(req.Overlap); last.ExpiresAt.IsZero() || end.Before(last.ExpiresAt) {
			last.ExpiresAt = end
		}
		return keyChanges(&last, k)
	})
	if err != nil {
		return Key{}, "", err
	}
	k, _ := s.Key(id)
	return *k, secret, nil
}

// rotatable refuses keys that have no say any more: a successor would give it
// back to whoever holds them.
func (k *Key) rotatable(now time.Time) error {
	switch state := k.State(now); {
	case state == StateRevoked, state == StateExpired:
		return refuse(Conflict, "key %s is %s: create a new one", k.ID, state)
	case k.ReplacedBy != "":
		return refuse(Conflict, "key %s was replaced by %s: rotate that one", k.ID, k.ReplacedBy)
	}
	return nil
}

// Keys lists all keys, by tenant, app, gateway and age.
func (r *Registry) Keys() []Key {
	list := r.Snapshot().Keys()
	out := make([]Key, len(list))
	for i, k := range list {
		out[i] = *k
	}
	return out
}
