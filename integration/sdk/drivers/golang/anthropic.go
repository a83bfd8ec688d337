package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
)

func (t *task) anthropic(ctx context.Context, g *got) error {
	var options []option.RequestOption
	for name, value := range t.Headers {
		options = append(options, option.WithHeader(name, value))
	}
	c := clients.Anthropic(t.URL, t.Key, options...)
	switch t.Op {
	case "messages":
		return t.messages(ctx, &c, g)
	case "count_tokens":
		return t.countTokens(ctx, &c, g)
	case "models":
		page := c.Models.ListAutoPaging(ctx, anthropic.ModelListParams{})
		for page.Next() {
			g.Names = append(g.Names, page.Current().ID)
		}
		return page.Err()
	case "elsewhere":
		_, err := c.Messages.Batches.List(ctx, anthropic.MessageBatchListParams{})
		return err
	}
	return fmt.Errorf("no operation %q", t.Op)
}

func (t *task) messages(ctx context.Context, c *anthropic.Client, g *got) error {
	var params anthropic.MessageNewParams
	if err := json.Unmarshal(t.Params, &params); err != nil {
		return err
	}
	if t.How != "" {
		return t.messageEvents(ctx, c, params, g)
	}
	whole, err := c.Messages.New(ctx, params)
	if err != nil {
		return err
	}
	g.message(whole)
	g.Usage = raw(whole.Usage.RawJSON())
	return nil
}

// messageEvents reads a stream with the SDK's accumulator, as its own examples do.
func (t *task) messageEvents(ctx context.Context, c *anthropic.Client, params anthropic.MessageNewParams, g *got) error {
	stream := c.Messages.NewStreaming(ctx, params)
	defer stream.Close()
	var whole anthropic.Message
	for stream.Next() {
		event := stream.Current()
		g.Chunks++
		if err := whole.Accumulate(event); err != nil {
			return err
		}
		if event.Type == "content_block_delta" && event.Delta.Type == "text_delta" {
			g.part(event.Delta.Text)
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	g.message(&whole)
	usage, err := json.Marshal(map[string]any{
		"input_tokens": whole.Usage.InputTokens, "output_tokens": whole.Usage.OutputTokens,
		"cache_read_input_tokens": whole.Usage.CacheReadInputTokens, "cache_creation_input_tokens": whole.Usage.CacheCreationInputTokens,
	})
	g.Usage = usage
	return err
}

func (g *got) message(whole *anthropic.Message) {
	g.Text, g.Finish = "", string(whole.StopReason)
	for _, block := range whole.Content {
		switch block := block.AsAny().(type) {
		case anthropic.TextBlock:
			g.Text += block.Text
		case anthropic.ThinkingBlock:
			g.Thinking += block.Thinking
		case anthropic.ToolUseBlock:
			g.call(block.Name, string(block.Input))
		case anthropic.ServerToolUseBlock:
			asked, _ := block.Input.(map[string]any)
			query, _ := asked["query"].(string)
			g.Searches = append(g.Searches, query)
		}
	}
}

func (t *task) countTokens(ctx context.Context, c *anthropic.Client, g *got) error {
	var params anthropic.MessageCountTokensParams
	if err := json.Unmarshal(t.Params, &params); err != nil {
		return err
	}
	count, err := c.Messages.CountTokens(ctx, params)
	if err != nil {
		return err
	}
	g.Text = fmt.Sprint(count.InputTokens)
	return nil
}
