package proc_test

import (
	"fmt"
	"strings"
	"testing"

	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm/follow"
	"github.com/signalbox-dev/signalbox/journal"
)

// wordGuard puts ** for the word secret, and ends the answer at the word STOP. It
// keeps back what may be the beginning of either.
type wordGuard struct{ kept string }

func (g *wordGuard) Text(piece string) (string, *follow.Stop) {
	text := strings.ReplaceAll(g.kept+piece, "secret", "**")
	if at := strings.Index(text, "STOP"); at >= 0 {
		return text[:at], &follow.Stop{Code: "guard_pii", Message: "no more of this"}
	}
	keep := 0
	for _, word := range []string{"secret", "STOP"} {
		for n := len(word) - 1; n > keep; n-- {
			if strings.HasSuffix(text, word[:n]) {
				keep = n
				break
			}
		}
	}
	g.kept = text[len(text)-keep:]
	return text[:len(text)-keep], nil
}

func (g *wordGuard) End() (string, *follow.Stop) { return g.kept, nil }

// guarded has a guard read along with every answer.
func guarded(h *house) {
	h.parts.Guards = func(*decision.Answer) func(follow.Part) follow.Guard {
		return func(follow.Part) follow.Guard { return &wordGuard{} }
	}
}

func word(text string) string {
	return fmt.Sprintf(`data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`+"\n\n", text)
}

// read is the text that a client of chat completions' streams reads.
func read(stream string) string {
	var text strings.Builder
	for rest := stream; ; {
		_, after, ok := strings.Cut(rest, `"content":"`)
		if !ok {
			return text.String()
		}
		said, next, _ := strings.Cut(after, `"`)
		text.WriteString(said)
		rest = next
	}
}

// A word is replaced wherever it is cut, by events and by pieces of the network.
func TestAGuardReplacesAWord(t *testing.T) {
	const text = "my secret is no secret"
	rapid.Check(t, func(rt *rapid.T) {
		h := build(t, guarded)
		f := h.filter()
		f.ask("POST", chat, ask)
		stream := ""
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "of the text")
			stream, rest = stream+word(rest[:n]), rest[n:]
		}
		stream += stopChunk + usageChunk + doneMark
		var pieces []string
		for rest := stream; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "of the stream")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		f.pass("text/event-stream", pieces...)
		if got := f.got.String(); read(got) != "my ** is no **" || !strings.HasSuffix(got, usageChunk+doneMark) || !f.whole {
			rt.Fatalf("the caller has %q", got)
		}
		if f.mode != mode.ProcessingMode_FULL_DUPLEX_STREAMED {
			rt.Fatalf("sent as %s", f.mode)
		}
		if r := h.report(); r.Outcome != journal.OutcomeCompleted || r.Usage == nil || r.Usage.Output != 3 {
			rt.Fatalf("reported %+v", r)
		}
		h.settledOnce()
	})
}

// A guard ends a stream so that its client reads a clean end, the provider is left at
// once, and what it had written is charged.
func TestAGuardEndsAnAnswer(t *testing.T) {
	h := build(t, guarded)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.answer(1, "via_upstream", 200, false, "content-type", "text/event-stream")
	for _, text := range []string{"do ", "not ST", "OP now", "never seen"} {
		f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseBody{ResponseBody: &pb.HttpBody{Body: []byte(word(text))}}})
	}
	f.drain() // to the end of the stream of messages: nobody waits for more of the answer
	got := f.got.String()
	if read(got) != "do not " || !strings.HasSuffix(got, doneMark) || !strings.Contains(got, "content_filter") || !f.whole {
		t.Errorf("the caller has %q", got)
	}
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.Usage != nil || r.SeenOutputTokens < 3 || r.Source != journal.SourceStream {
		t.Errorf("reported %+v", r)
	}
	h.settledOnce()
	if h.watch.String() != "go, d1:ok, ended:guarded" || strings.Contains(h.health.String(), "failed") {
		t.Errorf("observed %s, learned %s", h.watch, h.health)
	}
}

// A document is guarded too, whatever its length was said to be.
func TestAGuardOfADocument(t *testing.T) {
	for text, want := range map[string]struct {
		said    string
		outcome journal.Outcome
	}{
		"my secret is":   {"my ** is", journal.OutcomeCompleted},
		"do not STOP it": {"do not ", journal.OutcomeAborted},
	} {
		h := build(t, guarded)
		f := h.filter()
		f.ask("POST", chat, ask)
		document := strings.Replace(answerJSON, "hello there", text, 1)
		f.answer(1, "via_upstream", 200, false, "content-type", "application/json", "content-length", fmt.Sprint(len(document)))
		f.chunk(document[:90], false)
		f.chunk(document[90:], true)
		if got := f.got.String(); read(got) != want.said || f.length >= 0 || !f.whole {
			t.Errorf("the caller has %q, said to have %d bytes", got, f.length)
		}
		if r := h.report(); r.Outcome != want.outcome {
			t.Errorf("reported %+v", r)
		}
		h.settledOnce()
	}
}

// What cannot be read cannot be guarded, and is not shown.
func TestAGuardThatCannotRead(t *testing.T) {
	h := build(t, guarded)
	f := h.filter()
	f.ask("POST", chat, ask)
	if f.answer(1, "via_upstream", 200, false, "content-type", "application/json", "content-encoding", "gzip") || f.instead.GetStatus().GetCode() != 502 {
		t.Errorf("%v", f.instead)
	}
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.SeenOutputTokens != -1 {
		t.Errorf("reported %+v", r)
	}
}

// A guarded answer that breaks off is settled as any other; and a large one goes on in
// pieces that Envoy likes.
func TestAGuardedStream(t *testing.T) {
	h := build(t, guarded)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.answer(1, "via_upstream", 200, false, "content-type", "text/event-stream")
	f.chunk(word("one"), false)
	f.abort()
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.SeenOutputTokens < 1 {
		t.Errorf("reported %+v", r)
	}
	h.settledOnce()

	h = build(t, guarded)
	f = h.filter()
	f.ask("POST", chat, ask)
	large := word(strings.Repeat("word ", 30_000))
	f.pass("text/event-stream", large+stopChunk+doneMark)
	if f.got.String() != large+stopChunk+doneMark {
		t.Errorf("the caller has %d bytes of %d", f.got.Len(), len(large+stopChunk+doneMark))
	}
	h.report()

	// An end that is no end, and trailers behind a body.
	h = build(t, guarded)
	f = h.filter()
	f.ask("POST", chat, ask)
	f.pass("text/event-stream", oneWord, "")
	if !strings.Contains(f.got.String(), `"upstream_unavailable"`) || !f.whole {
		t.Errorf("the caller has %q", f.got.String())
	}
	h.report()
	h = build(t, guarded)
	f = h.filter()
	f.ask("POST", chat, ask)
	f.answer(1, "via_upstream", 200, false, "content-type", "application/json")
	f.chunk(answerJSON, false)
	f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseTrailers{ResponseTrailers: &pb.HttpTrailers{}}})
	for {
		r, err := f.reply()
		if err != nil || r.GetResponseTrailers() != nil {
			break
		}
		f.got.Write(r.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse().GetBody())
	}
	if f.got.String() != answerJSON {
		t.Errorf("before its trailers the caller has %q", f.got.String())
	}
	h.report()
}
