package sdk_test

import (
	"encoding/json"
	"maps"
	"strings"
)

// ask is a request before each dialect spells it.
type ask struct {
	// model is "" for the dialect's own. In it * stands for the player, % for the
	// dialect's family (gpt, claude) and ^ for the other one's.
	model string
	text  string
	max   int // output limit; 0: Anthropic's must have one, OpenAI's has none
	image bool
	tools bool
	web   bool // it may search the web
	uses  int  // as often as this; 0: it does not say
	more  map[string]any
}

// cached is a prompt that Anthropic keeps in its cache.
func cached(text string, control map[string]any) ask {
	mark := map[string]any{"type": "ephemeral"}
	maps.Copy(mark, control)
	return ask{max: 200, more: map[string]any{"messages": []any{map[string]any{"role": "user",
		"content": []any{map[string]any{"type": "text", "text": strings.Repeat(text, 40), "cache_control": mark}}}}}}
}

func thinking(text string) ask {
	return ask{text: text, max: 2048, more: map[string]any{"thinking": map[string]any{"type": "enabled", "budget_tokens": 1024}}}
}

// pixel is a picture of one.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

// params spells an ask in a dialect.
func (a *ask) params(op string, p player) json.RawMessage {
	out := map[string]any{}
	switch op {
	case "chat":
		out = a.chat()
	case "responses":
		out = a.responses()
	case "messages":
		out = a.messages()
	case "count_tokens":
		out = a.messages()
		delete(out, "max_tokens")
	case "embeddings":
		out = map[string]any{"model": a.modelOr("embed"), "input": []string{"The train waits.", "The track is free."}}
	}
	maps.Copy(out, a.more)
	if model, ok := out["model"].(string); ok {
		own, other := "gpt", "claude"
		if p.sdk == "anthropic" {
			own, other = other, own
		}
		out["model"] = strings.NewReplacer("*", p.name(), "%", own, "^", other).Replace(model)
	}
	raw, err := json.Marshal(out)
	if err != nil {
		panic(err) // the table's own values
	}
	return raw
}

func (a *ask) modelOr(other string) string {
	if a.model != "" {
		return a.model
	}
	return other
}

var schema = map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}}

func (a *ask) chat() map[string]any {
	content := any(a.text)
	if a.image {
		content = []any{map[string]any{"type": "text", "text": a.text},
			map[string]any{"type": "image_url", "image_url": map[string]any{"url": "data:image/png;base64," + pixel}}}
	}
	out := map[string]any{"model": a.modelOr("gpt"), "messages": []any{map[string]any{"role": "user", "content": content}}}
	if a.max > 0 {
		out[a.limitField()] = a.max
	}
	if a.tools {
		out["tools"] = []any{map[string]any{"type": "function", "function": map[string]any{"name": "weather", "parameters": schema}}}
	}
	return out
}

func (a *ask) limitField() string {
	if a.model == "reasoner" {
		return "max_completion_tokens"
	}
	return "max_tokens"
}

func (a *ask) responses() map[string]any {
	input := any(a.text)
	if a.image {
		input = []any{map[string]any{"type": "message", "role": "user", "content": []any{map[string]any{"type": "input_text", "text": a.text},
			map[string]any{"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64," + pixel}}}}
	}
	out := map[string]any{"model": a.modelOr("gpt"), "input": input}
	if a.max > 0 {
		out["max_output_tokens"] = a.max
	}
	if a.tools {
		out["tools"] = []any{map[string]any{"type": "function", "name": "weather", "parameters": schema, "strict": false}}
	}
	if a.web {
		out["tools"] = []any{map[string]any{"type": "web_search"}}
	}
	if a.uses > 0 {
		out["max_tool_calls"] = a.uses
	}
	return out
}

func (a *ask) messages() map[string]any {
	content := any(a.text)
	if a.image {
		content = []any{map[string]any{"type": "text", "text": a.text},
			map[string]any{"type": "image", "source": map[string]any{"type": "base64", "media_type": "image/png", "data": pixel}}}
	}
	out := map[string]any{"model": a.modelOr("claude"), "max_tokens": 64, "messages": []any{map[string]any{"role": "user", "content": content}}}
	if a.max > 0 {
		out["max_tokens"] = a.max
	}
	if a.tools {
		out["tools"] = []any{map[string]any{"name": "weather", "input_schema": schema}}
	}
	if a.web {
		search := map[string]any{"type": "web_search_20250305", "name": "web_search"}
		if a.uses > 0 {
			search["max_uses"] = a.uses
		}
		out["tools"] = []any{search}
	}
	return out
}
