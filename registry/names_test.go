package registry_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestPseudonyms(t *testing.T) {
	p := registry.NewPseudonymiser([32]byte{1})
	alice := p.Pseudonym("acme", "user", "alice")
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(alice) {
		t.Errorf("%q", alice)
	}
	if p.Pseudonym("acme", "user", "alice") != alice || registry.NewPseudonymiser([32]byte{1}).Pseudonym("acme", "user", "alice") != alice {
		t.Error("not the same twice")
	}
	seen := map[string]string{alice: "alice"}
	for what, other := range map[string]string{
		"another tenant":      p.Pseudonym("globex", "user", "alice"),
		"another kind":        p.Pseudonym("acme", "session", "alice"),
		"another name":        p.Pseudonym("acme", "user", "bob"),
		"another secret":      registry.NewPseudonymiser([32]byte{2}).Pseudonym("acme", "user", "alice"),
		"letters moved over":  p.Pseudonym("acmeu", "ser", "alice"),
		"letters moved again": p.Pseudonym("acme", "usera", "lice"),
		"a long name":         p.Pseudonym("acme", "user", string(make([]byte, 5000))),
	} {
		if same, ok := seen[other]; ok {
			t.Errorf("%s is the pseudonym of %s", what, same)
		}
		seen[other] = what
	}
	if p.Pseudonym("acme", "user", "") != "" {
		t.Error("nobody has a pseudonym")
	}
}

func TestNames(t *testing.T) {
	c := newClock()
	j := journal.NewMemory(3, c.now)
	p := registry.NewPseudonymiser([32]byte{1})
	ctx := context.Background()
	n := registry.NewNames(p, j)

	alice, rec := n.EnsureNamed("acme", "user", "alice")
	if rec == nil || rec.Topic != journal.TopicNames || rec.Key != "acme" || rec.Name != alice || rec.Event != (journal.Named{Kind: "user", Pseudonym: alice, Name: "alice"}) {
		t.Fatalf("%+v", rec)
	}
	if _, again := n.EnsureNamed("acme", "user", "alice"); again != nil {
		t.Error("given out twice")
	}
	n.Unnamed("acme", alice)
	if _, again := n.EnsureNamed("acme", "user", "alice"); again == nil {
		t.Error("not given out again after it could not be written")
	}
	if pseudonym, rec := n.EnsureNamed("acme", "user", ""); pseudonym != "" || rec != nil {
		t.Error("nobody was named")
	}
	if err := j.Append(ctx, *rec); err != nil {
		t.Fatal(err)
	}
	bob, bobRecord := n.EnsureNamed("globex", "user", "bob")
	if err := j.Append(ctx, *bobRecord); err != nil {
		t.Fatal(err)
	}

	// Another replica, or this one after a restart, knows what was written.
	other := registry.NewNames(p, j)
	if got := other.Name("acme", alice); got != alice {
		t.Errorf("unknown: %q", got)
	}
	if err := other.ReadToEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if got := other.Name("acme", alice); got != "alice" {
		t.Errorf("%q", got)
	}
	if got := other.Name("globex", alice); got != alice {
		t.Errorf("another tenant reads it: %q", got)
	}
	if _, rec := other.EnsureNamed("acme", "user", "alice"); rec != nil {
		t.Error("written twice")
	}

	// Forgetting is a tombstone.
	if err := j.Append(ctx, registry.Forgotten("acme", alice)); err != nil {
		t.Fatal(err)
	}
	if err := other.ReadToEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if got := other.Name("acme", alice); got != alice {
		t.Errorf("forgotten and read: %q", got)
	}
	if got := other.Name("globex", bob); got != "bob" {
		t.Errorf("%q", got)
	}

	following, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	third := registry.NewNames(p, j)
	go func() { done <- third.Run(following) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := j.Append(ctx, journal.Record{Topic: journal.TopicNames, Key: "acme", Name: "x", Event: journal.Unreadable{Why: "damaged"}}); err != nil {
		t.Fatal(err)
	}
	if err := registry.NewNames(p, j).ReadToEnd(ctx); err == nil {
		t.Error("a damaged entry was read over")
	}
}

// Memory is bounded, whoever calls.
func TestNamesAreBounded(t *testing.T) {
	c := newClock()
	n := registry.NewNames(registry.NewPseudonymiser([32]byte{1}), journal.NewMemory(1, c.now))
	first, _ := n.EnsureNamed("acme", "session", "0")
	for i := range 100_001 {
		n.EnsureNamed("acme", "session", fmt.Sprint(i))
	}
	if _, rec := n.EnsureNamed("acme", "session", "0"); rec == nil {
		t.Errorf("%s is still known after 100,000 others", first)
	}
}

func BenchmarkEnsureNamed(b *testing.B) {
	c := newClock()
	n := registry.NewNames(registry.NewPseudonymiser([32]byte{1}), journal.NewMemory(1, c.now))
	b.ReportAllocs()
	for b.Loop() {
		n.EnsureNamed("acme", "user", "alice@example.com")
	}
}
