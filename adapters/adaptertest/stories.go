package adaptertest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// question is one call: what a gateway asks, what the decision must see of it,
// what it answers. Or the problem that keeps it from being asked or answered.
type question struct {
	name    string
	local   bool // gateways of this machine are trusted
	token   string
	ask     door.Question
	want    decision.Request
	answer  decision.Answer
	err     error
	problem door.Kind
	tells   bool // the problem comes with something for the caller
}

const chatPath = "/v1/chat/completions"

func chat() door.Question {
	return door.Question{
		CallID: "c-1", Method: "POST", Path: chatPath,
		Headers: map[string]string{"Authorization": "Bearer sbx_key", "x-signalbox-session": "s-42"},
		Body:    []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":"Grüße \u0000 \"quoted\" <b>"}]}`),
	}
}

func chatSeen() decision.Request {
	q := chat()
	return decision.Request{
		CallID: "c-1", Gateway: Gateway, Method: "POST", Path: chatPath,
		Headers: decision.Headers{"authorization": "Bearer sbx_key", "x-signalbox-session": "s-42"},
		Body:    q.Body, BodyComplete: true,
	}
}

// Plan is an allowed answer with everything in it.
func Plan() decision.Answer {
	azure := &registry.Provider{Name: "azure-weu", Kind: registry.ProviderAzureOpenAI, BaseURL: "https://contoso.openai.azure.com", APIVersion: "2024-10-21"}
	return decision.Answer{
		DecisionID: "d-1", CallID: "c-1", Dialect: llm.OpenAI, PolicyRevision: "p-7", RegistryVersion: 17,
		Changes:  []decision.Change{decision.Clamped},
		Findings: []decision.Finding{{Kind: "email", At: [2]int{17, 31}, Where: "messages[0].content"}},
		Plan: &decision.Plan{
			Deployments: []*registry.Deployment{
				{Name: "gpt-4o-ptu", Provider: "azure-weu", Model: "gpt-4o", UpstreamModel: "gpt-4o-prod", ProviderRef: azure},
				{Name: "gpt-4o-paygo", Provider: "azure-weu", Model: "gpt-4o", UpstreamModel: "gpt-4o-std", ProviderRef: azure},
			},
			Body: []byte(`{"model":"gpt-4o","max_tokens":1024}`), ModelSpan: [2]int{10, 16},
			Hold:        decision.Hold{NanoUSD: 12_340_000, Tokens: 1864, MaxOutputTokens: 1024, Attempts: 2, ExpiresAt: time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)},
			ReportToken: "token", Budget: &decision.BudgetLeft{Name: "acme-month", Unit: "usd", Left: "12.5"},
		},
	}
}

// Refusal is a refused answer for one reason about a budget.
func Refusal(dialect llm.Dialect, after time.Duration, codes ...decision.Code) decision.Answer {
	a := decision.Answer{DecisionID: "d-2", Dialect: dialect, PolicyRevision: "p-7", RegistryVersion: 17, Refusal: &decision.Refusal{RetryAfter: after}}
	for _, code := range codes {
		a.Refusal.Reasons = append(a.Refusal.Reasons, decision.Reason{
			Code: code, Message: "because of \"" + string(code) + "\"", Budget: "acme-month", Unit: journal.UnitUSD,
			Limit: 5000 * registry.NanoPerUSD, Spent: 4999_980_000_000, Asked: 12_300_000,
			ResetsAt: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
		})
	}
	return a
}

func questions() []question {
	stories := []question{
		{name: "allowed, with everything in it", token: Token, ask: chat(), want: chatSeen(), answer: Plan()},
		{name: "allowed, unchanged", token: Token, ask: chat(), want: chatSeen(), answer: unchanged()},
		{name: "several reasons and a warning", token: Token, ask: chat(), want: chatSeen(), answer: warned()},
		{name: "in Anthropic's dialect", token: Token, ask: chat(), want: chatSeen(), answer: Refusal(llm.Anthropic, 0, decision.BudgetExhausted)},
		{name: "served from the cache", token: Token, ask: chat(), want: chatSeen(), answer: served([]byte(`{"id":"x"}`))},
		{name: "served bytes that are no text", token: Token, ask: chat(), want: chatSeen(), answer: served([]byte{0xff, 0x00, 0xfe})},
		{name: "nothing to pay for", token: Token, ask: chat(), want: chatSeen(), answer: decision.Answer{DecisionID: "d-3", Plan: &decision.Plan{Free: true}}},
	}
	for _, code := range decision.Codes() {
		stories = append(stories, question{name: "refused " + string(code), token: Token, ask: chat(), want: chatSeen(), answer: Refusal(llm.OpenAI, 90*time.Second, code)})
	}
	stories = append(stories, bodies()...)
	stories = append(stories, identities()...)
	stories = append(stories, envelopes()...)
	return append(stories, outages()...)
}

func unchanged() decision.Answer {
	a := Plan()
	a.Changes, a.Plan.Body = nil, nil
	a.Plan.Deployments = a.Plan.Deployments[:1]
	return a
}

func warned() decision.Answer {
	a := Refusal(llm.OpenAI, 0, decision.BudgetExhausted, decision.RateLimited)
	a.Warnings = []decision.Reason{{Code: decision.BudgetExhausted, Message: "nearly", Budget: "team", Unit: journal.UnitTokens, Limit: 10, Spent: 9}}
	return a
}

func served(body []byte) decision.Answer {
	return decision.Answer{DecisionID: "d-4", Served: &decision.Served{Status: 200, Headers: map[string]string{"content-type": "application/json"}, Body: body}}
}

// bodies are what callers send and gateways hand on.
func bodies() []question {
	var out []question
	add := func(name string, body []byte, complete bool) {
		ask, want := chat(), chatSeen()
		ask.Body, ask.BodyComplete = body, &complete
		want.Body, want.BodyComplete = body, complete
		out = append(out, question{name: name, token: Token, ask: ask, want: want, answer: unchanged()})
	}
	add("an empty body", nil, true)
	add("a body that is not UTF-8", []byte("{\"model\":\"\xff\xfe\"}"), true)
	add("a body that is not JSON", []byte("no"), true)
	add("a body cut short", []byte(`{"model":"gpt-4o","mess`), false)
	add("a body nested 100,000 deep", []byte(strings.Repeat("[", 100_000)), true)
	add("a body of 8 MiB", []byte(strings.Repeat("x", door.DefaultBody)), true)
	add("control characters and line separators", []byte("\x00\x01\n\u2028\u2029\x7f"), true)
	ask, want := chat(), chatSeen()
	ask.Path, want.Path = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
	ask.Headers = map[string]string{"X-Api-Key": "dummy", "API-KEY": "sbx_key"}
	want.Headers = decision.Headers{"x-api-key": "dummy", "api-key": "sbx_key"}
	return append(out, question{name: "names of headers in any case", token: Token, ask: ask, want: want, answer: unchanged()})
}

// identities are who asks.
func identities() []question {
	as := func(gateway string) door.Question {
		q := chat()
		q.Gateway = gateway
		return q
	}
	seen := func(gateway string) decision.Request {
		r := chatSeen()
		r.Gateway = gateway
		return r
	}
	return []question{
		{name: "a gateway says who it is", token: Token, ask: as(Gateway), want: seen(Gateway), answer: Plan()},
		{name: "a gateway says it is another", token: Token, ask: as(Other), problem: door.UnknownGateway},
		{name: "a token nobody made", token: "sbg_no", ask: chat(), problem: door.UnknownGateway},
		{name: "a token nobody made, on this machine", local: true, token: "sbg_no", ask: chat(), problem: door.UnknownGateway},
		{name: "no token", ask: chat(), problem: door.UnknownGateway},
		{name: "no token, on this machine", local: true, ask: as(Other), want: seen(Other), answer: Plan()},
		{name: "no token and no name, on this machine", local: true, ask: chat(), want: seen(""), answer: Plan()},
		{name: "a gateway nobody declared, on this machine", local: true, ask: as("edge-9"), problem: door.UnknownGateway},
	}
}

// envelopes are questions that cannot be read.
func envelopes() []question {
	var out []question
	add := func(name string, change func(q *door.Question)) {
		q := chat()
		change(&q)
		out = append(out, question{name: name, token: Token, ask: q, problem: door.BadEnvelope})
	}
	add("no method", func(q *door.Question) { q.Method = "" })
	add("a method with a space", func(q *door.Question) { q.Method = "PO ST" })
	add("no path", func(q *door.Question) { q.Path = "" })
	add("a path without its slash", func(q *door.Question) { q.Path = "v1/chat/completions" })
	add("a path with a line break", func(q *door.Question) { q.Path = "/v1/chat\r\nx: y" })
	add("a path of 9 KiB", func(q *door.Question) { q.Path = "/" + strings.Repeat("a", 9<<10) })
	add("a call id of 257 bytes", func(q *door.Question) { q.CallID = strings.Repeat("a", 257) })
	add("a call id with a line break", func(q *door.Question) { q.CallID = "a\nb" })
	add("a header's name with a space", func(q *door.Question) { q.Headers = map[string]string{"x y": "z"} })
	add("a header's value with a line break", func(q *door.Question) { q.Headers = map[string]string{"x": "y\r\nz: 1"} })
	add("a header twice, in two cases", func(q *door.Question) { q.Headers = map[string]string{"X-Api-Key": "a", "x-api-key": "b"} })
	add("300 headers", func(q *door.Question) {
		q.Headers = map[string]string{}
		for i := range 300 {
			q.Headers["h"+strings.Repeat("x", i)] = "v"
		}
	})
	return out
}

// outages are questions without an answer.
func outages() []question {
	away := Refusal(llm.Anthropic, 5*time.Second, decision.JournalUnavailable)
	return []question{
		{name: "the call id stands for something else", token: Token, ask: chat(), err: &decision.Conflict{CallID: "c-1", Why: "used for another body"}, problem: door.Conflict},
		{name: "nothing can be decided", token: Token, ask: chat(), err: &decision.Unavailable{Answer: away, Cause: errors.New("no broker")}, problem: door.Unavailable, tells: true},
		{name: "nothing can be decided or said", token: Token, ask: chat(), err: &decision.Unavailable{Cause: errors.New("no broker")}, problem: door.Unavailable},
		{name: "something broke", token: Token, ask: chat(), err: errors.New("boom"), problem: door.Internal},
		{name: "the question was withdrawn", token: Token, ask: chat(), err: context.Canceled, problem: door.Withdrawn},
	}
}
