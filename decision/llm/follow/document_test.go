package follow_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
	"github.com/signalbox-dev/signalbox/journal"
)

func TestDocuments(t *testing.T) {
	five := journal.Tokens{Input: 5, Output: 2}
	const said = `{"prompt_tokens":5,"completion_tokens":2}`
	for _, c := range []struct {
		name  string
		asked follow.Asked
		text  string
		want  verdict
	}{
		{"usage first", chat, `{"usage":` + said + `,"service_tier":"flex","choices":[]}`, verdict{used: five, tier: "flex", told: true, complete: true}},
		{"an escaped name", chat, `{"us\u0061ge" : ` + said + `}`, verdict{used: five, told: true, complete: true}},
		{"white space around", chat, "\r\n\t {\n}\n", verdict{complete: true}},
		{"deeper usage is another", chat, `{"x":{"usage":` + said + `},"choices":[{"usage":` + said + `,"message":{"usage":` + said + `}}]}`, verdict{complete: true}},
		{"in a message", messages, `{"message":{"usage":` + said + `}}`, verdict{complete: true}},
		{"in a response", responses, `{"response":{"usage":` + said + `}}`, verdict{complete: true}},
		{"usage in a text", chat, `{"choices":[{"message":{"content":"\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}"}}]}`, verdict{complete: true}},
		{"usage twice", chat, `{"usage":` + said + `,"usage":` + said + `}`, verdict{complete: true}},
		{"usage after null", chat, `{"usage":null,"usage":` + said + `}`, verdict{used: five, told: true, complete: true}},
		{"usage that is no object", chat, `{"usage":[` + said + `]}`, verdict{complete: true}},
		{"usage that is no JSON", chat, `{"usage":{"prompt_tokens":5,"completion_tokens":2,}}`, verdict{complete: true}},
		{"a second document", chat, `{"usage":` + said + `}{"usage":{}}`, verdict{used: five, told: true, complete: true}},
		{"an error", chat, `{"error":{"message":"overloaded"}}`, verdict{failed: true}},
		{"a failed response", responses, `{"status":"failed","error":{"code":"server_error"},"usage":null}`, verdict{failed: true}},
		{"a tier too long to be one", chat, `{"service_tier":"` + strings.Repeat("x", 100) + `","usage":` + said + `}`, verdict{used: five, told: true, complete: true}},
		{"broken off behind the usage", chat, `{"usage":` + said + `,"choices":[{"mess`, verdict{used: five, told: true}},
		{"broken off behind the usage and its tier", chat, `{"service_tier":"flex","usage":` + said + `,"choi`, verdict{used: five, tier: "flex", told: true}},
		{"broken off in it", chat, `{"usage":` + said[:len(said)-1], verdict{}},
		{"nothing", chat, ``, verdict{}},
		{"a name too long to be one", chat, `{"` + strings.Repeat(`\u0075`, 100) + `":{},"usage":` + said + `}`, verdict{used: five, told: true, complete: true}},
		{"a name that is none", chat, `{"us\ud800ge":` + said + `}`, verdict{complete: true}},
		{"deep where nothing is looked for", chat, `{"x":` + strings.Repeat(`[{"x":`, 5000) + `1` + strings.Repeat(`}]`, 5000) + `,"usage":` + said + `}`, verdict{used: five, told: true, complete: true}},
		{"deep where the text is", chat, `{"choices":[{"message":{"x":` + strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100) + `}}],"usage":` + said + `}`, verdict{used: five, told: true, complete: true}},
		{"usage too large to be any", chat, `{"usage":{"x":"` + strings.Repeat("x", 100_000) + `","prompt_tokens":5,"completion_tokens":2}}`, verdict{complete: true}},
	} {
		for _, pieces := range [][]string{{c.text}, bytesOf(c.text)} {
			got := relay(newAnswer(c.asked, plainJSON), pieces, true)
			v := got.settled
			v.output, v.input, v.started = 0, journal.Tokens{}, false
			if !reflect.DeepEqual(v, c.want) || got.text != c.text || got.times != 1 {
				t.Errorf("%s: settled %d times, relayed %q:\n got %+v\nwant %+v", c.name, got.times, got.text, v, c.want)
			}
		}
	}
}

// A document is sent when all of it was written, so that the part that came bounds
// nothing. Embeddings are not written.
func TestWhatWasSeenOfADocument(t *testing.T) {
	for _, c := range []struct {
		asked follow.Asked
		text  string
		want  int64
	}{
		{chat, `{"choices":[{"message":{"content":"Hel`, -1},
		{chat, `{"choices":[{"message":{"content":"Hello"}},{"message":{"content":"You"}}]}`, 5 + 3 + 2*16},
		{chat, `{"choices":[]}`, 0},
		{embeddings, `{"data":[{"embedding":[0.1,`, 0},
		{embeddings, `{"data":[]}`, 0},
		{responses, `{"status":"in_progress","output":[]}`, -1},
		{responses, `{"status":"completed","output":[{"type":"message","id":"m","content":[{"text":"Hello"}]},{"type":"web_search_call","action":{"query":"tide"},"sources":["long"]}]}`, 16 + 5 + 16 + len64(`{"query":"tide"}`) + 8 + 16},
	} {
		if got := relay(newAnswer(c.asked, plainJSON), []string{c.text}, false); got.settled.output != c.want {
			t.Errorf("%s: seen %d, want %d", c.text, got.settled.output, c.want)
		}
	}
}

func len64(s string) int64 { return int64(len(s)) }

// Figures that are all zero are of a server that does not count, and no figures.
func TestNothingIsNoUsage(t *testing.T) {
	for name, c := range map[string]struct {
		asked follow.Asked
		kind  string
		text  string
	}{
		"a chat":       {chat, plainJSON, `{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`},
		"a stream":     {chat, sse, `data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":"stop"}]}` + "\n\n" + `data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}` + "\n\ndata: [DONE]\n\n"},
		"a message":    {messages, plainJSON, `{"content":[{"type":"text","text":"Hello"}],"usage":{"input_tokens":0,"output_tokens":0}}`},
		"an embedding": {embeddings, plainJSON, `{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":0,"total_tokens":0}}`},
	} {
		if got := whole(c.asked, c.kind, c.text); got.settled.told || !got.settled.complete {
			t.Errorf("%s: %+v", name, got.settled)
		}
	}
}
