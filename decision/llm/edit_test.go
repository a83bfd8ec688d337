package llm_test

import (
	"bytes"
	"cmp"
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
		{"a limit just above is lowered", chat, `{` + m + `,"max_tokens":101}`, 100, "", `{` + m + `,"max_tokens":100}`},
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

		{"a response's only spelling", responses, `{"model":"m","input":"x","stream":true}`, 100, "max_tokens", `{"max_output_tokens":100,"model":"m","input":"x","stream":true}`},
		{"a response's limit is lowered", responses, `{"model":"m","input":"x","max_output_tokens":5e3}`, 100, "max_completion_tokens", `{"model":"m","input":"x","max_output_tokens":100}`},
		{"a response's null is written over", responses, `{"model":"m","max_output_tokens":null,"input":"x"}`, 16, "", `{"model":"m","max_output_tokens":16,"input":"x"}`},
		{"a chat's spelling is no limit of a response", responses, `{"model":"m","input":"x","max_tokens":50,"max_completion_tokens":5000}`, 100, "", `{"max_output_tokens":100,"model":"m","input":"x","max_tokens":50,"max_completion_tokens":100}`},
		{"a response's stream tells its usage unasked", responses, `{"model":"m","input":"x","max_output_tokens":20,"stream":true,"stream_options":{"include_obfuscation":false}}`, 100, "", `{"model":"m","input":"x","max_output_tokens":20,"stream":true,"stream_options":{"include_obfuscation":false}}`},
		{"an embedding has no limit", embeddings, `{"model":"m","input":"x"}`, 100, "", `{"model":"m","input":"x"}`},

		{"reasoning is lowered with the limit", chat, `{` + m + `,"max_tokens":9000,"reasoning":{"max_tokens":8e3}}`, 4000, "", `{` + m + `,"max_tokens":4000,"reasoning":{"max_tokens":3000}}`},
		{"reasoning must stay below the limit", chat, `{` + m + `,"max_tokens":9000,"reasoning":{"max_tokens":4000}}`, 4000, "", `{` + m + `,"max_tokens":4000,"reasoning":{"max_tokens":3000}}`},
		{"reasoning at its least", chat, `{` + m + `,"max_tokens":9000,"reasoning":{"max_tokens":8000}}`, 1025, "", `{` + m + `,"max_tokens":1025,"reasoning":{"max_tokens":1024}}`},
		{"reasoning that fits stays", chat, `{` + m + `,"max_tokens":9000,"reasoning":{"max_tokens":1999}}`, 2000, "", `{` + m + `,"max_tokens":2000,"reasoning":{"max_tokens":1999}}`},
		{"another server's budget has no least", chat, `{"thinking_budget":8000,` + m + `,"max_tokens":9000}`, 100, "", `{"thinking_budget":75,` + m + `,"max_tokens":100}`},
		{"a budget that is a string stays one", chat, `{` + m + `,"max_tokens":9000,"thinking_budget":"8000"}`, 4000, "", `{` + m + `,"max_tokens":4000,"thinking_budget":"3000"}`},
		{"a budget that leaves it to the model stays", chat, `{` + m + `,"max_tokens":9000,"thinking_budget":-1}`, 4000, "", `{` + m + `,"max_tokens":4000,"thinking_budget":-1}`},
		{"every budget is lowered", chat, `{` + m + `,"extra_body":{"google":{"thinking_config":{"thinking_budget":9000}}},"max_tokens":9000,"thinking":{"budget_tokens":8000}}`, 4000, "", `{` + m + `,"extra_body":{"google":{"thinking_config":{"thinking_budget":3000}}},"max_tokens":4000,"thinking":{"budget_tokens":3000}}`},
		{"a response's reasoning too", responses, `{"model":"m","input":"x","reasoning":{"max_tokens":8000}}`, 4000, "", `{"max_output_tokens":4000,"model":"m","input":"x","reasoning":{"max_tokens":3000}}`},

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

// A policy may put a model in the place of the caller's that takes the other
// spelling of the limit, and refuses the caller's.
func TestTheLimitIsSpeltAsAnotherModelTakesIt(t *testing.T) {
	const m = `"model":"m","messages":[]`
	for _, c := range []struct {
		name        string
		route       llm.Route
		body        string
		most        int64
		field, want string
	}{
		{"renamed, and not lowered", chat, `{` + m + `,"max_tokens": 50}`, 100, "max_completion_tokens", `{` + m + `,"max_completion_tokens": 50}`},
		{"renamed and lowered", chat, `{` + m + `,"m\u0061x_tokens": 5e2}`, 100, "max_completion_tokens", `{` + m + `,"max_completion_tokens": 100}`},
		{"and back", chat, `{"max_completion_tokens":500,` + m + `}`, 100, "", `{"max_tokens":100,` + m + `}`},
		{"spelt so already", chat, `{` + m + `,"max_tokens":50}`, 100, "max_tokens", `{` + m + `,"max_tokens":50}`},
		{"none: one is set", chat, `{` + m + `}`, 100, "max_completion_tokens", `{"max_completion_tokens":100,` + m + `}`},
		{"both: the other one goes", chat, `{"max_tokens":50 , ` + m + `,"max_completion_tokens":300}`, 100, "max_completion_tokens", `{ ` + m + `,"max_completion_tokens":100}`},
		{"both: the last field goes", chat, `{"max_completion_tokens":30,` + m + "\n, \"max_tokens\" : 500\n}", 100, "max_completion_tokens", `{"max_completion_tokens":30,` + m + "\n\n}"},
		{"a null is written over", chat, `{"max_completion_tokens":null,` + m + `,"max_tokens":500}`, 100, "max_completion_tokens", `{"max_completion_tokens":100,` + m + `}`},
		{"the other one's null goes", chat, `{"max_completion_tokens":30,"max_tokens":null,` + m + `}`, 100, "max_completion_tokens", `{"max_completion_tokens":30,` + m + `}`},
		{"a prediction knows max_tokens only", chat, `{` + m + `,"prediction":{"content":"x"},"max_completion_tokens":7}`, 100, "max_completion_tokens", `{` + m + `,"prediction":{"content":"x"},"max_tokens":7}`},
		{"Anthropic has one spelling", messages, `{` + m + `,"max_tokens":500}`, 100, "max_completion_tokens", `{` + m + `,"max_tokens":100}`},
		{"and so have responses", responses, `{"model":"m","input":"x","max_output_tokens":500}`, 100, "max_tokens", `{"model":"m","input":"x","max_output_tokens":100}`},
	} {
		a := read(t, c.route, c.body)
		edits, err := a.ClampOutputAs(c.most, c.field)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := llm.Apply(a.Body, edits); err != nil || string(got) != c.want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", c.name, got, err, c.want)
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
	if before.Endpoint == llm.ChatCompletions && after.Stream && !after.IncludeUsage {
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
	slices.SortStableFunc(edits, func(a, b llm.Edit) int { return cmp.Or(a.At[0]-b.At[0], a.At[1]-b.At[1]) })
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
	for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens", "thinking", "stream_options", "reasoning",
		"thinking_budget", "thinkingBudget", "reasoning_budget", "thinking_token_budget", "max_thinking_tokens", "max_reasoning_tokens",
		"extra_body", "google"} {
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
	for _, body := range []string{chatWith(""), chatWith(`"stream":true,"max_tokens":1e3`), chatWith(`"stream":true,"stream_options":{ }`), messagesWith(`"thinking":{"budget_tokens":3000}`),
		chatWith(`"max_tokens":5,"max_completion_tokens":null,"reasoning":{"max_tokens":3000},"thinking_budget":"4000"`), responsesWith(`"max_output_tokens":1e5,"max_tokens":7`), responsesWith(`"stream":true`)} {
		for i := range routes {
			f.Add(body, int64(2000), uint8(i))
			f.Add(strings.ReplaceAll(body, ":", " :\n"), int64(1), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, body string, most int64, route uint8) {
		before, p := llm.Parse(routes[int(route)%len(routes)], []byte(body), true)
		if p != nil || most < before.MinOutput || most > 1<<40 {
			return
		}
		text, edits := edited(t, before, most, "")
		checkEdits(t, before, text, edits, most)
		asAnothers(t, before, most)
	})
}

// asAnothers holds what a limit in another model's spelling promises: whatever the
// caller's spelling was, there is that one alone, and it is not above most.
func asAnothers(t interface{ Fatalf(string, ...any) }, before *llm.Ask, most int64) {
	for _, field := range []string{"", "max_tokens", "max_completion_tokens"} {
		edits, err := before.ClampOutputAs(most, field)
		if err != nil {
			t.Fatalf("%s: %v", before.Body, err)
		}
		out, err := llm.Apply(before.Body, edits)
		if err != nil {
			t.Fatalf("%s: %v", before.Body, err)
		}
		after, p := llm.Parse(before.Route, out, true)
		if p != nil || !untouched(before.Body, out, edits) {
			t.Fatalf("%s became %s: %v", before.Body, out, p)
		}
		if !before.NoOutput && (after.MaxOutput < 1 || after.MaxOutput > most) || after.Model != before.Model || hashOf(after) != hashOf(before) {
			t.Fatalf("%s became %s: %+v", before.Body, out, after)
		}
		var m map[string]any
		if json.Unmarshal(out, &m) == nil && before.Endpoint == llm.ChatCompletions && m["max_tokens"] != nil && m["max_completion_tokens"] != nil {
			t.Fatalf("%s became %s, with two limits", before.Body, out)
		}
	}
}
