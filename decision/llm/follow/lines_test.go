package follow_test

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm/follow"
)

// Everything that the event stream's standard lets a server write is read.
func TestEventStreamsAsTheStandardHasThem(t *testing.T) {
	const data = `{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}`
	for _, c := range []struct{ name, text, out string }{
		{"plain", "data: " + data + "\n\n", ""},
		{"no space", "data:" + data + "\n\n", ""},
		{"two spaces", "data:  " + data + "\n\n", ""},
		{"a byte order mark", "\xef\xbb\xbfdata: " + data + "\n\n", ""},
		{"one before a comment", "\xef\xbb\xbf: hi\ndata: " + data + "\n\n", "\xef\xbb\xbf: hi\n"},
		{"one on a line of its own", "\xef\xbb\xbf\ndata: " + data + "\n\n", "\xef\xbb\xbf\n"},
		{"one too many", "\xef\xbb\xbf\xef\xbb\xbfdata: " + data + "\n\n", "\xef\xbb\xbf\xef\xbb\xbfdata: " + data + "\n\n"},
		{"one too late", hello + "\xef\xbb\xbfdata: " + data + "\n\n", hello + "\xef\xbb\xbfdata: " + data + "\n\n"},
		{"other fields", "id: 7\nevent: chunk\nretry: 10\nnothing\ndata: " + data + "\nid:\n\n", ""},
		{"comments before, between and behind", ": a\n:b\ndata: " + data + "\n: c\n:\n\n", ": a\n:b\n"},
		{"comments between events", ": a\n\n: b\n\ndata: " + data + "\n\n: c\n\n", ": a\n\n: b\n\n: c\n\n"},
		{"several lines", "data: {\"choices\":\ndata:[],\ndata\ndata: " + data[len(`{"choices":[],`):] + "\n\n", ""},
		{"several lines, cut inside a name", "data: {\"choi\ndata: ces\":[]}\n\n", "data: {\"choi\ndata: ces\":[]}\n\n"},
		{"a longer name", "datas: " + data + "\n\n", "datas: " + data + "\n\n"},
		{"another case", "Data: " + data + "\n\n", "Data: " + data + "\n\n"},
		{"a space before the name", " data: " + data + "\n\n", " data: " + data + "\n\n"},
		{"empty lines", "\n\r\n\r\rdata: " + data + "\n\n\n", "\n\r\n\r\r\n"},
		{"line ends of every kind", "id: 1\rid: 2\r\nid: 3\ndata: " + data + "\r\n\r\n", ""},
		{"a CR and a CRLF", "data: " + data + "\r\r\n", ""},
		{"a LF and a CR", "data: " + data + "\n\r" + hello, hello},
		{"an empty line between CR and LF is none", hello + "data: " + data + "\n\r\n\n" + hello, hello + "\n" + hello},
		{"two events in one", "data: " + data + "\ndata: " + data + "\n\n", "data: " + data + "\ndata: " + data + "\n\n"},
		{"an empty event", "event: x\n\ndata\n\ndata:\n\n", "event: x\n\ndata\n\ndata:\n\n"},
		{"words", "data: usage\n\ndata: \"usage\"\n\ndata: 7\n\n", "data: usage\n\ndata: \"usage\"\n\ndata: 7\n\n"},
		{"a NUL", "data: \x00\n\n", "data: \x00\n\n"},
	} {
		for _, pieces := range [][]string{{c.text}, bytesOf(c.text)} {
			got := relay(newAnswer(chatHiding, sse), pieces, true)
			if got.text != c.out {
				t.Errorf("%s: relayed %q, want %q", c.name, got.text, c.out)
			}
		}
	}
}

// The space behind a colon is taken once a line, and is not part of [DONE].
func TestTheEndMarkIsAWholeWord(t *testing.T) {
	for text, want := range map[string]bool{
		"data: [DONE]\n\n": true, "data:[DONE]\n\n": true, "data: [DONE]x\n\n": true, "data: [DONE]\ndata: more\n\n": true,
		"data:  [DONE]\n\n": false, "data: [DON\ndata: E]\n\n": false, "data: [DONE\n\n": false, ": [DONE]\n\n": false, "data: \"[DONE]\"\n\n": false,
	} {
		if a := newAnswer(chat, sse); len(a.Write([]byte(text))) > 0 == want || a.Ended() != want {
			t.Errorf("%q: ended %v", text, a.Ended())
		}
	}
}

// A keep-alive goes out with its line: what it keeps alive would time out waiting
// for the next event.
func TestACommentDoesNotWaitForAnEvent(t *testing.T) {
	a := newAnswer(chatHiding, sse)
	for _, line := range []string{": keep-alive\n", ":\r", "\n", ": more\r\n"} {
		if got := string(a.Write([]byte(line))); got != line {
			t.Errorf("%q gives %q", line, got)
		}
	}
	if got := a.Write([]byte("data: {}\n: inside\n")); len(got) > 0 {
		t.Errorf("inside an event: %q", got)
	}
}

// What was written is not changed, and what comes out is the same bytes as long as
// nothing is left out in between.
func TestWriteCopiesNothingItNeedNot(t *testing.T) {
	a := newAnswer(chatHiding, sse)
	in := []byte(hello + stop)
	out := a.Write(in)
	if &out[0] != &in[0] || len(out) != len(in) || cap(out) != len(out) {
		t.Error("whole events were copied")
	}
	in = []byte(hello + usage + hello + "data")
	before := string(in)
	if out := string(a.Write(in)); out != hello+hello || string(in) != before {
		t.Errorf("%q came out of %q", out, in)
	}
	halves := [][]byte{[]byte(hello[:50]), []byte(hello[50:]), []byte(usage[:20]), []byte(usage[20:])}
	a = newAnswer(chatHiding, sse)
	if n := testing.AllocsPerRun(100, func() {
		for _, half := range halves {
			a.Write(half)
		}
	}); n > 0 {
		t.Errorf("%v allocations a write", n)
	}
}

// An event above the bound passes in parts and is read all the same; if it is the
// last, its end waits.
func TestALargeEvent(t *testing.T) {
	text := strings.Repeat("High water is at noon. ", 200_000)
	last := "event: response.completed\ndata: " + `{"type":"response.completed","response":{"output":[{"content":[{"text":"` + text + `"}]}],"usage":{"input_tokens":5,"output_tokens":2}}}` + "\n\n"
	for _, ends := range []string{"\n", "\r\n", "\r"} {
		last := strings.ReplaceAll(last, "\n", ends)
		a := newAnswer(responses, sse)
		var out strings.Builder
		most := 0
		for rest := last; len(rest) > 0; {
			n := min(len(rest), 1<<15)
			if len(rest) <= 1<<15 {
				n = max(1, len(rest)-10) // then byte by byte
			}
			out.Write(a.Write([]byte(rest[:n])))
			most, rest = max(most, a.Keeps()), rest[n:]
		}
		if most > 4<<18 {
			t.Errorf("%q: %d bytes were kept of %d", ends, most, len(last))
		}
		if got := out.String(); !a.Ended() || got != strings.TrimRight(last, ends) {
			t.Errorf("%q: ended %v, %d bytes of %d are out", ends, a.Ended(), len(got), len(last))
		}
		if v := verdictOf(a); !v.told || v.used.Output != 2 {
			t.Errorf("%q: %+v", ends, v)
		}
		if out.Write(a.Release()); out.String() != last {
			t.Errorf("%q: it came out as %d bytes", ends, out.Len())
		}
	}
}

// A chunk of usage above the bound, which nobody sends, is relayed however it is
// cut: its beginning may be out before its figures are read. Those are read.
func TestALargeChunkOfUsage(t *testing.T) {
	text := hello + stop + `data: {"x":"` + strings.Repeat("x", follow.MaxEvent) + `",` + strings.TrimPrefix(usage, "data: {") + done
	for _, size := range []int{len(text), 1 << 15, 1000} {
		var pieces []string
		for rest := text; len(rest) > 0; {
			n := min(size, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if got := relay(newAnswer(chatHiding, sse), pieces, true); got.text != text || !got.settled.told {
			t.Errorf("in pieces of %d: %d bytes of %d, %+v", size, len(got.text), len(text), got.settled)
		}
	}
}

// However large it is, a stream that never ends its event, an event that never
// ends its line, and a list of figures without end are bounded in memory.
func TestMemoryIsBounded(t *testing.T) {
	for name, part := range map[string]string{
		"one line": "x", "lines": "data: x\n", "names": strings.Repeat("x", 100) + "\n", "comments": ": x\n", "line ends": "\r", "events": "\n\n",
		"figures": `"x":1,`, "brackets": `[{"a":`, "spaces": " ",
	} {
		for _, c := range []struct{ kind, start string }{{sse, `data: {"usage":{`}, {sse, "data: {\"choices\":[" + "\n"}, {plainJSON, `{"usage":{`}} {
			a := newAnswer(chatHiding, c.kind)
			in, out := len(c.start), len(a.Write([]byte(c.start)))
			chunk := []byte(strings.Repeat(part, 1<<14/len(part)))
			for range 64 { // four times what may be kept of an event
				in += len(chunk)
				out += len(a.Write(chunk))
				if kept := a.Keeps(); kept > 4<<18 {
					t.Fatalf("%s after %.20q: %d bytes are kept", name, c.start, kept)
				}
			}
			if out += len(a.Release()); out != in {
				t.Errorf("%s after %.20q: %d bytes in, %d out", name, c.start, in, out)
			}
		}
	}
}
