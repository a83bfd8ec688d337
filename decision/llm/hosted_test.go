package llm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

var searching = llm.ModelLimits{Context: 100_000, MaxOutput: 4096, ToolCalls: 4}

func responseTools(fields, tools string) string {
	return `{"model":"m","input":"x",` + fields + `"tools":[` + tools + `]}`
}

func messageTools(tools string) string {
	return `{"model":"m","max_tokens":10,"messages":[],"tools":[` + tools + `]}`
}

// How often the provider's tools may be used is written where the caller did not say,
// and nowhere else; and the ceiling is that of the body that goes out.
func TestUsesAreLimitedWhereNobodyDid(t *testing.T) {
	const search, file, code = `{"type":"web_search"}`, `{"type":"file_search","vector_store_ids":["v"]}`, `{"type":"code_interpreter","container":{"type":"auto"}}`
	const find, fetch = `"type":"web_search_20250305","name":"web_search"`, `"type":"web_fetch_20250910","name":"web_fetch"`
	for _, c := range []struct {
		name  string
		route llm.Route
		body  string
		want  string // "" as it is
		fees  []llm.Fee
		runs  int64
	}{
		{"one tool", responses, responseTools(``, search), `{"max_tool_calls":4,"model":"m","input":"x","tools":[` + search + `]}`,
			[]llm.Fee{{Tool: llm.WebSearch, Max: 4, Together: true}}, 5},
		{"over a null", responses, responseTools(`"max_tool_calls": null ,`, search), responseTools(`"max_tool_calls": 4 ,`, search),
			[]llm.Fee{{Tool: llm.WebSearch, Max: 4, Together: true}}, 5},
		{"once for all of them", responses, responseTools(``, search+`,`+file+`,{"type":"web_search_preview"},`+code), `{"max_tool_calls":4,"model":"m","input":"x","tools":[` + search + `,` + file + `,{"type":"web_search_preview"},` + code + `]}`,
			[]llm.Fee{{Tool: llm.WebSearch, Max: 4, Together: true}, {Tool: llm.FileSearch, Max: 4, Together: true}, {Tool: llm.CodeInterpreter, Max: 4, Together: true}}, 5},
		{"the caller's own limit stays, if it is larger too", responses, responseTools(`"max_tool_calls":9,`, search), "", []llm.Fee{{Tool: llm.WebSearch, Max: 9, Together: true}}, 10},
		{"functions have none", responses, responseTools(``, `{"type":"function","name":"f"}`), "", nil, 1},
		{"tools that an item brings", responses, `{"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[` + search + `]}]}`,
			`{"max_tool_calls":4,"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[` + search + `]}]}`, []llm.Fee{{Tool: llm.WebSearch, Max: 4, Together: true}}, 5},
		{"a message's", messages, messageTools(`{` + find + `}`), messageTools(`{"max_uses":4,` + find + `}`), []llm.Fee{{Tool: llm.WebSearch, Max: 4}}, 5},
		{"each of a message's that has none", messages, messageTools("{ " + find + `},{"name":"f"},{` + fetch + `,"max_uses":2},{` + fetch + `,"max_uses":null}`),
			messageTools(`{"max_uses":4, ` + find + `},{"name":"f"},{` + fetch + `,"max_uses":2},{` + fetch + `,"max_uses":4}`),
			[]llm.Fee{{Tool: llm.WebSearch, Max: 4}, {Tool: llm.WebFetch, Max: 6}}, 11},
		{"a later version that only the model calls", messages, messageTools(`{"type":"web_search_20260209","allowed_callers":["direct"]}`),
			messageTools(`{"max_uses":4,"type":"web_search_20260209","allowed_callers":["direct"]}`), []llm.Fee{{Tool: llm.WebSearch, Max: 4}}, 5},
	} {
		a := read(t, c.route, c.body)
		edits := a.LimitTools(searching.ToolCalls)
		out, err := llm.Apply(a.Body, edits)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.want == "" {
			c.want = c.body
		}
		if string(out) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, out, c.want)
		}
		before, after := a.Ceiling(searching), read(t, c.route, string(out)).Ceiling(llm.ModelLimits{Context: searching.Context, MaxOutput: searching.MaxOutput})
		if !slices.Equal(before.Fees, c.fees) || before.N != c.runs || len(before.Unpriced) != 0 || before.Input != a.InputTokens+(c.runs-1)*searching.Context {
			t.Errorf("%s: %+v", c.name, before)
		}
		if !slices.Equal(after.Fees, before.Fees) || after.N != before.N || after.Input != before.Input || len(after.Unpriced) != 0 {
			t.Errorf("%s: what goes out has the ceiling %+v, and held is %+v", c.name, after, before)
		}
		if len(read(t, c.route, string(out)).LimitTools(7)) > 0 {
			t.Errorf("%s: limited twice", c.name)
		}
	}
}

// What no number of uses bounds is not given one: it stays without a price.
func TestWhatALimitOfUsesDoesNotBound(t *testing.T) {
	for _, c := range []struct {
		route llm.Route
		body  string
	}{
		{responses, responseTools(`"max_tool_calls":0,`, `{"type":"web_search"}`)}, // what a server makes of none, nobody knows
		{responses, responseTools(``, `{"type":"mcp","server_label":"x","server_url":"y"}`)},
		{responses, responseTools(``, `{"type":"something_new"}`)},
		{responses, responseTools(``, `{"type":"shell","environment":{"type":"container_auto"}}`)},
		{responses, responseTools(``, `{"type":"code_interpreter","container":{"type":"auto","memory_limit":"64g"}}`)},
		{messages, messageTools(`{"type":"code_execution_20250825","name":"code_execution","max_uses":2}`)},
		{messages, messageTools(`{"type":"advisor_20260301","model":"dear","name":"advisor","max_uses":2}`)},
		{messages, messageTools(`{"type":"web_search_20260209","name":"web_search","max_uses":2}`)}, // it filters by programs, as many as it likes
		{messages, messageTools(`{"type":"web_search_20260209","allowed_callers":["direct","code_execution_20260120"]}`)},
		{messages, messageTools(`{"type":"web_search_20260209","allowed_callers":[]}`)},
		{messages, messageTools(`{"type":"web_search_20260209","allowed_callers":["direct",{}]}`)},
		{chat, chatWith(`"tools":[{"type":"web_search","max_uses":2}]`)},
	} {
		a := read(t, c.route, c.body)
		if got := a.Ceiling(searching); len(got.Unpriced) != 1 || len(got.Fees) != 0 {
			t.Errorf("%s: %+v", c.body, got)
		}
		if edits := a.LimitTools(4); len(edits) != 0 {
			t.Errorf("%s: %+v", c.body, edits)
		}
	}
	if c := read(t, responses, responseTools(``, `{"type":"image_generation"}`)).Ceiling(searching); len(c.Unpriced) != 2 {
		t.Errorf("pictures have prices of their own: %+v", c)
	}
	if c := read(t, responses, responseTools(``, `{"type":"web_search"}`)).Ceiling(llm.ModelLimits{Context: 1000}); len(c.Unpriced) != 1 || c.Unpriced[0].Tool != llm.WebSearch {
		t.Errorf("with no default, nothing bounds it: %+v", c)
	}
}

// Of many tools each is limited, or the call has no price.
func TestNoToolGoesOutUnlimitedAmongMany(t *testing.T) {
	const find = `{"type":"web_search_20250305","name":"web_search"}`
	for n := range 40 {
		a := read(t, messages, messageTools(strings.TrimSuffix(strings.Repeat(find+",", n), ",")))
		out, err := llm.Apply(a.Body, a.LimitTools(1))
		if err != nil {
			t.Fatal(err)
		}
		c := a.Ceiling(llm.ModelLimits{Context: 1000, MaxOutput: 10, ToolCalls: 1})
		limited := strings.Count(string(out), `"max_uses":1`)
		if len(c.Unpriced) == 0 && limited != n || n <= 16 && len(c.Unpriced) > 0 {
			t.Errorf("%d tools: %d limited, %+v", n, limited, c)
		}
	}
	many := strings.Repeat(`{"type":"web_search"},`, 40) + `{"type":"file_search"}`
	c := read(t, responses, responseTools(``, many)).Ceiling(searching)
	if len(c.Fees) != 2 || c.N != 5 || len(c.Unpriced) != 0 {
		t.Errorf("a tool behind forty others: %+v", c)
	}
}
