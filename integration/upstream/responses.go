package upstream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// responsesAsk is what is read of a response's body; most of it is said back.
type responsesAsk struct {
	Input         json.RawMessage `json:"input"`
	Instructions  json.RawMessage `json:"instructions"`
	Tools         json.RawMessage `json:"tools"`
	ToolChoice    json.RawMessage `json:"tool_choice"`
	Text          json.RawMessage `json:"text"`
	Metadata      json.RawMessage `json:"metadata"`
	MaxOutput     *int64          `json:"max_output_tokens"`
	MaxTokens     json.RawMessage `json:"max_tokens"`            // another endpoint's: refused
	MaxCompletion json.RawMessage `json:"max_completion_tokens"` // another endpoint's: refused
	MaxToolCalls  *int64          `json:"max_tool_calls"`
	Previous      *string         `json:"previous_response_id"`
	Background    bool            `json:"background"`
	Store         *bool           `json:"store"`
	Stream        bool            `json:"stream"`
	StreamOptions *struct {
		IncludeUsage       json.RawMessage `json:"include_usage"` // another endpoint's: refused
		IncludeObfuscation *bool           `json:"include_obfuscation"`
	} `json:"stream_options"`
	Include   []string `json:"include"`
	Reasoning struct {
		Effort  *string `json:"effort"`
		Summary *string `json:"summary"`
	} `json:"reasoning"`
}

// responses answers OpenAI's responses.
func (x *exchange) responses() error {
	var ask responsesAsk
	if err := json.Unmarshal(x.body, &ask); err != nil {
		x.refuse(notJSON(err))
		return nil
	}
	if r := ask.check(x.call.Model); r != nil {
		x.refuse(*r)
		return nil
	}
	before, known := x.p.recall(ask.Previous)
	if !known {
		x.refuse(*bad("previous_response_id", "previous_response_not_found", "Previous response with id '%s' not found.", *ask.Previous))
		return nil
	}
	a := &responseAnswer{exchange: x, ask: ask, searched: x.searches(ask.Tools, ask.MaxToolCalls), script: x.steer.write(order{body: x.body, limit: said(ask.MaxOutput),
		thinks: thinks(x.call.Model), tools: toolNames(ask.Tools), asked: lastUserText(ask.Input)})}
	x.bills(3+before+count(ask.Instructions, ask.Input, ask.Tools), false)
	if ask.Stream {
		return x.stream(a.write, a.fault)
	}
	x.call.Usage.Reasoning, x.call.Usage.Output = a.script.reasoning, a.script.tokens()
	if err := x.searchAll(a.searched); err != nil {
		return err
	}
	a.remember()
	if ask.Background { // it is generated, and billed, whether or not somebody asks for it later
		return x.json(a.response("queued", nil))
	}
	return x.json(a.response(a.status(), a.items()))
}

// check refuses what OpenAI refuses.
func (a *responsesAsk) check(model string) *refusal {
	switch {
	case model == "":
		return bad("model", "missing_required_parameter", "Missing required parameter: 'model'.")
	case len(a.Input) == 0 && a.Previous == nil:
		return bad("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	case a.MaxTokens != nil:
		return bad("max_tokens", "unsupported_parameter", "Unsupported parameter: 'max_tokens'. In the Responses API, this parameter has moved to 'max_output_tokens'.")
	case a.MaxCompletion != nil:
		return bad("max_completion_tokens", "unsupported_parameter", "Unsupported parameter: 'max_completion_tokens'. In the Responses API, this parameter has moved to 'max_output_tokens'.")
	case a.MaxOutput != nil && *a.MaxOutput < 16:
		return tooLow("max_output_tokens", *a.MaxOutput, 16)
	case a.MaxToolCalls != nil && *a.MaxToolCalls < 1:
		return tooLow("max_tool_calls", *a.MaxToolCalls, 1)
	case a.StreamOptions != nil && !a.Stream:
		return bad("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case a.StreamOptions != nil && a.StreamOptions.IncludeUsage != nil:
		return bad("stream_options.include_usage", "unknown_parameter", "Unknown parameter: 'stream_options.include_usage'.")
	case a.Background && a.Store != nil && !*a.Store:
		return bad("background", "", "Background mode requires 'store' to be true.")
	}
	return nil
}

// keptResponses is how many stored responses can be continued.
const keptResponses = 10_000

// recall is how many tokens a stored response brings along: its prompt and itself.
func (p *Provider) recall(id *string) (tokens int64, known bool) {
	if id == nil {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	tokens, known = p.prior[*id]
	return tokens, known
}

// remember stores a response, unless the caller wants it not to be. A long run
// forgets the old ones all at once.
func (a *responseAnswer) remember() {
	if a.ask.Store != nil && !*a.ask.Store {
		return
	}
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	if a.p.prior == nil || len(a.p.prior) >= keptResponses {
		a.p.prior = map[string]int64{}
	}
	a.p.prior[a.id("resp_")] = a.call.Usage.Input + a.call.Usage.Output
}

// responseAnswer is one response while it is written.
type responseAnswer struct {
	*exchange
	ask      responsesAsk
	script   script
	searched int64 // how often the web is searched
	sequence int64
}

func (a *responseAnswer) status() string {
	if a.script.cut {
		return "incomplete"
	}
	return "completed"
}

type response struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"`
	CreatedAt         int64           `json:"created_at"`
	Status            string          `json:"status"`
	Background        bool            `json:"background"`
	CompletedAt       *int64          `json:"completed_at"`
	Error             any             `json:"error"`
	FrequencyPenalty  float64         `json:"frequency_penalty"`
	IncompleteDetails any             `json:"incomplete_details"`
	Instructions      json.RawMessage `json:"instructions"`
	MaxOutputTokens   *int64          `json:"max_output_tokens"`
	MaxToolCalls      *int64          `json:"max_tool_calls"`
	Model             string          `json:"model"`
	Output            []any           `json:"output"`
	ParallelToolCalls bool            `json:"parallel_tool_calls"`
	PresencePenalty   float64         `json:"presence_penalty"`
	Previous          *string         `json:"previous_response_id"`
	PromptCacheKey    *string         `json:"prompt_cache_key"`
	Reasoning         any             `json:"reasoning"`
	SafetyIdentifier  *string         `json:"safety_identifier"`
	ServiceTier       string          `json:"service_tier"`
	Store             bool            `json:"store"`
	Temperature       float64         `json:"temperature"`
	Text              json.RawMessage `json:"text"`
	ToolChoice        json.RawMessage `json:"tool_choice"`
	Tools             json.RawMessage `json:"tools"`
	TopLogprobs       int64           `json:"top_logprobs"`
	TopP              float64         `json:"top_p"`
	Truncation        string          `json:"truncation"`
	Usage             *responseUsage  `json:"usage"`
	User              *string         `json:"user"`
	Metadata          json.RawMessage `json:"metadata"`
}

type responseUsage struct {
	Input        int64 `json:"input_tokens"`
	InputDetails struct {
		Cached     int64 `json:"cached_tokens"`
		CacheWrite int64 `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	Output        int64 `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int64 `json:"total_tokens"`
}

// responseUsageOf spells a bill as the responses do: as chat completions, by other names.
func responseUsageOf(t journal.Tokens) *responseUsage {
	u := &responseUsage{Input: t.Input, Output: t.Output, Total: t.Input + t.Output}
	u.InputDetails.Cached, u.InputDetails.CacheWrite = t.Cached, t.CacheWrite+t.CacheWriteLong
	u.OutputDetails.Reasoning = t.Reasoning
	return u
}

// response is the whole object as it stands. Only one that has ended has usage.
func (a *responseAnswer) response(status string, output []any) response {
	or := func(raw json.RawMessage, otherwise string) json.RawMessage {
		if len(raw) == 0 {
			return json.RawMessage(otherwise)
		}
		return raw
	}
	r := response{ID: a.id("resp_"), Object: "response", CreatedAt: a.at.Unix(), Status: status, Background: a.ask.Background,
		Instructions: or(a.ask.Instructions, "null"), MaxOutputTokens: a.ask.MaxOutput, MaxToolCalls: a.ask.MaxToolCalls,
		Model: a.call.Model, Output: output, ParallelToolCalls: true, Previous: a.ask.Previous,
		Reasoning: map[string]any{"effort": a.ask.Reasoning.Effort, "summary": a.ask.Reasoning.Summary}, ServiceTier: "default",
		Store: a.ask.Store == nil || *a.ask.Store, Temperature: 1, Text: or(a.ask.Text, `{"format":{"type":"text"},"verbosity":"medium"}`),
		ToolChoice: or(a.ask.ToolChoice, `"auto"`), Tools: or(a.ask.Tools, "[]"), TopP: 1, Truncation: "disabled", Metadata: or(a.ask.Metadata, "{}")}
	if output == nil {
		r.Output = []any{}
	}
	switch status {
	case "incomplete":
		r.IncompleteDetails = map[string]any{"reason": "max_output_tokens"}
	case "failed":
		r.Error = map[string]any{"code": "server_error", "message": streamFault().message}
	case "completed":
		now := a.p.now().Unix()
		r.CompletedAt = &now
	default:
		return r
	}
	if !a.steer.noUsage && status != "failed" {
		r.Usage = responseUsageOf(a.call.Usage)
	}
	return r
}

// items is the output: reasoning, searches, then a message or tool calls.
func (a *responseAnswer) items() (out []any) {
	if a.script.reasoning > 0 {
		out = append(out, a.reasoningItem(a.summary()))
	}
	for i := range a.searched {
		out = append(out, a.searchItem(i, "completed"))
	}
	for i, t := range a.script.calls {
		out = append(out, a.callItem(i, a.status(), t.arguments()))
	}
	if len(a.script.calls) == 0 {
		out = append(out, a.messageItem(a.status(), []any{textPart(a.script.words(a.script.text))}))
	}
	return out
}

func textPart(text string) map[string]any {
	return map[string]any{"type": "output_text", "annotations": []any{}, "logprobs": []any{}, "text": text}
}

func (a *responseAnswer) messageItem(status string, content []any) map[string]any {
	return map[string]any{"id": a.id("msg_"), "type": "message", "status": status, "content": content, "role": "assistant"}
}

func (a *responseAnswer) callItem(i int, status, arguments string) map[string]any {
	return map[string]any{"id": fmt.Sprintf("%s%04d", a.id("fc_"), i), "type": "function_call", "status": status,
		"arguments": arguments, "call_id": fmt.Sprintf("call_%020d%04d", a.n, i), "name": a.script.calls[i].name}
}

func (a *responseAnswer) reasoningItem(summary string) map[string]any {
	item := map[string]any{"id": a.id("rs_"), "type": "reasoning", "content": []any{}, "summary": []any{}}
	if summary != "" {
		item["summary"] = []any{summaryPart(summary)}
	}
	if slices.Contains(a.ask.Include, "reasoning.encrypted_content") { // for callers that store nothing here
		item["encrypted_content"] = "gAAAAABn" + strings.Repeat("bm90IHJlYWw", 4)
	}
	return item
}

func summaryPart(text string) map[string]any {
	return map[string]any{"type": "summary_text", "text": text}
}

// summary is what is shown of the reasoning: nothing, or a few words, which cost
// nothing beside it.
func (a *responseAnswer) summary() string {
	if a.ask.Reasoning.Summary == nil {
		return ""
	}
	return a.script.words(min(a.script.reasoning, 12))
}

// write is the response as a stream: created, in_progress, each item with its
// parts and deltas, and completed or incomplete with the whole of it once more.
func (a *responseAnswer) write() error {
	for _, name := range []string{"response.created", "response.in_progress"} {
		if err := a.event(name, fields{"response": a.response("in_progress", nil)}); err != nil {
			return err
		}
	}
	index := 0
	if a.script.reasoning > 0 {
		if err := a.writeReasoning(); err != nil {
			return err
		}
		index++
	}
	for i := range a.searched {
		if err := a.writeSearch(index, i); err != nil {
			return err
		}
		index++
	}
	for i := range a.script.calls {
		if err := a.writeCall(index+i, i); err != nil {
			return err
		}
	}
	if len(a.script.calls) == 0 {
		if err := a.writeMessage(index); err != nil {
			return err
		}
	}
	a.remember()
	return a.event("response."+a.status(), fields{"response": a.response(a.status(), a.items())})
}

func (a *responseAnswer) writeReasoning() error {
	a.call.Usage.Reasoning = a.script.reasoning
	if err := a.event("response.output_item.added", fields{"item": a.reasoningItem(""), "output_index": 0}); err != nil {
		return err
	}
	if err := a.generate(a.script.reasoning); err != nil {
		return err
	}
	if summary := a.summary(); summary != "" {
		at := fields{"item_id": a.id("rs_"), "output_index": 0, "summary_index": 0}
		for _, e := range []struct {
			name string
			more fields
		}{
			{"response.reasoning_summary_part.added", fields{"part": summaryPart("")}},
			{"response.reasoning_summary_text.delta", fields{"delta": summary}},
			{"response.reasoning_summary_text.done", fields{"text": summary}},
			{"response.reasoning_summary_part.done", fields{"part": summaryPart(summary)}},
		} {
			if err := a.event(e.name, at, e.more); err != nil {
				return err
			}
		}
	}
	return a.event("response.output_item.done", fields{"item": a.reasoningItem(a.summary()), "output_index": 0})
}

func (a *responseAnswer) writeMessage(index int) error {
	at := fields{"item_id": a.id("msg_"), "output_index": index, "content_index": 0}
	if err := a.event("response.output_item.added", fields{"item": a.messageItem("in_progress", []any{}), "output_index": index}); err != nil {
		return err
	}
	if err := a.event("response.content_part.added", at, fields{"part": textPart("")}); err != nil {
		return err
	}
	for i := range a.script.text {
		if err := a.generate(1); err != nil {
			return err
		}
		if err := a.event("response.output_text.delta", at, fields{"delta": a.script.word(i), "logprobs": []any{}}, a.hidden()); err != nil {
			return err
		}
	}
	text := a.script.words(a.script.text)
	if err := a.event("response.output_text.done", at, fields{"text": text, "logprobs": []any{}}); err != nil {
		return err
	}
	if err := a.event("response.content_part.done", at, fields{"part": textPart(text)}); err != nil {
		return err
	}
	return a.event("response.output_item.done", fields{"item": a.messageItem(a.status(), []any{textPart(text)}), "output_index": index})
}

func (a *responseAnswer) writeCall(index, i int) error {
	t := a.script.calls[i]
	begun := a.callItem(i, "in_progress", "")
	at := fields{"item_id": begun["id"], "output_index": index}
	if err := a.generate(1); err != nil { // its name
		return err
	}
	if err := a.event("response.output_item.added", fields{"item": begun, "output_index": index}); err != nil {
		return err
	}
	for _, piece := range t.pieces {
		if err := a.generate(1); err != nil {
			return err
		}
		if err := a.event("response.function_call_arguments.delta", at, fields{"delta": piece}, a.hidden()); err != nil {
			return err
		}
	}
	if err := a.event("response.function_call_arguments.done", at, fields{"arguments": t.arguments(), "name": t.name}); err != nil {
		return err
	}
	return a.event("response.output_item.done", fields{"item": a.callItem(i, a.status(), t.arguments()), "output_index": index})
}

type fields map[string]any

// hidden is the obfuscation of deltas, unless the caller does without.
func (a *responseAnswer) hidden() fields {
	if o := a.ask.StreamOptions; o != nil && o.IncludeObfuscation != nil && !*o.IncludeObfuscation {
		return nil
	}
	return fields{"obfuscation": a.obfuscation()}
}

// event writes one event, with its type and its number.
func (a *responseAnswer) event(name string, parts ...fields) error {
	raw, err := a.numbered(name, parts...)
	if err != nil {
		return err
	}
	return a.pen.event(name, raw)
}

func (a *responseAnswer) numbered(name string, parts ...fields) ([]byte, error) {
	all := fields{"type": name, "sequence_number": a.sequence}
	for _, p := range parts {
		for k, v := range p {
			all[k] = v
		}
	}
	a.sequence++
	return marshal(all)
}

// fault is how a response fails on the way: an error event, and response.failed.
func (a *responseAnswer) fault() error {
	for _, e := range []struct {
		name string
		more fields
	}{
		{"error", fields{"error": streamFault().openAI()}},
		{"response.failed", fields{"response": a.response("failed", nil)}},
	} {
		raw, err := a.numbered(e.name, e.more)
		if err != nil {
			return err
		}
		if err := a.pen.put(e.name, raw); err != nil {
			return err
		}
	}
	return nil
}
