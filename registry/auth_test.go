package registry_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// Where each provider's credential goes, from the file through the journal.
func TestWhereTheCredentialGoes(t *testing.T) {
	b := newBench(t)
	b.apply(`
providers:
  - {name: openai, kind: openai, base_url: "https://o.example", credential: o}
  - {name: compatible, kind: openai-compatible, base_url: "https://c.example"}
  - {name: azure, kind: azure-openai, base_url: "https://a.example/openai/v1", credential: a}
  - {name: entra, kind: azure-openai, base_url: "https://e.example/openai/v1", credential: e, auth_header: Authorization, auth_prefix: "Bearer "}
  - {name: claude, kind: anthropic, base_url: "https://an.example", credential: an}
  - {name: gateway, kind: openai, base_url: "https://g.example", credential: g, auth_header: Ocp-Apim-Subscription-Key}
  - {name: odd, kind: openai, base_url: "https://odd.example", credential: odd, auth_header: "x-k!e~y", auth_prefix: "Token token="}
`)
	for name, want := range map[string][2]string{
		"openai": {"authorization", "Bearer "}, "compatible": {"authorization", "Bearer "}, "azure": {"api-key", ""}, "entra": {"authorization", "Bearer "},
		"claude": {"x-api-key", ""}, "gateway": {"ocp-apim-subscription-key", ""}, "odd": {"x-k!e~y", "Token token="},
	} {
		for who, s := range map[string]*registry.Snapshot{"who wrote it": b.Snapshot(), "who reads it": b.open(testHasher).Snapshot()} {
			p, ok := s.Provider(name)
			if !ok {
				t.Fatalf("%s is not there", name)
			}
			if header, prefix := p.Auth(); [2]string{header, prefix} != want {
				t.Errorf("%s has %q %q for %s, want %q", who, header, prefix, name, want)
			}
		}
	}
}

// A header is the same in whatever case it is written; a difference shows the rest.
func TestChangingWhereTheCredentialGoes(t *testing.T) {
	const before = `providers: [{name: p, kind: azure-openai, base_url: "https://p.example/openai/v1", credential: c, auth_header: X-Key}]`
	b := newBench(t)
	b.apply(before)
	if d := b.apply(edit(before, "X-Key", "x-kEY")); !d.Empty() {
		t.Errorf("another case is a change:\n%s", d.String())
	}
	d := b.apply(edit(before, "X-Key", `authorization, auth_prefix: "Bearer "`))
	want := []registry.FieldChange{{Field: "auth_header", From: "x-key", To: "authorization"}, {Field: "auth_prefix", To: "Bearer "}}
	if len(d.Changes) != 1 {
		t.Fatalf("%d changes", len(d.Changes))
	}
	if diff := cmp.Diff(want, d.Changes[0].Fields); diff != "" {
		t.Error(diff)
	}
	d = b.apply(edit(before, ", auth_header: X-Key", ""))
	if p, _ := b.Snapshot().Provider("p"); len(d.Changes) != 1 || p.AuthHeader != "" || p.AuthPrefix != "" {
		t.Errorf("%+v after\n%s", p, d.String())
	}
}

// The journal's spelling is a promise: what was written before a provider could
// name its header reads as ever and is written as ever; what may be applied may
// be narrowed, and what was applied is read all the same.
func TestProvidersInTheJournal(t *testing.T) {
	old := `{"name":"old","kind":"openai","base_url":"https://o.example","credential":"o"}`
	odd := `{"name":"odd","kind":"openai","base_url":"https://x.example","auth_header":"host","auth_prefix":"Bearer"}`
	b := &bench{t: t, clock: newClock()}
	b.journal = journal.NewMemory(1, b.clock.now)
	for i, body := range []string{old, odd} {
		name := []string{"old", "odd"}[i]
		if err := b.journal.Append(context.Background(), journal.Record{Topic: journal.TopicRegistry, Event: journal.RegistryChanged{Txn: name + "@" + itoa(i), Count: 1, Kind: "provider", Name: name, Body: []byte(body)}}); err != nil {
			t.Fatal(err)
		}
	}
	b.Registry = b.open(testHasher)
	if p, ok := b.Snapshot().Provider("old"); !ok || p.AuthHeader != "" || p.AuthPrefix != "" {
		t.Errorf("%+v", p)
	}
	if p, ok := b.Snapshot().Provider("odd"); !ok || p.AuthHeader != "host" || p.AuthPrefix != "Bearer" {
		t.Errorf("%+v", p)
	}
	d := b.apply(`providers: [{name: old, kind: openai, base_url: "https://o.example", credential: o}, {name: new, kind: openai, base_url: "https://n.example", credential: n, auth_header: X-K, auth_prefix: "k "}]`)
	if d.Unchanged != 1 || d.Count(registry.Added) != 1 {
		t.Errorf("%s", d.String())
	}
	events := b.events()
	written := events[len(events)-1].Event.(journal.RegistryChanged)
	if want := `{"name":"new","kind":"openai","base_url":"https://n.example","credential":"n","auth_header":"x-k","auth_prefix":"k "}`; string(written.Body) != want {
		t.Errorf("written %s, want %s", written.Body, want)
	}
}
