package upstream_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
	"github.com/signalbox-dev/signalbox/journal"
)

func weatherTool() responses.ToolUnionParam {
	return responses.ToolParamOfFunction("weather", map[string]any{"type": "object"}, false)
}

// A response and the stream of it say the same, and the stream's events come in
// the order that the official clients build a response from.
func TestResponsesAsTheSDKReadsThem(t *testing.T) {
	p, url := serve(t)
	client := clients.OpenAI(url, "sk-test")
	text := []string{"response.output_item.added", "response.content_part.added", "response.output_text.delta",
		"response.output_text.done", "response.content_part.done", "response.output_item.done"}
	reasoning := []string{"response.output_item.added", "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
		"response.reasoning_summary_text.done", "response.reasoning_summary_part.done", "response.output_item.done"}
	call := []string{"response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.output_item.done"}
	for _, row := range []struct {
		name, prompt, model string
		limit               int64
		steer               []string
		status              responses.ResponseStatus
		items               []string
		events              []string // between in_progress and the end, each kind of delta once
		bill                journal.Tokens
	}{
		{"text", "Hello", "gpt-4o", 400, with("output", "17"), "completed", []string{"message"}, text, journal.Tokens{Output: 17}},
		{"cut short by the limit", "Hello", "gpt-4o", 16, with("output", "17"), "incomplete", []string{"message"}, text, journal.Tokens{Output: 16}},
		{"tools", "call:weather call:weather", "gpt-4o", 400, nil, "completed", []string{"function_call", "function_call"}, slices.Concat(call, call), journal.Tokens{Output: 22}},
		{"reasoning", "Hello", "o4-mini", 400, with("output", "90", "reasoning", "64"), "completed", []string{"reasoning", "message"},
			slices.Concat(reasoning, text), journal.Tokens{Output: 90, Reasoning: 64}},
		{"cached", "Hello", "gpt-4o", 400, with("output", "3", "cached", "2", "cache-write", "1"), "completed", []string{"message"}, text, journal.Tokens{Output: 3, Cached: 2, CacheWrite: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			ask := responses.ResponseNewParams{Model: row.model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(row.prompt)},
				MaxOutputTokens: openai.Int(row.limit), Tools: []responses.ToolUnionParam{weatherTool()}, Reasoning: shared.ReasoningParam{Summary: "auto"}}
			whole, err := client.Responses.New(t.Context(), ask, openAISteer(row.steer)...)
			if err != nil {
				t.Fatal(err)
			}
			row.bill.Input = last(t, p).Usage.Input
			stream := client.Responses.NewStreaming(t.Context(), ask, openAISteer(row.steer)...)
			var order []string
			var ended responses.Response
			for number := int64(0); stream.Next(); number++ {
				e := stream.Current()
				if e.SequenceNumber != number {
					t.Errorf("event %d, %s, has the number %d", number, e.Type, e.SequenceNumber)
				}
				if len(order) == 0 || order[len(order)-1] != e.Type {
					order = append(order, e.Type)
				}
				ended = e.Response
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			want := slices.Concat([]string{"response.created", "response.in_progress"}, row.events, []string{"response." + string(row.status)})
			if !slices.Equal(order, want) {
				t.Errorf("the stream's events are\n%q; want\n%q", order, want)
			}
			for what, got := range map[string]responses.Response{"whole": *whole, "stream": ended} {
				var items []string
				for _, item := range got.Output {
					items = append(items, item.Type)
				}
				if got.Status != row.status || !slices.Equal(items, row.items) {
					t.Errorf("%s: %s with %q; want %s with %q", what, got.Status, items, row.status, row.items)
				}
				if row.status == "incomplete" && got.IncompleteDetails.Reason != "max_output_tokens" {
					t.Errorf("%s: incomplete for %q", what, got.IncompleteDetails.Reason)
				}
				u := got.Usage
				if said := (journal.Tokens{Input: u.InputTokens, Cached: u.InputTokensDetails.CachedTokens, CacheWrite: u.InputTokensDetails.CacheWriteTokens,
					Output: u.OutputTokens, Reasoning: u.OutputTokensDetails.ReasoningTokens}); !same(said, row.bill) || u.TotalTokens != u.InputTokens+u.OutputTokens {
					t.Errorf("%s: says %+v; want %+v", what, said, row.bill)
				}
			}
			if streamed := last(t, p); !same(streamed.Usage, row.bill) || !streamed.Completed {
				t.Errorf("billed %+v for the stream; want %+v", streamed.Usage, row.bill)
			}
		})
	}
}

// A response that continues another is billed that one's tokens too; one that was
// not stored cannot be continued.
func TestResponsesContinued(t *testing.T) {
	_, url := serve(t)
	client := clients.OpenAI(url, "sk-test")
	ask := responses.ResponseNewParams{Model: "gpt-4o", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("And then?")}}
	first, err := client.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	ask.PreviousResponseID = openai.String(first.ID)
	second, err := client.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if want := first.Usage.InputTokens + first.Usage.TotalTokens; second.Usage.InputTokens != want {
		t.Errorf("the second has %d tokens of prompt; want %d, its own and the first's", second.Usage.InputTokens, want)
	}
	ask.PreviousResponseID, ask.Store = openai.String(second.ID), openai.Bool(false)
	third, err := client.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	ask.PreviousResponseID = openai.String(third.ID)
	var refused *openai.Error
	if _, err = client.Responses.New(t.Context(), ask); !errors.As(err, &refused) || refused.Code != "previous_response_not_found" {
		t.Errorf("a response that was not stored was continued: %v", err)
	}
}

// Azure's paths, its key header and its first chunk, which has no choices.
func TestAzureAsTheSDKReadsIt(t *testing.T) {
	p, url := serve(t)
	// What the SDK's own Azure options amount to, without what they bring along.
	client := openai.NewClient(option.WithBaseURL(url+"/openai/deployments/prod"), option.WithQuery("api-version", "2024-10-21"),
		option.WithAPIKey(""), option.WithHeader("api-key", "sk-test"))
	ask := openai.ChatCompletionNewParams{Model: "prod", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello")}, MaxTokens: openai.Int(50)}
	stream := client.Chat.Completions.NewStreaming(t.Context(), ask)
	chunks, first := 0, openai.ChatCompletionChunk{}
	for ; stream.Next(); chunks++ {
		if chunks == 0 {
			first = stream.Current()
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if len(first.Choices) != 0 || !strings.Contains(first.RawJSON(), "prompt_filter_results") || chunks < 4 {
		t.Errorf("the first of %d chunks is %s", chunks, first.RawJSON())
	}
	call := last(t, p)
	if call.Path != "/openai/deployments/prod/chat/completions" || call.Query != "api-version=2024-10-21" || call.Model != "prod" {
		t.Errorf("the call came to %s?%s for %s", call.Path, call.Query, call.Model)
	}
	made, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "small", Dimensions: openai.Int(8),
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a", "some more words"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(len(made.Data), len(made.Data[1].Embedding), made.Usage.PromptTokens, last(t, p).Usage.Input); got != "2 8 5 5" {
		t.Errorf("vectors, numbers in each, tokens said and billed: %s; want 2 8 5 5", got)
	}
	v1 := openai.NewClient(option.WithBaseURL(url+"/openai/v1"), option.WithAPIKey(""), option.WithHeader("api-key", "sk-test"))
	if _, err := v1.Responses.New(t.Context(), responses.ResponseNewParams{Model: "prod", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Hello")}}); err != nil {
		t.Errorf("/openai/v1/responses: %v", err)
	}
}
