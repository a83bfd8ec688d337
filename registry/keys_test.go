package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

func (b *bench) key(req registry.KeyRequest) (registry.Key, string) {
	b.t.Helper()
	k, secret, err := b.CreateKey(context.Background(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	return k, secret
}

var helpdeskKey = registry.KeyRequest{Kind: registry.KeyApp, Tenant: "acme", App: "helpdesk", By: "alice", Why: "test"}

func TestPrintedKeys(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	for _, c := range []struct {
		req    registry.KeyRequest
		prefix string
	}{
		{helpdeskKey, "sbx_"},
		{registry.KeyRequest{Kind: registry.KeyGateway, Gateway: "edge-1"}, "sbg_"},
		{registry.KeyRequest{Kind: registry.KeyAdmin}, "sba_"},
	} {
		k, secret := b.key(c.req)
		if !regexp.MustCompile(`^` + c.prefix + `[0-9A-Za-z]{38}$`).MatchString(secret) {
			t.Errorf("%s: %s", c.req.Kind, secret)
		}
		if kind, ok := registry.SecretKind(secret); !ok || kind != c.req.Kind {
			t.Errorf("%s is %q %v", secret, kind, ok)
		}
		if k.Prefix != secret[:8] || k.HashKind != registry.HashHMAC || len(k.Hash) != 32 || k.CreatedAt != b.clock.at {
			t.Errorf("%+v", k)
		}
		got, problem := b.Snapshot().Authenticate(testHasher, secret, b.clock.at)
		if problem != registry.KeyOK || got.ID != k.ID {
			t.Errorf("%s: %v %q", c.req.Kind, got, problem)
		}
		for i := range secret { // one wrong character anywhere is caught before any look-up
			wrong := []byte(secret)
			if wrong[i]++; wrong[i] == secret[i] {
				continue
			}
			if _, ok := registry.SecretKind(string(wrong)); ok {
				t.Errorf("%s passes as %s", secret, wrong)
			}
			if k, problem := b.Snapshot().Authenticate(testHasher, string(wrong), b.clock.at); k != nil || problem != registry.KeyUnknown {
				t.Errorf("%s: %v %q", wrong, k, problem)
			}
		}
	}
}

func TestKeysLife(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	ctx := context.Background()
	req := helpdeskKey
	req.Expires = 90 * 24 * time.Hour
	old, oldSecret := b.key(req)
	say := func(id, secret string, at time.Time, wantState registry.KeyState, want registry.KeyProblem) {
		t.Helper()
		k, _ := b.Snapshot().Key(id)
		if got := k.State(at); got != wantState {
			t.Errorf("state %s, want %s", got, wantState)
		}
		if k, got := b.Snapshot().Authenticate(testHasher, secret, at); got != want || k == nil || k.ID != id {
			t.Errorf("authenticate: %v %q, want %q", k, got, want)
		}
	}
	now := b.clock.at
	say(old.ID, oldSecret, now, registry.StateActive, registry.KeyOK)
	say(old.ID, oldSecret, now.Add(90*24*time.Hour-1), registry.StateActive, registry.KeyOK)
	say(old.ID, oldSecret, now.Add(90*24*time.Hour), registry.StateExpired, registry.KeyExpired)

	b.clock.at = now.Add(time.Hour)
	next, nextSecret, err := b.RotateKey(ctx, registry.RotateRequest{ID: old.ID, Overlap: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if next.App != "helpdesk" || !next.ExpiresAt.Equal(b.clock.at.Add(90*24*time.Hour)) {
		t.Errorf("successor %+v", next)
	}
	say(next.ID, nextSecret, b.clock.at, registry.StateActive, registry.KeyOK)
	say(old.ID, oldSecret, b.clock.at.Add(24*time.Hour-1), registry.StateExpiring, registry.KeyOK)
	say(old.ID, oldSecret, b.clock.at.Add(24*time.Hour), registry.StateExpired, registry.KeyExpired)

	var refused *registry.RequestProblem
	if _, _, err := b.RotateKey(ctx, registry.RotateRequest{ID: old.ID}); !errors.As(err, &refused) || refused.Code != registry.Conflict {
		t.Errorf("a replaced key was rotated: %v", err)
	}
	if _, err := b.RevokeKey(ctx, old.ID, "alice", "leaked"); err != nil {
		t.Fatal(err)
	}
	say(old.ID, oldSecret, b.clock.at, registry.StateRevoked, registry.KeyRevoked)
	if gone, err := b.RevokeKey(ctx, old.ID, "alice", "again"); err != nil || !gone.RevokedAt.Equal(b.clock.at) {
		t.Errorf("revoked again: %+v %v", gone, err)
	}
	if _, err := b.RevokeKey(ctx, next.ID, "", ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.RotateKey(ctx, registry.RotateRequest{ID: next.ID}); !errors.As(err, &refused) || refused.Code != registry.Conflict {
		t.Errorf("a revoked key was rotated: %v", err)
	}
	if keys := b.Keys(); len(keys) != 2 || keys[0].ID != old.ID || keys[1].ID != next.ID {
		t.Errorf("keys %+v", keys)
	}
}

func TestKeyRequestsThatAreRefused(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	ctx := context.Background()
	for name, c := range map[string]struct {
		req  registry.KeyRequest
		code string
	}{
		"no such app":     {registry.KeyRequest{Kind: registry.KeyApp, Tenant: "acme", App: "nothing"}, registry.NotFound},
		"no such gateway": {registry.KeyRequest{Kind: registry.KeyGateway, Gateway: "edge-2"}, registry.NotFound},
		"no such kind":    {registry.KeyRequest{Kind: "root"}, registry.Invalid},
		"in the past":     {registry.KeyRequest{Kind: registry.KeyAdmin, Expires: -time.Second}, registry.Invalid},
		"for ever":        {registry.KeyRequest{Kind: registry.KeyAdmin, Expires: 100 * 366 * 24 * time.Hour}, registry.Invalid},
	} {
		var refused *registry.RequestProblem
		if _, secret, err := b.CreateKey(ctx, c.req); !errors.As(err, &refused) || refused.Code != c.code || secret != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused *registry.RequestProblem
	if _, err := b.RevokeKey(ctx, "sbx_notanid", "", ""); !errors.As(err, &refused) || refused.Code != registry.NotFound || strings.Contains(err.Error(), "sbx_notanid") {
		t.Errorf("%v", err)
	}
	if _, _, err := b.RotateKey(ctx, registry.RotateRequest{ID: "x", Overlap: 1000 * 24 * time.Hour}); !errors.As(err, &refused) || refused.Code != registry.Invalid {
		t.Errorf("%v", err)
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	b.key(helpdeskKey)
	for secret, want := range map[string]registry.KeyProblem{
		"": registry.KeyMissing, "x": registry.KeyUnknown, "sbx_": registry.KeyUnknown, "sk-proj-abc": registry.KeyUnknown,
		strings.Repeat("a", 1<<20): registry.KeyUnknown, "sbx_\x00\xff": registry.KeyUnknown,
	} {
		if k, got := b.Snapshot().Authenticate(testHasher, secret, b.clock.at); got != want || k != nil {
			t.Errorf("%.20q: %v %q", secret, k, got)
		}
	}
}

// Removing an app or a gateway ends its keys in the same transaction, so that one
// of the same name that comes later does not find them.
func TestRemovedOwnersKeys(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	k, secret := b.key(helpdeskKey)
	g, gatewaySecret := b.key(registry.KeyRequest{Kind: registry.KeyGateway, Gateway: "edge-1"})
	less := edit(twoTenants, "{tenant: acme, name: helpdesk}, ", "", "gateways: [{name: edge-1}]", "gateways: []")
	d, err := b.Apply(context.Background(), file(less), registry.ApplyOptions{Prune: true, Confirmed: true})
	if err != nil {
		t.Fatal(err)
	}
	want := "- app acme/helpdesk\n    ! 1 of its keys stop working: " + k.ID + "\n- gateway edge-1\n    ! 1 of its keys stop working: " + g.ID + "\n"
	if !strings.HasPrefix(d.String(), want) {
		t.Errorf("got\n%swant\n%s", d.String(), want)
	}
	b.apply(twoTenants)
	for _, s := range []string{secret, gatewaySecret} {
		if _, problem := b.Snapshot().Authenticate(testHasher, s, b.clock.at); problem != registry.KeyRevoked {
			t.Errorf("after the owner came back: %q", problem)
		}
	}
}

// While the cluster's secret is replaced, keys that were made under the old one
// work, and new ones are made under the new.
func TestClusterSecretReplaced(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	_, secret := b.key(helpdeskKey)
	replaced := registry.NewKeyHasher([32]byte{9}, [32]byte{1, 2, 3})
	if _, problem := b.Snapshot().Authenticate(replaced, secret, b.clock.at); problem != registry.KeyOK {
		t.Errorf("under the previous secret: %q", problem)
	}
	if _, problem := b.Snapshot().Authenticate(registry.NewKeyHasher([32]byte{9}), secret, b.clock.at); problem != registry.KeyUnknown {
		t.Errorf("under another secret: %q", problem)
	}
}

// A key of another product is stored as its plain SHA-256 and has no checksum of ours.
func TestImportedKey(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	secret := "sk-other-product-0123456789"
	sum := sha256.Sum256([]byte(secret))
	body, _ := json.Marshal(map[string]any{"id": "key-imported", "kind": "app", "tenant": "acme", "app": "helpdesk", "prefix": "sk-other",
		"hash": sum[:], "hash_kind": "sha256", "created_at": b.clock.at})
	b.write(journal.RegistryChanged{Kind: "key", Tenant: "acme", Name: "key-imported", Body: body})
	k, problem := b.Snapshot().Authenticate(testHasher, secret, b.clock.at)
	if problem != registry.KeyOK || k.ID != "key-imported" {
		t.Errorf("%v %q", k, problem)
	}
}

// write puts records into the topic as one transaction, as another program would.
func (b *bench) write(changes ...journal.RegistryChanged) {
	b.t.Helper()
	before := b.Snapshot().Version
	for i := range changes {
		changes[i].Txn, changes[i].Index, changes[i].Count = fmt.Sprintf("other@%d", before), i, len(changes)
		if err := b.journal.Append(context.Background(), journal.Record{Topic: journal.TopicRegistry, Event: changes[i]}); err != nil {
			b.t.Fatal(err)
		}
	}
	b.readOn()
}

// A secret is returned once, and stands nowhere else: not in the journal, not in
// a log, not in an error, not in a difference.
func TestSecretsStayOut(t *testing.T) {
	var logged bytes.Buffer
	b := newBench(t)
	r, err := registry.Open(context.Background(), b.journal, testHasher, b.clock.now, slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	b.Registry = r
	b.apply(twoTenants)
	k, secret := b.key(helpdeskKey)
	next, nextSecret, err := b.RotateKey(context.Background(), registry.RotateRequest{ID: k.ID, Overlap: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var everything strings.Builder
	for _, e := range b.events() {
		fmt.Fprintf(&everything, "%+v %s\n", e, e.Event.(journal.RegistryChanged).Body)
	}
	d, err := b.Apply(context.Background(), file("tenants: [{name: acme}]"), registry.ApplyOptions{Prune: true, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := b.RevokeKey(context.Background(), secret, "", "")
	_, _, err2 := b.RotateKey(context.Background(), registry.RotateRequest{ID: secret})
	_, err3 := b.Apply(context.Background(), file("providers: [{name: x, kind: openai, base_url: \"https://u:"+secret+"@x\", credential: \""+secret+"\"}]"), registry.ApplyOptions{})
	fmt.Fprintln(&everything, d.String(), d, err1, err2, err3, logged.String(), b.Snapshot().Keys(), k, next, testHasher)
	fmt.Fprintf(&everything, "%+v %#v %v", testHasher, testHasher, slog.AnyValue(testHasher))
	if logged.Len() == 0 || err1 == nil || err2 == nil || err3 == nil {
		t.Error("nothing was said")
	}
	for _, s := range []string{secret, nextSecret} {
		for what, text := range map[string]string{"the secret": s, "its random part": s[8:], "in base64": base64.StdEncoding.EncodeToString([]byte(s))} {
			if strings.Contains(everything.String(), text) {
				t.Errorf("%s stands somewhere", what)
			}
		}
	}
}

func TestSameSecret(t *testing.T) {
	if !registry.SameSecret("a", "a") || registry.SameSecret("a", "b") || registry.SameSecret("a", "") || registry.SameSecret("a", "aa") {
		t.Error("not the same as ==")
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	x := newBench(b)
	x.apply(twoTenants)
	_, secret := x.key(helpdeskKey)
	s := x.Snapshot()
	b.ReportAllocs()
	for b.Loop() {
		if _, problem := s.Authenticate(testHasher, secret, x.clock.at); problem != "" {
			b.Fatal(problem)
		}
	}
}
