package decision

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
	return &Served{Status: http.StatusOK, Headers: map[string]string{"content-type": "application/json"}, Body: modelListBody(models)}
}

// listedModels is a list that the clients of both dialects read: each passes over
// the other's fields, and who asks does not always say which it is.
type listedModels struct {
	Object  string        `json:"object"`
	Data    []listedModel `json:"data"`
	HasMore bool          `json:"has_more"`
	FirstID *string       `json:"first_id"`
	LastID  *string       `json:"last_id"`
}

type listedModel struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	Type        string `json:"type"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

func modelListBody(models []*registry.Model) []byte {
	list := listedModels{Object: "list", Data: make([]listedModel, len(models))}
	for i, m := range models {
		list.Data[i] = listedModel{ID: m.Name, Object: "model", OwnedBy: "signalbox", Type: "model", DisplayName: m.Name, CreatedAt: "1970-01-01T00:00:00Z"}
	}
	if len(models) > 0 {
		list.FirstID, list.LastID = &models[0].Name, &models[len(models)-1].Name
	}
	body, err := json.Marshal(list)
	if err != nil {
		panic("decision: model list: " + err.Error()) // strings and numbers always marshal
	}
	return body
}

// listsAs is the dialect of whoever asks for the models, for both list them at one
// path. Only Anthropic's list comes in pages, so who asks for a page reads that one,
// as Claude Code does without a word on who it is.
func listsAs(r Request) llm.Dialect {
	if r.Headers[versionHeader] != "" {
		return llm.Anthropic
	}
	_, query, _ := strings.Cut(r.Path, "?")
	asked, err := url.ParseQuery(query)
	if err == nil && (asked.Has("limit") || asked.Has("after_id") || asked.Has("before_id")) {
		return llm.Anthropic
	}
	return llm.OpenAI
}
