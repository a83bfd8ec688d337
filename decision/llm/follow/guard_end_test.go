package follow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// orderOf says in which order a client reads texts and ends.
func orderOf(t *testing.T, asked follow.Asked, stream string, marks ...string) string {
	t.Helper()
	var order []string
	for _, e := range refEvents(stream) {
		if e.data == "" {
			continue
		}
		at := "text"
		for _, mark := range marks {
			if strings.Contains(e.raw, mark) {
				at = mark
			}
		}
		if at == "text" && strings.Join(valuesOf(textsOf(t, asked, e.raw)), "") == "" {
			continue
		}
		if len(order) == 0 || order[len(order)-1] != at {
			order = append(order, at)
		}
	}
	return strings.Join(order, ", ")
}

func valuesOf(texts map[string]string) (all []string) {
	for _, text := range texts {
		all = append(all, text)
	}
	return all
}

// Whatever ends a text: what was kept back of it stands before that.
func TestWhatWasKeptBackComesBeforeTheEnd(t *testing.T) {
	const chatPiece = `data: {"id":"c1","choices":[{"index":0,"delta":{"content":"kept"},"finish_reason":null}]}` + "\n\n"
	const begun = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"status\":\"in_progress\"},\"sequence_number\":0}\n\n"
	const responsesPiece = begun + "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"kept\",\"sequence_number\":1}\n\n"
	const messagesPiece = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"kept\"}}\n\n"
	for name, c := range map[string]struct {
		asked       follow.Asked
		stream, end string
	}{
		"finish":                 {chat, chatPiece + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n", `"finish_reason":"stop"`},
		"done":                   {chat, chatPiece + "data: [DONE]\n\n", "[DONE]"},
		"an error":               {chat, chatPiece + `data: {"error":{"message":"no"}}` + "\n\n", `"error"`},
		"a text that is done":    {responses, responsesPiece + "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"output_index\":0,\"text\":\"kept\",\"sequence_number\":2}\n\n", "output_text.done"},
		"a failed response":      {responses, responsesPiece + "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{},\"sequence_number\":2}\n\n", "response.failed"},
		"a response's error":     {responses, responsesPiece + "event: error\ndata: {\"type\":\"error\",\"message\":\"no\",\"sequence_number\":2}\n\n", "event: error"},
		"a block that is closed": {messages, messagesPiece + "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n", "content_block_stop"},
		"a message's end":        {messages, messagesPiece + "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n", "message_delta"},
		"a message's error":      {messages, messagesPiece + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"x\"}}\n\n", "event: error"},
	} {
		got := relay(newAnswer(with(c.asked, lags(3)), sse), bytesOf(c.stream), true)
		if order := orderOf(t, c.asked, got.text, c.end); order != "text, "+c.end {
			t.Errorf("%s: they come as %s: %s", name, order, got.text)
		}
		sameTexts(t, name, textsOf(t, c.asked, got.text), textsOf(t, c.asked, c.stream))
	}
	// A response that has no end says the rest with a number of its own.
	got := relay(newAnswer(with(responses, lags(3)), sse), []string{responsesPiece}, true)
	if texts := textsOf(t, responses, got.text); !strings.Contains(got.text, `"sequence_number":2}`) || texts["response.output_text.delta0 <nil> <nil>"] != "kept" {
		t.Errorf("%q: %s", texts, got.text)
	}
}

// A text that ends in the event that brings its last piece ends there.
func TestTheLastPieceBringsTheRest(t *testing.T) {
	const piece = `data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}` + "\n\n"
	got := relay(newAnswer(with(chat, lags(3)), sse), []string{fmt.Sprintf(piece, "all", "null") + fmt.Sprintf(piece, " of it", `"stop"`) + "data: [DONE]\n\n"}, true)
	if want := fmt.Sprintf(piece, "", "null") + fmt.Sprintf(piece, "all of it", `"stop"`) + "data: [DONE]\n\n"; got.text != want {
		t.Errorf("got\n%s\nwant\n%s", got.text, want)
	}
}

// Events of our own look like those around them: Azure's first has no choices, no id and
// no model, and some servers send a text as a list of parts.
func TestEventsOfOurOwnLookLikeTheOthers(t *testing.T) {
	const azure = `data: {"choices":[],"created":0,"id":"","model":"","object":""}` + "\n\n"
	const part = `data: {"id":"c1","model":"m","choices":[{"index":2,"delta":{"content":[{"type":"text","text":"my secre"}]},"finish_reason":null}],"usage":null}` + "\n\n"
	got := relay(newAnswer(with(chat, censors), sse), []string{azure + part + "data: [DONE]\n\n"}, true)
	const want = `data: {"id":"c1","model":"m","choices":[{"index":2,"finish_reason":null,"delta":{"content":[{"type":"text","text":"secre"}]}}]}` + "\n\n"
	if !strings.HasSuffix(got.text, want+"data: [DONE]\n\n") {
		t.Errorf("got\n%s\nwant\n%s", got.text, want)
	}
}

// Behind an end that went out nothing ends a second time, and nothing is shown that a
// guard would not show.
func TestNothingEndsTwice(t *testing.T) {
	const done = "data: [DONE]\n\n"
	late := `data: {"choices":[{"index":0,"delta":{"content":"secret"},"finish_reason":null}]}` + "\n\n"
	for _, pieces := range [][]string{{done + late + late}, {done, late, late}} {
		got := relay(newAnswer(with(chat, stops), sse), pieces, true)
		if got.text != done || got.times != 1 {
			t.Errorf("%+v", got)
		}
	}
	const document = `{"choices":[{"message":{"content":"fine"}}]}`
	for _, pieces := range [][]string{{document + " \n" + "secret \n"}, {document, " ", "\nsecret", " "}} {
		if got := relay(newAnswer(with(chat, censors), plainJSON), pieces, true); got.text != document+" \n" {
			t.Errorf("%+v", got)
		}
	}
	a := newAnswer(with(chat, censors), sse)
	a.Write([]byte(late[:20]))
	a.Release() // it broke off
	if more := a.Write([]byte(late)); len(more) > 0 {
		t.Errorf("after its end it gives %q", more)
	}
}

// Sound comes in pieces, too, and is no text.
func TestSoundIsNotGuarded(t *testing.T) {
	const sound = "event: response.audio.delta\ndata: {\"type\":\"response.audio.delta\",\"output_index\":0,\"delta\":\"secret==\",\"sequence_number\":1}\n\n"
	if got := relay(newAnswer(with(responses, censors), sse), []string{sound}, true); got.text != sound {
		t.Errorf("%s", got.text)
	}
}

func TestAByteOrderMarkIsNoLine(t *testing.T) {
	const event = "\xef\xbb\xbfdata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"secret\"}}]}\n\n"
	got := relay(newAnswer(with(chat, censors), sse), []string{event}, true)
	if !strings.HasPrefix(got.text, "\xef\xbb\xbfdata: ") || strings.Contains(got.text, secret) || !strings.Contains(got.text, "█") {
		t.Errorf("%q", got.text)
	}
}

// What waits to be whole is bounded.
func TestWhatIsGuardedIsBounded(t *testing.T) {
	part := []byte(strings.Repeat("a", 64<<10))
	for kind, begin := range map[string]string{sse: `data: {"choices":[{"delta":{"content":"`, plainJSON: `{"choices":[{"message":{"content":"`} {
		a := newAnswer(with(chat, echoes), kind)
		a.Write([]byte(begin))
		for range 4 * follow.MaxGuarded / len(part) {
			a.Write(part)
		}
		if !a.Stopped() || !a.Ended() {
			t.Errorf("%s: not stopped", kind)
		}
		a.Release()
		if kept := a.Keeps(); kept > 64<<10 {
			t.Errorf("%s: keeps %d bytes of what it has thrown away", kind, kept)
		}
	}
}
