package upstream

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// chatAsk is what is read of a chat completion's body.
type chatAsk struct {
	Model         string          `json:"model"`
	Messages      json.RawMessage `json:"messages"`
	Tools         json.RawMessage `json:"tools"`
	MaxTokens     *int64          `json:"max_tokens"`
	MaxCompletion *int64          `json:"max_completion_tokens"`
	MaxOutput     *int64          `json:"max_output_tokens"` // another endpoint's: refused
	N             *int64          `json:"n"`
	Stream        bool            `json:"stream"`
	StreamOptions *struct {
		IncludeUsage       bool  `json:"include_usage"`
		IncludeObfuscation *bool `json:"include_obfuscation"`
	} `json:"stream_options"`
}

// chat answers a chat completion.
func (x *exchange) chat() error {
	var ask chatAsk
	if err := json.Unmarshal(x.body, &ask); err != nil {
		x.refuse(notJSON(err))
		return nil
	}
	if r := ask.check(x.call.Model); r != nil {
		x.refuse(*r)
		return nil
	}
	c := &chatAnswer{exchange: x, ask: ask, n: 1, script: x.steer.write(order{
		body: x.body, limit: max(said(ask.MaxTokens), said(ask.MaxCompletion)), thinks: thinks(x.call.Model),
		tools: toolNames(ask.Tools), asked: lastUserText(ask.Messages)})}
	if ask.N != nil {
		c.n = *ask.N
	}
	x.bills(3+count(ask.Messages, ask.Tools), false)
	if ask.Stream {
		return x.stream(c.write, c.fault)
	}
	x.call.Usage.Reasoning = c.n * c.script.reasoning
	x.call.Usage.Output = c.n * c.script.tokens()
	return x.json(c.whole())
}

// check refuses what OpenAI refuses.
func (a *chatAsk) check(model string) *refusal {
	switch {
	case model == "":
		return bad("", "", "you must provide a model parameter")
	case len(a.Messages) == 0 || a.Messages[0] != '[':
		return bad("messages", "missing_required_parameter", "Missing required parameter: 'messages'.")
	case a.MaxOutput != nil:
		return bad("", "", "Unrecognized request argument supplied: max_output_tokens")
	case a.MaxTokens != nil && reasons(model):
		return bad("max_tokens", "unsupported_parameter", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
	case a.MaxTokens != nil && a.MaxCompletion != nil:
		return bad("", "", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	case a.MaxTokens != nil && *a.MaxTokens < 1:
		return tooLow("max_tokens", *a.MaxTokens, 1)
	case a.MaxCompletion != nil && *a.MaxCompletion < 1:
		return tooLow("max_completion_tokens", *a.MaxCompletion, 1)
	case a.N != nil && (*a.N < 1 || *a.N > 128):
		return tooLow("n", *a.N, 1)
	case a.StreamOptions != nil && !a.Stream:
		return bad("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	return nil
}

// chatAnswer is one completion while it is written.
type chatAnswer struct {
	*exchange
	ask    chatAsk
	script script
	n      int64 // choices; each costs its own tokens
}

// reason is the thinking before the answer. OpenAI shows nothing of it and bills
// it as output.
func (c *chatAnswer) reason() error {
	if c.script.reasoning == 0 {
		return nil
	}
	c.call.Usage.Reasoning += c.n * c.script.reasoning
	return c.generate(c.n * c.script.reasoning)
}

func (c *chatAnswer) finish() string {
	switch {
	case c.script.cut:
		return "length"
	case len(c.script.calls) > 0:
		return "tool_calls"
	}
	return "stop"
}

type chatCompletion struct {
	ID                string         `json:"id"`
	Object            string         `json:"object"`
	Created           int64          `json:"created"`
	Model             string         `json:"model"`
	Choices           []chatChoice   `json:"choices"`
	Usage             *chatUsage     `json:"usage,omitempty"`
	ServiceTier       string         `json:"service_tier"`
	SystemFingerprint *string        `json:"system_fingerprint"`
	PromptFilter      []promptFilter `json:"prompt_filter_results,omitempty"`
}

type chatChoice struct {
	Index   int64 `json:"index"`
	Message struct {
		Role        string         `json:"role"`
		Content     *string        `json:"content"`
		ToolCalls   []chatToolCall `json:"tool_calls,omitempty"`
		Refusal     *string        `json:"refusal"`
		Annotations []any          `json:"annotations"`
	} `json:"message"`
	Logprobs      *struct{} `json:"logprobs"`
	FinishReason  string    `json:"finish_reason"`
	FilterResults *filters  `json:"content_filter_results,omitempty"`
}

type chatToolCall struct {
	Index    *int64 `json:"index,omitempty"` // in streams alone
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatUsage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
	PromptDetails    struct {
		CachedTokens     int64 `json:"cached_tokens"`
		CacheWriteTokens int64 `json:"cache_write_tokens,omitempty"`
		AudioTokens      int64 `json:"audio_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		ReasoningTokens int64 `json:"reasoning_tokens"`
		AudioTokens     int64 `json:"audio_tokens"`
		Accepted        int64 `json:"accepted_prediction_tokens"`
		Rejected        int64 `json:"rejected_prediction_tokens"`
	} `json:"completion_tokens_details"`
}

// chatUsageOf spells a bill as OpenAI does: the parts are inside the sums.
func chatUsageOf(t journal.Tokens) *chatUsage {
	u := &chatUsage{PromptTokens: t.Input, CompletionTokens: t.Output, TotalTokens: t.Input + t.Output}
	u.PromptDetails.CachedTokens = t.Cached
	u.PromptDetails.CacheWriteTokens = t.CacheWrite + t.CacheWriteLong
	u.CompletionDetails.ReasoningTokens = t.Reasoning
	return u
}

// whole is the answer in one piece.
func (c *chatAnswer) whole() chatCompletion {
	out := chatCompletion{ID: c.id("chatcmpl-"), Object: "chat.completion", Created: c.at.Unix(), Model: c.call.Model, ServiceTier: "default"}
	for i := range c.n {
		choice := chatChoice{Index: i, FinishReason: c.finish()}
		choice.Message.Role, choice.Message.Annotations = "assistant", []any{}
		for j, t := range c.script.calls {
			call := chatToolCall{ID: c.toolID(i, j), Type: "function"}
			call.Function.Name, call.Function.Arguments = t.name, t.arguments()
			choice.Message.ToolCalls = append(choice.Message.ToolCalls, call)
		}
		if len(c.script.calls) == 0 {
			text := c.script.words(c.script.text)
			choice.Message.Content = &text
		}
		if c.place.azure {
			choice.FilterResults = harmless()
		}
		out.Choices = append(out.Choices, choice)
	}
	if c.place.azure {
		out.PromptFilter = []promptFilter{{0, *harmless()}}
	}
	if !c.steer.noUsage {
		out.Usage = chatUsageOf(c.call.Usage)
	}
	return out
}

func (c *chatAnswer) toolID(choice int64, i int) string {
	return fmt.Sprintf("call_%016d%04d%04d", c.exchange.n, choice, i)
}

// write is the answer as a stream: the role, a token a chunk, why it ended, the
// usage if it was asked for, and [DONE].
func (c *chatAnswer) write() error {
	if c.place.azure { // what the filter found in the prompt comes first, in a chunk without choices
		raw, err := marshal(map[string]any{"choices": []any{}, "created": 0, "id": "", "model": "", "object": "",
			"prompt_filter_results": []promptFilter{{0, *harmless()}}})
		if err != nil {
			return err
		}
		if err := c.pen.event("", raw); err != nil {
			return err
		}
	}
	if err := c.reason(); err != nil {
		return err
	}
	parts := []func() error{c.writeText, c.writeFinish}
	if len(c.script.calls) > 0 {
		parts[0] = c.writeCalls
	}
	for _, part := range parts {
		if err := part(); err != nil {
			return err
		}
	}
	if c.ask.StreamOptions != nil && c.ask.StreamOptions.IncludeUsage && !c.steer.noUsage {
		if err := c.chunk(nil, chatUsageOf(c.call.Usage)); err != nil {
			return err
		}
	}
	return c.pen.event("", []byte("[DONE]"))
}

func (c *chatAnswer) writeText() error {
	if err := c.everyChoice(`{"role":"assistant","content":"","refusal":null}`, ""); err != nil {
		return err
	}
	for i := range c.script.text {
		if err := c.generate(c.n); err != nil {
			return err
		}
		if err := c.everyChoice(`{"content":`+quote(c.script.word(i))+`}`, ""); err != nil {
			return err
		}
	}
	return nil
}

func (c *chatAnswer) writeCalls() error {
	for j, t := range c.script.calls {
		if err := c.generate(c.n); err != nil {
			return err
		}
		head := fmt.Sprintf(`"tool_calls":[{"index":%d,"id":%s,"type":"function","function":{"name":%s,"arguments":""}}]`, j, quote(c.toolID(0, j)), quote(t.name))
		if j == 0 {
			head = `"role":"assistant","content":null,` + head + `,"refusal":null`
		}
		if err := c.everyChoice("{"+head+"}", ""); err != nil {
			return err
		}
		for _, piece := range t.pieces {
			if err := c.generate(c.n); err != nil {
				return err
			}
			if err := c.everyChoice(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, j, quote(piece)), ""); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *chatAnswer) writeFinish() error { return c.everyChoice(`{}`, c.finish()) }

type chatChunkChoice struct {
	Index         int64           `json:"index"`
	Delta         json.RawMessage `json:"delta"`
	Logprobs      *struct{}       `json:"logprobs"`
	FinishReason  *string         `json:"finish_reason"`
	FilterResults *struct{}       `json:"content_filter_results,omitempty"`
}

type chatChunk struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	Created           int64             `json:"created"`
	Model             string            `json:"model"`
	ServiceTier       string            `json:"service_tier"`
	SystemFingerprint *string           `json:"system_fingerprint"`
	Choices           []chatChunkChoice `json:"choices"`
	Usage             json.RawMessage   `json:"usage,omitempty"`
	Obfuscation       *string           `json:"obfuscation,omitempty"`
}

// everyChoice writes the same piece of each choice, in chunks of their own.
func (c *chatAnswer) everyChoice(delta, finish string) error {
	for i := range c.n {
		choice := chatChunkChoice{Index: i, Delta: json.RawMessage(delta)}
		if finish != "" {
			choice.FinishReason = &finish
		}
		if c.place.azure {
			choice.FilterResults = &struct{}{}
		}
		if err := c.chunk([]chatChunkChoice{choice}, nil); err != nil {
			return err
		}
	}
	return nil
}

// chunk writes one chunk. Where usage was asked for, every chunk has the field,
// and all but the last have null in it.
func (c *chatAnswer) chunk(choices []chatChunkChoice, usage *chatUsage) error {
	out := chatChunk{ID: c.id("chatcmpl-"), Object: "chat.completion.chunk", Created: c.at.Unix(), Model: c.call.Model,
		ServiceTier: "default", Choices: choices}
	options := c.ask.StreamOptions
	if options != nil && options.IncludeUsage {
		raw, err := marshal(usage)
		if err != nil {
			return err
		}
		out.Usage = raw
	}
	if choices == nil {
		out.Choices = []chatChunkChoice{}
	}
	if options == nil || options.IncludeObfuscation == nil || *options.IncludeObfuscation {
		out.Obfuscation = c.obfuscation()
	}
	raw, err := marshal(out)
	if err != nil {
		return err
	}
	return c.pen.event("", raw)
}

// obfuscation hides how long a token is, as OpenAI's chunks do.
func (x *exchange) obfuscation() *string {
	s := strings.Repeat("x", (x.pen.chunks*7)%16)
	return &s
}

func (c *chatAnswer) fault() error {
	raw, err := marshal(map[string]any{"error": streamFault().openAI()})
	if err != nil {
		return err
	}
	return c.pen.put("", raw)
}

func streamFault() refusal {
	return refusal{status: 500, message: "The server had an error while processing your request. Sorry about that!"}
}
