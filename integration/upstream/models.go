package upstream

// listed are the models that it says it has; it answers for every name.
var listed = []string{"gpt-4o", "gpt-5-mini", "text-embedding-3-small", "claude-sonnet-4-5"}

// models lists what there is, in the shape of who is asked.
func (x *exchange) models() error {
	if !x.place.anthropic {
		var data []map[string]any
		for _, name := range listed {
			data = append(data, map[string]any{"id": name, "object": "model", "created": 1715367049, "owned_by": "system"})
		}
		return x.json(map[string]any{"object": "list", "data": data})
	}
	var data []map[string]any
	for _, name := range listed {
		data = append(data, map[string]any{"type": "model", "id": name, "display_name": name, "created_at": "2025-09-29T00:00:00Z",
			"lifecycle": "active", "line": nil, "max_input_tokens": 200000, "max_tokens": 64000})
	}
	return x.json(map[string]any{"data": data, "has_more": false, "first_id": listed[0], "last_id": listed[len(listed)-1]})
}
