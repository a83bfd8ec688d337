package follow_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// tb is what both a fuzz target and a property have.
type tb interface {
	Helper()
	Fatalf(string, ...any)
}

// sound holds what must be true of every answer, whatever a provider sends.
func sound(t tb, asked follow.Asked, kind, text string, pieces []string, clean bool) {
	t.Helper()
	want := relay(newAnswer(asked, kind), []string{text}, clean)
	got := relay(newAnswer(asked, kind), pieces, clean)
	if got.text != want.text || got.before != want.before || !reflect.DeepEqual(got.last, want.last) {
		t.Fatalf("%q cut into %q:\n got %+v\nwant %+v", text, pieces, got, want)
	}
	v := want.last
	if v.output < -1 || v.told && (v.used.Input < v.used.Cached || v.used.Output < v.used.Reasoning) || v.complete && v.failed || want.times != 1 {
		t.Fatalf("%q: %+v", text, want)
	}
	if kind != sse {
		if want.text != text {
			t.Fatalf("%q: relayed %q", text, want.text)
		}
		soundDocument(t, want, text, asked)
		return
	}
	events := refEvents(text)
	if !fits(want.text, events, asked, clean) {
		t.Fatalf("%q: relayed %q", text, want.text)
	}
	if asked.Endpoint == llm.ChatCompletions {
		soundChat(t, want, events, asked, clean)
	}
}

// soundDocument compares a document's figures with those that a strict decoder finds.
func soundDocument(t tb, got relayed, text string, asked follow.Asked) {
	t.Helper()
	var names map[string]json.RawMessage
	if !jsontext.Value(text).IsValid() || json.Unmarshal([]byte(text), &names) != nil {
		return
	}
	usage, tier := string(names["usage"]), string(names["service_tier"])
	if !strings.HasPrefix(usage, "{") || strings.Contains(tier, `\`) {
		return
	}
	beside := ""
	if strings.HasPrefix(tier, `"`) && len(tier) <= 66 {
		beside = `,"service_tier":` + tier
	}
	used, named, err := llm.Usage(asked.Dialect, []byte(`{"usage":`+usage+beside+`}`))
	used.Other = said(used.Other)
	if asked.Endpoint == llm.Responses {
		used.Other = usesIn(names["output"])
	}
	if v := got.settled; v.told != (err == nil) || v.told && (!reflect.DeepEqual(v.used, used) || v.tier != named) {
		t.Fatalf("%q: got %+v, want %+v %q (%v)", text, v, used, named, err)
	}
}

// soundChat compares a chat with what a strict decoder reads of it.
func soundChat(t tb, got relayed, events []refEvent, asked follow.Asked, clean bool) {
	t.Helper()
	var before strings.Builder
	var written int64
	ended := false
	for _, e := range events {
		hide, end, sure := e.fate(asked)
		if !sure || e.open && !clean {
			return
		}
		written += e.written()
		if ended = ended || end || e.open; !ended && !hide {
			before.WriteString(e.raw)
		}
	}
	if got.before != before.String() {
		t.Fatalf("settled behind %q instead of %q", got.before, before.String())
	}
	if got.last.output < written {
		t.Fatalf("%d bytes were written, seen %d", written, got.last.output)
	}
}

func FuzzFollow(f *testing.F) {
	for _, c := range samples {
		f.Add([]byte(sample(f, c.name)), uint64(1), c.asked.Dialect == llm.Anthropic, c.asked.Endpoint == llm.Responses, typeOf(c.name) == plainJSON, true)
	}
	for _, text := range []string{
		small, hello + stop + usage + done, counting, usage[:30], "data: [DONE]", ":\r:\r\r\n\n", "\xef\xbb\xbfdata:{}\n\n", "event: error\ndata\n\n",
		`data: {"choices":[],"us\u0061ge":{}}` + "\r\r\n", "data: {\"usage\":{\"a\":\"}\\\"\"}\ndata:}\n\n", `data: {"usage":{"a":[{}]},"choices":[1]}` + "\n\n",
	} {
		f.Add([]byte(text), uint64(2), false, false, false, true)
		f.Add([]byte(text), uint64(3), true, false, false, false)
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64, anthropic, newer, document, clean bool) {
		if len(text) > 1<<16 {
			return
		}
		asked, kind := chatHiding, sse
		if newer {
			asked = responses
		}
		if anthropic {
			asked = messages
		}
		if document {
			kind = plainJSON
		}
		pieces := bytesOf(string(text))
		if seed%8 > 0 {
			pieces = randomly(rand.New(rand.NewPCG(seed, 0)), string(text))
		}
		sound(t, asked, kind, string(text), pieces, clean)
	})
}

// streams are made of what streams are made of, more or less in order.
func streams() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		end := func() { b.WriteString(rapid.SampledFrom([]string{"\n", "\n", "\r\n", "\r"}).Draw(t, "end")) }
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			switch rapid.IntRange(0, 9).Draw(t, "line") {
			case 0:
				b.WriteString(rapid.SampledFrom([]string{":", ": hi", "id: 1", "event: error", "event:x", "data", "datum: {", "\xef\xbb\xbf"}).Draw(t, "odd"))
			case 1:
				b.WriteString("data: [DONE]")
			case 2:
				b.WriteString("data: " + rapid.StringN(0, 20, 40).Draw(t, "text"))
			default:
				b.WriteString("data:" + rapid.SampledFrom([]string{"", " ", "  "}).Draw(t, "space") + object(t, "chunk", []string{"choices", "usage", "us\\u0061ge", "error", "type", "delta", "x"}, 0))
			}
			end()
			if rapid.IntRange(0, 4).Draw(t, "over") > 0 {
				end()
			}
		}
		text := b.String()
		return text[:len(text)-rapid.IntRange(0, min(len(text), 3)).Draw(t, "cut")]
	})
}

func object(t *rapid.T, label string, names []string, depth int) string {
	var fields []string
	for range rapid.IntRange(0, 4).Draw(t, label) {
		space := rapid.SampledFrom([]string{"", " "}).Draw(t, "space")
		fields = append(fields, `"`+rapid.SampledFrom(names).Draw(t, "name")+`"`+space+":"+space+anything(t, depth+1))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func anything(t *rapid.T, depth int) string {
	most := 5
	if depth > 4 {
		most = 3
	}
	switch rapid.IntRange(0, most).Draw(t, "value") {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "0", "-1.5e3", "12"}).Draw(t, "scalar")
	case 1, 2, 3:
		return rapid.SampledFrom([]string{`""`, `"a"`, `"\"}"`, `"\\"`, `"é\u00e9\ud83d\udea2"`, `"error"`, `"[DONE]"`}).Draw(t, "string")
	case 4:
		var list []string
		for range rapid.IntRange(0, 2).Draw(t, "list") {
			list = append(list, anything(t, depth+1))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	return object(t, "object", []string{"delta", "content", "finish_reason", "index", "usage", "prompt_tokens", "completion_tokens", "tool_calls", "arguments", "role"}, depth)
}

func TestWhateverADocumentHolds(t *testing.T) {
	names := []string{"usage", "us\\u0061ge", "service_tier", "choices", "content", "output", "error", "message", "response", "x"}
	rapid.Check(t, func(t *rapid.T) {
		text := object(t, "document", names, 0)
		if rapid.Bool().Draw(t, "told") {
			text = text[:len(text)-1] + rapid.SampledFrom([]string{"", ","}).Draw(t, "comma") + `"usage":{"prompt_tokens":5,"completion_tokens":2}}`
		}
		pieces := randomly(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "cuts"), 0)), text)
		sound(t, rapid.SampledFrom([]follow.Asked{chat, responses, messages}).Draw(t, "asked"), plainJSON, text, pieces, true)
	})
}

func TestWhateverAProviderSends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := streams().Draw(t, "stream")
		pieces := randomly(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "cuts"), 0)), text)
		asked := rapid.SampledFrom([]follow.Asked{chatHiding, chatHiding, chat, responses, messages}).Draw(t, "asked")
		sound(t, asked, sse, text, pieces, rapid.Bool().Draw(t, "clean"))
	})
}
