package follow_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// Whatever a provider sends: what goes out is the same wherever it is cut, and a guard
// that changes nothing changes nothing, unless the answer was stopped. What comes behind
// a document, or is half of one, does not go out.
func FuzzGuarded(f *testing.F) {
	for _, c := range samples {
		f.Add(sample(f, c.name), uint64(1), typeOf(c.name) == sse, uint8(c.asked.Endpoint[0]))
	}
	for _, d := range written {
		f.Add(d.stream([]string{"my sec", "ret", " is out"}), uint64(2), true, uint8(d.asked.Endpoint[0]))
	}
	f.Add("data: {\"choices\":[{\"delta\":{\"content\":\"sec\"}}]}\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\r\ndata: \"ret\"}}]}\r\rdata: [DONE]", uint64(3), true, uint8(0))
	f.Fuzz(func(t *testing.T, text string, seed uint64, stream bool, which uint8) {
		asked := []follow.Asked{chat, chatHiding, responses, messages}[int(which)%4]
		kind := plainJSON
		if stream {
			kind = sse
		}
		pieces := randomly(rand.New(rand.NewPCG(seed, 5)), text)
		clean := seed%3 > 0

		plain := relay(newAnswer(asked, kind), pieces, clean)
		a := newAnswer(with(asked, echoes), kind)
		if got := relay(a, pieces, clean); !a.Stopped() && clean &&
			(stream && got.text != plain.text || !strings.HasPrefix(plain.text, got.text)) {
			t.Fatalf("a guard that only looks: got %q, want %q", got.text, plain.text)
		}
		for _, guards := range []func(follow.Part) follow.Guard{censors, lags(7), stops} {
			once := relay(newAnswer(with(asked, guards), kind), []string{text}, clean)
			cut := relay(newAnswer(with(asked, guards), kind), pieces, clean)
			if once.text != cut.text {
				t.Fatalf("cut it says\n%q\nand whole\n%q", cut.text, once.text)
			}
			if cut.times > 1 {
				t.Fatalf("settled %d times", cut.times)
			}
		}
	})
}

// Texts of any words, cut anywhere into a model's pieces, and those anywhere into a
// network's: what a client puts together is the text with the word replaced.
func TestAnyTextIsGuarded(t *testing.T) {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{secret, "sec", "ret", "s", " ", "é", "✓", "\"", "\\", "\n", "se", "cret", "fine"}), 1, 40)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(words.Draw(t, "words"), "")
		var pieces []string
		at := 0
		for i := range text {
			if i > at && rapid.Bool().Draw(t, "cut") {
				pieces, at = append(pieces, text[at:i]), i
			}
		}
		pieces = append(pieces, text[at:])
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 6))
		for name, d := range written {
			stream := strings.ReplaceAll(d.stream(pieces), "\n", rapid.SampledFrom([]string{"\n", "\r\n", "\r"}).Draw(t, "ends"))
			got := relay(newAnswer(with(d.asked, censors), sse), randomly(random, stream), true)
			want := strings.ReplaceAll(text, secret, masked)
			for key, said := range textsOf(t, d.asked, got.text) {
				if said != want && said != "" {
					t.Fatalf("%s: %s says %q, want %q of %q", name, key, said, want, pieces)
				}
			}
			if !got.last.complete || got.times != 1 {
				t.Fatalf("%s: %+v", name, got.last)
			}
		}
	})
}
