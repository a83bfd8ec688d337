package llm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

var (
	chat     = llm.Route{Dialect: llm.OpenAI, Endpoint: llm.ChatCompletions}
	messages = llm.Route{Dialect: llm.Anthropic, Endpoint: llm.Messages}
	counting = llm.Route{Dialect: llm.Anthropic, Endpoint: llm.CountTokens, Free: true}
)

// chatWith and messagesWith are valid bodies with more fields.
func chatWith(fields string) string {
	return `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]` + comma(fields) + `}`
}

func messagesWith(fields string) string {
	return `{"model":"claude","max_tokens":4096,"messages":[{"role":"user","content":"hi"}]` + comma(fields) + `}`
}

func comma(fields string) string {
	if fields == "" {
		return ""
	}
	return "," + fields
}

func read(t *testing.T, route llm.Route, body string) *llm.Ask {
	t.Helper()
	ask, p := llm.Parse(route, []byte(body), true)
	if p != nil {
		t.Fatalf("%s: %s", body, p.Message)
	}
	return ask
}

func TestAChatIsReadAsItIsWritten(t *testing.T) {
	a := read(t, chat, `{"model":"gpt-4o","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}],
		"max_tokens":64,"n":3,"stream":true,"stream_options":{"include_usage":true},"user":"u-1","safety_identifier":"s-1",
		"metadata":{"session_id":"se-1","other":"x"},"service_tier":"default","temperature":0.5,"tools":[{"type":"function","function":{"name":"f"}}]}`)
	type summary struct {
		Model                    string
		Stream, IncludeUsage     bool
		N, MaxOutput, MinOutput  int64
		Messages, Tools          int
		User, Safety, Session, T string
	}
	got := summary{a.Model, a.Stream, a.IncludeUsage, a.N, a.MaxOutput, a.MinOutput, a.Messages, a.Tools, a.User, a.SafetyIdentifier, a.Session, a.ServiceTier}
	want := summary{"gpt-4o", true, true, 3, 64, 1, 2, 1, "u-1", "s-1", "se-1", "default"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if s := a.ModelSpan; string(a.Body[s[0]:s[1]]) != "gpt-4o" || s != [2]int{10, 16} {
		t.Errorf("the model stands at %v", s)
	}
	if len(a.Unbounded) != 0 {
		t.Errorf("unbounded: %+v", a.Unbounded)
	}
}

func TestAMessageIsReadAsItIsWritten(t *testing.T) {
	a := read(t, messages, `{"model":"claude","max_tokens":4096,"system":[{"type":"text","text":"be brief"}],"stream":true,
		"thinking":{"type":"enabled","budget_tokens":2048},"metadata":{"user_id":"user_ab12_account__session_77f0"},
		"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"service_tier":"auto"}`)
	if a.Model != "claude" || a.MaxOutput != 4096 || a.Thinking != 2048 || a.MinOutput != 1025 || !a.Stream || a.N != 1 {
		t.Errorf("got %+v", a)
	}
	if a.User != "user_ab12_account" || a.Session != "77f0" {
		t.Errorf("user %q, session %q", a.User, a.Session)
	}
	if a.CacheWrite || a.CacheWriteLong || len(a.Unbounded) != 0 {
		t.Errorf("nothing here writes a cache or is unbounded: %+v", a)
	}
}

func TestThePathNamesTheModelOnAzure(t *testing.T) {
	route, _ := llm.Recognise("POST", "/openai/deployments/mini/chat/completions?api-version=1")
	a := read(t, route, `{"messages":[]}`)
	if a.Model != "mini" || a.ModelSpan != [2]int{} {
		t.Errorf("model %q at %v", a.Model, a.ModelSpan)
	}
	// The body's model is still found: another provider would believe it.
	a = read(t, route, `{"model":"dear","messages":[]}`)
	if a.Model != "mini" || a.ModelSpan != [2]int{10, 14} {
		t.Errorf("model %q at %v", a.Model, a.ModelSpan)
	}
}

func TestEscapedKeysAndValuesAreTheSameKeysAndValues(t *testing.T) {
	a := read(t, chat, `{"mod\u0065l":"gpt\u002d4o","\u006dessages":[{"role":"user","content":"hi"}],"max\u005ftokens":7,"str\u0065am":true}`)
	if a.Model != "gpt-4o" || a.MaxOutput != 7 || !a.Stream {
		t.Errorf("got %+v", a)
	}
	if got := string(a.Body[a.ModelSpan[0]:a.ModelSpan[1]]); got != `gpt\u002d4o` {
		t.Errorf("the model's span holds %q", got)
	}
}

// A null is what SDKs send for "not said".
func TestNullIsNotSaid(t *testing.T) {
	a := read(t, chat, chatWith(`"max_tokens":null,"max_completion_tokens":null,"n":null,"stream":null,"stream_options":null,"tools":null,
		"functions":null,"response_format":null,"prediction":null,"service_tier":null,"modalities":null,"audio":null,
		"web_search_options":null,"user":null,"metadata":null,"prompt_cache_options":null,"data_sources":null,"thinking":null`))
	if a.MaxOutput != 0 || a.N != 1 || a.Stream || a.Tools != 0 || len(a.Unbounded) != 0 || a.ServiceTier != "" {
		t.Errorf("got %+v", a)
	}
	b := read(t, messages, messagesWith(`"system":null,"stream":null,"tools":null,"thinking":null,"service_tier":null,"speed":null,
		"inference_geo":null,"cache_control":null,"container":null,"context_management":null,"mcp_servers":null,"fallbacks":null,
		"output_config":null,"metadata":null,"betas":null`))
	if len(b.Unbounded) != 0 || b.CacheWrite || b.MinOutput != 1 {
		t.Errorf("got %+v", b)
	}
}

func TestNumbersInEverySpelling(t *testing.T) {
	for spelling, want := range map[string]int64{
		"64": 64, "64.0": 64, "6.4e1": 64, "640E-1": 64, "1e3": 1000, "1E+3": 1000, "1099511627776": 1 << 40, "1.0": 1,
	} {
		if a := read(t, chat, chatWith(`"max_tokens":`+spelling)); a.MaxOutput != want {
			t.Errorf("%s: got %d, want %d", spelling, a.MaxOutput, want)
		}
	}
	for _, spelling := range []string{"0", "-0", "-1", "0.5", "1.5", "1e-3", "-1e30", "1e30", "1e400", "1099511627777",
		"9223372036854775808", "18446744073709551617", `"64"`, "true", "[64]", "{}"} {
		_, p := llm.Parse(chat, []byte(chatWith(`"max_tokens":`+spelling)), true)
		if p == nil || p.Code != "malformed" || p.Param != "max_tokens" {
			t.Errorf("max_tokens %s: %+v", spelling, p)
		}
	}
	if a := read(t, messages, `{"model":"c","max_tokens":0,"messages":[]}`); !a.NoOutput || a.MaxOutput != 0 {
		t.Errorf("max_tokens 0 fills Anthropic's cache: %+v", a)
	}
}

func TestTheLargerOfTwoLimitsCounts(t *testing.T) {
	a := read(t, chat, chatWith(`"max_tokens":10,"max_completion_tokens":20`))
	b := read(t, chat, chatWith(`"max_completion_tokens":20,"max_tokens":10`))
	if a.MaxOutput != 20 || b.MaxOutput != 20 {
		t.Errorf("got %d and %d", a.MaxOutput, b.MaxOutput)
	}
}

// secret stands wherever a body is broken: no message may hold it.
const secret = "TOPSECRET"

func TestBadBodiesAreRefusedWithAPlaceAndWithoutTheirContent(t *testing.T) {
	nested := func(open, shut string, n int) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
	type bad struct{ name, body, says string }
	ofBoth := []bad{
		{"empty", "", "empty"},
		{"white space", " \n\t ", "ends in the middle"},
		{"a byte order mark", "\xef\xbb\xbf" + chatWith(""), "byte order mark"},
		{"not an object", `["` + secret + `"]`, "must be an object, got an array (byte 0)"},
		{"a string", `"` + secret + `"`, "must be an object, got a string"},
		{"null", `null`, "must be an object, got null"},
		{"a bare word", secret, "not JSON (byte 0)"},
		{"single quotes", `{'model':'` + secret + `'}`, "not JSON (byte 1)"},
		{"a comment", `{/*` + secret + `*/}`, "not JSON"},
		{"a trailing comma", `{"model":"` + secret + `",}`, "not JSON"},
		{"NaN", chatWith(`"temperature":NaN`), "not JSON"},
		{"a control character", "{\"model\":\"" + secret + "\n\"}", "not JSON"},
		{"cut short", `{"model":"` + secret + `","messages":[{"role":"user","content":"` + secret, "ends in the middle"},
		{"cut in a key", `{"model":"gpt-4o","mess`, "ends in the middle"},
		{"trailing bytes", chatWith("") + secret, "goes on after its end"},
		{"two documents", chatWith("") + chatWith(""), "goes on after its end"},
		{"not UTF-8", chatWith(`"user":"` + secret + "\xff" + `"`), "not UTF-8 (byte 79)"},
		{"not UTF-8 in what is skipped", chatWith(`"logit_bias":{"` + "\xc3\x28" + `":1}`), "not UTF-8"},
		{"half a surrogate pair", chatWith(`"user":"\ud83d ` + secret + `"`), "not JSON"},
		{"no model", `{"messages":[]}`, "model is missing"},
		{"a null model", `{"model":null,"messages":[]}`, "model is missing"},
		{"an empty model", `{"model":"","messages":[]}`, "model must not be empty"},
		{"a model that is a number", `{"model":4,"messages":[]}`, "model must be a string, got a number (byte 9)"},
		{"no messages", `{"model":"x"}`, "messages is missing"},
		{"messages that are text", `{"model":"x","messages":"` + secret + `"}`, "messages must be an array, got a string"},
		{"a message that is text", `{"model":"x","messages":["` + secret + `"]}`, "messages[0] must be an object, got a string"},
		{"content that is a number", `{"model":"x","messages":[{"content":7}]}`, "messages[0].content must be a string or an array of parts, got a number"},
		{"nested 100,000 arrays deep", chatWith(`"x":` + nested("[", "]", 100_000)), "nested deeper than 512"},
		{"nested 100,000 objects deep", chatWith(`"tools":[` + nested(`{"a":`, "1}", 100_000)[:500_000] + "1" + strings.Repeat("}", 100_000) + "]"), "nested deeper than 512"},
		{"opened 100,000 times", strings.Repeat("[", 100_000), "must be an object"},
	}
	ofChats := []bad{
		{"nested 100,000 deep where nobody reads", chatWith(`"logit_bias":` + nested("[", "]", 100_000)), "nested too deep"},
		{"a limit that is text", chatWith(`"max_tokens":"` + secret + `"`), "max_tokens must be a positive whole number, got a string"},
		{"a negative limit", chatWith(`"max_completion_tokens":-1`), "max_completion_tokens must be a positive whole number (byte"},
		{"n of zero", chatWith(`"n":0`), "n must be a positive whole number"},
		{"n without end", chatWith(`"n":1025`), "n must be at most 1024"},
		{"stream that is text", chatWith(`"stream":"` + secret + `"`), "stream must be true or false, got a string"},
		{"include_usage that is a number", chatWith(`"stream_options":{"include_usage":1}`), "stream_options.include_usage must be true or false, got a number"},
		{"tools that are an object", chatWith(`"tools":{"` + secret + `":1}`), "tools must be an array, got an object"},
	}
	refused := func(route llm.Route, c bad) {
		ask, p := llm.Parse(route, []byte(c.body), true)
		switch {
		case p == nil:
			t.Errorf("%s (%s): read as %+v", c.name, route.Dialect, ask)
		case p.Code != "malformed" || !strings.Contains(p.Message, c.says):
			t.Errorf("%s (%s): %s: %q, want %q in it", c.name, route.Dialect, p.Code, p.Message, c.says)
		case strings.Contains(p.Message+p.Param, secret) || len(p.Message) > 300:
			t.Errorf("%s: the message quotes the body: %.400q", c.name, p.Message)
		}
	}
	for _, c := range ofBoth {
		refused(chat, c)
		refused(messages, c)
	}
	for _, c := range ofChats {
		refused(chat, c)
	}
}

func TestABodyCutShortMattersUnlessTheCallIsFree(t *testing.T) {
	whole := []byte(chatWith(""))
	for _, body := range [][]byte{nil, whole[:20], whole} {
		if _, p := llm.Parse(chat, body, false); p == nil || p.Code != "too_large" {
			t.Errorf("%d bytes: %+v", len(body), p)
		}
		if _, p := llm.Parse(counting, body, false); p != nil {
			t.Errorf("a free call was refused: %+v", p)
		}
	}
	if _, p := llm.Parse(llm.Route{Dialect: llm.OpenAI, Endpoint: llm.Models, Free: true}, nil, true); p != nil {
		t.Errorf("a list of models has no body: %+v", p)
	}
}

func TestEightMebibytesAreRead(t *testing.T) {
	text := strings.Repeat("0123456789abcde\\n", 8<<20/17)
	a := read(t, chat, `{"model":"x","messages":[{"role":"user","content":"`+text+`"}]}`)
	if least := int64(len(text) / 17 * 16); a.InputTokens < least || a.InputTokens > least+1000 {
		t.Errorf("input %d, want a little above %d", a.InputTokens, least)
	}
	// Very many very small things: linear, and bounded in what is kept of them.
	a = read(t, chat, `{"model":"x","messages":[{"role":"user","content":[`+strings.Repeat(`{"file":{}},`, 600_000)+`""]}]}`)
	if a.Files != 600_000 || len(a.Unbounded) > 32 {
		t.Errorf("%d files, %d unbounded", a.Files, len(a.Unbounded))
	}
}

func TestAPromptInMillionsOfPiecesIsTooLarge(t *testing.T) {
	for _, turns := range []string{
		strings.Repeat(`{},`, 100_001) + `{}`, `{"content":[` + strings.Repeat(`"",`, 1<<20) + `""]}`,
	} {
		if _, p := llm.Parse(chat, []byte(`{"model":"m","messages":[`+turns+`]}`), true); p == nil || p.Code != "too_large" {
			t.Errorf("%.40s…: %+v", turns, p)
		}
	}
}

// Every key that is read is a key that a provider may read differently when it
// is there twice.
func TestADuplicateOfAKeyThatIsReadIsMalformed(t *testing.T) {
	check := func(route llm.Route, name, twice string) {
		t.Helper()
		_, p := llm.Parse(route, []byte(twice), true)
		if p == nil || p.Code != "malformed" || !strings.Contains(p.Message, "there twice, at bytes ") {
			t.Errorf("%s %s: %+v", route.Dialect, name, p)
			return
		}
		var first, second int
		if _, err := fmt.Sscanf(p.Message[strings.Index(p.Message, "at bytes"):], "at bytes %d and %d", &first, &second); err != nil {
			t.Errorf("%s: %q names no two places", name, p.Message)
		} else if twice[first] != '"' || twice[second] != '"' || first >= second || second != p.Offset {
			t.Errorf("%s: places %d and %d in %s", name, first, second, twice)
		}
		if !strings.HasSuffix(p.Param, name) {
			t.Errorf("param %q, want %q at its end", p.Param, name)
		}
	}
	escape := func(name string) string { return fmt.Sprintf(`\u%04x%s`, name[0], name[1:]) }
	for _, name := range llm.ChatFields {
		pair := fmt.Sprintf(`"%s":null,"%s":null`, name, escape(name))
		if name == "messages" {
			pair = `"messages":[],"\u006dessages":[]`
		}
		check(chat, name, `{`+pair+`}`)
	}
	for _, name := range llm.MessagesFields {
		pair := fmt.Sprintf(`"%s":null,"x":1,"%s":null`, escape(name), name)
		if name == "messages" {
			pair = `"messages":[],"messages":[]`
		}
		check(messages, name, `{`+pair+`}`)
	}
	for _, name := range llm.ResponsesFields {
		pair := fmt.Sprintf(`"%s":null,"x":1,"%s":null`, escape(name), name)
		check(responses, name, `{`+pair+`}`)
	}
	for _, name := range llm.EmbeddingsFields {
		pair := fmt.Sprintf(`"%s":null,"%s":null`, escape(name), name)
		if name == "messages" {
			pair = `"messages":[],"messages":[]`
		}
		check(embeddings, name, `{`+pair+`}`)
	}
	for _, c := range []struct {
		route      llm.Route
		name, body string
	}{
		{responses, "encrypted_content", `{"input":[{"encrypted_content":"a","encrypted_content":null}]}`},
		{responses, "file_id", `{"input":[{"content":[{"file_id":null,"file_id":"f"}]}]}`},
		{responses, "execution", `{"tools":[{"execution":"client","execution":"server"}]}`},
		{responses, "id", `{"conversation":{"id":"a","id":"b"}}`},
		{responses, "type", `{"context_management":[{"type":"compaction","type":"x"}]}`},
		{responses, "enabled", `{"multi_agent":{"enabled":false,"enabled":true}}`},
		{responses, "mode", `{"reasoning":{"mode":"standard","mode":"pro"}}`},
		{chat, "role", `{"messages":[{"role":"user","role":"system"}]}`},
		{chat, "content", `{"messages":[{"content":"a","content":"b"}]}`},
		{chat, "type", `{"messages":[{"content":[{"type":"text","type":"file"}]}]}`},
		{chat, "image_url", `{"messages":[{"content":[{"image_url":{},"image_url":{}}]}]}`},
		{chat, "detail", `{"messages":[{"content":[{"image_url":{"detail":"low","url":"","detail":"high"}}]}]}`},
		{chat, "include_usage", `{"stream_options":{"include_usage":true,"include_usage":false}}`},
		{chat, "type", `{"tools":[{"type":"function","type":"web_search"}]}`},
		{chat, "mode", `{"prompt_cache_options":{"mode":"explicit","mode":"implicit"}}`},
		{messages, "type", `{"messages":[{"content":[{"type":"text","type":"document"}]}]}`},
		{messages, "data", `{"messages":[{"content":[{"source":{"data":"","data":""}}]}]}`},
		{messages, "budget_tokens", `{"thinking":{"budget_tokens":1,"budget_tokens":2}}`},
		{messages, "ttl", `{"cache_control":{"ttl":"5m","ttl":"1h"}}`},
		{messages, "max_uses", `{"tools":[{"max_uses":1,"max_uses":2}]}`},
		{messages, "user_id", `{"metadata":{"user_id":"a","user_id":"b"}}`},
	} {
		check(c.route, c.name, c.body)
	}
}

// A provider written in Go takes another case for the same name.
func TestAKeyThatIsReadInAnotherCaseIsMalformed(t *testing.T) {
	for _, body := range []string{
		chatWith(`"MAX_TOKENS":100000`), chatWith(`"max_tokens":1,"Max_Tokens":100000`), chatWith(`"me\u017f\u017fages":[]`),
		chatWith(`"Model":"dear"`), `{"model":"m","messages":[{"content":[{"Type":"image_url"}]}]}`,
	} {
		if _, p := llm.Parse(chat, []byte(body), true); p == nil || p.Code != "malformed" || !strings.Contains(p.Message, "another case") {
			t.Errorf("%s: %+v", body, p)
		}
	}
	// Where names are the caller's own, they are.
	read(t, chat, chatWith(`"metadata":{"User_ID":"1"},"tools":[{"function":{"parameters":{"CACHE_CONTROL":{}}}}]`))
}

// More names at one level than are kept would let a duplicate through.
func TestNoLevelReadsMoreNamesThanAreKept(t *testing.T) {
	for _, names := range llm.AllNames {
		if len(names) > llm.MaxNames {
			t.Errorf("%d names at the level of %s", len(names), names[0])
		}
	}
}

func TestADuplicateOfWhatNobodyReadsPasses(t *testing.T) {
	read(t, chat, chatWith(`"logit_bias":{"1":1,"1":2},"extra":1,"extra":2`))
	read(t, chat, `{"model":"x","messages":[{"role":"user","content":"a","note":1,"note":2}],"tools":[{"function":{"parameters":{"a":1,"a":2}}}]}`)
	read(t, messages, `{"model":"x","messages":[{"content":[{"type":"tool_use","input":{"a":1,"a":2}}]}]}`)
}

func TestUnknownFieldsAreLeftAloneButPaidFor(t *testing.T) {
	text := strings.Repeat("words ", 100)
	plain := read(t, chat, chatWith("")).InputTokens
	for _, field := range []string{`"documents":["` + text + `"]`, `"x":{"y":[{"z":"` + text + `"}]}`, `"` + text + `":1`} {
		if more := read(t, chat, chatWith(field)).InputTokens - plain; more < 600 {
			t.Errorf("%.20s…: only %d tokens for 600 bytes", field, more)
		}
		if more := read(t, messages, messagesWith(field)).InputTokens - plain; more < 600 {
			t.Errorf("%.20s…: only %d tokens for 600 bytes", field, more)
		}
	}
}

func BenchmarkParseChat2KB(b *testing.B) {
	body := []byte(chat2KB)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, p := llm.Parse(chat, body, true); p != nil {
			b.Fatal(p)
		}
	}
}

// chat2KB is like most bodies: a system prompt, some turns, no tools.
var chat2KB = `{"model":"gpt-4o","temperature":0.2,"stream":true,"messages":[` +
	`{"role":"system","content":"` + strings.Repeat("You are a careful assistant. ", 20) + `"},` +
	`{"role":"user","content":"` + strings.Repeat("How do I return a parcel?\\n", 20) + `"},` +
	`{"role":"assistant","content":"` + strings.Repeat("You print the label first. ", 15) + `"},` +
	`{"role":"user","content":"` + strings.Repeat("And then? ", 40) + `"}],"max_tokens":512,"user":"u-17"}`
