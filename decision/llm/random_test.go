package llm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

// random draws bodies of every endpoint, as wild as JSON and the APIs allow.
type random struct{ *rand.Rand }

func randomBy(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 17))} }

func (r random) chance(oneIn int) bool { return r.IntN(oneIn) == 0 }

func pick[T any](r random, of ...T) T { return of[r.IntN(len(of))] }

// body is one body, and the route by which it comes.
func (r random) body() (llm.Route, []byte) {
	route := pick(r, chat, chat, messages, responses, responses, embeddings)
	if r.chance(8) {
		route.PathModel = "by-path"
	}
	o := object{}
	switch route.Endpoint {
	case llm.ChatCompletions:
		o = r.chat()
	case llm.Messages:
		o = r.messages()
	case llm.Responses:
		o = r.response()
	case llm.Embeddings:
		o = r.embedding()
	}
	if route.PathModel == "" || r.chance(2) {
		o = append(o, field{"model", pick(r, "gpt-4o", "claude", `a"b\c`, "模型", "😀/é", " ")})
	}
	for range r.IntN(3) {
		if name := "x" + r.text(); !slices.ContainsFunc(o, func(f field) bool { return f.name == name }) {
			o = append(o, field{name, r.anything(3)})
		}
	}
	return route, []byte(writeBy(r.IntN, o))
}

// maybe adds a field with one of some values, or does not.
func (r random) maybe(o object, name string, values ...any) object {
	if r.chance(2) {
		return o
	}
	return append(o, field{name, pick(r, values...)})
}

// text is some text: mail addresses in it, escapes, pairs, other scripts.
func (r random) text() string {
	s := pick(r, texts...)
	switch r.IntN(5) {
	case 0:
		s += pick(r, " alice@example.com", "\"bob@example.org\"", "\\u0041@x.y", "\u2028\x00\x1f\x7f\u00a0")
	case 1:
		s = strings.Repeat(s, 1+r.IntN(40)) // beyond one mark of a text's offsets
	case 2:
		runes := []rune(s)
		s = string(runes[:r.IntN(len(runes)+1)])
	}
	return s
}

func (r random) number() raw {
	return raw(pick(r, "0", "-0.0", "1e3", "1E-2", "12345678901234567890", "-1.5e+300", "0.1e1", "7"))
}

// anything is a value that nobody knows.
func (r random) anything(depth int) any {
	switch n := r.IntN(8); {
	case n < 2 || depth == 0:
		return r.text()
	case n < 3:
		return r.number()
	case n < 4:
		return raw(pick(r, "true", "false", "null"))
	case n < 6:
		all := []any{}
		for range r.IntN(4) {
			all = append(all, r.anything(depth-1))
		}
		return all
	}
	o := object{}
	for i := range r.IntN(4) {
		o = append(o, field{fmt.Sprint(i, pick(r, "", "type", "model", "max_tokens", r.text())), r.anything(depth - 1)})
	}
	return o
}

var limits = []any{raw("null"), raw("1"), raw("64.0"), raw("4096"), raw("1.5e3"), raw("70000.0"), raw("2E4"), raw("100000")}

func (r random) hints(o object) object {
	o = r.maybe(o, "user", r.text(), raw("7"), raw("null"))
	o = r.maybe(o, "safety_identifier", r.text(), raw("null"))
	o = r.maybe(o, "metadata", raw("null"), object{{"session_id", r.text()}, {"other", r.text()}}, object{})
	o = r.maybe(o, "temperature", r.number())
	return r.maybe(o, "stream", raw("true"), raw("true"), raw("false"), raw("null"))
}

func (r random) chat() object {
	turns := []any{}
	for range r.IntN(4) {
		turns = append(turns, r.turn())
	}
	o := r.hints(object{{"messages", turns}})
	o = r.maybe(o, "max_tokens", limits...)
	o = r.maybe(o, "max_completion_tokens", limits...)
	o = r.maybe(o, "n", raw("1"), raw("2.0"), raw("3e0"), raw("null"))
	o = r.maybe(o, "stream_options", raw("null"), object{}, object{{"include_usage", pick(r, raw("false"), raw("true"), raw("null"))}},
		object{{"include_usage", raw("true")}, {"x", r.number()}}, object{{"x", r.anything(1)}})
	o = r.maybe(o, "tools", raw("null"), []any{}, []any{r.tool()}, []any{r.tool(), r.tool()})
	o = r.maybe(o, "thinking", raw("null"), object{{"type", "enabled"}, {"budget_tokens", pick(r, raw("2000"), raw("3e4"), raw("600"))}})
	o = r.maybe(o, "reasoning", raw("null"), object{{"effort", "high"}}, object{{"max_tokens", pick(r, raw("2000"), raw("30000.0"))}})
	o = r.maybe(o, "thinking_budget", raw("30000"), "8000", raw("-1"), raw("null"))
	o = r.maybe(o, "logit_bias", object{{"1", r.number()}})
	return r.maybe(o, "prediction", object{{"type", "content"}, {"content", r.text()}})
}

func (r random) turn() object {
	o := object{{"role", pick(r, "system", "user", "assistant", "developer")}}
	switch r.IntN(4) {
	case 0:
		o = append(o, field{"content", raw("null")}, field{"tool_calls", []any{object{{"id", "c"}, {"type", "function"},
			{"function", object{{"name", "f"}, {"arguments", `{"to":"` + "alice@example.com" + `"}`}}}}}})
	case 1:
		o = append(o, field{"content", []any{object{{"type", "text"}, {"text", r.text()}},
			object{{"type", "image_url"}, {"image_url", object{{"url", "data:image/png;base64,AAAA"}, {"detail", "low"}}}}}})
	default:
		o = append(o, field{"content", r.text()})
	}
	return r.maybe(o, "name", r.text())
}

func (r random) tool() object {
	return object{{"type", "function"}, {"function", object{{"name", "f"}, {"description", r.text()}, {"parameters",
		object{{"type", "object"}, {"properties", object{{"type", object{{"description", r.text()}, {"enum", []any{r.text()}}}}}}}}}}}
}

func (r random) messages() object {
	turns := []any{}
	for range r.IntN(4) {
		turns = append(turns, object{{"role", pick(r, "user", "assistant")}, {"content", r.blocks()}})
	}
	o := r.hints(object{{"messages", turns}})
	o = r.maybe(o, "max_tokens", append([]any{raw("0")}, limits...)...)
	o = r.maybe(o, "system", r.text(), []any{object{{"type", "text"}, {"text", r.text()}}}, raw("null"))
	o = r.maybe(o, "tools", raw("null"), []any{object{{"name", "f"}, {"description", r.text()}, {"input_schema", object{}}}},
		[]any{r.hosted(), object{{"name", "f"}, {"description", r.text()}}, r.hosted()}, []any{r.hosted()})
	return r.maybe(o, "thinking", raw("null"), object{{"type", "disabled"}}, object{{"type", "adaptive"}},
		object{{"type", "enabled"}, {"budget_tokens", pick(r, raw("1024"), raw("2e3"), raw("30000.0"))}})
}

// hosted is a tool of Anthropic's own.
func (r random) hosted() object {
	o := object{{"type", pick(r, "web_search_20250305", "web_fetch_20250910", "web_search_20260209", "code_execution_20250825")}}
	o = r.maybe(o, "max_uses", raw("null"), raw("3"), raw("1e1"))
	o = r.maybe(o, "allowed_callers", []any{"direct"}, []any{}, []any{"direct", "code_execution_20260120"})
	return r.maybe(o, "description", r.text())
}

func (r random) blocks() any {
	if r.chance(3) {
		return r.text()
	}
	all := []any{
		object{{"type", "text"}, {"text", r.text()}, {"cache_control", object{{"type", "ephemeral"}}}},
		object{{"type", "thinking"}, {"thinking", r.text()}, {"signature", "AAAA"}},
		object{{"type", "tool_use"}, {"id", "t"}, {"name", "f"}, {"input", object{{"type", r.text()}, {"deep", r.anything(2)}}}},
		object{{"type", "tool_result"}, {"tool_use_id", "t"}, {"content", []any{object{{"type", "text"}, {"text", r.text()}}}}},
		object{{"type", "image"}, {"source", object{{"type", "base64"}, {"data", "AAAA"}}}},
		object{{"type", "document"}, {"title", r.text()}, {"source", object{{"data", r.text()}, {"type", "text"}}}},
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:r.IntN(len(all)+1)]
}

func (r random) response() object {
	o := r.hints(object{{"input", r.input()}})
	o = r.maybe(o, "instructions", r.text(), raw("null"))
	o = r.maybe(o, "max_output_tokens", limits...)
	if r.chance(6) {
		o = append(o, field{"max_tokens", pick(r, limits...)})
	}
	o = r.maybe(o, "stream_options", raw("null"), object{{"include_obfuscation", raw("false")}})
	o = r.maybe(o, "tools", raw("null"), []any{}, []any{object{{"type", "function"}, {"name", "f"}, {"description", r.text()}}},
		[]any{object{{"type", "web_search"}}, object{{"type", "custom"}, {"name", "g"}}},
		[]any{object{{"type", "file_search"}}, object{{"type", "code_interpreter"}, {"container", object{{"memory_limit", pick(r, "1g", "4g")}}}}, object{{"type", "mcp"}}})
	o = r.maybe(o, "max_tool_calls", raw("null"), raw("0"), raw("3"), raw("1e1"))
	o = r.maybe(o, "background", raw("true"), raw("false"), raw("null"))
	o = r.maybe(o, "previous_response_id", "resp_1", raw("null"))
	o = r.maybe(o, "prompt", raw("null"), object{{"id", "p"}, {"variables", object{{"name", r.text()}, {"type", object{{"type", "input_text"}, {"text", r.text()}}}}}})
	o = r.maybe(o, "reasoning", raw("null"), object{{"effort", "high"}}, object{{"max_tokens", pick(r, raw("2000"), raw("30000.0"))}})
	o = r.maybe(o, "context_management", []any{object{{"type", "compaction"}, {"compact_threshold", raw("1000")}}})
	return r.maybe(o, "text", object{{"format", object{{"type", "text"}}}, {"verbosity", "low"}})
}

func (r random) input() any {
	if r.chance(3) {
		return r.text()
	}
	all := []any{
		object{{"role", pick(r, "user", "developer")}, {"content", r.text()}},
		object{{"type", "message"}, {"role", "user"}, {"content", []any{object{{"type", "input_text"}, {"text", r.text()}},
			object{{"type", "input_image"}, {"image_url", "https://x.example/a.png"}, {"detail", "low"}}, object{{"type", "input_file"}, {"file_id", "f"}, {"filename", r.text()}}}}},
		object{{"type", "function_call"}, {"call_id", "c"}, {"name", "f"}, {"arguments", `{"to":"alice@example.com"}`}},
		object{{"type", "function_call_output"}, {"call_id", "c"}, {"output", pick[any](r, r.text(), []any{object{{"type", "input_text"}, {"text", r.text()}}})}},
		object{{"type", "reasoning"}, {"id", "r"}, {"summary", []any{object{{"type", "summary_text"}, {"text", r.text()}}}}, {"encrypted_content", "AAAA"}},
		object{{"type", "item_reference"}, {"id", "i"}},
		object{{"type", "image_generation_call"}, {"id", "i"}, {"result", "AAAA"}},
		object{{"type", "something_new"}, {"of", r.anything(2)}},
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:r.IntN(len(all)+1)]
}

func (r random) embedding() object {
	o := object{{"input", pick[any](r, r.text(), []any{r.text(), r.text()}, []any{raw("1"), raw("2e0"), raw("100256")},
		[]any{[]any{raw("1")}, []any{}}, []any{r.text(), []any{raw("5")}})}}
	o = r.maybe(o, "encoding_format", "base64", "float")
	o = r.maybe(o, "dimensions", r.number())
	return r.maybe(o, "user", r.text())
}
