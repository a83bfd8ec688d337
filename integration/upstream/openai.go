package upstream

import (
	"encoding/json"
	"net/http"
	"strings"
)

// model is the one the body names; Azure's deployments are named by the path.
func (x *exchange) model() string {
	if x.place.deployment != "" {
		return x.place.deployment
	}
	var ask struct {
		Model string `json:"model"`
	}
	_ = json.Unmarshal(x.body, &ask) // the dialect says what is wrong with it
	return ask.Model
}

// reasons tells OpenAI's reasoning models by their names.
func reasons(model string) bool {
	return strings.HasPrefix(model, "gpt-5") || len(model) > 1 && model[0] == 'o' && model[1] >= '0' && model[1] <= '9'
}

// thinks is how many tokens such a model thinks.
func thinks(model string) int64 {
	if reasons(model) {
		return 64
	}
	return 0
}

func said(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func notJSON(err error) refusal {
	return refusal{status: http.StatusBadRequest, message: "We could not parse the JSON body of your request: " + err.Error()}
}

func tooLow(param string, got, least int64) *refusal {
	return bad(param, "integer_below_min_value", "Invalid '%s': integer below minimum value. Expected a value >= %d, but got %d instead.", param, least, got)
}

// filters are what Azure's content filter says of a harmless text.
type filters map[string]map[string]any

type promptFilter struct {
	Index   int     `json:"prompt_index"`
	Results filters `json:"content_filter_results"`
}

func harmless() *filters {
	f := filters{}
	for _, kind := range []string{"hate", "self_harm", "sexual", "violence"} {
		f[kind] = map[string]any{"filtered": false, "severity": "safe"}
	}
	return &f
}
