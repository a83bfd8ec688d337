package upstream_test

import (
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	aoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
	"github.com/signalbox-dev/signalbox/integration/upstream"
	"github.com/signalbox-dev/signalbox/journal"
)

// serve is a provider on a port of its own.
func serve(t *testing.T) (*upstream.Provider, string) {
	t.Helper()
	p := upstream.New(map[string]bool{"Bearer sk-test": true, "sk-test": true})
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, server.URL
}

// last is what the provider recorded of the newest call. The caller may have read
// all of it before the provider has written it down.
func last(t *testing.T, p *upstream.Provider) upstream.Call {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); p.InFlight() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the provider still answers after a minute")
		}
	}
	calls := p.Calls()
	if len(calls) == 0 {
		t.Fatal("the provider recorded nothing")
	}
	return calls[len(calls)-1]
}

func weather() openai.ChatCompletionToolUnionParam {
	return openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "weather",
		Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}}})
}

// OpenAI's own client reads a completion and a stream of it, and both say the same.
func TestChatAsTheSDKReadsIt(t *testing.T) {
	p, url := serve(t)
	client := clients.OpenAI(url, "sk-test")
	for _, row := range []struct {
		name, prompt, model string
		limit               int64
		steer               []string
		finish              string
		calls               int
		bill                journal.Tokens // Input is the body's
	}{
		{"text", "Hello", "gpt-4o", 400, with("output", "17"), "stop", 0, journal.Tokens{Output: 17}},
		{"cut short by the limit", "Hello", "gpt-4o", 5, with("output", "17"), "length", 0, journal.Tokens{Output: 5}},
		{"a tool", "call:weather please", "gpt-4o", 400, nil, "tool_calls", 1, journal.Tokens{Output: 11}},
		{"two tools", "call:weather and call:weather", "gpt-4o", 400, nil, "tool_calls", 2, journal.Tokens{Output: 22}},
		{"a tool cut short", "call:weather please", "gpt-4o", 4, nil, "length", 1, journal.Tokens{Output: 4}},
		{"reasoning", "Hello", "o4-mini", 400, with("output", "90", "reasoning", "64"), "stop", 0, journal.Tokens{Output: 90, Reasoning: 64}},
		{"cached", "Hello", "gpt-4o", 400, with("output", "3", "cached", "4", "cache-write", "2"), "stop", 0, journal.Tokens{Output: 3, Cached: 4, CacheWrite: 2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			ask := openai.ChatCompletionNewParams{Model: row.model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(row.prompt)},
				MaxCompletionTokens: openai.Int(row.limit), Tools: []openai.ChatCompletionToolUnionParam{weather()}}
			whole, err := client.Chat.Completions.New(t.Context(), ask, openAISteer(row.steer)...)
			if err != nil {
				t.Fatal(err)
			}
			bill := last(t, p)
			ask.StreamOptions.IncludeUsage = openai.Bool(true)
			stream := client.Chat.Completions.NewStreaming(t.Context(), ask, openAISteer(row.steer)...)
			var acc openai.ChatCompletionAccumulator
			for stream.Next() {
				if !acc.AddChunk(stream.Current()) {
					t.Fatalf("the SDK does not take chunk %s", stream.Current().RawJSON())
				}
				acc.Usage = stream.Current().Usage // the accumulator leaves out what was written to the cache
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]openai.ChatCompletion{"whole": *whole, "stream": acc.ChatCompletion} {
				choice := got.Choices[0]
				if choice.FinishReason != row.finish || len(choice.Message.ToolCalls) != row.calls {
					t.Errorf("%s: finished %q with %d tool calls; want %q with %d", what, choice.FinishReason, len(choice.Message.ToolCalls), row.finish, row.calls)
				}
				if row.calls == 0 && int64(len(strings.Fields(choice.Message.Content))) != row.bill.Output-row.bill.Reasoning {
					t.Errorf("%s: wrote %q; want %d words", what, choice.Message.Content, row.bill.Output-row.bill.Reasoning)
				}
				if row.calls > 0 && row.finish != "length" && choice.Message.ToolCalls[0].Function.Arguments != `{"city":"Utrecht","days":1}` {
					t.Errorf("%s: the tool's arguments are %q", what, choice.Message.ToolCalls[0].Function.Arguments)
				}
				row.bill.Input = bill.Usage.Input
				u := got.Usage
				if said := (journal.Tokens{Input: u.PromptTokens, Cached: u.PromptTokensDetails.CachedTokens, CacheWrite: u.PromptTokensDetails.CacheWriteTokens,
					Output: u.CompletionTokens, Reasoning: u.CompletionTokensDetails.ReasoningTokens}); !same(said, row.bill) || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
					t.Errorf("%s: says %+v; want %+v", what, said, row.bill)
				}
			}
			if streamed := last(t, p); !same(bill.Usage, row.bill) || streamed.Usage.Output != row.bill.Output || !streamed.Completed {
				t.Errorf("billed %+v, and %+v for the stream; want %+v", bill.Usage, streamed.Usage, row.bill)
			}
		})
	}
}

// Anthropic's own client reads a message and a stream of it, and both say the same.
func TestMessagesAsTheSDKReadsThem(t *testing.T) {
	p, url := serve(t)
	client := clients.Anthropic(url, "sk-test")
	for _, row := range []struct {
		name, prompt string
		limit        int64
		thinking     bool
		steer        []string
		stop         anthropic.StopReason
		blocks       []string
		bill         journal.Tokens
	}{
		{"text", "Hello", 400, false, with("output", "17"), "end_turn", []string{"text"}, journal.Tokens{Output: 17}},
		{"cut short by the limit", "Hello", 5, false, with("output", "17"), "max_tokens", []string{"text"}, journal.Tokens{Output: 5}},
		{"a tool", "call:weather please", 400, false, nil, "tool_use", []string{"tool_use"}, journal.Tokens{Output: 11}},
		{"two tools", "call:weather call:weather", 400, false, nil, "tool_use", []string{"tool_use", "tool_use"}, journal.Tokens{Output: 22}},
		{"thinking", "Hello", 2000, true, with("output", "50", "reasoning", "30"), "end_turn", []string{"thinking", "text"}, journal.Tokens{Output: 50, Reasoning: 30}},
		{"cached", "Hello", 400, false, with("output", "3", "cached", "4", "cache-write", "2"), "end_turn", []string{"text"}, journal.Tokens{Output: 3, Cached: 4, CacheWrite: 2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			ask := anthropic.MessageNewParams{Model: "claude-sonnet-4-5", MaxTokens: row.limit,
				Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(row.prompt))},
				Tools:    []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{}, "weather")}}
			if row.thinking {
				ask.Thinking = anthropic.ThinkingConfigParamOfEnabled(1024)
			}
			whole, err := client.Messages.New(t.Context(), ask, anthropicSteer(row.steer)...)
			if err != nil {
				t.Fatal(err)
			}
			bill := last(t, p)
			row.bill.Input = bill.Usage.Input
			stream := client.Messages.NewStreaming(t.Context(), ask, anthropicSteer(row.steer)...)
			var acc anthropic.Message
			for stream.Next() {
				if err := acc.Accumulate(stream.Current()); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]anthropic.Message{"whole": *whole, "stream": acc} {
				if got.StopReason != row.stop || len(got.Content) != len(row.blocks) {
					t.Fatalf("%s: stopped for %q with %d blocks; want %q with %v", what, got.StopReason, len(got.Content), row.stop, row.blocks)
				}
				for i, b := range got.Content {
					if b.Type != row.blocks[i] {
						t.Errorf("%s: block %d is %s; want %s", what, i, b.Type, row.blocks[i])
					}
					if b.Type == "tool_use" && !strings.HasPrefix(string(b.Input), `{"city":"Utrecht","days":`) {
						t.Errorf("%s: the tool's input is %s", what, b.Input)
					}
					if b.Type == "thinking" && b.Signature == "" {
						t.Errorf("%s: thoughts without a signature", what)
					}
				}
				u := got.Usage
				if said := (journal.Tokens{Input: u.InputTokens + u.CacheReadInputTokens + u.CacheCreationInputTokens, Cached: u.CacheReadInputTokens,
					CacheWrite: u.CacheCreationInputTokens, Output: u.OutputTokens, Reasoning: u.OutputTokensDetails.ThinkingTokens}); !same(said, row.bill) {
					t.Errorf("%s: says %+v; want %+v", what, said, row.bill)
				}
			}
			if streamed := last(t, p); !same(bill.Usage, row.bill) || streamed.Usage.Output != row.bill.Output || !streamed.Completed {
				t.Errorf("billed %+v, and %+v for the stream; want %+v", bill.Usage, streamed.Usage, row.bill)
			}
		})
	}
}

// with is steering: pairs of a header without its prefix and a value.
func with(pairs ...string) []string { return pairs }

func openAISteer(pairs []string) (options []option.RequestOption) {
	for i := 0; i < len(pairs); i += 2 {
		options = append(options, option.WithHeader("x-upstream-"+pairs[i], pairs[i+1]))
	}
	return options
}

func anthropicSteer(pairs []string) (options []aoption.RequestOption) {
	for i := 0; i < len(pairs); i += 2 {
		options = append(options, aoption.WithHeader("x-upstream-"+pairs[i], pairs[i+1]))
	}
	return options
}

func same(a, b journal.Tokens) bool {
	return maps.Equal(a.Other, b.Other) && a.Input == b.Input && a.Cached == b.Cached && a.CacheWrite == b.CacheWrite && a.CacheWriteLong == b.CacheWriteLong &&
		a.Output == b.Output && a.Reasoning == b.Reasoning
}
