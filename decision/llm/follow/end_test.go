package follow_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
	"github.com/signalbox-dev/signalbox/journal"
)

const (
	hello    = `data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}` + "\n\n"
	stop     = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage    = `data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}` + "\n\n"
	counting = `data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":{"prompt_tokens":5,"completion_tokens":30}}` + "\n\n"
	done     = "data: [DONE]\n\n"

	opened  = `data: {"type":"message_start","message":{"usage":{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":1}}}` + "\n\n"
	stopped = `data: {"type":"message_stop"}` + "\n\n"
	created = `data: {"type":"response.created","response":{"status":"in_progress","usage":null}}` + "\n\n"
)

func closing(reason, usage string) string {
	return `data: {"type":"message_delta","delta":{"stop_reason":` + reason + `},"usage":` + usage + "}\n\n"
}

// What an answer is known to have used when its end is held back, or when it ended
// or broke off without one.
func TestHowAnswersEnd(t *testing.T) {
	two := journal.Tokens{Input: 5, Output: 2}
	for _, c := range []struct {
		name  string
		asked follow.Asked
		text  string
		clean bool
		want  verdict // tokens, complete and failed of it
		kept  string  // what is relayed, if not all
	}{
		{"chat", chatHiding, hello + stop + usage + done, true, verdict{used: two, told: true, complete: true}, hello + stop + done},
		{"no usage", chatHiding, hello + stop + done, true, verdict{complete: true}, ""},
		{"usage with the end, behind it", chatHiding, hello + stop + done + usage, true, verdict{used: two, told: true, complete: true}, hello + stop + done},
		{"no end mark", chatHiding, hello + stop + usage, true, verdict{used: two, told: true, complete: true}, hello + stop},
		{"an end mark without its blank line", chat, hello + "data: [DONE]", true, verdict{complete: true}, ""},
		{"an end mark that broke off", chat, hello + "data: [DO", true, verdict{}, ""},
		{"an end mark in another spelling", chat, hello + "data:[DONE] \n\n", true, verdict{complete: true}, ""},
		{"usage without its blank line", chatHiding, hello + stop + strings.TrimSpace(usage), true, verdict{used: two, told: true, complete: true}, hello + stop},
		{"usage that broke off", chatHiding, hello + stop + strings.TrimSpace(usage), false, verdict{}, hello + stop},
		{"broken off behind the usage", chatHiding, hello + stop + usage, false, verdict{used: two, told: true}, hello + stop},
		{"broken off before it", chatHiding, hello + stop, false, verdict{}, ""},
		{"an end without a reason to stop", chat, hello, true, verdict{}, ""},
		{"a server that counts along", chat, counting + stop + done, true, verdict{used: journal.Tokens{Input: 5, Output: 30}, told: true, complete: true}, ""},
		{"the same, broken off", chat, counting, false, verdict{}, ""},
		{"the same, closed early", chat, counting, true, verdict{}, ""},
		{"the same, closed when done", chat, counting + stop, true, verdict{used: journal.Tokens{Input: 5, Output: 30}, told: true, complete: true}, ""},
		{"figures that cannot be", chat, hello + stop + `data: {"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":2}}` + "\n\n" + done, true, verdict{complete: true}, ""},
		{"figures twice in one chunk", chat, hello + stop + `data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2},"usage":{"prompt_tokens":9,"completion_tokens":2}}` + "\n\n" + done, true, verdict{complete: true}, ""},
		{"a last chunk that cannot be read", chat, counting + "data: {\"choices\":[}\n\n" + done, true, verdict{complete: true}, ""},
		{"one, and then figures again", chat, counting + "data: {\"choices\":[}\n\n" + stop + usage + done, true, verdict{used: two, told: true, complete: true}, ""},
		{"usage that is a list", chatHiding, hello + stop + `data: {"choices":[],"usage":[{"prompt_tokens":5}]}` + "\n\n" + done, true, verdict{complete: true}, ""},
		{"figures of something else", chatHiding, hello + `data: {"choices":[],"response":{"usage":{"prompt_tokens":5,"completion_tokens":2}}}` + "\n\n" + done, true, verdict{complete: true}, ""},
		{"an event with two names", chat, hello + "event: er\nevent: ror\ndata: {}\n\n" + done, true, verdict{complete: true}, ""},
		{"words between", chat, hello + stop + usage + "data: ping\n\n" + done, true, verdict{used: two, told: true, complete: true}, ""},
		{"usage with no choices named", chatHiding, hello + stop + `data: {"usage":{"prompt_tokens":5,"completion_tokens":2}}` + "\n\n" + done, true, verdict{used: two, told: true, complete: true}, hello + stop + done},
		{"an error", chatHiding, hello + `data: {"error":{"code":502},"choices":[],"usage":{}}` + "\n\n" + done, true, verdict{failed: true}, ""},
		{"an error in one word", chat, hello + `data: {"error":"overloaded"}` + "\n\n", true, verdict{failed: true}, ""},
		{"an error by its event's name", chat, hello + "event: error\ndata: overloaded\n\n", true, verdict{failed: true}, ""},
		{"no error", chat, hello + `data: {"error":null,"choices":[]}` + "\n\n" + `data: {"error":"","choices":[]}` + "\n\n" + done, true, verdict{complete: true}, ""},
		{"an error that says what was used", chat, hello + `data: {"error":{"code":502},"choices":[{"delta":{},"finish_reason":"error"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}` + "\n\n" + done, true, verdict{used: two, told: true, failed: true}, ""},

		{"responses", responses, created + `data: {"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":2}}}` + "\n\n", true, verdict{used: two, told: true, complete: true}, ""},
		{"responses, types in the events' names", responses, "event: response.completed\ndata: " + `{"response":{"usage":{"input_tokens":5,"output_tokens":2}}}` + "\n\n", true, verdict{used: two, told: true, complete: true}, ""},
		{"responses, chat's end mark behind", responses, created + `data: {"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":2}}}` + "\n\n" + done, true, verdict{used: two, told: true, complete: true}, ""},
		{"responses, chat's end mark alone", responses, created + done, true, verdict{complete: true}, ""},
		{"responses, failed and billed", responses, created + `data: {"type":"response.failed","response":{"error":{},"usage":{"input_tokens":5,"output_tokens":2}}}` + "\n\n", true, verdict{used: two, told: true, failed: true}, ""},
		{"responses, cancelled", responses, created + `data: {"type":"response.cancelled","response":{"usage":null}}` + "\n\n", true, verdict{failed: true}, ""},
		{"responses, an error in another shape", responses, created + `data: {"error":{"type":"server_error"}}` + "\n\n", true, verdict{failed: true}, ""},
		{"responses, closed early", responses, created, true, verdict{}, ""},

		{"messages", messages, opened + closing(`"end_turn"`, `{"output_tokens":2}`) + stopped, true, verdict{used: journal.Tokens{Input: 30, Cached: 5, Output: 2}, told: true, complete: true}, ""},
		{"messages, several deltas", messages, opened + closing("null", `{"output_tokens":2}`) + closing(`"end_turn"`, `{"output_tokens":9,"input_tokens":100}`) + stopped, true, verdict{used: journal.Tokens{Input: 105, Cached: 5, Output: 9}, told: true, complete: true}, ""},
		{"messages, the first delta only", messages, opened + closing("null", `{"output_tokens":2}`), false, verdict{}, ""},
		{"messages, a reason without figures behind", messages, opened + closing("null", `{"output_tokens":2}`) + closing(`"end_turn"`, `null`), false, verdict{used: journal.Tokens{Input: 30, Cached: 5, Output: 2}, told: true}, ""},
		{"messages, no last event", messages, opened + closing(`"end_turn"`, `{"output_tokens":2}`), true, verdict{used: journal.Tokens{Input: 30, Cached: 5, Output: 2}, told: true, complete: true}, ""},
		{"messages, nulls and zeros", messages, opened + closing(`"end_turn"`, `{"input_tokens":0,"cache_read_input_tokens":null,"output_tokens":0}`) + stopped, true, verdict{used: journal.Tokens{Input: 30, Cached: 5}, told: true, complete: true}, ""},
		{"messages, no delta", messages, opened + stopped, true, verdict{complete: true}, ""},
		{"messages, a delta that cannot be", messages, opened + closing(`"end_turn"`, `{"output_tokens":2,"output_tokens":3}`) + stopped, true, verdict{complete: true}, ""},
		{"messages, figures that cannot be read, and more", messages, "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\n\n" + closing(`"end_turn"`, `{"input_tokens":25,"output_tokens":2}`) + stopped, true, verdict{complete: true}, ""},
		{"messages, chat's end mark means nothing", messages, opened + done + closing(`"end_turn"`, `{"output_tokens":2}`) + stopped, true, verdict{used: journal.Tokens{Input: 30, Cached: 5, Output: 2}, told: true, complete: true}, ""},
		{"messages, a tier said at the beginning", messages, `data: {"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1,"service_tier":"priority"}}}` + "\n\n" + closing(`"end_turn"`, `{"output_tokens":2}`) + stopped, true, verdict{used: two, tier: "priority", told: true, complete: true}, ""},
	} {
		got := relay(newAnswer(c.asked, sse), []string{c.text}, c.clean)
		v := got.settled
		v.output, v.input, v.started = 0, journal.Tokens{}, false
		if !reflect.DeepEqual(v, c.want) || got.times != 1 {
			t.Errorf("%s: settled %d times:\n got %+v\nwant %+v", c.name, got.times, v, c.want)
		}
		if c.kept == "" {
			c.kept = c.text
		}
		if got.text != c.kept {
			t.Errorf("%s: relayed %q", c.name, got.text)
		}
	}
}

// Usage behind the end comes too late for the settlement, is not relayed either,
// and is known at the end: whoever settled without it may say better.
func TestUsageBehindTheEnd(t *testing.T) {
	got := relay(newAnswer(chatHiding, sse), []string{hello + stop, done, usage}, true)
	if got.settled.told || got.text != hello+stop+done || got.times != 1 {
		t.Errorf("%+v", got)
	}
	if want := (journal.Tokens{Input: 5, Output: 2}); !got.last.told || !reflect.DeepEqual(got.last.used, want) {
		t.Errorf("in the end: %+v", got.last)
	}
}

// What comes behind the end waits until the end is released, and is bounded.
func TestBehindTheEnd(t *testing.T) {
	a := newAnswer(chat, sse)
	if out := string(a.Write([]byte(hello + done + ": bye\n\ndata: {"))); out != hello || !a.Ended() {
		t.Fatalf("out: %q", out)
	}
	if out := string(a.Write([]byte("}\n\n"))); out != "" || !a.Ended() {
		t.Fatalf("not released, and out: %q", out)
	}
	if out := string(a.Release()); out != done+": bye\n\ndata: {}\n\n" || a.Ended() {
		t.Fatalf("released: %q", out)
	}
	if out := string(a.Write([]byte(hello + done))); out != hello+done || a.Ended() {
		t.Fatalf("behind it: %q, ended again %v", out, a.Ended())
	}
	if out := a.Release(); len(out) > 0 {
		t.Fatalf("released again: %q", out)
	}

	a = newAnswer(chat, sse)
	in := hello + done + strings.Repeat(hello, 20_000)
	var out strings.Builder
	for rest := in; len(rest) > 0; {
		n := min(len(rest), 1<<15)
		out.Write(a.Write([]byte(rest[:n])))
		rest = rest[n:]
		if kept := a.Keeps(); kept > 6*follow.MaxEvent {
			t.Fatalf("%d bytes are kept behind the end", kept)
		}
	}
	if out.Write(a.Release()); out.String() != in {
		t.Errorf("of %d bytes %d came out", len(in), out.Len())
	}
}

// At a clean end one Release gives all that waited.
func TestOneReleaseAtTheEnd(t *testing.T) {
	a := newAnswer(chat, sse)
	a.Write([]byte("data: {"))
	a.EOF()
	a.EOF()
	if out := string(a.Release()); out != "data: {" {
		t.Errorf("released %q", out)
	}
	if out := a.Release(); len(out) > 0 || a.Ended() {
		t.Errorf("released again %q", out)
	}
}

func TestWhatIsNotRead(t *testing.T) {
	error402 := `{"error":{"message":"usage"},"usage":{"prompt_tokens":5,"completion_tokens":2}}`
	for _, c := range []struct {
		name           string
		asked          follow.Asked
		status         int
		kind, encoding string
		text           string
		held           string // what waits for the settlement, when it came at once
	}{
		{"gzip", chatHiding, 200, sse, "gzip", usage + done, ""},
		{"two encodings", chatHiding, 200, sse, "identity, br", usage + done, ""},
		{"a web page", chat, 200, "text/html", "", "<p>data: [DONE]\n\n", ""},
		{"no type", chat, 200, "", "", usage + done, ""},
		{"an error's stream", chatHiding, 500, sse, "", usage + done, ""},
		{"an error's document", chat, 402, plainJSON, "", error402 + "\n", "}\n"},
		{"a document that is none", chat, 200, plainJSON, "", `{"usage":{"prompt_tokens":5,"completion_tokens":2}]}`, ""},
		{"a list", chat, 200, plainJSON, "", `[{"usage":{"prompt_tokens":5,"completion_tokens":2}}]`, ""},
		{"a stream said to be a document", chat, 200, plainJSON, "", usage + done, ""},
		{"another endpoint", follow.Asked{Dialect: "openai", Endpoint: "models"}, 200, plainJSON, "", `{"data":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}`, "}"},
	} {
		a := follow.New(c.asked, c.status, c.kind, c.encoding)
		got := relay(a, []string{c.text}, true)
		if got.text != c.text || got.before != strings.TrimSuffix(c.text, c.held) || got.times != 1 {
			t.Errorf("%s: %+v", c.name, got)
		}
		if want := (verdict{output: -1, complete: true, started: true}); !reflect.DeepEqual(got.settled, want) {
			t.Errorf("%s: %+v", c.name, got.settled)
		}
		if broken := relay(follow.New(c.asked, c.status, c.kind, c.encoding), []string{c.text[:5]}, false); broken.last.complete || broken.text != c.text[:5] {
			t.Errorf("%s, broken off: %+v", c.name, broken)
		}
	}
	for _, kind := range []string{"Text/Event-Stream ; charset=utf-8", "text/event-stream"} {
		if a := follow.New(chatHiding, 200, kind, " Identity"); string(a.Write([]byte(hello+usage))) != hello {
			t.Errorf("%q is not read", kind)
		}
	}
	for _, kind := range []string{"application/json; charset=utf-8", "application/problem+json"} {
		if a := follow.New(chat, 200, kind, ""); string(a.Write([]byte("{}"))) != "{" {
			t.Errorf("%q is not read", kind)
		}
	}
}
