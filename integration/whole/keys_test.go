package whole_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// A key that is rotated works beside its successor for the overlap, and then no
// more.
func TestRotatedKeysOverlap(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	id, old, err := box.NewKey(ctx(t), "globex/notebook")
	if err != nil {
		t.Fatal(err)
	}
	out, err := box.Run(ctx(t), "keys", "rotate", id, "--overlap", "5s", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Secret string }
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Secret == old {
		t.Fatalf("%v %s", err, out)
	}
	open(t, box, old, "")
	open(t, box, made.Secret, "")
	if state := keyState(t, box, id); state != "expiring" {
		t.Errorf("keys list says of the old key: %s", state)
	}
	rigtest.Eventually(t, "the old key is refused", func() error { return refusedWith(t, box, old, "key_expired") })
	open(t, box, made.Secret, "")
	if state := keyState(t, box, id); state != "expired" {
		t.Errorf("keys list says of the old key: %s", state)
	}
}

// A revoked key is refused as soon as the command is back, and a restart does
// not bring it back.
func TestRevokedKeysStayRevoked(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	id, secret, err := box.NewKey(ctx(t), "globex/notebook")
	if err != nil {
		t.Fatal(err)
	}
	other := key(t, box, "globex/notebook")
	open(t, box, secret, "")
	if done, err := box.Command(ctx(t), "keys", "revoke", id); err != nil || done.Exit != 2 || !strings.Contains(done.Stderr, "--yes") {
		t.Errorf("revoked without a yes: %v %+v", err, done)
	}
	if _, err := box.Run(ctx(t), "keys", "revoke", id, "--yes", "--why", "leaked in a log"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := refusedWith(t, box, secret, "key_revoked"); err != nil {
			t.Error(err)
		}
		open(t, box, other, "")
		if state := keyState(t, box, id); state != "revoked" {
			t.Errorf("keys list says %s", state)
		}
		if err := box.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := box.Start(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := box.Command(ctx(t), "keys", "revoke", "k-nobody", "--yes"); err != nil || done.Exit != 1 || !strings.Contains(done.Stderr, "there is no key") {
		t.Errorf("a key that is not there: %v %+v", err, done)
	}
}

func refusedWith(t *testing.T, box *rig.Box, secret, code string) error {
	a, err := box.Decide(ctx(t), rig.Question{Request: chat(secret, hello)})
	if err == nil && a.Denied() != code {
		err = fmt.Errorf("answered %q; want %q", a.Denied(), code)
	}
	return err
}

// keyState is what keys list says of a key. It never says its secret.
func keyState(t *testing.T, box *rig.Box, id string) string {
	t.Helper()
	out, err := box.Run(ctx(t), "keys", "list", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if rigtest.ShowsKey(out) {
		t.Errorf("keys list prints a secret: %s", out)
	}
	var rows []struct{ ID, State string }
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.ID == id {
			return row.State
		}
	}
	return "not listed"
}
