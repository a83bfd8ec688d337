package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	aoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
)

// caller is an application with a key: the official SDKs, a base URL and nothing
// that knows of Signalbox.
type caller struct {
	openai    openai.Client
	anthropic anthropic.Client
}

// ask is one call of an application's, in either dialect.
type ask struct {
	app, model string
	turns      []turn
	max        int64
	tool       string // the one tool it offers
	stream     bool
	headers    []string // pairs
}

// turn is one message of the user's or, every other one, of the model's.
type turn struct{ text string }

func said(text string) []turn { return []turn{{text}} }

// reply is what an application gets, whichever SDK it uses.
type reply struct {
	code   string // a refusal's; empty: there is an answer
	status int
	text   string
	tool   string // the tool that it is to call
}

func (p *play) caller(key string, t *tally) caller {
	watch := func(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		resp, err := next(req)
		if err == nil {
			t.sent(req, resp)
		}
		return resp, err
	}
	return caller{
		openai:    clients.OpenAI(p.box.URL(), key, option.WithHTTPClient(p.http), option.WithMiddleware(watch)),
		anthropic: clients.Anthropic(p.box.URL(), key, aoption.WithHTTPClient(p.http), aoption.WithMiddleware(watch)),
	}
}

// ask makes a call, by the SDK of its model's dialect, and counts it.
func (p *play) ask(ctx context.Context, t *tally, a ask) (reply, error) {
	c := p.caller(p.keys[a.app], t)
	speak := c.chat
	if strings.HasPrefix(a.model, "claude") {
		speak = c.message
	}
	began := time.Now()
	r, err := speak(ctx, a)
	if err != nil {
		return r, fmt.Errorf("%s asks %s: %w", a.app, a.model, err)
	}
	t.answered(a, r, time.Since(began))
	return r, nil
}

// chat is a chat completion by OpenAI's SDK, streamed or whole.
func (c caller) chat(ctx context.Context, a ask) (reply, error) {
	body := openai.ChatCompletionNewParams{Model: a.model, MaxTokens: openai.Int(a.max)}
	for i, t := range a.turns {
		if i%2 == 0 {
			body.Messages = append(body.Messages, openai.UserMessage(t.text))
		} else {
			body.Messages = append(body.Messages, openai.AssistantMessage(t.text))
		}
	}
	if a.tool != "" {
		body.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: a.tool,
			Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}}})}
	}
	var options []option.RequestOption
	for i := 0; i < len(a.headers); i += 2 {
		options = append(options, option.WithHeader(a.headers[i], a.headers[i+1]))
	}
	whole, err := c.chatCompletion(ctx, body, a.stream, options)
	var refused *openai.Error
	switch {
	case errors.As(err, &refused):
		return reply{code: refused.Code, status: refused.StatusCode}, nil
	case err != nil:
		return reply{}, err
	case len(whole.Choices) != 1:
		return reply{}, fmt.Errorf("the answer has %d choices", len(whole.Choices))
	}
	r := reply{status: http.StatusOK, text: whole.Choices[0].Message.Content}
	for _, call := range whole.Choices[0].Message.ToolCalls {
		r.tool = call.Function.Name
	}
	return r, nil
}

func (c caller) chatCompletion(ctx context.Context, body openai.ChatCompletionNewParams, stream bool, options []option.RequestOption) (*openai.ChatCompletion, error) {
	if !stream {
		return c.openai.Chat.Completions.New(ctx, body, options...)
	}
	events := c.openai.Chat.Completions.NewStreaming(ctx, body, options...)
	defer events.Close()
	var whole openai.ChatCompletionAccumulator
	for events.Next() {
		if !whole.AddChunk(events.Current()) {
			return nil, errors.New("the SDK does not take a chunk")
		}
	}
	return &whole.ChatCompletion, events.Err()
}

// message is Anthropic's, by Anthropic's SDK, streamed or whole.
func (c caller) message(ctx context.Context, a ask) (reply, error) {
	body := anthropic.MessageNewParams{Model: anthropic.Model(a.model), MaxTokens: a.max}
	for i, t := range a.turns {
		if i%2 == 0 {
			body.Messages = append(body.Messages, anthropic.NewUserMessage(anthropic.NewTextBlock(t.text)))
		} else {
			body.Messages = append(body.Messages, anthropic.NewAssistantMessage(anthropic.NewTextBlock(t.text)))
		}
	}
	if a.tool != "" {
		body.Tools = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{}, a.tool)}
	}
	var options []aoption.RequestOption
	for i := 0; i < len(a.headers); i += 2 {
		options = append(options, aoption.WithHeader(a.headers[i], a.headers[i+1]))
	}
	whole, err := c.wholeMessage(ctx, body, a.stream, options)
	var refused *anthropic.Error
	switch {
	case errors.As(err, &refused):
		return reply{code: reasonOf(refused), status: refused.StatusCode}, nil
	case err != nil:
		return reply{}, err
	}
	r := reply{status: http.StatusOK}
	for _, block := range whole.Content {
		r.text += block.Text
		if block.Type == "tool_use" {
			r.tool = block.Name
		}
	}
	return r, nil
}

func (c caller) wholeMessage(ctx context.Context, body anthropic.MessageNewParams, stream bool, options []aoption.RequestOption) (*anthropic.Message, error) {
	if !stream {
		return c.anthropic.Messages.New(ctx, body, options...)
	}
	events := c.anthropic.Messages.NewStreaming(ctx, body, options...)
	defer events.Close()
	var whole anthropic.Message
	for events.Next() {
		if err := whole.Accumulate(events.Current()); err != nil {
			return nil, err
		}
	}
	return &whole, events.Err()
}

// reasonOf is the reason in an error of Anthropic's shape, which has a field for it
// that the SDK passes on unread.
func reasonOf(e *anthropic.Error) string {
	var body struct {
		Error struct {
			Details struct {
				Code string `json:"error_code"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(e.RawJSON()), &body) != nil || body.Error.Details.Code == "" {
		return string(e.Type())
	}
	return body.Error.Details.Code
}
