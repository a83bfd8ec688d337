package upstream

import (
	"net/http"
	"strings"
)

// operation is what a path asks for.
type operation string

const (
	chatCompletions operation = "chat/completions"
	responses       operation = "responses"
	embeddings      operation = "embeddings"
	messages        operation = "messages"
	countTokens     operation = "messages/count_tokens"
	models          operation = "models"
)

// place is where a call came in.
type place struct {
	operation  operation
	azure      bool
	anthropic  bool
	deployment string // Azure's, from the path
}

// placeOf reads the path. Azure's dated versions want api-version in the query,
// and know nothing of a path without it.
func placeOf(r *http.Request) place {
	path := r.URL.EscapedPath()
	anthropic := r.Header.Get("Anthropic-Version") != ""
	if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
		op := operation(rest)
		return place{operation: op.by(r.Method), anthropic: op == messages || op == countTokens || op == models && anthropic}
	}
	rest, ok := strings.CutPrefix(path, "/openai/")
	if !ok {
		return place{anthropic: anthropic}
	}
	at := place{azure: true}
	if v1, ok := strings.CutPrefix(rest, "v1/"); ok {
		at.operation = operation(v1).by(r.Method)
		return at
	}
	if r.URL.Query().Get("api-version") == "" {
		return at
	}
	if deployed, ok := strings.CutPrefix(rest, "deployments/"); ok {
		name, op, _ := strings.Cut(deployed, "/")
		at.deployment, rest = name, op
	}
	at.operation = operation(rest).by(r.Method)
	return at
}

// by is the operation where the method is its own, and none where it is not.
func (o operation) by(method string) operation {
	if (o == models) != (method == http.MethodGet) {
		return ""
	}
	return o
}

// authenticated checks the credential where the dialect wants it, and refuses a
// call without one that it knows.
func (x *exchange) authenticated(r *http.Request) bool {
	if len(x.p.Credentials) == 0 {
		return true
	}
	given := ""
	for _, name := range x.place.credentialHeaders() {
		if given = r.Header.Get(name); given != "" {
			break
		}
	}
	if x.p.Credentials[given] {
		return true
	}
	x.refuse(unauthenticated(x.place, given))
	return false
}

func (p place) credentialHeaders() []string {
	switch {
	case p.anthropic:
		return []string{"X-Api-Key", "Authorization"}
	case p.azure:
		return []string{"Api-Key", "Authorization"}
	}
	return []string{"Authorization"}
}
