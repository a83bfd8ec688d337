package decision_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

func noteGen() *rapid.Generator[decision.Note] {
	return rapid.Custom(func(t *rapid.T) decision.Note {
		text := rapid.String()
		count := rapid.Int64()
		n := decision.Note{
			DecisionID: text.Draw(t, "decision"), CallID: text.Draw(t, "call"), At: time.Unix(0, count.Draw(t, "at")).UTC(),
			Principal: journal.Principal{Tenant: text.Draw(t, "tenant"), Team: text.Draw(t, "team"), App: text.Draw(t, "app"), Key: text.Draw(t, "key"),
				User: text.Draw(t, "user"), Session: text.Draw(t, "session"), Agent: text.Draw(t, "agent"),
				Tags: rapid.MapOfN(text, text, 1, 5).Draw(t, "tags")},
			Gateway: text.Draw(t, "gateway"), Dialect: text.Draw(t, "dialect"), Model: text.Draw(t, "model"), ServiceTier: text.Draw(t, "tier"),
			Deployments:     rapid.SliceOfN(text, 1, 8).Draw(t, "deployments"),
			RegistryVersion: count.Draw(t, "version"), Input: count.Draw(t, "input"), MaxOutput: count.Draw(t, "output"),
			Answers: count.Draw(t, "answers"), HeldNanoUSD: count.Draw(t, "held"),
		}
		if rapid.Bool().Draw(t, "extended") {
			n.OutputExtra, n.Attempts, n.Background = count.Draw(t, "extra"), count.Draw(t, "attempts"), count.Draw(t, "background")
		}
		n.Tools = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) llm.Fee {
			return llm.Fee{Tool: text.Draw(t, "tool"), Max: rapid.Int64Min(0).Draw(t, "uses"), Together: rapid.Bool().Draw(t, "together")}
		}), 0, 4).Draw(t, "tools")
		if len(n.Tools) == 0 {
			n.Tools = nil
		}
		return n
	})
}

func TestANoteIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := noteGen().Draw(t, "note")
		got, err := decision.DecodeNote(n.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n, got); diff != "" {
			t.Fatalf("(-wrote +read):\n%s", diff)
		}
	})
}

// Notes of calls that are open during an upgrade were written by the version before,
// and are read by it: without tools the bytes are what they were.
func TestNotesAreReadAcrossVersions(t *testing.T) {
	n := decision.Note{DecisionID: "d-1", CallID: "c-1", At: time.Unix(0, 1774778400000000001).UTC(), RegistryVersion: 17,
		Principal: journal.Principal{Tenant: "acme", Team: "support", App: "helpdesk", Key: "k1", User: "p-1", Session: "s-1", Agent: "a-1", Tags: map[string]string{"env": "prod"}},
		Gateway:   "edge-1", Dialect: "openai", Model: "mini", ServiceTier: "priority", Deployments: []string{"small", "paygo"},
		Input: 128, MaxOutput: 100, Answers: 2, HeldNanoUSD: 1234567}
	extended := n
	extended.OutputExtra, extended.Attempts, extended.Background = 5, 2, 1
	const rest = "03642d3103632d310461636d6507737570706f72740868656c706465736b026b3103702d3103732d3103612d3106656467652d31066f70656e6169046d696e69087072696f72697479228002c801048eda96018280caf0a6e3a3a1310205736d616c6c05706179676f0103656e760470726f64"
	for written, want := range map[string]decision.Note{"01" + rest: n, "02" + rest + "0a0402": extended} {
		b, err := hex.DecodeString(written)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decision.DecodeNote(b); err != nil || !cmp.Equal(got, want) {
			t.Errorf("read as %+v (%v)", got, err)
		}
		if got := hex.EncodeToString(want.Encode()); got != written {
			t.Errorf("written as %s\nwant %s", got, written)
		}
	}
}

func TestACutNoteIsNoNote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := noteGen().Draw(t, "note").Encode()
		if n, err := decision.DecodeNote(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatalf("read %+v of the first part", n)
		}
	})
}

// FuzzNote holds that damaged bytes are refused or read as some note, which is
// then written and read as the same: no panic, no memory beyond the bytes' own.
func FuzzNote(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{4, 0})
	f.Add(decision.Note{DecisionID: "d-1", Tools: []llm.Fee{{Tool: llm.WebSearch, Max: 3, Together: true}}}.Encode())
	f.Add(decision.Note{DecisionID: "d-1", Attempts: 2}.Encode())
	f.Add(decision.Note{DecisionID: "d-1", Deployments: []string{"ptu"}, At: time.Unix(0, 1).UTC()}.Encode())
	f.Add(append(decision.Note{}.Encode(), 0))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decision.DecodeNote(b)
		if err != nil {
			return
		}
		again, err := decision.DecodeNote(n.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
