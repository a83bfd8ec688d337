package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record is one record of a transaction as it stands in the topic.
func record(txn string, index, count int, name string) journal.Record {
	return journal.Record{Topic: journal.TopicRegistry, Event: journal.RegistryChanged{Txn: txn, Index: index, Count: count,
		Kind: "tenant", Name: name, Body: []byte(`{"name":"` + name + `"}`)}}
}

// What a log means, record by record.
func TestTransactions(t *testing.T) {
	r := record
	for _, c := range []struct {
		name    string
		log     []journal.Record
		want    string // tenants
		version int64
	}{
		{"nothing", nil, "", 0},
		{"one", []journal.Record{r("a@0", 0, 2, "x"), r("a@0", 1, 2, "y")}, "x y", 2},
		{"half of one", []journal.Record{r("a@0", 0, 2, "x")}, "", 0},
		{"half of one, and its writer's next try", []journal.Record{r("a@0", 0, 2, "x"), r("b@0", 0, 1, "z")}, "z", 2},
		{"half of one that ends too late", []journal.Record{r("a@0", 0, 2, "x"), r("b@0", 0, 1, "z"), r("a@0", 1, 2, "y")}, "z", 2},
		{"two at once: the first that is whole", []journal.Record{r("a@0", 0, 2, "x"), r("b@0", 0, 2, "z"), r("a@0", 1, 2, "y"), r("b@0", 1, 2, "w")}, "x y", 3},
		{"sent again while it is written", []journal.Record{r("a@0", 0, 2, "x"), r("a@0", 0, 2, "x"), r("a@0", 1, 2, "y")}, "x y", 3},
		{"sent again when it is whole", []journal.Record{r("a@0", 0, 1, "x"), r("a@0", 0, 1, "x"), r("b@1", 0, 1, "y")}, "x y", 3},
		{"out of order", []journal.Record{r("a@0", 1, 2, "y"), r("a@0", 0, 2, "x")}, "x y", 2},
		{"one after the other", []journal.Record{r("a@0", 0, 1, "x"), r("b@1", 0, 1, "y")}, "x y", 2},
		{"made from a version that never was", []journal.Record{r("a@7", 0, 1, "x"), r("b@0", 0, 1, "y")}, "y", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{t: t, clock: newClock()}
			b.journal = journal.NewMemory(1, b.clock.now)
			if len(c.log) > 0 {
				if err := b.journal.Append(context.Background(), c.log...); err != nil {
					t.Fatal(err)
				}
			}
			s := b.open(testHasher).Snapshot()
			if got := tenants(s); got != c.want || s.Version != c.version {
				t.Errorf("tenants %q at version %d, want %q at %d", got, s.Version, c.want, c.version)
			}
		})
	}
}

func tenants(s *registry.Snapshot) string {
	var names []string
	for _, t := range s.Tenants() {
		names = append(names, t.Name)
	}
	return strings.Join(names, " ")
}

// An entry that cannot be read stops the fold, and says where it stands.
func TestEntriesThatStopTheFold(t *testing.T) {
	changed := func(ev journal.RegistryChanged) journal.Event {
		ev.Txn, ev.Count = "a@1", 1
		return ev
	}
	for name, event := range map[string]journal.Event{
		"unreadable":        journal.Unreadable{Why: "rules 2"},
		"another's event":   journal.EpochStarted{},
		"unknown kind":      changed(journal.RegistryChanged{Kind: "spaceship", Name: "x", Body: []byte(`{"name":"x"}`)}),
		"unknown field":     changed(journal.RegistryChanged{Kind: "tenant", Name: "x", Body: []byte(`{"name":"x","tax":1}`)}),
		"no body":           changed(journal.RegistryChanged{Kind: "tenant", Name: "x"}),
		"damaged":           changed(journal.RegistryChanged{Kind: "tenant", Name: "x", Body: []byte(`{"name":`)}),
		"another's name":    changed(journal.RegistryChanged{Kind: "tenant", Name: "x", Body: []byte(`{"name":"y"}`)}),
		"no transaction":    journal.RegistryChanged{Txn: "a", Count: 1, Kind: "tenant", Name: "x", Body: []byte(`{"name":"x"}`)},
		"outside its count": journal.RegistryChanged{Txn: "a@1", Index: 1, Count: 1, Kind: "tenant", Name: "x", Body: []byte(`{"name":"x"}`)},
		"a huge count":      journal.RegistryChanged{Txn: "a@1", Count: 1 << 30, Kind: "tenant", Name: "x", Body: []byte(`{"name":"x"}`)},
		"unknown key field": changed(journal.RegistryChanged{Kind: "key", Name: "k", Body: []byte(`{"id":"k","scope":"all"}`)}),
		"unknown hash":      changed(journal.RegistryChanged{Kind: "key", Name: "k", Body: []byte(`{"id":"k","kind":"admin","hash_kind":"md5"}`)}),
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			j := journal.NewMemory(1, c.now)
			ctx := context.Background()
			if err := j.Append(ctx, record("first@0", 0, 1, "acme")); err != nil {
				t.Fatal(err)
			}
			before, err := registry.Open(ctx, j, testHasher, c.now, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Append(ctx, journal.Record{Topic: journal.TopicRegistry, Event: event}); err != nil {
				t.Fatal(err)
			}
			var stopped *registry.FoldError
			if _, err := registry.Open(ctx, j, testHasher, c.now, slog.New(slog.DiscardHandler)); !errors.As(err, &stopped) || stopped.Offset != 1 || !strings.Contains(err.Error(), "offset 1") {
				t.Errorf("open: %v", err)
			}
			// Who was open already keeps what it had, says so, and writes nothing more.
			if err := before.Run(ctx); !errors.As(err, &stopped) || before.Healthy() == nil || tenants(before.Snapshot()) != "acme" {
				t.Errorf("run: %v", err)
			}
			if _, err := before.Apply(ctx, file("tenants: [{name: globex}]"), registry.ApplyOptions{}); !errors.As(err, &stopped) {
				t.Errorf("apply: %v", err)
			}
		})
	}
}

// Every replica that has read as far has the same registry, in whatever batches
// it was read and whenever it was started.
func TestFoldIsDeterministic(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	b.key(helpdeskKey)
	b.apply(edit(twoTenants, `unit: usd, amount: "100"`, `unit: usd, amount: "200"`))
	b.apply(edit(twoTenants, `{every: month}`, `{every: day}`))
	b.apply(twoTenants)
	want := describe(b.Snapshot())
	for range 3 {
		if got := describe(b.open(testHasher).Snapshot()); got != want {
			t.Fatalf("another replica has\n%s\nwant\n%s", got, want)
		}
	}
	// A journal that holds the same entries, appended one by one and followed.
	c := newClock()
	j := journal.NewMemory(1, c.now)
	r, err := registry.Open(context.Background(), j, testHasher, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for _, e := range b.events() {
		if err := j.Append(ctx, e.Record); err != nil {
			t.Fatal(err)
		}
	}
	for version := int64(0); version < b.Snapshot().Version; version = r.Snapshot().Version {
		<-r.Changed(version)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := describe(r.Snapshot()); got != want {
		t.Errorf("who followed has\n%s\nwant\n%s", got, want)
	}
}

// describe spells everything a snapshot says.
func describe(s *registry.Snapshot) string {
	var out strings.Builder
	fmt.Fprintln(&out, s.Version)
	for _, t := range s.Tenants() {
		fmt.Fprintf(&out, "%+v\n", *t)
		for _, b := range s.AllBudgets(t.Name) {
			fmt.Fprintf(&out, "%+v\n", *b)
		}
		for _, team := range s.Teams(t.Name) {
			fmt.Fprintf(&out, "%+v\n", *team)
		}
	}
	for _, a := range s.Apps("") {
		fmt.Fprintf(&out, "%+v\n", *a)
	}
	for _, m := range s.Models() {
		fmt.Fprintf(&out, "%+v\n", *m)
	}
	for _, d := range s.Deployments("") {
		fmt.Fprintf(&out, "%s %d %+v %+v\n", d.Name, d.Version, *d.ProviderRef, d.Capacity)
	}
	for _, b := range s.Limits() {
		fmt.Fprintf(&out, "%s %s %d %d\n", b.Tenant, b.Name, b.Incarnation, b.Amount)
	}
	for _, p := range s.PriceHistory() {
		fmt.Fprintf(&out, "%+v\n", p)
	}
	for _, k := range s.Keys() {
		fmt.Fprintf(&out, "%+v\n", *k)
	}
	return out.String()
}

// A change that another replica made is seen by who follows; and one of our own
// at once, whether or not anybody follows.
func TestChangesAreSeen(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	k, secret := b.key(helpdeskKey)
	other := b.open(testHasher)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	changed := other.Changed(other.Snapshot().Version)
	select {
	case <-changed:
		t.Error("changed before anything did")
	default:
	}
	if _, err := b.RevokeKey(context.Background(), k.ID, "", ""); err != nil {
		t.Fatal(err)
	}
	if _, problem := b.Snapshot().Authenticate(testHasher, secret, b.clock.at); problem != registry.KeyRevoked {
		t.Errorf("the replica that revoked it says %q", problem)
	}
	<-changed
	if _, problem := other.Snapshot().Authenticate(testHasher, secret, b.clock.at); problem != registry.KeyRevoked {
		t.Errorf("the other says %q", problem)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Keys that are made at once, on two replicas that both follow, are all made.
func TestWritersAtOnce(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	other := b.open(testHasher)
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 2)
	go func() { running <- b.Run(ctx) }()
	go func() { running <- other.Run(ctx) }()
	made := make(chan string, 20)
	for i := range 20 {
		go func() {
			r := []*registry.Registry{b.Registry, other}[i%2]
			for {
				k, _, err := r.CreateKey(ctx, helpdeskKey)
				if errors.Is(err, registry.ErrBusy) {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				made <- k.ID
				return
			}
		}()
	}
	ids := map[string]bool{}
	for range 20 {
		ids[<-made] = true
	}
	cancel()
	for range 2 {
		if err := <-running; err != nil {
			t.Error(err)
		}
	}
	var want []string
	for _, k := range b.open(testHasher).Keys() {
		want = append(want, k.ID)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(ids)); !slices.Equal(got, want) {
		t.Errorf("made %d, the registry has %d", len(got), len(want))
	}
}

// A journal that does not answer leaves everything as it was.
func TestJournalDown(t *testing.T) {
	b := newBench(t)
	b.apply(twoTenants)
	version := b.Snapshot().Version
	if err := b.journal.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Apply(context.Background(), file("tenants: [{name: initech}]"), registry.ApplyOptions{}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("apply: %v", err)
	}
	if err := b.Run(context.Background()); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("run: %v", err)
	}
	if b.Snapshot().Version != version {
		t.Error("the snapshot changed")
	}
	b.journal.Reopen()
	b.apply("tenants: [{name: initech}]")

	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if _, err := b.Apply(ctx, file("tenants: [{name: hooli}]"), registry.ApplyOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("apply with no time left: %v", err)
	}
}
