package follow_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// echo is a guard that shows all it takes at once.
type echo struct{}

func (echo) Text(piece string) (string, *follow.Stop) { return piece, nil }
func (echo) End() (string, *follow.Stop)              { return "", nil }

// lagging keeps the last bytes back until more of the text comes.
type lagging struct {
	by   int
	kept string
}

func (g *lagging) Text(piece string) (string, *follow.Stop) {
	all := g.kept + piece
	n := max(0, len(all)-g.by)
	for n > 0 && n < len(all) && !utf8.RuneStart(all[n]) {
		n--
	}
	g.kept = all[n:]
	return all[:n], nil
}

func (g *lagging) End() (string, *follow.Stop) { return g.kept, nil }

// censor replaces a word, or ends the answer at it.
type censor struct {
	word, by string
	stop     *follow.Stop
	kept     string
}

func (g *censor) Text(piece string) (string, *follow.Stop) {
	all := g.kept + piece
	if at := strings.Index(all, g.word); at >= 0 && g.stop != nil {
		return all[:at], g.stop
	}
	var show strings.Builder
	for {
		before, after, found := strings.Cut(all, g.word)
		if !found {
			break
		}
		show.WriteString(before)
		show.WriteString(g.by)
		all = after
	}
	keep := min(len(all), len(g.word)-1)
	for !strings.HasPrefix(g.word, all[len(all)-keep:]) {
		keep--
	}
	g.kept = all[len(all)-keep:]
	show.WriteString(all[:len(all)-keep])
	return show.String(), nil
}

func (g *censor) End() (string, *follow.Stop) { return g.kept, nil }

const (
	secret = "secret"
	masked = "\"█\""
)

var found = &follow.Stop{Code: "guard_secret", Message: "a \"secret\" was found"}

func echoes(follow.Part) follow.Guard { return echo{} }

func lags(by int) func(follow.Part) follow.Guard {
	return func(follow.Part) follow.Guard { return &lagging{by: by} }
}

func censors(follow.Part) follow.Guard { return &censor{word: secret, by: masked} }

func stops(follow.Part) follow.Guard { return &censor{word: secret, stop: found} }

func with(asked follow.Asked, guards func(follow.Part) follow.Guard) follow.Asked {
	asked.Guards = guards
	return asked
}

// What guards only look at is relayed as if nobody did, byte for byte, wherever the
// bytes are cut, and all is known of it that is known otherwise.
func TestAGuardThatChangesNothingChangesNoByte(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, c := range samples {
		for _, ends := range []string{"\n", "\r\n", "\r"} {
			text, kind := sample(t, c.name), typeOf(c.name)
			if kind == sse {
				text = strings.ReplaceAll(text, "\n", ends)
			}
			want := whole(c.asked, kind, text)
			for i := range 12 {
				pieces := randomly(random, text)
				if i == 0 {
					pieces = bytesOf(text)
				}
				got := relay(newAnswer(with(c.asked, echoes), kind), pieces, true)
				if got.text != want.text || got.times != 1 || !reflect.DeepEqual(got.settled, want.settled) || !reflect.DeepEqual(got.last, want.last) {
					t.Fatalf("%s with %q, cut into %.60q:\n got %+v\nwant %+v", c.name, ends, pieces, got, want)
				}
				if kind == sse && got.before != want.before {
					t.Fatalf("%s with %q: went out before the settlement:\n got %q\nwant %q", c.name, ends, got.before, want.before)
				}
			}
		}
	}
}

// A guard that waits for more of a text changes when it comes, and nothing else: what
// a client puts together is the same, and so is what it learns beside.
func TestAGuardThatWaitsChangesNoText(t *testing.T) {
	for _, c := range samples {
		text, kind := sample(t, c.name), typeOf(c.name)
		want := whole(c.asked, kind, text)
		for _, by := range []int{1, 3, 40, follow.Holdback} {
			got := relay(newAnswer(with(c.asked, lags(by)), kind), []string{text}, true)
			if kind == plainJSON && got.text != want.text {
				t.Errorf("%s: %s", c.name, got.text)
			}
			if kind == sse {
				sameTexts(t, c.name, textsOf(t, c.asked, got.text), textsOf(t, c.asked, want.text))
			}
			if !reflect.DeepEqual(got.settled, want.settled) {
				t.Errorf("%s: settled %+v, want %+v", c.name, got.settled, want.settled)
			}
		}
	}
}

func sameTexts(t *testing.T, name string, got, want map[string]string) {
	t.Helper()
	for key, text := range want {
		if got[key] != text {
			t.Errorf("%s: %s is %q, want %q", name, key, got[key], text)
		}
	}
	for key, text := range got {
		if _, ok := want[key]; !ok && text != "" {
			t.Errorf("%s: there is no %s, but %q", name, key, text)
		}
	}
}

// A word is found wherever a model's pieces cut it, and what says the text again
// when it is whole says it without the word, too.
func TestAWordIsReplacedWhereverItIsCut(t *testing.T) {
	const text = "my secret is secretsecre safe, ✓ secret"
	for name, d := range written {
		for i := 1; i < len(text); i++ {
			for _, j := range []int{i, i + 1, i + 3, len(text)} {
				if j = min(j, len(text)); !utf8.RuneStart(text[i]) || j < len(text) && !utf8.RuneStart(text[j]) {
					continue
				}
				stream := d.stream([]string{text[:i], text[i:j], text[j:]})
				got := relay(newAnswer(with(d.asked, censors), sse), []string{stream}, true)
				if strings.Contains(got.text, secret) {
					t.Fatalf("%s, cut at %d and %d: the word went out:\n%s", name, i, j, got.text)
				}
				for key, said := range textsOf(t, d.asked, got.text) {
					if want := strings.ReplaceAll(text, secret, masked); said != want && said != "" {
						t.Fatalf("%s, cut at %d and %d: %s says %q, want %q\n%s", name, i, j, key, said, want, got.text)
					}
				}
				if !got.last.complete {
					t.Fatalf("%s: has no end: %s", name, got.text)
				}
			}
		}
	}
}

// A guard that ends an answer ends it as its dialect does, and nothing behind goes out.
func TestAGuardEndsAStream(t *testing.T) {
	const chatEnd = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"content_filter"}],` +
		`"signalbox":{"code":"guard_secret","message":"a \"secret\" was found"}}` + "\n\ndata: [DONE]\n\n"
	const responsesEnd = "event: response.incomplete\ndata: " + `{"type":"response.incomplete","response":{"id":"resp_1","object":"response","tools":[],` +
		`"status":"incomplete","error":null,"incomplete_details":{"reason":"content_filter"},"output":[],"usage":null},"sequence_number":4,` +
		`"signalbox":{"code":"guard_secret","message":"a \"secret\" was found"}}` + "\n\n"
	const messagesEnd = "event: content_block_stop\ndata: " + `{"type":"content_block_stop","index":0}` + "\n\nevent: message_delta\ndata: " +
		`{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},"usage":{"output_tokens":%d},"signalbox":{"code":"guard_secret","message":"a \"secret\" was found"}}` +
		"\n\nevent: message_stop\ndata: " + `{"type":"message_stop"}` + "\n\n"
	ends := map[string]string{"chat": chatEnd, "responses": responsesEnd, "messages": messagesEnd}
	for name, d := range written {
		stream := d.stream([]string{"it is a sec", "ret", " that nobody knows"})
		for _, pieces := range [][]string{{stream}, bytesOf(stream)} {
			a := newAnswer(with(d.asked, stops), sse)
			got := relay(a, pieces, true)
			end := ends[strings.TrimSuffix(name, " thoughts")]
			if d.asked.Endpoint == messages.Endpoint {
				end = fmt.Sprintf(end, got.settled.output)
			}
			if !strings.HasSuffix(got.text, end) || strings.HasSuffix(got.before, end) {
				t.Errorf("%s ends\n%s\nand not\n%s", name, got.text, end)
			}
			if strings.Contains(strings.TrimSuffix(got.text, end), secret) || strings.Contains(got.text, "nobody") {
				t.Errorf("%s: too much went out: %s", name, got.text)
			}
			if !strings.Contains(got.text, "it is a ") {
				t.Errorf("%s: what stood before it is missing: %s", name, got.text)
			}
			if !a.Stopped() || a.StoppedBy() != found || got.times != 1 || got.settled.complete || got.settled.output <= 0 {
				t.Errorf("%s: stopped %v, %+v", name, a.Stopped(), got.settled)
			}
		}
	}
}

// What a guard kept back of a text comes before the next text begins, so that thoughts
// do not come behind words, and no tool call is taken for whole before it is.
func TestWhatWasKeptBackComesBeforeWhatFollows(t *testing.T) {
	const around = `data: {"id":"c1","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}` + "\n\n"
	call := func(i int, text string) string {
		return fmt.Sprintf(`{"tool_calls":[{"index":%d,"type":"function","function":{"arguments":%s}}]}`, i, spelt(text))
	}
	var stream strings.Builder
	for _, delta := range []string{`{"reasoning_content":"thinking"}`, `{"reasoning_content":" hard"}`, `{"content":"words"}`, `{"content":"","refusal":null}`,
		call(0, `{"city":`), call(0, `"Ulm"}`), call(1, `{}`), call(1, ` `)} {
		fmt.Fprintf(&stream, around, delta, "null")
	}
	fmt.Fprintf(&stream, around, `{}`, `"tool_calls"`)
	for _, by := range []int{1, 4, 100} {
		got := relay(newAnswer(with(chat, lags(by)), sse), []string{stream.String() + "data: [DONE]\n\n"}, true)
		var order []string
		texts := map[string]string{}
		for _, e := range refEvents(got.text) {
			for key, text := range textsOf(t, chat, e.raw) {
				if texts[key] += text; text != "" && (len(order) == 0 || order[len(order)-1] != key) {
					order = append(order, key)
				}
			}
		}
		want := "choice 0 reasoning_content, choice 0 content, choice 0 tool_calls 0 function arguments, choice 0 tool_calls 1 function arguments"
		if said := strings.Join(order, ", "); said != want {
			t.Errorf("by %d they come in the order %s", by, said)
		}
		sameTexts(t, "chat", texts, textsOf(t, chat, stream.String()))
		if at := strings.Index(got.text, `"finish_reason":"tool_calls"`); at < 0 || strings.Contains(got.text[at:], "arguments") {
			t.Errorf("by %d something comes behind the finish: %s", by, got.text)
		}
	}
}

// Of a stream that ends without its protocol's words, nothing that was kept back is lost.
func TestNothingIsKeptBackAtTheEnd(t *testing.T) {
	const piece = `data: {"id":"c1","choices":[{"index":0,"delta":{"content":"all of it"},"finish_reason":null}]}`
	for _, end := range []string{"", "\n", "\n\n", "\r\n\r\n", "\n\ndata: [DONE]", "\n\ndata: [DONE]\n\n", "\n\ndata: {\"error\":{\"message\":\"no\"}}\n\n"} {
		for _, pieces := range [][]string{{piece + end}, bytesOf(piece + end)} {
			got := relay(newAnswer(with(chat, lags(5)), sse), pieces, true)
			if texts := textsOf(t, chat, got.text); texts["choice 0 content"] != "all of it" {
				t.Errorf("with %q at its end it says %q: %s", end, texts, got.text)
			}
			if strings.HasSuffix(end, "[DONE]\n\n") && !strings.HasSuffix(got.text, "data: [DONE]\n\n") {
				t.Errorf("the end is not the end: %s", got.text)
			}
		}
	}
}

// Data in several lines is one text, and is spelt anew where it changes.
func TestDataInSeveralLinesIsGuarded(t *testing.T) {
	const event = "id: 7\ndata: {\"choices\":[{\"index\":0,\ndata:\"delta\":{\"content\":\ndata:  \"my secret\"}}]}\n\n"
	got := relay(newAnswer(with(chat, censors), sse), bytesOf(event), true)
	if texts := textsOf(t, chat, got.text); texts["choice 0 content"] != "my "+masked || !strings.HasPrefix(got.text, "id: 7\n") {
		t.Errorf("%q", got.text)
	}
}

func TestAGuardEndsADocument(t *testing.T) {
	for _, c := range []struct {
		asked      follow.Asked
		text, want string
	}{
		{chat, `{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a fine secret thing"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}` + "\n",
			`{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a fine ","refusal":null},"logprobs":null,"finish_reason":"content_filter"}],` +
				`"usage":{"prompt_tokens":3,"completion_tokens":4},"signalbox":{"code":"guard_secret","message":"a \"secret\" was found"}}`},
		{messages, `{"id":"m1","type":"message","role":"assistant","content":[{"type":"thinking","thinking":"a secret?","signature":"s"},{"type":"text","text":"no"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":4}}`,
			`{"id":"m1","type":"message","role":"assistant","content":[{"type":"text","text":""}],"stop_reason":"refusal","stop_sequence":null,` +
				`"usage":{"input_tokens":3,"output_tokens":4},"signalbox":{"code":"guard_secret","message":"a \"secret\" was found"}}`},
		{responses, `{"id":"r1","object":"response","status":"completed","output":[{"type":"message","id":"m","role":"assistant","content":[{"type":"output_text","text":"my secret"}]}],"tools":[],"usage":{"input_tokens":3,"output_tokens":4}}`,
			`{"id":"r1","object":"response","tools":[],"status":"incomplete","error":null,"incomplete_details":{"reason":"content_filter"},` +
				`"output":[{"type":"message","id":"msg_filtered","role":"assistant","status":"incomplete","content":[{"type":"output_text","text":"my ","annotations":[]}]}],` +
				`"usage":{"input_tokens":3,"output_tokens":4},"signalbox":{"code":"guard_secret","message":"a \"secret\" was found"}}`},
	} {
		a := newAnswer(with(c.asked, stops), plainJSON)
		got := relay(a, bytesOf(c.text), true)
		if got.text != c.want || got.before != "" {
			t.Errorf("%s before it was settled, and in all\n%s\nwant\n%s", got.before, got.text, c.want)
		}
		if !a.Stopped() || got.times != 1 || got.settled.used.Output != 4 || !got.settled.told {
			t.Errorf("stopped %v, %+v", a.Stopped(), got.settled)
		}
	}
}

func TestADocumentIsGuardedWhole(t *testing.T) {
	const text = ` {"id":"secret","choices":[{"index":0,"message":{"role":"assistant","content":"a se\u0063ret","refusal":null,"reasoning_content":"secret!",` +
		`"tool_calls":[{"id":"secret","type":"function","function":{"name":"secret","arguments":"{\"a\":\"secret\"}"}}]},"logprobs":{"content":[{"token":"secret"}]},"finish_reason":"stop"}]}`
	const want = ` {"id":"secret","choices":[{"index":0,"message":{"role":"assistant","content":"a \"█\"","refusal":null,"reasoning_content":"\"█\"!",` +
		`"tool_calls":[{"id":"secret","type":"function","function":{"name":"secret","arguments":"{\"a\":\"\"█\"\"}"}}]},"logprobs":null,"finish_reason":"stop"}]}`
	if got := relay(newAnswer(with(chat, censors), plainJSON), bytesOf(text+"\n"), true); got.text != want+"\n" {
		t.Errorf("got\n%s\nwant\n%s", got.text, want)
	}
	words := func(part follow.Part) follow.Guard {
		if part != follow.Words {
			return nil
		}
		return censors(part)
	}
	got := relay(newAnswer(with(chat, words), plainJSON), []string{text}, true)
	if strings.Count(got.text, "█") != 1 || !strings.Contains(got.text, `"arguments":"{\"a\":\"secret\"}"`) {
		t.Errorf("only words were to be read: %s", got.text)
	}
}

// The tokens of a text say it again. They stay only where it is shown as it was.
func TestTokensGoWithTheirText(t *testing.T) {
	const event = `data: {"choices":[{"index":%d,"logprobs":{"content":[{"token":"x"}]},"delta":{"content":%q},"finish_reason":null}]}` + "\n\n"
	stream := fmt.Sprintf(event, 0, "fine ") + fmt.Sprintf(event, 0, "my secret.") + fmt.Sprintf(event, 1, "well")
	got := relay(newAnswer(with(chat, censors), sse), []string{stream}, true)
	if strings.Count(got.text, `"logprobs":{"content"`) != 2 || strings.Count(got.text, `"logprobs":null`) != 1 || !strings.Contains(got.text, `my \"█\".`) {
		t.Error(got.text)
	}
	const done = "event: response.output_text.done\ndata: " + `{"type":"response.output_text.done","output_index":0,"text":"%s","logprobs":[{"token":"x"}]}` + "\n\n"
	got = relay(newAnswer(with(responses, censors), sse), []string{fmt.Sprintf(done, "fine") + fmt.Sprintf(done, secret)}, true)
	if strings.Count(got.text, `"logprobs":[{"token":"x"}]`) != 1 || strings.Count(got.text, `"logprobs":[]`) != 1 {
		t.Error(got.text)
	}
}

// What guards cannot read is not shown to anybody.
func TestNothingPassesUnread(t *testing.T) {
	deep := `{"choices":[{"delta":{"content":` + strings.Repeat("[", 200) + `"secret"` + strings.Repeat("]", 200) + `}}]}`
	many := strings.Builder{}
	for i := range 300 {
		fmt.Fprintf(&many, "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%d,\"function\":{\"arguments\":\"s\"}}]}},"+
			"{\"index\":%d,\"delta\":{\"content\":\"s\"}}]}\n\n", i, i+1)
	}
	for name, c := range map[string]struct {
		asked          follow.Asked
		kind, encoding string
		text           string
	}{
		"encoded":                {chat, sse, "gzip", "secret"},
		"of a type nobody knows": {chat, "text/plain", "", "secret"},
		"no JSON":                {chat, sse, "", "data: secret\n\n"},
		"no object":              {chat, sse, "", "data: [\"secret\"]\n\n"},
		"half an object":         {messages, sse, "", "data: {\"delta\":{\"text\":\"secret\"\n\n"},
		"nobody's line":          {chat, sse, "", "{\"choices\":[{\"message\":{\"content\":\"secret\"}}]}\n\n"},
		"a line of any name":     {chat, sse, "", "secret: 1\ndata: {}\n\n"},
		"too deep":               {chat, sse, "", "data: " + deep + "\n\n"},
		"a document too deep":    {chat, plainJSON, "", deep},
		"a broken document":      {responses, plainJSON, "", `{"output":[secret`},
		"not one document":       {chat, plainJSON, "", `["secret"]`},
		"too large":              {chat, sse, "", "data: {\"x\":\"" + strings.Repeat("secret", 2<<20) + "\"}\n\n"},
		"a document too large":   {messages, plainJSON, "", `{"x":"` + strings.Repeat("secret", 2<<20)},
		"too many texts":         {chat, sse, "", many.String()},
	} {
		a := follow.New(with(c.asked, lags(9)), 200, c.kind, c.encoding)
		got := relay(a, []string{c.text[:len(c.text)/2], c.text[len(c.text)/2:], c.text}, true)
		if !a.Stopped() || got.times != 1 {
			t.Errorf("%s: stopped %v, %+v", name, a.Stopped(), got.settled)
		}
		if strings.Contains(got.text, secret) {
			t.Errorf("%s: %.300s", name, got.text)
		}
		if now := follow.New(with(c.asked, echoes), 200, c.kind, c.encoding); now.Stopped() != (name == "encoded" || name == "of a type nobody knows") {
			t.Errorf("%s: known from the beginning: %v", name, now.Stopped())
		} else if !now.Stopped() && !strings.Contains(got.text, `"upstream_unavailable"`) {
			t.Errorf("%s: does not say why: %.300s", name, got.text)
		}
	}
}

// An answer that breaks off shows no part of an event that nobody has read, and none
// of a document.
func TestHalfAnEventIsNotShown(t *testing.T) {
	for name, d := range written {
		stream := d.stream([]string{"a sec", "ret"})
		for i := range stream {
			got := relay(newAnswer(with(d.asked, censors), sse), []string{stream[:i]}, false)
			if strings.Contains(got.text, secret) || got.text != "" && !strings.HasSuffix(got.text, "\n\n") {
				t.Fatalf("%s broken off at %d: %q", name, i, got.text)
			}
		}
	}
	const document = `{"choices":[{"message":{"content":"fine"}}]}`
	for _, clean := range []bool{true, false} {
		if got := relay(newAnswer(with(chat, censors), plainJSON), []string{document[:30]}, clean); got.text != "" || got.settled.complete {
			t.Errorf("half a document: %+v", got)
		}
	}
}

// Errors are no text of a model's, and embeddings have none.
func TestWhatHasNoTextIsNotGuarded(t *testing.T) {
	const text = `{"error":{"message":"secret"}}`
	if got := relay(follow.New(with(chat, censors), 400, plainJSON, ""), []string{text}, true); got.text != text || got.times != 1 {
		t.Errorf("%+v", got)
	}
	if a := follow.New(with(embeddings, censors), 200, "application/x-vectors", ""); a.Stopped() || string(a.Write([]byte("secret"))) != "secret" {
		t.Error("embeddings were stopped")
	}
}
