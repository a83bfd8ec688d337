package llm

import (
	"strings"
	"testing"
)

var chat = Route{Dialect: OpenAI, Endpoint: ChatCompletions}
var messages = Route{Dialect: Anthropic, Endpoint: Messages}

const chatSmall = `{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello."}],"max_tokens":64}`

// chat2KB is a body of 2 KB like most: a system prompt, some turns, no tools.
var chat2KB = `{"model":"gpt-4o","temperature":0.2,"stream":true,"messages":[` +
	`{"role":"system","content":"` + strings.Repeat("You are a careful assistant. ", 20) + `"},` +
	`{"role":"user","content":"` + strings.Repeat("How do I return a parcel?\\n", 20) + `"},` +
	`{"role":"assistant","content":"` + strings.Repeat("You print the label first. ", 15) + `"},` +
	`{"role":"user","content":"` + strings.Repeat("And then? ", 40) + `"}],"max_tokens":512,"user":"u-17"}`

func BenchmarkParseChat2KB(b *testing.B) {
	body := []byte(chat2KB)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, p := Parse(chat, body, true); p != nil {
			b.Fatal(p)
		}
	}
}

func TestSmall(t *testing.T) {
	a, p := Parse(chat, []byte(chatSmall), true)
	if p != nil {
		t.Fatal(p)
	}
	t.Logf("%+v", a)
}
