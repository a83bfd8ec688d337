package llm

import (
	"slices"
	"strings"
)

// Route is what a method and a path ask for.
type Route struct {
	Dialect   Dialect
	Endpoint  Endpoint
	PathModel string // the deployment that the path names, "" when the body names the model
	Free      bool   // costs nothing: not judged by tokens or money
}

// operation is one path below a prefix.
type operation struct {
	method, path string
	route        Route
}

// operations is the closed list. What is not in it is refused by whoever asks:
// a path that we do not judge may spend money that nobody counts.
var operations = []operation{
	{"POST", "/chat/completions", Route{Dialect: OpenAI, Endpoint: ChatCompletions}},
	{"POST", "/responses", Route{Dialect: OpenAI, Endpoint: Responses}},
	{"POST", "/embeddings", Route{Dialect: OpenAI, Endpoint: Embeddings}},
	{"POST", "/messages", Route{Dialect: Anthropic, Endpoint: Messages}},
	{"POST", "/messages/count_tokens", Route{Dialect: Anthropic, Endpoint: CountTokens, Free: true}},
	{"GET", "/models", Route{Dialect: OpenAI, Endpoint: Models, Free: true}},
}

// azureOperations stand under Azure's dated paths with no deployment in them: its
// client sends a response's model in the body, and a list of models has none.
var azureOperations = []string{"/openai/responses", "/openai/models"}

const azurePrefix = "/openai/deployments/"

// Recognise reads a method and a path, with or without a query, which never
// changes what is recognised. Paths are
// compared byte for byte: a doubled slash, a dot segment, an escape or a slash at
// the end may mean something else to the gateway than to us, so each is unknown.
func Recognise(method, path string) (Route, bool) {
	path, _, _ = strings.Cut(path, "?")
	if rest, ok := strings.CutPrefix(path, azurePrefix); ok {
		model, _, found := strings.Cut(rest, "/")
		if !found || !plainSegment(model) {
			return Route{}, false
		}
		route, ok := operate(method, rest[len(model):])
		route.PathModel = model
		if !ok || route.Endpoint == Models {
			return Route{}, false
		}
		return route, true
	}
	if slices.Contains(azureOperations, path) {
		return operate(method, strings.TrimPrefix(path, "/openai"))
	}
	for _, prefix := range []string{"/v1", "/openai/v1"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return operate(method, rest)
		}
	}
	return Route{}, false
}

func operate(method, path string) (Route, bool) {
	for _, op := range operations {
		if op.path == path && op.method == method {
			return op.route, true
		}
	}
	return Route{}, false
}

// plainSegment reports whether s can be a deployment's name in a path: letters,
// digits, dots, dashes and underscores, and not a dot segment.
func plainSegment(s string) bool {
	if s == "" || s == "." || s == ".." {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
