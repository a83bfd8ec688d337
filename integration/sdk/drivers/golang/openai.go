package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
)

// openaiClient is the application's. Azure's dated paths need a module of Azure's
// beside the SDK, so this one speaks Azure's v1 paths only.
func (t *task) openaiClient() openai.Client {
	var options []option.RequestOption
	for name, value := range t.Headers {
		options = append(options, option.WithHeader(name, value))
	}
	if t.Azure == "" {
		return clients.OpenAI(t.URL, t.Key, options...)
	}
	options = append(options, option.WithBaseURL(t.URL+"/openai/v1"), option.WithHeader("api-key", t.Key))
	return openai.NewClient(options...)
}

func (t *task) openai(ctx context.Context, g *got) error {
	c := t.openaiClient()
	switch t.Op {
	case "chat":
		return t.chat(ctx, &c, g)
	case "responses":
		return t.responses(ctx, &c, g)
	case "embeddings":
		return t.embeddings(ctx, &c, g)
	case "models":
		page := c.Models.ListAutoPaging(ctx)
		for page.Next() {
			g.Names = append(g.Names, page.Current().ID)
		}
		return page.Err()
	case "elsewhere":
		_, err := c.Batches.List(ctx, openai.BatchListParams{})
		return err
	}
	return fmt.Errorf("no operation %q", t.Op)
}

func (t *task) chat(ctx context.Context, c *openai.Client, g *got) error {
	var params openai.ChatCompletionNewParams
	if err := json.Unmarshal(t.Params, &params); err != nil {
		return err
	}
	if t.How != "" {
		return t.chatChunks(ctx, c, params, g)
	}
	whole, err := c.Chat.Completions.New(ctx, params)
	if err != nil {
		return err
	}
	g.completion(whole)
	return nil
}

// chatChunks reads a stream with the SDK's accumulator. What is there without it
// is a loop over deltas, which applications write for themselves: the other
// languages do.
func (t *task) chatChunks(ctx context.Context, c *openai.Client, params openai.ChatCompletionNewParams, g *got) error {
	stream := c.Chat.Completions.NewStreaming(ctx, params)
	defer stream.Close()
	var whole openai.ChatCompletionAccumulator
	for stream.Next() {
		chunk := stream.Current()
		g.Chunks++
		if len(chunk.Choices) == 0 {
			g.Bare++
		}
		if !whole.AddChunk(chunk) {
			return fmt.Errorf("the SDK cannot add chunk %s", chunk.RawJSON())
		}
		if chunk.JSON.Usage.Valid() {
			g.Usage = raw(chunk.Usage.RawJSON())
		}
		for _, choice := range chunk.Choices {
			g.part(choice.Delta.Content)
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	usage := g.Usage
	g.completion(&whole.ChatCompletion)
	g.Usage = usage
	return nil
}

func (g *got) completion(whole *openai.ChatCompletion) {
	g.Usage = raw(whole.Usage.RawJSON())
	if len(whole.Choices) == 0 {
		return
	}
	choice := whole.Choices[0]
	g.Text, g.Finish = choice.Message.Content, choice.FinishReason
	for _, call := range choice.Message.ToolCalls {
		g.call(call.Function.Name, call.Function.Arguments)
	}
}

func (t *task) responses(ctx context.Context, c *openai.Client, g *got) error {
	var params responses.ResponseNewParams
	if err := json.Unmarshal(t.Params, &params); err != nil {
		return err
	}
	if t.How != "" {
		return t.responseEvents(ctx, c, params, g)
	}
	whole, err := c.Responses.New(ctx, params)
	if err != nil {
		return err
	}
	g.response(whole)
	return nil
}

func (t *task) responseEvents(ctx context.Context, c *openai.Client, params responses.ResponseNewParams, g *got) error {
	stream := c.Responses.NewStreaming(ctx, params)
	defer stream.Close()
	for stream.Next() {
		event := stream.Current()
		g.Chunks++
		switch event.Type {
		case "response.output_text.delta":
			g.part(event.Delta)
		case "response.completed", "response.incomplete":
			g.response(&event.Response)
		}
	}
	return stream.Err()
}

func (g *got) response(whole *responses.Response) {
	g.Text, g.Finish, g.Usage = whole.OutputText(), string(whole.Status), raw(whole.Usage.RawJSON())
	for _, item := range whole.Output {
		if item.Type == "function_call" {
			g.call(item.Name, item.Arguments.OfString)
		}
		if item.Type == "web_search_call" {
			g.Searches = append(g.Searches, strings.Join(item.AsWebSearchCall().Action.AsSearch().Queries, " "))
		}
	}
}

func (t *task) embeddings(ctx context.Context, c *openai.Client, g *got) error {
	var params openai.EmbeddingNewParams
	if err := json.Unmarshal(t.Params, &params); err != nil {
		return err
	}
	made, err := c.Embeddings.New(ctx, params)
	if err != nil {
		return err
	}
	var sizes []string
	for _, d := range made.Data {
		sizes = append(sizes, fmt.Sprint(len(d.Embedding)))
	}
	g.Text, g.Usage = strings.Join(sizes, " "), raw(made.Usage.RawJSON())
	return nil
}
