package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// messagesAsk is what is read of Anthropic's messages.
type messagesAsk struct {
	Model         string          `json:"model"`
	System        json.RawMessage `json:"system"`
	Messages      json.RawMessage `json:"messages"`
	Tools         json.RawMessage `json:"tools"`
	MaxTokens     *int64          `json:"max_tokens"`
	MaxCompletion json.RawMessage `json:"max_completion_tokens"` // another dialect's: refused
	StreamOptions json.RawMessage `json:"stream_options"`        // another dialect's: refused
	Stream        bool            `json:"stream"`
	Thinking      *struct {
		Type   string `json:"type"`
		Budget int64  `json:"budget_tokens"`
	} `json:"thinking"`
}

// messages answers Anthropic's messages.
func (x *exchange) messages() error {
	ask, ok := x.messagesAsk(true)
	if !ok {
		return nil
	}
	o := order{body: x.body, limit: *ask.MaxTokens, thinks: -1, tools: toolNames(ask.Tools), asked: lastUserText(ask.Messages)}
	if ask.Thinking != nil && ask.Thinking.Type != "disabled" {
		o.thinks = 24
	}
	m := &messageAnswer{exchange: x, script: x.steer.write(o), searched: x.searches(ask.Tools, nil)}
	x.bills(ask.tokens(), longCache(x.body))
	if ask.Stream {
		return x.stream(m.write, m.fault)
	}
	x.call.Usage.Reasoning = m.script.reasoning
	x.call.Usage.Output = m.script.tokens()
	if err := x.searchAll(m.searched); err != nil {
		return err
	}
	return x.json(m.whole())
}

// countTokens says what a prompt would be billed, and bills nothing.
func (x *exchange) countTokens() error {
	ask, ok := x.messagesAsk(false)
	if !ok {
		return nil
	}
	return x.json(map[string]int64{"input_tokens": ask.tokens()})
}

func (x *exchange) messagesAsk(limited bool) (ask messagesAsk, ok bool) {
	if x.call.Header.Get("Anthropic-Version") == "" {
		x.refuse(*bad("", "", "anthropic-version: header is required"))
		return ask, false
	}
	if err := json.Unmarshal(x.body, &ask); err != nil {
		x.refuse(refusal{status: http.StatusBadRequest, message: "The request body is not valid JSON: " + err.Error()})
		return ask, false
	}
	if r := ask.check(limited); r != nil {
		x.refuse(*r)
		return ask, false
	}
	return ask, true
}

// check refuses what Anthropic refuses.
func (a *messagesAsk) check(limited bool) *refusal {
	thinking := a.Thinking != nil && a.Thinking.Type == "enabled"
	switch {
	case a.Model == "":
		return bad("", "", "model: Field required")
	case len(a.Messages) == 0 || a.Messages[0] != '[':
		return bad("", "", "messages: Field required")
	case a.MaxCompletion != nil:
		return bad("", "", "max_completion_tokens: Extra inputs are not permitted")
	case a.StreamOptions != nil:
		return bad("", "", "stream_options: Extra inputs are not permitted")
	case limited && a.MaxTokens == nil:
		return bad("", "", "max_tokens: Field required")
	case limited && *a.MaxTokens < 1:
		return bad("", "", "max_tokens: Input should be greater than or equal to 1")
	case thinking && a.Thinking.Budget < 1024:
		return bad("", "", "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
	case thinking && limited && a.Thinking.Budget >= *a.MaxTokens:
		return bad("", "", "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size")
	}
	return nil
}

func (a *messagesAsk) tokens() int64 {
	n := 3 + count(a.System, a.Messages, a.Tools)
	if len(toolNames(a.Tools)) > 0 {
		n += anthropicToolTokens
	}
	return n
}

// longCache reports whether what goes into the cache is to stay there for an hour.
func longCache(body []byte) bool {
	return bytes.Contains(bytes.ReplaceAll(body, []byte(" "), nil), []byte(`"ttl":"1h"`))
}

// messageAnswer is one message while it is written.
type messageAnswer struct {
	*exchange
	script   script
	searched int64 // how often the web is searched
}

type message struct {
	Model        string        `json:"model"`
	ID           string        `json:"id"`
	Type         string        `json:"type"`
	Role         string        `json:"role"`
	Content      []any         `json:"content"`
	StopReason   *string       `json:"stop_reason"`
	StopSequence *string       `json:"stop_sequence"`
	StopDetails  *struct{}     `json:"stop_details"`
	Usage        *messageUsage `json:"usage,omitempty"`
}

type messageUsage struct {
	Input         int64          `json:"input_tokens"`
	CacheWrite    int64          `json:"cache_creation_input_tokens"`
	CacheRead     int64          `json:"cache_read_input_tokens"`
	CacheCreation *cacheCreation `json:"cache_creation,omitempty"`
	Output        int64          `json:"output_tokens"`
	Details       *outputDetails `json:"output_tokens_details,omitempty"`
	ServerTools   *serverToolUse `json:"server_tool_use,omitempty"`
	ServiceTier   string         `json:"service_tier,omitempty"`
	InferenceGeo  string         `json:"inference_geo,omitempty"`
}

type cacheCreation struct {
	Short int64 `json:"ephemeral_5m_input_tokens"`
	Long  int64 `json:"ephemeral_1h_input_tokens"`
}

type serverToolUse struct {
	Searches int64 `json:"web_search_requests"`
	Fetches  int64 `json:"web_fetch_requests"`
}

type outputDetails struct {
	Thinking int64 `json:"thinking_tokens"`
}

// messageUsageOf spells a bill as Anthropic does: input_tokens leaves out what the
// cache gave and took. The end of a stream says less than its beginning.
func messageUsageOf(t journal.Tokens, end bool) *messageUsage {
	u := &messageUsage{Input: t.Input - t.Cached - t.CacheWrite - t.CacheWriteLong,
		CacheRead: t.Cached, CacheWrite: t.CacheWrite + t.CacheWriteLong, Output: t.Output}
	if t.Reasoning > 0 {
		u.Details = &outputDetails{t.Reasoning}
	}
	if n := t.Other[webSearch]; n > 0 {
		u.ServerTools = &serverToolUse{Searches: n}
	}
	if !end {
		u.CacheCreation = &cacheCreation{t.CacheWrite, t.CacheWriteLong}
		u.ServiceTier, u.InferenceGeo = "standard", "not_available"
	}
	return u
}

func (m *messageAnswer) stopReason() *string {
	reason := "end_turn"
	switch {
	case m.script.cut:
		reason = "max_tokens"
	case len(m.script.calls) > 0:
		reason = "tool_use"
	}
	return &reason
}

// block is one part of the content. Its keys are those of its type alone.
type block map[string]any

func (m *messageAnswer) thinkingBlock(text, signature string) block {
	return block{"type": "thinking", "thinking": text, "signature": signature}
}

func (m *messageAnswer) toolBlock(i int, input any) block {
	return block{"type": "tool_use", "id": fmt.Sprintf("toolu_%018d%04d", m.n, i), "name": m.script.calls[i].name,
		"input": input, "caller": block{"type": "direct"}}
}

// signature vouches for thoughts that come back in the next turn.
const signature = "EqQBCkYIARgCKkBub3QgYSByZWFsIHNpZ25hdHVyZQ=="

func (m *messageAnswer) message() message {
	return message{Model: m.call.Model, ID: m.id("msg_"), Type: "message", Role: "assistant", Content: []any{}}
}

// whole is the message in one piece.
func (m *messageAnswer) whole() message {
	out := m.message()
	if m.script.reasoning > 0 {
		out.Content = append(out.Content, m.thinkingBlock(m.script.words(m.script.reasoning), signature))
	}
	for i := range m.searched {
		out.Content = append(out.Content, m.searchBlock(i, block{"query": m.query(i)}), m.foundBlock(i))
	}
	for i, t := range m.script.calls {
		input := json.RawMessage(t.arguments())
		if !json.Valid(input) { // the limit cut it off
			input = json.RawMessage(`{}`)
		}
		out.Content = append(out.Content, m.toolBlock(i, input))
	}
	if m.script.text > 0 {
		out.Content = append(out.Content, block{"type": "text", "text": m.script.words(m.script.text)})
	}
	out.StopReason = m.stopReason()
	if !m.steer.noUsage {
		out.Usage = messageUsageOf(m.call.Usage, false)
	}
	return out
}

// write is the message as a stream: message_start, each block with its deltas,
// message_delta with the usage, message_stop; a ping after the first block began.
func (m *messageAnswer) write() error {
	start := m.message()
	if !m.steer.noUsage {
		start.Usage = messageUsageOf(m.call.Usage, false)
		start.Usage.Output = 1 // the real ones say a few tokens here, before there are any
	}
	if err := m.event("message_start", map[string]any{"type": "message_start", "message": start}); err != nil {
		return err
	}
	index := 0
	if m.script.reasoning > 0 {
		if err := m.writeThinking(index); err != nil {
			return err
		}
		index++
	}
	for i := range m.searched {
		if err := m.writeSearch(index, i); err != nil {
			return err
		}
		index += 2
	}
	for i := range m.script.calls {
		if err := m.writeTool(index, i); err != nil {
			return err
		}
		index++
	}
	if m.script.text > 0 {
		if err := m.writeText(index); err != nil {
			return err
		}
	}
	return m.writeEnd()
}

func (m *messageAnswer) writeThinking(index int) error {
	if err := m.open(index, m.thinkingBlock("", "")); err != nil {
		return err
	}
	for i := range m.script.reasoning {
		m.call.Usage.Reasoning++
		if err := m.token(index, "thinking_delta", "thinking", m.script.word(i)); err != nil {
			return err
		}
	}
	if err := m.delta(index, "signature_delta", "signature", signature); err != nil {
		return err
	}
	return m.shut(index)
}

func (m *messageAnswer) writeText(index int) error {
	if err := m.open(index, block{"type": "text", "text": ""}); err != nil {
		return err
	}
	for i := range m.script.text {
		if err := m.token(index, "text_delta", "text", m.script.word(i)); err != nil {
			return err
		}
	}
	return m.shut(index)
}

func (m *messageAnswer) writeTool(index, i int) error {
	if err := m.generate(1); err != nil { // its name
		return err
	}
	if err := m.open(index, m.toolBlock(i, block{})); err != nil {
		return err
	}
	if err := m.delta(index, "input_json_delta", "partial_json", ""); err != nil {
		return err
	}
	for _, piece := range m.script.calls[i].pieces {
		if err := m.token(index, "input_json_delta", "partial_json", piece); err != nil {
			return err
		}
	}
	return m.shut(index)
}

func (m *messageAnswer) writeEnd() error {
	end := map[string]any{"type": "message_delta",
		"delta": map[string]any{"stop_reason": m.stopReason(), "stop_sequence": nil, "stop_details": nil}}
	if !m.steer.noUsage {
		end["usage"] = messageUsageOf(m.call.Usage, true)
	}
	if err := m.event("message_delta", end); err != nil {
		return err
	}
	return m.event("message_stop", map[string]any{"type": "message_stop"})
}

func (m *messageAnswer) open(index int, b block) error {
	if err := m.event("content_block_start", map[string]any{"type": "content_block_start", "index": index, "content_block": b}); err != nil {
		return err
	}
	if index > 0 {
		return nil
	}
	return m.event("ping", map[string]any{"type": "ping"})
}

func (m *messageAnswer) shut(index int) error {
	return m.event("content_block_stop", map[string]any{"type": "content_block_stop", "index": index})
}

func (m *messageAnswer) token(index int, kind, field, text string) error {
	if err := m.generate(1); err != nil {
		return err
	}
	return m.delta(index, kind, field, text)
}

func (m *messageAnswer) delta(index int, kind, field, text string) error {
	return m.event("content_block_delta", map[string]any{"type": "content_block_delta", "index": index,
		"delta": map[string]any{"type": kind, field: text}})
}

// event writes one event. Anthropic pads them with blanks before the last brace,
// so that their length does not tell the token's.
func (m *messageAnswer) event(name string, data map[string]any) error {
	raw, err := marshal(data)
	if err != nil {
		return err
	}
	padded := append(raw[:len(raw)-1:len(raw)-1], strings.Repeat(" ", (m.pen.chunks*7)%15)+"}"...)
	return m.pen.event(name, padded)
}

func (m *messageAnswer) fault() error {
	raw, err := marshal(map[string]any{"type": "error", "request_id": m.id("req_"),
		"error": map[string]any{"type": "overloaded_error", "message": "Overloaded"}})
	if err != nil {
		return err
	}
	return m.pen.put("error", raw)
}
