package decision_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
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
	f.Add([]byte{3, 0})
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
