package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/vault"
)

func TestMadeOnceAndRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "cluster-secret")
	if _, err := vault.LoadClusterSecret(file, false); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without create: %v", err)
	}
	made, err := vault.LoadClusterSecret(file, true)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	again, err := vault.LoadClusterSecret(file, true)
	if err != nil || again.Derive("a") != made.Derive("a") {
		t.Errorf("read again: another secret, %v", err)
	}
	if names, _ := os.ReadDir(filepath.Dir(file)); len(names) != 1 {
		t.Errorf("something was left beside it: %v", names)
	}
	other, err := vault.LoadClusterSecret(filepath.Join(t.TempDir(), "x"), true)
	if err != nil || other.Derive("a") == made.Derive("a") {
		t.Errorf("two files hold the same secret, %v", err)
	}
}

// Replicas that start at once on one shared folder have one secret.
func TestMadeByManyAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster-secret")
	var wg sync.WaitGroup
	got := make([][32]byte, 16)
	for i := range got {
		wg.Go(func() {
			c, err := vault.LoadClusterSecret(file, true)
			if err != nil {
				t.Error(err)
			}
			got[i] = c.Derive("a")
		})
	}
	wg.Wait()
	for _, g := range got {
		if g != got[0] {
			t.Fatal("two secrets")
		}
	}
}

func TestDerive(t *testing.T) {
	// HKDF-SHA256 (RFC 5869), no salt, info "signalbox/v1/key-hash", of the bytes
	// 0 to 31. It must never change: stored key hashes hang on it.
	current, previous := make([]byte, 32), bytes.Repeat([]byte{7}, 32)
	for i := range current {
		current[i] = byte(i)
	}
	c := load(t, base64.StdEncoding.EncodeToString(current)+"\n"+base64.StdEncoding.EncodeToString(previous)+"\n")
	got := c.Derive(vault.PurposeKeyHash)
	if want := "bfcdb5fa71a71803edfef9a0e1636fec0eb9d096f186bf0acb4d594053a727c6"; hex.EncodeToString(got[:]) != want {
		t.Errorf("derived %x, want %s", got, want)
	}
	seen := map[[32]byte]string{}
	for _, purpose := range []string{vault.PurposeKeyHash, vault.PurposePromptHash, vault.PurposePseudonym, vault.PurposeReportToken} {
		for name, secret := range map[string][32]byte{"current": c.Derive(purpose), "previous": second(t, c, purpose)} {
			if other, ok := seen[secret]; ok {
				t.Errorf("%s of %s is %s", name, purpose, other)
			}
			seen[secret] = name + " of " + purpose
		}
	}
	if _, ok := load(t, base64.StdEncoding.EncodeToString(current)).DerivePrevious("a"); ok {
		t.Error("a previous secret where there is none")
	}
}

func second(t *testing.T, c vault.ClusterSecret, purpose string) [32]byte {
	t.Helper()
	s, ok := c.DerivePrevious(purpose)
	if !ok {
		t.Fatal("no previous secret")
	}
	return s
}

func load(t *testing.T, text string) vault.ClusterSecret {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := vault.LoadClusterSecret(file, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFilesThatAreRefused(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"others may read it":   {good, 0o644, "chmod 600"},
		"a group may read it":  {good, 0o640, "chmod 600"},
		"a group may write it": {good, 0o620, "chmod 600"},
		"empty":                {"", 0o600, "line 1 is not 32 bytes in base64"},
		"short":                {good[:40], 0o600, "line 1 is not 32 bytes in base64"},
		"hex":                  {strings.Repeat("ab", 32), 0o600, "line 1 is not 32 bytes in base64"},
		"second line short":    {good + "\nx", 0o600, "line 2 is not 32 bytes in base64"},
		"three lines":          {good + "\n" + good + "\n" + good, 0o600, "has 3 lines"},
		"huge":                 {strings.Repeat("A", 10_000), 0o600, "longer than 4096 bytes"},
		"zeros":                {base64.StdEncoding.EncodeToString(make([]byte, 32)), 0o600, "all zeros"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "s")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := vault.LoadClusterSecret(file, true)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if len(c.text) > 8 && strings.Contains(err.Error(), c.text[:8]) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
	if _, err := vault.LoadClusterSecret(t.TempDir(), true); err == nil {
		t.Error("a folder was read")
	}
}

func TestSecretsHideThemselves(t *testing.T) {
	raw := bytes.Repeat([]byte{0xA5}, 32)
	c := load(t, base64.StdEncoding.EncodeToString(raw))
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", c, "in", struct{ C vault.ClusterSecret }{c})
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "secret", c, "in", struct{ C vault.ClusterSecret }{c})
	j, err := json.Marshal(map[string]any{"c": c})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%s %v %+v %#v %s %s", c, c, c, c, j, logged.String())
	all += fmt.Sprintf("%d %x %X %q %v %p %+v %#v %d", c, c, c, c, &c, &c, struct{ inside vault.ClusterSecret }{c}, struct{ inside vault.ClusterSecret }{c}, []vault.ClusterSecret{c})
	for _, shown := range []string{"165", "a5a5", "A5A5", "0xa5", base64.StdEncoding.EncodeToString(raw)[:12]} {
		if strings.Contains(all, shown) {
			t.Errorf("%q is shown in %s", shown, all)
		}
	}
}

// A secret that came by the environment is the one a file would hold.
func TestParseClusterSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	made, err := vault.LoadClusterSecret(file, true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := vault.ParseClusterSecret(string(text))
	if err != nil || parsed.Derive("p") != made.Derive("p") {
		t.Errorf("%v, or another secret", err)
	}
	if _, err := vault.ParseClusterSecret("hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a broken secret: %v", err)
	}
}
