package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// check is why a call is sent, which says what must become of it.
type check string

const (
	checkCanary  check = "canary"       // a good key and a budget of zero: refused for its budget
	checkForged  check = "forged"       // the same with headers that only gateways may say
	checkList    check = "list"         // the list of models, which Signalbox answers itself
	checkNoKey   check = "no key"       // refused, whoever asks
	checkBadKey  check = "bad key"      // a key of our shape that nobody made
	checkForeign check = "other key"    // a key as a provider makes them
	checkUnknown check = "unknown path" // what nobody judges may spend what nobody counts
)

// doctorProbe is one call through the gateway.
type doctorProbe struct {
	check   check
	method  string
	path    string
	shown   string // the path with the model left out, and whether it streams: what rows are grouped by
	model   string
	dialect llm.Dialect
	body    string
	headers map[string]string
}

// judgedPaths is what decision/llm recognises, as callers write it; {model} is put in.
var judgedPaths = []struct {
	path     string
	dialect  llm.Dialect
	endpoint llm.Endpoint
}{
	{"/v1/chat/completions", llm.OpenAI, llm.ChatCompletions},
	{"/v1/responses", llm.OpenAI, llm.Responses},
	{"/v1/embeddings", llm.OpenAI, llm.Embeddings},
	{"/v1/messages", llm.Anthropic, llm.Messages},
	{"/openai/v1/chat/completions", llm.OpenAI, llm.ChatCompletions},
	{"/openai/v1/responses", llm.OpenAI, llm.Responses},
	{"/openai/v1/embeddings", llm.OpenAI, llm.Embeddings},
	{"/openai/v1/messages", llm.Anthropic, llm.Messages},
	{"/openai/deployments/{model}/chat/completions?api-version=2024-10-21", llm.OpenAI, llm.ChatCompletions},
	{"/openai/deployments/{model}/embeddings?api-version=2024-10-21", llm.OpenAI, llm.Embeddings},
	{"/openai/responses?api-version=2025-04-01-preview", llm.OpenAI, llm.Responses},
}

// freePaths cost nothing and are let through to a provider, or answered by Signalbox;
// so no canary is sent to the first, and only the lists are read.
var freePaths = []struct {
	method, path string
	dialect      llm.Dialect
}{
	{"POST", "/v1/messages/count_tokens", llm.Anthropic},
	{"GET", "/v1/models", llm.OpenAI},
	{"GET", "/openai/v1/models", llm.OpenAI},
}

// unknownPaths are what providers have beside the judged ones, and judged ones spelled
// so that a router may take them for the same. What they change at a provider is
// nothing: their bodies are empty.
var unknownPaths = []struct{ method, path string }{
	{"POST", "/v1/signalbox-doctor"}, {"POST", "/v1/completions"}, {"POST", "/v1/images/generations"},
	{"GET", "/v1/files"}, {"POST", "/v1/batches"}, {"POST", "/v1/messages/batches"},
	{"POST", "/v1/chat/completions/"}, {"POST", "//v1/chat/completions"}, {"POST", "/v1/./chat/completions"},
	{"POST", "/V1/chat/completions"}, {"POST", "/v1/chat%2Fcompletions"},
}

// maxForged bounds how many deployments are named in forged headers.
const maxForged = 50

// doctorProbes lists the calls, for each of the routes or for all.
func doctorProbes(models []adminapi.Model, routes []string) []doctorProbe {
	if len(routes) == 0 {
		return allProbes(models)
	}
	var picked []doctorProbe
	for _, route := range routes {
		of := slices.DeleteFunc(allProbes(models), func(p doctorProbe) bool { return plainPath(p.shown) != plainPath(route) })
		if len(of) == 0 { // a path of the gateway's own: nobody judges it
			of = []doctorProbe{{check: checkUnknown, method: "POST", path: route, shown: route, body: "{}"}}
		}
		picked = append(picked, of...)
	}
	return picked
}

// plainPath is a path as rows show it, without what follows it.
func plainPath(shown string) string {
	path, _, _ := strings.Cut(shown, " ")
	path, _, _ = strings.Cut(path, "?")
	return path
}

func allProbes(models []adminapi.Model) []doctorProbe {
	probes := []doctorProbe{{check: checkList, method: "GET", path: "/v1/models", shown: "/v1/models", dialect: llm.OpenAI}}
	for _, j := range judgedPaths {
		first := true
		for _, m := range models {
			p, ok := judgedProbe(j.path, j.dialect, j.endpoint, m.Name)
			if m.Dialect != string(j.dialect) || !ok {
				continue
			}
			probes = append(probes, p)
			if j.endpoint != llm.Embeddings {
				probes = append(probes, streamed(p))
			}
			if first {
				probes = append(probes, keyless(p)...)
				probes = append(probes, forged(p, models)...)
				first = false
			}
		}
	}
	for _, f := range freePaths {
		probes = append(probes, keyless(doctorProbe{method: f.method, path: f.path, shown: f.path, dialect: f.dialect, body: "{}"})...)
	}
	for _, u := range unknownPaths {
		probes = append(probes, doctorProbe{check: checkUnknown, method: u.method, path: u.path, shown: u.path, body: "{}"})
	}
	return probes
}

// judgedProbe is a canary's call of a few words. false: this model cannot be written
// into the path, and no caller could call it there.
func judgedProbe(path string, dialect llm.Dialect, endpoint llm.Endpoint, model string) (doctorProbe, bool) {
	p := doctorProbe{check: checkCanary, method: "POST", path: strings.ReplaceAll(path, "{model}", model), shown: path, model: model, dialect: dialect}
	if _, ok := llm.Recognise(p.method, p.path); !ok {
		return p, false
	}
	switch endpoint {
	case llm.Responses:
		p.body = fmt.Sprintf(`{"model":%q,"max_output_tokens":16,"input":"ping"}`, model)
	case llm.Embeddings:
		p.body = fmt.Sprintf(`{"model":%q,"input":"ping"}`, model)
	default:
		p.body = fmt.Sprintf(`{"model":%q,"max_tokens":16,"messages":[{"role":"user","content":"ping"}]}`, model)
	}
	return p, true
}

func streamed(p doctorProbe) doctorProbe {
	p.body = `{"stream":true,` + p.body[1:]
	p.shown += " (stream)"
	return p
}

func keyless(p doctorProbe) []doctorProbe {
	var out []doctorProbe
	for _, c := range []check{checkNoKey, checkBadKey, checkForeign} {
		p.check = c
		out = append(out, p)
	}
	return out
}

// forged are calls with headers by which filters, routes and services tell each other
// what was decided. A route that believes a caller's own would be a way around.
func forged(p doctorProbe, models []adminapi.Model) []doctorProbe {
	with := func(c check, headers map[string]string) doctorProbe {
		q := p
		q.check, q.headers = c, headers
		return q
	}
	told := map[string]string{"x-signalbox-decision": "forged", "x-signalbox-profile": "order", "x-envoy-auth-partial-body": "false"}
	var out []doctorProbe
	for _, m := range models {
		for _, d := range m.Deployments {
			if m.Name != p.model || len(out) >= 2*maxForged {
				continue
			}
			headers := maps.Clone(told)
			headers["x-signalbox-deployment"] = d
			out = append(out, with(checkForged, headers), with(checkNoKey, headers))
		}
	}
	return out
}
