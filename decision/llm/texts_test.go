package llm_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// textsOf are the texts of a body, each as where=value.
func textsOf(a *llm.Ask) (found []string) {
	for t := range a.PromptTexts() {
		value, _ := t.Value(a.Body)
		found = append(found, t.Where+"="+value)
	}
	return found
}

func TestEveryTextOfThePromptIsFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		route llm.Route
		body  string
		want  []string
	}{
		{"messages", chat, `{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","name":"bob","content":[{"type":"text","text":"b"},"c"]}],"user":"u","temperature":1}`,
			[]string{"messages[0].content=a", "messages[1].name=bob", "messages[1].content[0].text=b", "messages[1].content[1]=c", "user=u"}},
		{"escapes in keys and texts", chat, `{"model":"m","m\u0065ssages":[{"cont\u0065nt":"\ud83d\ude00\n\u0041"}]}`, []string{"messages[0].content=😀\nA"}},
		{"pictures, sound and files are none, their names are", chat, `{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"x","detail":"low"}},
			{"type":"input_audio","input_audio":{"data":"AA"}},{"type":"file","file":{"file_data":"AA","filename":"cv of bob.pdf"}}]}]}`,
			[]string{"messages[0].content[2].file.filename=cv of bob.pdf"}},
		{"tool calls and results", chat, `{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"to\":\"bob\"}"}}]},
			{"role":"tool","tool_call_id":"c1","content":"done"}]}`,
			[]string{`messages[0].tool_calls[0].function.arguments.*=bob`, "messages[1].content=done"}},
		{"descriptions of tools, and no other part of a schema", chat, `{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","description":"ask bob",
			"parameters":{"type":"object","properties":{"description":{"type":"string","description":"why","enum":["x"]}}}}}]}`,
			[]string{"tools[0].*.description=ask bob", "tools[0].*.*.*.description.description=why"}},
		{"a field that nobody knows", chat, `{"model":"m","messages":[],"documents":[{"id":"1","bob":"a"}]}`, []string{"*[0].*=1", "*[0].*=a"}},
		{"a predicted output", chat, `{"model":"m","messages":[],"prediction":{"type":"content","content":"a"}}`, []string{"prediction.content=a"}},

		{"system and blocks", messages, `{"model":"m","system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[
			{"type":"tool_use","id":"t","name":"f","input":{"type":"b","bob":["c"]}},{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"d"}]},
			{"type":"thinking","thinking":"e","signature":"AA"},{"type":"redacted_thinking","data":"AA"}]}],"metadata":{"user_id":"u"}}`,
			[]string{"system[0].text=a", "messages[0].content[0].input.*=b", "messages[0].content[0].input.*[0]=c", "messages[0].content[1].content[0].text=d", "messages[0].content[2].thinking=e", "metadata.user_id=u"}},
		{"a source's data is text if its type says so", messages, `{"model":"m","messages":[{"content":[{"type":"document","title":"a","source":{"data":"b","type":"text"}},
			{"type":"image","source":{"data":"AA","type":"base64"}},{"type":"image","source":{"type":"url","url":"x"}},{"type":"search_result","source":"c","content":[]}]}]}`,
			[]string{"messages[0].content[0].title=a", "messages[0].content[0].source.data=b", "messages[0].content[3].source=c"}},

		{"a response's input", responses, `{"model":"m","instructions":"a","input":"b","user":"u","previous_response_id":"r","metadata":{"x":"y"}}`, []string{"instructions=a", "input=b", "user=u", "metadata.*=y"}},
		{"a response's items", responses, items(`{"type":"message","id":"i","role":"user","status":"completed","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"x","file_id":"f","detail":"low"},
			{"type":"input_file","file_data":"AA","file_url":"u","filename":"b"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"[1,\"c\"]"},
			{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"d"}]},{"type":"custom_tool_call","name":"g","input":"e"},
			{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"f"}],"encrypted_content":"AA"},{"type":"item_reference","id":"i"}`),
			[]string{"input[0].content[0].text=a", "input[0].content[2].filename=b", `input[1].arguments[1]=c`, "input[2].output[0].text=d", "input[3].input=e", "input[4].summary[0].text=f"}},
		{"what tools did", responses, items(`{"type":"local_shell_call","call_id":"c","action":{"type":"exec","command":["a"],"env":{"type":"b"}}},{"type":"shell_call_output","output":[{"stdout":"c","stderr":"d","outcome":{"type":"exit"}}]},
			{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"x"}},{"type":"web_search_call","id":"w","action":{"type":"search","query":"e","sources":[{"type":"url","url":"x"}]}},
			{"result":"AA","type":"image_generation_call","id":"g"},{"type":"program_output","call_id":"p","result":"f"},{"type":"mcp_list_tools","server_label":"s","tools":[{"name":"n","description":"g","input_schema":{"type":"object"}}]}`),
			[]string{"input[0].action.command[0]=a", "input[0].action.env.*=b", "input[1].output[0].stdout=c", "input[1].output[0].stderr=d", "input[3].action.query=e", "input[5].result=f", "input[6].tools[0].description=g"}},
		{"a kept prompt's variables", responses, `{"model":"m","prompt":{"id":"p","version":"2","variables":{"type":"a","x":{"type":"input_text","text":"b"}}},"tools":[],"text":{"format":{"type":"json_schema","name":"n","description":"c","schema":{"title":"t"}}}}`,
			[]string{"prompt.variables.*=a", "prompt.variables.*.text=b", "text.*.description=c"}},
		{"an embedding", embeddings, `{"model":"m","input":["a",[1,2],"b"],"encoding_format":"base64","user":"u"}`, []string{"input[0]=a", "input[2]=b", "user=u"}},
		{"what a caller says of itself", chat, `{"model":"m","messages":[],"user":"a","safety_identifier":"b","prompt_cache_key":"c","metadata":{"session_id":"d","bob":"e","n":1,"in":{"x":["f"]}},"store":true,"service_tier":"auto","seed":1}`,
			[]string{"user=a", "safety_identifier=b", "prompt_cache_key=c", "metadata.session_id=d", "metadata.*=e", "metadata.*.*[0]=f"}},
		{"JSON in it", messages, `{"model":"m","messages":[],"metadata":{"user_id":"{\"device_id\":\"a\",\"bob\":[\"\\nb\"]}"}}`, []string{"metadata.user_id.*=a", "metadata.user_id.*[0]=\nb"}},
		{"what Codex says of itself", responses, `{"model":"m","input":[],"client_metadata":{"session_id":"a","x-codex-turn-metadata":"{\"cwd\":\"b\"}"}}`, []string{"client_metadata.session_id=a", "client_metadata.*.*=b"}},
		{"what of it is no text", chat, `{"model":"m","messages":[],"user":7,"safety_identifier":null,"metadata":null}`, nil},
		{"nothing of a list of models", llm.Route{Dialect: llm.OpenAI, Endpoint: llm.Models, Free: true}, ``, nil},
	} {
		if got := textsOf(read(t, c.route, c.body)); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestAnIteratorThatIsStoppedStops(t *testing.T) {
	a := read(t, chat, `{"model":"m","messages":[{"content":"a"},{"content":"b"}]}`)
	for text := range a.PromptTexts() {
		if text.Where != "messages[0].content" {
			t.Errorf("went on to %s", text.Where)
		}
		break
	}
}

// Whatever range of a text is replaced, the body's text is then the text with that
// range replaced, and nothing else has changed.
func TestARedactionReplacesWhatWasFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.OneOf(anyText(), rapid.Map(anyText(), func(s string) string { return strings.Repeat(s, 60) })).Draw(t, "content")
		body := `{"model":"m","messages":[{"role":"user","content":` + write(t, content) + `}],"max_tokens":1}`
		a, p := llm.Parse(chat, []byte(body), true)
		if p != nil {
			t.Fatalf("%s: %s", body, p.Message)
		}
		for text := range a.PromptTexts() {
			value, _ := text.Value(a.Body)
			if value != content {
				t.Fatalf("%q was read as %q", content, value)
			}
			start := rapid.IntRange(0, len(value)).Draw(t, "start")
			end := rapid.IntRange(start, len(value)).Draw(t, "end")
			replacement := anyText().Draw(t, "replacement")
			edit, err := a.Redact(text, start, end, replacement)
			whole := boundary(value, start) && boundary(value, end)
			if (err == nil) != whole {
				t.Fatalf("%d to %d of %q: %v", start, end, value, err)
			}
			if err != nil {
				return
			}
			out, err := llm.Apply(a.Body, []llm.Edit{edit})
			if err != nil {
				t.Fatalf("%v", err)
			}
			var after struct{ Messages []struct{ Content string } }
			if err := json.Unmarshal(out, &after); err != nil || after.Messages[0].Content != value[:start]+replacement+value[end:] {
				t.Fatalf("%s became %s (%v)", body, out, err)
			}
		}
	})
}

// Arguments are JSON in a string, and still are when one of their texts has been
// replaced, whatever is escaped in which of the two.
func TestARedactionInsideArgumentsLeavesThemJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.OneOf(anyText(), rapid.Just("Contact:\nalice@example.com\t\"x\"")).Draw(t, "content")
		arguments := write(t, object{{"to", content}, {"n", raw("1e3")}, {"cc", []any{"b"}}})
		body := `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":` + write(t, arguments) + `}}]}]}`
		a, p := llm.Parse(chat, []byte(body), true)
		if p != nil {
			t.Fatalf("%s: %s", body, p.Message)
		}
		var edits []llm.Edit
		replacement, want := anyText().Draw(t, "replacement"), content
		for text := range a.PromptTexts() {
			value, offsets := text.Value(a.Body)
			if text.Where != "messages[0].tool_calls[0].function.arguments.*" {
				if text.Where != "messages[0].tool_calls[0].function.arguments.*[0]" || value != "b" {
					t.Fatalf("%s is %q", text.Where, value)
				}
				continue
			}
			start := boundaryAfter(value, rapid.IntRange(0, len(value)).Draw(t, "start"))
			end := boundaryAfter(value, rapid.IntRange(start, len(value)).Draw(t, "end"))
			edit, err := offsets.Replace(start, end, replacement)
			if value != content || err != nil {
				t.Fatalf("%q was read as %q: %v", content, value, err)
			}
			if _, err := offsets.Span(start, len(value)+1); err == nil {
				t.Fatalf("a place outside %q", value)
			}
			edits, want = append(edits, edit), value[:start]+replacement+value[end:]
		}
		out, err := llm.Apply(a.Body, edits)
		var after struct {
			Messages []struct {
				Calls []struct{ Function struct{ Arguments string } } `json:"tool_calls"`
			}
		}
		if err != nil || json.Unmarshal(out, &after) != nil {
			t.Fatalf("%s became %s (%v)", body, out, err)
		}
		var got struct {
			To string
			N  json.Number
		}
		if err := json.Unmarshal([]byte(after.Messages[0].Calls[0].Function.Arguments), &got); err != nil || got.To != want || got.N != "1e3" {
			t.Fatalf("%s became %s: %q, want %q (%v)", body, out, got, want, err)
		}
	})
}

// Arguments that are no JSON are a text like others.
func TestArgumentsThatAreNoJSONAreOneText(t *testing.T) {
	for arguments, want := range map[string]string{`"{\"to\": bob"`: `={"to": bob`, `"bob"`: "=bob", `""`: "=", `{"to":"bob"}`: ".*=bob", `["bob"]`: "[0]=bob", `" [\"bob\"] "`: "[0]=bob"} {
		got := textsOf(read(t, responses, items(`{"type":"function_call","name":"f","arguments":`+arguments+`}`)))
		if !slices.Equal(got, []string{"input[0].arguments" + want}) {
			t.Errorf("%s: %q", arguments, got)
		}
	}
}

func BenchmarkPromptTexts2KB(b *testing.B) {
	a, p := llm.Parse(chat, []byte(chat2KB), true)
	if p != nil {
		b.Fatal(p)
	}
	b.ReportAllocs()
	for b.Loop() {
		for text := range a.PromptTexts() {
			text.Value(a.Body)
		}
	}
}

func boundary(s string, i int) bool { return i == len(s) || s[i]&0xc0 != 0x80 }
