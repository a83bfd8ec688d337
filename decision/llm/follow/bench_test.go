package follow_test

import (
	"bytes"
	"strings"
	"testing"
)

// chunkOf is an event of a sample: one small piece of text.
func chunkOf(t testing.TB, name, has string) []byte {
	for _, event := range strings.SplitAfter(sample(t, name), "\n\n") {
		if strings.Contains(event, has) {
			return []byte(event)
		}
	}
	t.Fatalf("%s has no %s", name, has)
	return nil
}

func BenchmarkChunk(b *testing.B) {
	chunk := chunkOf(b, "chat_usage.sse", `"The"`)
	b.Run("whole", func(b *testing.B) {
		a := newAnswer(chatHiding, sse)
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			a.Write(chunk)
		}
	})
	b.Run("halves", func(b *testing.B) {
		a := newAnswer(chatHiding, sse)
		half := len(chunk) / 2
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			a.Write(chunk[:half])
			a.Write(chunk[half:])
		}
	})
	b.Run("guarded", func(b *testing.B) {
		a := newAnswer(with(chatHiding, lags(64)), sse)
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			a.Write(chunk)
		}
	})
	b.Run("messages", func(b *testing.B) {
		a := newAnswer(messages, sse)
		chunk := chunkOf(b, "messages_tools.sse", `"I"`)
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			a.Write(chunk)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	text := []byte(sample(b, "chat_usage.sse"))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		a := newAnswer(chatHiding, sse)
		a.Write(text)
		a.Usage()
		a.Release()
	}
}

func BenchmarkEmbeddings(b *testing.B) {
	part := bytes.Repeat([]byte("-0.006929283495992422,"), 1500)
	b.SetBytes(int64(len(part)))
	a := newAnswer(embeddings, plainJSON)
	a.Write([]byte(`{"data":[{"embedding":[`))
	for b.Loop() {
		a.Write(part)
	}
}
