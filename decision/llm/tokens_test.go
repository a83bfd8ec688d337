package llm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pkoukk/tiktoken-go"
	tiktoken_loader "github.com/pkoukk/tiktoken-go-loader"
	"github.com/tiktoken-go/tokenizer"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// references are two tokenizer libraries, each with two vocabularies.
var references = sync.OnceValue(func() map[string]func(string) int64 {
	all := map[string]func(string) int64{}
	tiktoken.SetBpeLoader(tiktoken_loader.NewOfflineLoader())
	for _, name := range []string{"o200k_base", "cl100k_base"} {
		one, err := tokenizer.Get(tokenizer.Encoding(name))
		if err != nil {
			panic(err)
		}
		other, err := tiktoken.GetEncoding(name)
		if err != nil {
			panic(err)
		}
		all["tiktoken-go/tokenizer "+name] = func(s string) int64 {
			ids, _, err := one.Encode(s)
			if err != nil {
				panic(err)
			}
			return int64(len(ids))
		}
		all["pkoukk/tiktoken-go "+name] = func(s string) int64 { return int64(len(other.EncodeOrdinary(s))) }
	}
	return all
})

// most is the largest count that any reference makes.
func most(s string) (n int64) {
	for _, count := range references() {
		n = max(n, count(s))
	}
	return n
}

func neverUnder(t interface{ Fatalf(string, ...any) }, text string) {
	for name, count := range references() {
		if n, bound := count(text), llm.Bound([]byte(text)); n > bound {
			t.Fatalf("%s counts %d tokens in %q, the bound says %d", name, n, text, bound)
		}
	}
}

func TestTheBoundIsNeverUnder(t *testing.T) {
	for _, text := range texts {
		neverUnder(t, text)
		neverUnder(t, strings.Repeat(text, 5))
	}
	rapid.Check(t, func(t *rapid.T) { neverUnder(t, anyText().Draw(t, "text")) })
}

func TestTheBoundIsNeverUnderOnBytesThatAreNotUTF8(t *testing.T) {
	for _, text := range []string{"\xff", "\xff\xfe\xfd", "a\x80b\xc3", "\xe2\x82", "\xf0\x9f\x98", "ok \xed\xa0\x80 ok", strings.Repeat("\xbf", 100)} {
		neverUnder(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		neverUnder(t, string(rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "bytes")))
	})
	if n := llm.Bound([]byte("a\xffb")); n != 5 {
		t.Errorf("a bad byte counts three: got %d", n)
	}
}

// Text counts the bytes it has when unescaped, exactly, however it is escaped.
func TestTextCountsItsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.OneOf(anyText(), rapid.String()).Draw(t, "content")
		body := `{"model":"m","messages":[{"role":"user","content":` + write(t, content) + `}]}`
		ask, p := llm.Parse(chat, []byte(body), true)
		if p != nil {
			t.Fatalf("%s: %s", body, p.Message)
		}
		if n, want := ask.InputTokens, llm.PerRequest+llm.PerMessage+int64(len("user"+content)); n != want {
			t.Fatalf("%d tokens, want %d: %s", n, want, body)
		}
	})
}

// What is rendered anew counts at least the bytes of every JSON rendering of it.
func TestASchemaCountsTheBytesOfItsLongestJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		about := rapid.OneOf(anyText(), rapid.String(), rapid.Just("if a < b && b > c {\n}")).Draw(t, "about")
		with := func(about string) int64 {
			body := `{"model":"m","messages":[],"tools":[{"type":"function","function":{"description":` + write(t, about) + `}}]}`
			ask, p := llm.Parse(chat, []byte(body), true)
			if p != nil {
				t.Fatalf("%s: %s", body, p.Message)
			}
			return ask.InputTokens
		}
		once, _ := json.Marshal(about) // with <, > and & escaped
		twice, _ := json.Marshal(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(once)))
		again := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(twice))
		comment := strings.ReplaceAll(about, "\n", "\n   // ")
		counted := with(about) - with("") + 6 // the quotes, twice escaped
		for _, rendering := range []string{ascii(string(once)), string(once), again, comment} {
			if int64(len(rendering)) > counted {
				t.Fatalf("%d tokens for %d bytes: %s", counted, len(rendering), rendering)
			}
		}
	})
}

// What templates add, at the figures that are published for them.
func TestTemplatesAreCounted(t *testing.T) {
	count := func(route llm.Route, body string) int64 { return read(t, route, body).InputTokens }
	chatOf := func(turns string) int64 { return count(chat, `{"model":"m","messages":[`+turns+`]}`) }
	if n := chatOf(""); n < 100 {
		t.Errorf("a request: %d", n)
	}
	if n := chatOf(`{},{},{},{}`) - chatOf(""); n < 4*12 {
		t.Errorf("four messages: %d", n)
	}
	if n := chatOf(`{"content":["","",""]}`) - chatOf(`{"content":""}`); n < 3*4 {
		t.Errorf("three parts: %d", n)
	}
	toolsOf := func(route llm.Route, tools string) int64 {
		return count(route, `{"model":"m","messages":[],"tools":[`+tools+`]}`)
	}
	if n := toolsOf(messages, `{"name":"f","input_schema":{}}`) - toolsOf(messages, ""); n < 530+20 {
		t.Errorf("one tool brings Anthropic's tool prompt: %d", n)
	}
	if n := toolsOf(messages, `{"type":"computer_20251124","name":"c"}`) - toolsOf(messages, ""); n < 530+735+499 {
		t.Errorf("computer use brings a schema of the provider's: %d", n)
	}
	if n := count(messages, messagesWith(`"thinking":{"type":"adaptive"}`)) - count(messages, messagesWith("")); n < 100 {
		t.Errorf("thinking brings a few lines: %d", n)
	}
}

// schema draws a tool's parameters, with all that makes a rendering long.
func schema(t *rapid.T, depth int) object {
	name := rapid.StringMatching(`[a-z_]{1,12}`)
	properties, taken := object{}, map[string]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "properties") {
		n := name.Draw(t, "name")
		if taken[n] {
			continue
		}
		taken[n] = true
		var p any
		switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
		case kind == 0 && depth > 0:
			p = schema(t, depth-1)
		case kind == 1:
			var enum []any
			for range rapid.IntRange(1, 5).Draw(t, "values") {
				enum = append(enum, rapid.OneOf(
					rapid.Map(anyText(), func(s string) any { return s }),
					rapid.Map(rapid.IntRange(0, 9), func(n int) any { return raw(fmt.Sprint(n)) }),
				).Draw(t, "value"))
			}
			p = object{{"enum", enum}}
		default:
			p = object{{"type", "string"}, {"description", anyText().Draw(t, "description")}}
		}
		properties = append(properties, field{n, p})
	}
	return object{{"type", "object"}, {"properties", properties}, {"description", anyText().Draw(t, "description")}}
}

// renderings are the ways in which a provider may write a tool into the prompt.
func renderings(t *rapid.T, function object) []string {
	compact := write(t, function)
	var v any
	if err := json.Unmarshal([]byte(compact), &v); err != nil {
		t.Fatalf("%s: %v", compact, err)
	}
	indented, _ := json.MarshalIndent(v, "", "  ")
	plain, _ := json.Marshal(v)
	quoted, _ := json.Marshal(string(plain))
	return []string{compact, string(plain), spaced(string(plain)), string(indented), ascii(string(plain)), string(quoted), typescript(v, "")}
}

// spaced is Python's json.dumps: a space behind commas and colons.
func spaced(s string) string {
	return strings.NewReplacer(`":`, `": `, `,"`, `, "`, `,{`, `, {`, `,[`, `, [`).Replace(s)
}

// ascii is Python's ensure_ascii.
func ascii(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case c < 0x80:
			b.WriteRune(c)
		case c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(c-0x10000)>>10, 0xdc00+(c-0x10000)&0x3ff)
		}
	}
	return b.String()
}

// typescript is how OpenAI's models read functions: types, and descriptions as
// comments, line by line.
func typescript(v any, indent string) string {
	m, ok := v.(map[string]any)
	if !ok {
		return "any"
	}
	comment := ""
	if d, ok := m["description"].(string); ok {
		for line := range strings.SplitSeq(d, "\n") {
			comment += indent + "// " + line + "\n"
		}
	}
	if enum, ok := m["enum"].([]any); ok {
		var alternatives []string
		for _, e := range enum {
			b, _ := json.Marshal(e)
			alternatives = append(alternatives, string(b))
		}
		return comment + indent + strings.Join(alternatives, " | ")
	}
	if properties, ok := m["properties"].(map[string]any); ok {
		out := comment + "{\n"
		for name, p := range properties {
			out += indent + name + "?: " + typescript(p, indent+"  ") + ",\n"
		}
		return out + indent + "}"
	}
	kind, _ := m["type"].(string)
	return comment + kind
}

func TestAWholeChatIsNeverUnder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var turns, tools []any
		reference := int64(3) // the answer's priming
		for range rapid.IntRange(0, 4).Draw(t, "turns") {
			role := rapid.SampledFrom([]string{"system", "developer", "user", "assistant", "tool"}).Draw(t, "role")
			content := anyText().Draw(t, "content")
			reference += 3 + most(role) + most(content)
			turn := object{{"role", role}, {"content", content}}
			if rapid.Bool().Draw(t, "parts") {
				more := anyText().Draw(t, "part")
				reference += most("\n") + most(more)
				turn[1].value = []any{object{{"type", "text"}, {"text", content}}, object{{"type", "text"}, {"text", more}}}
			}
			if rapid.Bool().Draw(t, "named") {
				name := anyText().Draw(t, "name")
				reference += 1 + most(name)
				turn = append(turn, field{"name", name})
			}
			if role == "assistant" && rapid.Bool().Draw(t, "calls") {
				arguments := anyText().Draw(t, "arguments")
				quoted, _ := json.Marshal(arguments)
				reference += 8 + max(most(arguments), most(string(quoted))) + most("look_up")
				turn = append(turn, field{"tool_calls", []any{object{{"id", "c"}, {"type", "function"},
					{"function", object{{"name", "look_up"}, {"arguments", arguments}}}}}})
			}
			turns = append(turns, turn)
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "tools") {
			function := object{{"name", fmt.Sprintf("look_up_%d", i)}, {"description", anyText().Draw(t, "about")}, {"parameters", schema(t, 2)}}
			longest := int64(0)
			for _, text := range renderings(t, function) {
				longest = max(longest, most(text))
			}
			reference += longest
			tools = append(tools, object{{"type", "function"}, {"function", function}})
		}
		body := object{{"model", "gpt-4o"}, {"messages", turns}}
		if len(tools) > 0 {
			// Around them stands the namespace; perToolset covers it by far, so it
			// may not be what keeps the bound above the tools.
			reference += 1024
			body = append(body, field{"tools", tools})
		}
		written := write(t, body)
		ask, p := llm.Parse(chat, []byte(written), true)
		if p != nil {
			t.Fatalf("%s: %s", written, p.Message)
		}
		if ask.InputTokens < reference {
			t.Fatalf("%d tokens for at least %d: %s", ask.InputTokens, reference, written)
		}
	})
}

func TestAWholeMessageIsNeverUnder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func() string { return anyText().Draw(t, "text") }
		reference, turns := int64(3), []any{}
		for range rapid.IntRange(0, 3).Draw(t, "turns") {
			blocks := []any{
				object{{"type", "text"}, {"text", text()}},
				object{{"type", "thinking"}, {"thinking", text()}, {"signature", text()}},
				object{{"type", "tool_use"}, {"id", "t"}, {"name", "f"}, {"input", schema(t, 1)}},
				object{{"type", "tool_result"}, {"tool_use_id", "t"}, {"content", text()}},
				object{{"type", "tool_result"}, {"content", []any{object{{"type", "text"}, {"text", text()}}}}},
				object{{"type", "document"}, {"title", text()}, {"source", object{{"type", "text"}, {"data", text()}}}},
				object{{"type", "search_result"}, {"source", text()}, {"content", []any{object{{"type", "text"}, {"text", text()}}}}},
				object{{"type", "something_new"}, {"deep", object{{"er", []any{text()}}}}},
			}
			blocks = rapid.Permutation(blocks).Draw(t, "order")[:rapid.IntRange(0, len(blocks)).Draw(t, "blocks")]
			reference += 4 + rendered(t, blocks)
			turns = append(turns, object{{"role", "user"}, {"content", blocks}})
		}
		system := text()
		reference += most(system)
		written := write(t, object{{"model", "claude"}, {"max_tokens", raw("9")}, {"system", system}, {"messages", turns}})
		ask, p := llm.Parse(messages, []byte(written), true)
		if p != nil {
			t.Fatalf("%s: %s", written, p.Message)
		}
		if ask.InputTokens < reference {
			t.Fatalf("%d tokens for at least %d: %s", ask.InputTokens, reference, written)
		}
	})
}

// rendered is what the texts in a value count by the references; a tool's input
// counts by its longest rendering.
func rendered(t *rapid.T, v any) (n int64) {
	switch v := v.(type) {
	case string:
		return most(v)
	case []any:
		for _, e := range v {
			n += rendered(t, e)
		}
	case object:
		for _, f := range v {
			switch f.name {
			case "type", "id", "tool_use_id":
			case "input":
				longest := int64(0)
				for _, text := range renderings(t, f.value.(object)) {
					longest = max(longest, most(text))
				}
				n += longest
			default:
				n += rendered(t, f.value)
			}
		}
	}
	return n
}
