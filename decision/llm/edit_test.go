package llm_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// edited clamps and asks for usage as a decision does, and applies both.
func edited(t interface{ Fatalf(string, ...any) }, a *llm.Ask, most int64, field string) (string, []llm.Edit) {
	edits, err := a.ClampOutput(most, field)
	if err != nil {
		t.Fatalf("clamp %s to %d: %v", a.Body, most, err)
	}
	edits = append(edits, a.RequestUsage()...)
	out, err := llm.Apply(a.Body, edits)
	if err != nil {
		t.Fatalf("apply to %s: %v", a.Body, err)
	}
	return string(out), edits
}

func TestEditsAreByteExact(t *testing.T) {
	const m = `"model":"m","messages":[]`
	for _, c := range []struct {
		name        string
		route       llm.Route
		body        string
		most        int64
		field, want string
	}{
		{"no limit: one is set", chat, `{` + m + `}`, 100, "", `{"max_tokens":100,` + m + `}`},
		{"no limit, the model's spelling", chat, `{ ` + m + ` }`, 100, "max_completion_tokens", `{"max_completion_tokens":100, ` + m + ` }`},
		{"behind white space", chat, "\n\t{\n  " + m + "}", 7, "", "\n\t{\"max_tokens\":7,\n  " + m + "}"},
		{"a limit below stays", chat, `{` + m + `,"max_tokens": 50}`, 100, "", `{` + m + `,"max_tokens": 50}`},
		{"a limit at it stays", chat, `{` + m + `,"max_tokens":1e2}`, 100, "", `{` + m + `,"max_tokens":1e2}`},
		{"a limit above is lowered in place", chat, `{"max_tokens" : 5000 ,` + m + `}`, 100, "max_completion_tokens", `{"max_tokens" : 100 ,` + m + `}`},
		{"an odd spelling is replaced whole", chat, `{"max_t\u006fkens":5.0E3,` + m + `}`, 100, "", `{"max_t\u006fkens":100,` + m + `}`},
		{"both spellings are lowered", chat, `{"max_tokens":200,` + m + `,"max_completion_tokens":300}`, 100, "", `{"max_tokens":100,` + m + `,"max_completion_tokens":100}`},
		{"one of two is above", chat, `{"max_tokens":50,` + m + `,"max_completion_tokens":300}`, 100, "", `{"max_tokens":50,` + m + `,"max_completion_tokens":100}`},
		{"a null is written over", chat, `{"max_tokens":null,` + m + `}`, 100, "", `{"max_tokens":100,` + m + `}`},
		{"another spelling's null stays", chat, `{"max_tokens":null,` + m + `}`, 100, "max_completion_tokens", `{"max_completion_tokens":100,"max_tokens":null,` + m + `}`},
		{"a prediction knows max_tokens only", chat, `{` + m + `,"prediction":{"content":"x"}}`, 100, "max_completion_tokens", `{"max_tokens":100,` + m + `,"prediction":{"content":"x"}}`},

		{"usage is asked of a stream", chat, `{` + m + `,"stream":true,"max_tokens":1}`, 9, "", `{"stream_options":{"include_usage":true},` + m + `,"stream":true,"max_tokens":1}`},
		{"limit and usage at one place", chat, `{` + m + `,"stream":true}`, 9, "", `{"max_tokens":9,"stream_options":{"include_usage":true},` + m + `,"stream":true}`},
		{"false becomes true", chat, `{` + m + `,"stream":true,"max_tokens":1,"stream_options":{"include_usage": false}}`, 9, "", `{` + m + `,"stream":true,"max_tokens":1,"stream_options":{"include_usage": true}}`},
		{"null becomes true", chat, `{` + m + `,"stream":true,"max_tokens":1,"stream_options":{"include_usage":null,"x":1}}`, 9, "", `{` + m + `,"stream":true,"max_tokens":1,"stream_options":{"include_usage":true,"x":1}}`},
		{"null options become options", chat, `{"stream_options":null,` + m + `,"stream":true,"max_tokens":1}`, 9, "", `{"stream_options":{"include_usage":true},` + m + `,"stream":true,"max_tokens":1}`},
		{"bare options", chat, `{"stream_options":{ },` + m + `,"stream":true,"max_tokens":1}`, 9, "", `{"stream_options":{"include_usage":true },` + m + `,"stream":true,"max_tokens":1}`},
		{"other options stay", chat, `{"stream_options":{"include_obfuscation":false},` + m + `,"stream":true,"max_tokens":1}`, 9, "", `{"stream_options":{"include_usage":true,"include_obfuscation":false},` + m + `,"stream":true,"max_tokens":1}`},
		{"asked for already", chat, `{"stream_options":{"include_usage":true},` + m + `,"stream":true,"max_tokens":1}`, 9, "", `{"stream_options":{"include_usage":true},` + m + `,"stream":true,"max_tokens":1}`},
		{"no stream, no usage", chat, `{` + m + `,"stream":false,"max_tokens":1}`, 9, "", `{` + m + `,"stream":false,"max_tokens":1}`},

		{"Anthropic's only spelling", messages, `{` + m + `,"stream":true}`, 100, "max_completion_tokens", `{"max_tokens":100,` + m + `,"stream":true}`},
		{"Anthropic, nothing to write", messages, `{` + m + `,"max_tokens":0}`, 100, "", `{` + m + `,"max_tokens":0}`},
		{"thinking fits", messages, `{` + m + `,"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":1024}}`, 2000, "", `{` + m + `,"max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024}}`},
		{"thinking is lowered with the limit", messages, `{"thinking":{"budget_tokens":8000,"type":"enabled"},` + m + `,"max_tokens":9000}`, 4000, "", `{"thinking":{"budget_tokens":3000,"type":"enabled"},` + m + `,"max_tokens":4000}`},
		{"thinking at its least", messages, `{` + m + `,"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":8000}}`, 1025, "", `{` + m + `,"max_tokens":1025,"thinking":{"type":"enabled","budget_tokens":1024}}`},
		{"thinking under a limit that is set", messages, `{` + m + `,"thinking":{"type":"enabled","budget_tokens":8000}}`, 4096, "", `{"max_tokens":4096,` + m + `,"thinking":{"type":"enabled","budget_tokens":3072}}`},
		{"thinking under a limit that stays", messages, `{` + m + `,"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":9500}}`, 9900, "", `{` + m + `,"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":9500}}`},
	} {
		if got, _ := edited(t, read(t, c.route, c.body), c.most, c.field); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestAClampThatTheProviderWouldRefuseIsAnError(t *testing.T) {
	a := read(t, messages, messagesWith(`"thinking":{"type":"enabled","budget_tokens":2048}`))
	if _, err := a.ClampOutput(1024, ""); err == nil || a.MinOutput != 1025 {
		t.Errorf("a limit at the least thinking budget: %v, least %d", err, a.MinOutput)
	}
	for _, most := range []int64{0, -1} {
		if _, err := read(t, chat, chatWith("")).ClampOutput(most, ""); err == nil {
			t.Errorf("a limit of %d", most)
		}
	}
}

func TestAnotherModelIsWrittenWhereTheCallersStands(t *testing.T) {
	a := read(t, chat, `{"model": "gpt-4o","messages":[]}`)
	out, err := llm.Apply(a.Body, a.Rename(`he said "x"`))
	if err != nil || string(out) != `{"model": "he said \"x\"","messages":[]}` {
		t.Errorf("%s, %v", out, err)
	}
}

// bodies draws bodies of either dialect with limits and streams in all spellings.
func bodies() *rapid.Generator[drawnBody] {
	return rapid.Custom(func(t *rapid.T) drawnBody {
		maybe := func(o object, name string, values ...any) object {
			if i := rapid.IntRange(0, len(values)).Draw(t, name); i > 0 {
				return append(o, field{name, values[i-1]})
			}
			return o
		}
		turns := []any{object{{"role", "user"}, {"content", anyText().Draw(t, "content")}}}
		o := object{{"model", rapid.SampledFrom([]string{"gpt-4o", "claude", `a"b\c`, "模型"}).Draw(t, "model")}, {"messages", turns}}
		route := rapid.SampledFrom([]llm.Route{chat, messages}).Draw(t, "route")
		o = maybe(o, "max_tokens", raw("null"), raw("1"), raw("4096"), raw("1.5e3"), raw("70000.0"))
		o = maybe(o, "stream", raw("true"), raw("true"), raw("false"), raw("null"))
		o = maybe(o, anyText().Filter(func(s string) bool {
			return !slices.Contains(llm.ChatFields, s) && !slices.Contains(llm.MessagesFields, s)
		}).
			Draw(t, "unknown"), anyText().Draw(t, "value"), raw("[1,2,{}]"))
		if route == chat {
			o = maybe(o, "max_completion_tokens", raw("null"), raw("1000"), raw("99999"))
			o = maybe(o, "n", raw("1"), raw("2"), raw("null"))
			o = maybe(o, "stream_options", raw("null"), object{}, object{{"include_usage", raw("false")}},
				object{{"include_usage", raw("true")}, {"x", raw("1")}}, object{{"x", raw("1")}})
		} else {
			o = maybe(o, "thinking", raw("null"), object{{"type", "disabled"}},
				object{{"type", "enabled"}, {"budget_tokens", raw("2000")}}, object{{"type", "enabled"}, {"budget_tokens", raw("30000")}})
		}
		return drawnBody{route, write(t, o)}
	})
}

type drawnBody struct {
	route llm.Route
	text  string
}

func TestEditsChangeNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bodies().Draw(t, "body")
		before, p := llm.Parse(b.route, []byte(b.text), true)
		if p != nil {
			t.Fatalf("%s: %s", b.text, p.Message)
		}
		most := rapid.Int64Range(before.MinOutput, 50_000).Draw(t, "most")
		fieldName := rapid.SampledFrom([]string{"", "max_tokens", "max_completion_tokens"}).Draw(t, "field")
		text, edits := edited(t, before, most, fieldName)
		checkEdits(t, before, text, edits, most)
	})
}

// checkEdits holds what every edit promises.
func checkEdits(t interface{ Fatalf(string, ...any) }, before *llm.Ask, text string, edits []llm.Edit, most int64) {
	after, p := llm.Parse(before.Route, []byte(text), true)
	if p != nil {
		t.Fatalf("%s became %s: %s", before.Body, text, p.Message)
	}
	if !untouched(before.Body, []byte(text), edits) {
		t.Fatalf("%s became %s: more was changed than %+v", before.Body, text, edits)
	}
	limit := min(before.MaxOutput, most)
	if before.MaxOutput == 0 && !before.NoOutput {
		limit = most
	}
	if after.MaxOutput != limit || limit > 0 && after.MinOutput <= limit && before.Thinking < before.MaxOutput && after.Thinking >= limit {
		t.Fatalf("%s became %s: limit %d, thinking %d, want %d", before.Body, text, after.MaxOutput, after.Thinking, limit)
	}
	if before.Dialect == llm.OpenAI && after.Stream && !after.IncludeUsage {
		t.Fatalf("%s became %s: no usage", before.Body, text)
	}
	span, err := llm.Carry(before.ModelSpan, edits)
	if err != nil || span != after.ModelSpan {
		t.Fatalf("%s became %s: the model's span %v was carried to %v (%v), and is %v", before.Body, text, before.ModelSpan, span, err, after.ModelSpan)
	}
	// All else is the same to us, and to a parser that knows nothing of us.
	if after.Model != before.Model || after.N != before.N || after.Stream != before.Stream || after.InputTokens != before.InputTokens ||
		!reflect.DeepEqual(after.Unbounded, before.Unbounded) || hashOf(after) != hashOf(before) {
		t.Fatalf("%s became %s: %+v became %+v", before.Body, text, before, after)
	}
	if a, b := others(t, before.Body), others(t, []byte(text)); !reflect.DeepEqual(a, b) {
		t.Fatalf("%s became %s: %v became %v", before.Body, text, a, b)
	}
}

// untouched reports whether a body is another one with nothing but edits made.
func untouched(before, after []byte, edits []llm.Edit) bool {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b llm.Edit) int { return a.At[0] - b.At[0] })
	from := 0
	for _, e := range edits {
		kept := before[from:e.At[0]]
		if !bytes.HasPrefix(after, kept) || !bytes.HasPrefix(after[len(kept):], e.Text) {
			return false
		}
		after, from = after[len(kept)+len(e.Text):], e.At[1]
	}
	return bytes.Equal(after, before[from:])
}

// others are a body's fields that no edit may change.
func others(t interface{ Fatalf(string, ...any) }, body []byte) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for _, name := range []string{"max_tokens", "max_completion_tokens", "thinking", "stream_options"} {
		delete(m, name)
	}
	return m
}

func TestApplyRefusesWhatWouldLoseBytes(t *testing.T) {
	body := []byte("0123456789")
	edit := func(from, to int, text string) llm.Edit { return llm.Edit{At: [2]int{from, to}, Text: []byte(text)} }
	for _, edits := range [][]llm.Edit{
		{edit(2, 5, "x"), edit(4, 6, "y")}, {edit(2, 5, ""), edit(2, 5, "")}, {edit(2, 5, "x"), edit(3, 3, "y")},
		{edit(-1, 0, "")}, {edit(5, 4, "")}, {edit(9, 11, "")}, {edit(11, 11, "x")},
	} {
		if out, err := llm.Apply(body, edits); err == nil {
			t.Errorf("%v made %s", edits, out)
		}
	}
	for want, edits := range map[string][]llm.Edit{
		"0123456789":    nil,
		"01ab456789cd":  {edit(10, 10, "cd"), edit(2, 4, "ab")},
		"0abXY23456789": {edit(1, 1, "a"), edit(1, 1, "b"), edit(1, 2, "XY")},
		"01X5Y":         {edit(2, 5, "X"), edit(6, 10, "Y")},
		"XY56789":       {edit(0, 3, "X"), edit(3, 5, "Y")},
	} {
		if out, err := llm.Apply(body, edits); err != nil || string(out) != want {
			t.Errorf("%v made %s (%v), want %s", edits, out, err, want)
		}
	}
	if string(body) != "0123456789" {
		t.Error("the body itself was changed")
	}
	if _, err := llm.Carry([2]int{2, 6}, []llm.Edit{edit(4, 5, "x")}); err == nil {
		t.Error("a span was carried over an edit of its inside")
	}
	if span, err := llm.Carry([2]int{}, []llm.Edit{edit(0, 0, "x")}); err != nil || span != [2]int{} {
		t.Errorf("no span became %v, %v", span, err)
	}
	if span, err := llm.Carry([2]int{2, 6}, []llm.Edit{edit(2, 2, "ab"), edit(0, 1, ""), edit(6, 6, "x")}); err != nil || span != [2]int{3, 7} {
		t.Errorf("carried to %v, %v", span, err)
	}
}

func FuzzEdit(f *testing.F) {
	for _, body := range []string{chatWith(""), chatWith(`"stream":true,"max_tokens":1e3`), chatWith(`"stream":true,"stream_options":{ }`), messagesWith(`"thinking":{"budget_tokens":3000}`)} {
		f.Add(body, int64(2000), false)
		f.Add(strings.ReplaceAll(body, ":", " :\n"), int64(1), true)
	}
	f.Fuzz(func(t *testing.T, body string, most int64, anthropic bool) {
		route := chat
		if anthropic {
			route = messages
		}
		before, p := llm.Parse(route, []byte(body), true)
		if p != nil || most < before.MinOutput || most > 1<<40 {
			return
		}
		text, edits := edited(t, before, most, "")
		checkEdits(t, before, text, edits, most)
	})
}
