package ledger_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

var signer = ledger.Signer{Current: [32]byte{1}, Previous: [32]byte{2}}

// A call on 64 meters of two keys has a token of at most 1 KB, and another
// replica, which never saw the call, reads the same hold out of it.
func TestTokenOfManyMetersIsSmallAndEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var demands []ledger.Demand
		for i := range 64 {
			b := registry.Budget{Name: fmt.Sprint("b", i), Unit: journal.UnitUSD, Amount: dollar, Per: []string{"session"}}
			if i%2 == 1 {
				b.Unit = journal.UnitTokens
			}
			d := demand(w.budget(b), strings.Repeat("s", 64), 1000+int64(i%2))
			if i%8 == 7 {
				d.Key = journal.SharedKey
			}
			demands = append(demands, d)
		}
		here, stopHere := w.start(w.config())
		there, stopThere := w.start(w.config())
		held := hold(t, here, demands...)
		synctest.Wait() // The other replica has read what was granted.
		token := held.Token([]byte(strings.Repeat("n", 300)))
		token.KeyID = "key_0123456789"
		payload, err := token.Encode()
		if err != nil {
			t.Fatal(err)
		}
		text := signer.Sign(payload)
		t.Logf("64 meters, a note of 300 bytes: %d bytes", len(text))
		if len(text) > ledger.MaxTokenBytes {
			t.Errorf("%d bytes", len(text))
		}
		raw, err := signer.Verify(text)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ledger.DecodeToken(raw)
		if err != nil || read.KeyID != token.KeyID || len(read.Note) != 300 {
			t.Fatalf("%+v, %v", read, err)
		}
		for name, k := range map[string]*ledger.Keeper{"the same replica": here, "another": there} {
			parts, err := k.Charges(read)
			if err != nil {
				t.Fatal(name, err)
			}
			if !reflect.DeepEqual(parts, held.Parts) {
				t.Errorf("%s reads\n%+v\nwant\n%+v", name, parts, held.Parts)
			}
		}
		pay(t, there, held, 7)
		synctest.Wait()
		if got := balance(t, here, 1); got.Spent != 7 || got.Outstanding >= 1000*2 {
			t.Errorf("settled elsewhere: %+v", got)
		}
		if _, err := here.Charges(ledger.Token{Parts: []ledger.TokenPart{{Key: "acme", Hold: journal.HoldID{Epoch: journal.Epoch{77}, N: 1}, Draws: []ledger.Draw{{Lease: 1}}}}}); !errors.Is(err, ledger.ErrHoldUnknown) {
			t.Errorf("a hold nobody knows: %v", err)
		}
		stopHere()
		stopThere()
	})
}

// Meters without a lease stand in full, as far as there is room; a token is never
// too long for them.
func TestTokenNamesWarnMetersWhileTheyFit(t *testing.T) {
	meter := func(n int) journal.Meter {
		return journal.Meter{Budget: int64(n), Unit: journal.UnitUSD, Per: strings.Repeat("v", 60), Label: "total"}
	}
	token := ledger.Token{Parts: []ledger.TokenPart{{Key: "acme", Hold: journal.HoldID{N: 1}}}}
	for i := range 30 {
		token.Parts[0].Draws = append(token.Parts[0].Draws, ledger.Draw{Held: 5, Meter: meter(i)})
	}
	payload, err := token.Encode()
	if err != nil || len(signer.Sign(payload)) > ledger.MaxTokenBytes {
		t.Fatal(len(payload), err)
	}
	read, err := ledger.DecodeToken(payload)
	if err != nil {
		t.Fatal(err)
	}
	draws := read.Parts[0].Draws
	if len(draws) < 8 || draws[0] != token.Parts[0].Draws[0] {
		t.Errorf("%d meters are left, the first %+v", len(draws), draws[0])
	}
	token.Note = make([]byte, 2000)
	if _, err := token.Encode(); err == nil {
		t.Error("a note of 2000 bytes fits a token of 1024")
	}
}

func TestTokensAreBelievedOnlyWithTheSecret(t *testing.T) {
	text := signer.Sign([]byte("payload"))
	if got, err := signer.Verify(text); err != nil || string(got) != "payload" {
		t.Fatal(got, err)
	}
	rotated := ledger.Signer{Current: [32]byte{9}, Previous: signer.Current}
	if _, err := rotated.Verify(text); err != nil {
		t.Error("the previous secret's token:", err)
	}
	alone := ledger.Signer{Current: [32]byte{9}}
	for name, forged := range map[string]string{
		"another secret's": text, "no token": "", "not base64": "%%%", "too long": strings.Repeat("A", 5000),
		"signed with no secret": ledger.Signer{}.Sign([]byte("payload")),
	} {
		if _, err := alone.Verify(forged); !errors.Is(err, ledger.ErrToken) {
			t.Errorf("%s token: %v", name, err)
		}
	}
	for i := range text {
		changed := []byte(text)
		if changed[i]++; changed[i] == text[i] {
			continue
		}
		if _, err := signer.Verify(string(changed)); err == nil {
			t.Errorf("a token changed at %d is believed", i)
		}
	}
}

func FuzzToken(f *testing.F) {
	token := ledger.Token{KeyID: "key_1", Note: []byte("note"), Parts: []ledger.TokenPart{
		{Key: "acme", Hold: journal.HoldID{Epoch: journal.Epoch{1}, N: 7}, Draws: []ledger.Draw{{Lease: 3, Position: 2, Held: 12_340_000}, {Held: 1, Meter: journal.Meter{Budget: 4, Unit: journal.UnitRequests, Label: "total"}}}},
		{Key: "*", Hold: journal.HoldID{Epoch: journal.Epoch{1}, N: 9}},
	}}
	payload, err := token.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add(payload[:len(payload)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := ledger.DecodeToken(data)
		if err != nil {
			return
		}
		again, err := read.Encode()
		if err != nil {
			return // Too long for a token: it was never one of ours.
		}
		if same, err := ledger.DecodeToken(again); err != nil || !reflect.DeepEqual(same, read) {
			t.Fatalf("%+v\nbecomes\n%+v, %v", read, same, err)
		}
	})
}

// The hold log, the snapshot and tokens share one reader; whatever bytes it gets,
// it answers.
func FuzzBook(f *testing.F) {
	b := ledger.NewBook("acme")
	for i, ev := range []journal.Event{
		journal.LimitSet{Budget: 1, Unit: journal.UnitUSD, Amount: 10},
		journal.Asked{Epoch: journal.Epoch{1}, N: 1, Div: 2, Asks: []journal.Ask{{Meter: journal.Meter{Budget: 1, Unit: journal.UnitUSD, Label: "total"}, Least: 5, Want: 5}}},
		journal.Settled{Hold: journal.HoldID{Epoch: journal.Epoch{1}, N: 3}, Rank: journal.RankRule},
	} {
		if err := b.Apply(journal.Entry{Record: journal.Record{Event: ev}, Offset: int64(i)}); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := ledger.DecodeBook(data); err == nil {
			b.Hash()
		}
	})
}
