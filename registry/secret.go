package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"hash/crc32"
	"log/slog"
	"strings"
	"time"
)

// A printed key is a prefix that says its kind, 32 random characters of base62
// (190 bits) and a checksum of 6, all of one word, so that secret scanners know
// it when they see it and a mistyped one is refused without a look-up.
const (
	secretRandom   = 32
	secretChecksum = 6
	secretLength   = 4 + secretRandom + secretChecksum
	// shownPrefix is how much of a secret is kept to know it by: 24 bits of 190.
	shownPrefix = 8
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

var secretPrefixes = map[KeyKind]string{KeyApp: "sbx_", KeyGateway: "sbg_", KeyAdmin: "sba_"}

// newSecret makes a printed key.
func newSecret(kind KeyKind) string {
	s := secretPrefixes[kind] + randomText(base62, secretRandom)
	return s + checksum(s)
}

// randomText is n characters of an alphabet, each equally likely.
func randomText(alphabet string, n int) string {
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	// Bytes above the largest multiple of the alphabet's size would favour its
	// first characters.
	limit := 256 - 256%len(alphabet)
	for len(out) < n {
		rand.Read(buf) // never fails: the runtime stops the program instead
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// checksum is the CRC-32 (IEEE) of everything before it, as 6 digits of base62.
func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	var digits [secretChecksum]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// SecretKind is the kind of a printed key of ours; ok is false for a wrong
// length or checksum, and for what is no key of ours at all.
func SecretKind(secret string) (kind KeyKind, ok bool) {
	for kind, prefix := range secretPrefixes {
		if strings.HasPrefix(secret, prefix) {
			return kind, len(secret) == secretLength && secret[secretLength-secretChecksum:] == checksum(secret[:secretLength-secretChecksum])
		}
	}
	return "", false
}

// ours reports whether a secret claims to be a key of ours.
func ours(secret string) bool {
	for _, prefix := range secretPrefixes {
		if strings.HasPrefix(secret, prefix) {
			return true
		}
	}
	return false
}

// SameSecret compares two secrets in a time that tells nothing about either: how
// an operator's token from the environment is checked.
func SameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// KeyHasher turns a printed key into what is stored of it.
type KeyHasher struct{ current, previous *macs }

// NewKeyHasher makes a hasher of the secrets derived for the purpose "key-hash".
// Keys made under the previous secret are found until they are rotated.
func NewKeyHasher(current [32]byte, previous ...[32]byte) KeyHasher {
	h := KeyHasher{current: newMACs(current)}
	if len(previous) > 0 {
		h.previous = newMACs(previous[0])
	}
	return h
}

// String, GoString and LogValue hide the secrets.
func (h KeyHasher) String() string { return "[key hasher]" }

// GoString hides the secrets from %#v.
func (h KeyHasher) GoString() string { return h.String() }

// LogValue hides the secrets from slog.
func (h KeyHasher) LogValue() slog.Value { return slog.StringValue(h.String()) }

// hashes are the ways in which a key can be stored: for each kind, what the
// stored hash of a secret may be, the newest first. Another product's keys are
// imported by adding theirs here.
var hashes = map[string][]func(h KeyHasher, secret string) (sum [sha256.Size]byte, ok bool){
	HashHMAC: {
		func(h KeyHasher, secret string) ([sha256.Size]byte, bool) { return h.current.tryOf(secret) },
		func(h KeyHasher, secret string) ([sha256.Size]byte, bool) { return h.previous.tryOf(secret) },
	},
	HashPlain: {
		func(_ KeyHasher, secret string) ([sha256.Size]byte, bool) { return sha256.Sum256([]byte(secret)), true },
	},
}

// hash is how new keys are stored.
func (h KeyHasher) hash(secret string) []byte {
	sum := h.current.of(secret)
	return sum[:]
}

// keyHash finds a key by what is stored of it.
type keyHash struct {
	kind string
	sum  [sha256.Size]byte
}

// maxSecret is the longest secret that is hashed at all.
const maxSecret = 1024

// Authenticate finds whose key a secret is. A key that is known and no longer
// valid is returned with its problem, for the record. What is looked up is a
// hash under a secret of ours, so the time it takes tells nothing about the
// stored ones; a key of ours with a bad checksum is not looked up at all.
func (s *Snapshot) Authenticate(h KeyHasher, secret string, now time.Time) (*Key, KeyProblem) {
	if secret == "" {
		return nil, KeyMissing
	}
	kinds := s.keys.foreign // keys with no checksum of ours
	if _, ok := SecretKind(secret); ok {
		kinds = s.keys.kinds
	} else if ours(secret) || len(secret) > maxSecret {
		return nil, KeyUnknown
	}
	for _, kind := range kinds {
		for _, hash := range hashes[kind] {
			sum, ok := hash(h, secret)
			if !ok {
				continue
			}
			if k, ok := s.keys.byHash[keyHash{kind, sum}]; ok && subtle.ConstantTimeCompare(k.Hash, sum[:]) == 1 {
				return k, k.problem(now)
			}
		}
	}
	return nil, KeyUnknown
}

func (k *Key) problem(now time.Time) KeyProblem {
	switch k.State(now) {
	case StateRevoked:
		return KeyRevoked
	case StateExpired:
		return KeyExpired
	}
	return KeyOK
}
