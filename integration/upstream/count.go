package upstream

import "encoding/json"

// What images cost here: a square of 1,024 pixels a side.
const (
	imageTokens    = 765
	imageTokensLow = 85
)

// What a dialect's template adds.
const (
	messageTokens       = 4
	anthropicToolTokens = 346 // once, when there are tools
)

// count is how many tokens the provider finds in a part of a body: about four
// bytes a token, as English has, a few for each message, and images by their own
// rule. What it does not know it counts as text.
func count(parts ...json.RawMessage) (n int64) {
	for _, raw := range parts {
		var v any
		if json.Unmarshal(raw, &v) == nil {
			n += countValue(v)
		}
	}
	return n
}

func countValue(v any) (n int64) {
	switch v := v.(type) {
	case string:
		return int64(len(v)+3) / 4
	case []any:
		for _, e := range v {
			n += countValue(e)
		}
	case map[string]any:
		if image, ok := imageOf(v); ok {
			return image
		}
		if _, ok := v["role"]; ok {
			n += messageTokens
		}
		for key, e := range v {
			if key != "type" && key != "role" && key != "cache_control" && key != "signature" {
				n += countValue(e)
			}
		}
	}
	return n
}

// imageOf is what a part costs that is an image.
func imageOf(part map[string]any) (int64, bool) {
	switch part["type"] {
	case "image_url", "input_image", "image":
	default:
		return 0, false
	}
	detail := part["detail"]
	if inner, ok := part["image_url"].(map[string]any); ok {
		detail = inner["detail"]
	}
	if detail == "low" {
		return imageTokensLow, true
	}
	return imageTokens, true
}

// lastUserText is the text of the last thing that the user says.
func lastUserText(list json.RawMessage) string {
	var said string
	if json.Unmarshal(list, &said) == nil {
		return said // a response's input may be a string
	}
	var turns []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(list, &turns) != nil {
		return ""
	}
	for i := len(turns) - 1; i >= 0; i-- {
		if turns[i].Role == "user" {
			return textOf(turns[i].Content)
		}
	}
	return ""
}

// textOf is a content's text, whether it is a string or parts.
func textOf(content json.RawMessage) string {
	var said string
	if json.Unmarshal(content, &said) == nil {
		return said
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(content, &parts) != nil {
		return ""
	}
	for _, p := range parts {
		said += p.Text + "\n"
	}
	return said
}

// tool is what is read of a tool, in any dialect's spelling.
type tool struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Function struct {
		Name string `json:"name"`
	} `json:"function"`
}

func toolNames(raw json.RawMessage) (names []string) {
	var tools []tool
	_ = json.Unmarshal(raw, &tools)
	for _, t := range tools {
		if t.Function.Name != "" {
			names = append(names, t.Function.Name)
		} else if t.Name != "" {
			names = append(names, t.Name)
		}
	}
	return names
}
