package opa

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
)

// Two calls share a key exactly when a policy is shown the same document: the
// verdict of one is then the verdict of the other, whatever the policy is.
func TestOneKeyIsOneDocument(t *testing.T) {
	views := []*view{{fields: fields()}, {fields: []field{someTags([]string{"a", "team"})}}}
	rapid.Check(t, func(t *rapid.T) {
		one, other := someFacts(t), someFacts(t)
		if rapid.Bool().Draw(t, "close") {
			other = mixed(t, one, other)
		}
		for _, v := range views {
			sameKey := bytes.Equal(v.appendKey(nil, one), v.appendKey(nil, other))
			sameDocument := v.input(one).Equal(v.input(other))
			if sameKey != sameDocument {
				t.Fatalf("same key %v, same document %v:\n%s\n%s", sameKey, sameDocument, v.input(one), v.input(other))
			}
		}
	})
}

// Values that run into each other when they are written one after the other.
func TestKeysKeepNeighboursApart(t *testing.T) {
	v := &view{fields: fields()}
	pairs := map[string][2]func(*decision.Facts){
		"a border moves":            {func(f *decision.Facts) { f.Principal.User = "ab" }, func(f *decision.Facts) { f.Principal.User, f.Principal.Session = "a", "b" }},
		"one region or two":         {func(f *decision.Facts) { f.Tenant.Regions = []string{"a", "b"} }, func(f *decision.Facts) { f.Tenant.Regions = []string{"ab"} }},
		"a region or a model":       {func(f *decision.Facts) { f.Tenant.Regions = []string{"a"} }, func(f *decision.Facts) { f.App.Models = []string{"a"} }},
		"an empty region or none":   {func(f *decision.Facts) { f.Tenant.Regions = []string{""} }, func(*decision.Facts) {}},
		"a tag's name or value":     {func(f *decision.Facts) { f.Principal.Tags = map[string]string{"ab": ""} }, func(f *decision.Facts) { f.Principal.Tags = map[string]string{"a": "b"} }},
		"an empty tag or none":      {func(f *decision.Facts) { f.Principal.Tags = map[string]string{"a": ""} }, func(*decision.Facts) {}},
		"priced or healthy":         {func(f *decision.Facts) { f.Deployments = []decision.DeploymentFacts{{Priced: true}} }, func(f *decision.Facts) { f.Deployments = []decision.DeploymentFacts{{Healthy: true}} }},
		"another order":             {func(f *decision.Facts) { f.Tenant.Regions = []string{"a", "b"} }, func(f *decision.Facts) { f.Tenant.Regions = []string{"b", "a"} }},
		"a number beyond a byte":    {func(f *decision.Facts) { f.Request.MaxOutput = 1 << 40 }, func(f *decision.Facts) { f.Request.MaxOutput = 1 << 41 }},
		"a length beyond a byte":    {func(f *decision.Facts) { f.Gateway = strings.Repeat("x", 300) }, func(f *decision.Facts) { f.Gateway = strings.Repeat("x", 301) }},
		"a finding or a longer one": {func(f *decision.Facts) { f.Findings = []decision.FindingFacts{{Kind: "a", Count: 1}} }, func(f *decision.Facts) { f.Findings = []decision.FindingFacts{{Kind: "a"}, {Count: 1}} }},
	}
	for name, pair := range pairs {
		var one, other decision.Facts
		pair[0](&one)
		pair[1](&other)
		if bytes.Equal(v.appendKey(nil, &one), v.appendKey(nil, &other)) {
			t.Errorf("%s: the same key", name)
		}
	}
}

// The input document is the facts' JSON, field for field.
func TestTheInputIsTheFactsJSON(t *testing.T) {
	all := &view{fields: fields()}
	rapid.Check(t, func(t *rapid.T) {
		facts := someFacts(t)
		want, err := ast.InterfaceToValue(asJSON(t, facts))
		if err != nil {
			t.Fatal(err)
		}
		if got := all.input(facts); got.Value.Compare(want) != 0 {
			t.Fatalf("\n got %s\nwant %s", got, want)
		}
	})
	if got := all.input(&decision.Facts{}); strings.Contains(got.String(), "null") {
		t.Errorf("an unknown value is null: %s", got)
	}
	if n := len(leaves(reflect.ValueOf(decision.Facts{}))); n != len(all.fields) {
		t.Errorf("the facts have %d values, the input %d: a new one needs a line in fields", n, len(all.fields))
	}
}

func TestTheMemoIsBounded(t *testing.T) {
	m := newMemo(64, 1<<20)
	for i := range 10_000 {
		m.remember(fmt.Appendf(nil, "key %d", i), decision.Verdict{MaxOutput: int64(i)})
	}
	if entries, _, _ := m.size(); entries == 0 || entries > 64 {
		t.Errorf("%d entries; the room is 64", entries)
	}
	for i := range 10_000 {
		if v, ok := m.recall(fmt.Appendf(nil, "key %d", i)); ok && v.MaxOutput != int64(i) {
			t.Fatalf("key %d recalls %d", i, v.MaxOutput)
		}
	}

	m = newMemo(1<<20, 16*4000) // bytes run out first
	for i := range 1000 {
		m.remember(fmt.Appendf(nil, "key %d", i), decision.Verdict{Raw: make([]byte, 500)})
	}
	for i := range m.shards {
		if s := &m.shards[i]; s.bytes > s.room.bytes || len(s.entries) != len(s.places) {
			t.Errorf("shard %d holds %d bytes in %d entries at %d places", i, s.bytes, len(s.entries), len(s.places))
		}
	}

	m = newMemo(100, 1<<20)
	m.remember(make([]byte, memoKeyBytes+1), decision.Verdict{})
	m.remember([]byte("a"), decision.Verdict{Raw: make([]byte, 1<<20)})
	if entries, _, _ := m.size(); entries != 0 {
		t.Errorf("what is too large was remembered")
	}
}

// What is used stays while what is used once passes through.
func TestTheMemoKeepsWhatIsUsed(t *testing.T) {
	m := newMemo(memoShards*4, 1<<20)
	m.remember([]byte("often"), decision.Verdict{MaxOutput: 1})
	for i := range 5000 {
		if _, ok := m.recall([]byte("often")); !ok {
			t.Fatalf("forgotten after %d others", i)
		}
		m.remember(fmt.Appendf(nil, "once %d", i), decision.Verdict{})
	}
}

// A tag that differs from call to call costs nothing to a policy that reads another.
func TestATagNobodyReadsIsNotInTheKey(t *testing.T) {
	p := loaded(t, custom(`deny contains {"code": "x"} if input.principal.tags.env == "test"`))
	for i := range 10 {
		call := aCall()
		call.Principal.Tags["request"] = fmt.Sprint(i)
		call.Principal.Session = fmt.Sprint(i)
		if _, err := p.Evaluate(context.Background(), call); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Status(); s.Misses != 1 || s.Hits != 9 {
		t.Errorf("%d evaluated, %d remembered", s.Misses, s.Hits)
	}
}

// Many at once see one policy each, and their own facts' verdict.
func TestManyAtOnce(t *testing.T) {
	cfg := config("")
	cfg.Remember = 32 // so that there is much eviction
	p, err := Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 300 {
				call := aCall()
				call.Model.Name = fmt.Sprintf("m%d", (i*7+worker)%100)
				call.App.Models = []string{"m1", "m2", "m3"}
				v, err := p.Evaluate(context.Background(), call)
				allowed := call.Model.Name == "m1" || call.Model.Name == "m2" || call.Model.Name == "m3"
				if err != nil || v.Allow != allowed || !allowed && !strings.Contains(v.Reasons[0].Message, `"`+call.Model.Name+`"`) {
					t.Errorf("%s: %+v, %v", call.Model.Name, v, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkEvaluate(b *testing.B) {
	facts := aCall()
	facts.App.Models = []string{"gpt-4o", "gpt-4o-mini"}
	facts.Tenant.Regions = []string{"eu"}
	b.Run("seen before", func(b *testing.B) {
		p := loaded(b, nil)
		b.ReportAllocs()
		for b.Loop() {
			if v, err := p.Evaluate(context.Background(), facts); err != nil || !v.Allow {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("seen before, every field read", func(b *testing.B) {
		p := loaded(b, custom(`deny contains {"code": "x"} if count(input) == 0`))
		b.ReportAllocs()
		for b.Loop() {
			if v, err := p.Evaluate(context.Background(), facts); err != nil || !v.Allow {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("never seen", func(b *testing.B) {
		p := loaded(b, nil)
		r := p.current.Load()
		b.ReportAllocs()
		for b.Loop() {
			if v, err := r.ask(context.Background(), facts, p.cfg.Timeout); err != nil || !v.Allow {
				b.Fatal(v, err)
			}
		}
	})
}
