package vault

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// Purposes of derived secrets. One secret serves one purpose only, so that what
// is printed under one (a report token's signature) helps nobody with another.
const (
	PurposeKeyHash     = "key-hash"
	PurposeReportToken = "report-token"
	PurposePseudonym   = "pseudonym"
	PurposePromptHash  = "prompt-hash"
)

const (
	secretSize = 32
	// maxFile is more than two lines of base64 will ever be.
	maxFile = 4096
	// infoPrefix binds derived secrets to this program and this way of deriving.
	infoPrefix = "signalbox/v1/"
	redacted   = "[cluster secret]"
)

// ClusterSecret is the one secret that all replicas share, and the one before it
// while it is being replaced.
//
// The bytes stand behind a pointer: fmt calls no method on an unexported field of
// what it prints, and shows the address of a pointer that it finds there.
type ClusterSecret struct{ keys *clusterKeys }

type clusterKeys struct {
	current     [secretSize]byte
	previous    [secretSize]byte
	hasPrevious bool
}

// Format hides the secret from every verb of fmt; a String alone leaves it open
// to %d.
func (c ClusterSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String hides the secret where fmt is not asked.
func (c ClusterSecret) String() string { return redacted }

// GoString hides the secret from %#v.
func (c ClusterSecret) GoString() string { return redacted }

// LogValue hides the secret from slog.
func (c ClusterSecret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the secret from JSON.
func (c ClusterSecret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Derive is the secret for one purpose: HKDF-SHA256 (RFC 5869) of the cluster
// secret, no salt, the purpose as info.
func (c ClusterSecret) Derive(purpose string) [32]byte { return derive(c.keys.current, purpose) }

// DerivePrevious is Derive under the secret before this one, if there is one.
func (c ClusterSecret) DerivePrevious(purpose string) ([32]byte, bool) {
	if !c.keys.hasPrevious {
		return [32]byte{}, false
	}
	return derive(c.keys.previous, purpose), true
}

func derive(secret [secretSize]byte, purpose string) (out [32]byte) {
	key, err := hkdf.Key(sha256.New, secret[:], nil, infoPrefix+purpose, len(out))
	if err != nil {
		// Only a length that SHA-256 cannot expand to, or a FIPS module without
		// HKDF, can bring this: the program is wrong, not the world.
		panic("vault: derive " + purpose + ": " + err.Error())
	}
	copy(out[:], key)
	return out
}

// LoadClusterSecret reads the file: 32 random bytes in base64, and on a second
// line, while a secret is being replaced, the one before. With create, a missing
// file is made first. A file that others may read is refused, because a secret
// that was readable is no longer one.
func LoadClusterSecret(file string, create bool) (ClusterSecret, error) {
	c, err := read(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	if !create {
		return c, fmt.Errorf("cluster secret %s does not exist: copy it from another replica, or make one with `head -c 32 /dev/urandom | base64 > %s && chmod 600 %s`", file, file, file)
	}
	if err := makeFile(file); err != nil {
		return ClusterSecret{}, fmt.Errorf("make cluster secret %s: %w", file, err)
	}
	return read(file)
}

func read(file string) (ClusterSecret, error) {
	f, err := os.Open(file)
	if err != nil {
		return ClusterSecret{}, fmt.Errorf("read cluster secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of what is open, not of what the name says by now
	if err != nil {
		return ClusterSecret{}, fmt.Errorf("read cluster secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return ClusterSecret{}, fmt.Errorf("cluster secret %s is not a regular file: name a file that only this user can read", file)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return ClusterSecret{}, fmt.Errorf("cluster secret %s can be read or written by others (mode %04o): run `chmod 600 %s`, and replace the secret if others had access", file, mode, file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return ClusterSecret{}, fmt.Errorf("read cluster secret %s: %w", file, err)
	}
	c, err := parse(data)
	if err != nil {
		return ClusterSecret{}, fmt.Errorf("cluster secret %s: %w", file, err)
	}
	return c, nil
}

// ParseClusterSecret reads what a file would hold, for a secret that came by the
// environment.
func ParseClusterSecret(text string) (ClusterSecret, error) {
	c, err := parse([]byte(text))
	if err != nil {
		return ClusterSecret{}, fmt.Errorf("cluster secret: it %w", err)
	}
	return c, nil
}

// parse never repeats what it read: a broken secret is still a secret.
func parse(data []byte) (ClusterSecret, error) {
	if len(data) > maxFile {
		return ClusterSecret{}, fmt.Errorf("is longer than %d bytes: want one or two lines, each 32 bytes in base64", maxFile)
	}
	lines := bytes.Split(bytes.TrimRight(data, "\r\n"), []byte("\n"))
	if len(lines) > 2 {
		return ClusterSecret{}, fmt.Errorf("has %d lines: want the secret, and on a second line the one before it", len(lines))
	}
	var k clusterKeys
	for i, line := range lines {
		b, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimRight(line, "\r")))
		if err != nil || len(b) != secretSize {
			return ClusterSecret{}, fmt.Errorf("line %d is not 32 bytes in base64: 44 characters that end in \"=\"", i+1)
		}
		if i == 0 {
			copy(k.current[:], b)
			continue
		}
		copy(k.previous[:], b)
		k.hasPrevious = true
	}
	if k.current == [secretSize]byte{} || k.hasPrevious && k.previous == [secretSize]byte{} {
		return ClusterSecret{}, errors.New("is all zeros: want 32 random bytes in base64")
	}
	return ClusterSecret{&k}, nil
}

// makeFile writes a new secret beside the file and links it into place: the name
// appears with the whole secret behind it or not at all, and of two that start
// at once one wins and both read the winner's.
func makeFile(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".cluster-secret-*") // 0600, O_EXCL
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	var secret [secretSize]byte
	rand.Read(secret[:]) // never fails: the runtime stops the program instead
	line := base64.StdEncoding.EncodeToString(secret[:]) + "\n"
	_, err = tmp.WriteString(line)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir puts the directory's own entries on the platter: without it a power
// loss can take the name of a file whose bytes are safe.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
