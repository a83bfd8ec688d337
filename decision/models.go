package decision

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// modelList answers GET /v1/models: what this app may call in the dialect it
// speaks. Nobody else can say it, so no provider is asked.
func modelList(c *Case) *Served {
	var models []*registry.Model
	for _, m := range c.World.Models() {
		if m.Dialect != string(c.Ask.Dialect) {
			continue // It would be a dialect_mismatch: no call is translated.
		}
		if len(c.Caller.App.Models) == 0 || slices.Contains(c.Caller.App.Models, m.Name) {
			models = append(models, m)
		}
	}
	return &Served{Status: http.StatusOK, Headers: map[string]string{"content-type": "application/json"},
		Body: modelListBody(c.Ask.Dialect, models)}
}

func modelListBody(d llm.Dialect, models []*registry.Model) []byte {
	entries := make([]map[string]any, 0, len(models))
	for _, m := range models {
		entry := map[string]any{"id": m.Name, "object": "model", "created": 0, "owned_by": "signalbox"}
		if d == llm.Anthropic {
			entry = map[string]any{"id": m.Name, "type": "model", "display_name": m.Name, "created_at": "1970-01-01T00:00:00Z"}
		}
		entries = append(entries, entry)
	}
	list := map[string]any{"object": "list", "data": entries}
	if d == llm.Anthropic {
		list = map[string]any{"data": entries, "has_more": false}
	}
	body, err := json.Marshal(list)
	if err != nil {
		panic("decision: model list: " + err.Error()) // strings and numbers always marshal
	}
	return body
}
