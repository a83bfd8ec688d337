package authz_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/authz"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// With somebody's own routes the body goes out as it came: the decision knows, and the
// call goes to the first deployment alone.
func TestACallThroughSomebodysOwnRoutes(t *testing.T) {
	r := newRig(t, two(nil), nil)
	res := r.ask(t, "", chat())
	asked := r.decider.Seen()[0]
	if !asked.Fixed || !asked.BodyComplete || asked.Gateway != adaptertest.Gateway || string(asked.Body) != chatBody || asked.Headers[":path"] != "" || asked.Headers["x-envoy-auth-partial-body"] != "" {
		t.Errorf("asked %+v", asked)
	}
	ok := res.GetOkResponse()
	if ok == nil || res.GetStatus().GetCode() != int32(codes.OK) {
		t.Fatalf("not allowed: %v", res)
	}
	want := map[string]string{envoy.HeaderDeployment: "a", ":path": "/v1/chat/completions?beta=true", "accept-encoding": "identity", "content-type": "application/json"}
	if diff := cmp.Diff(want, set(ok.GetHeaders())); diff != "" {
		t.Error(diff)
	}
	gone := []string{"api-key", "authorization", "cookie", "ocp-apim-subscription-key", "te", "x-api-key", "x-envoy-external-address",
		"x-forwarded-for", "x-signalbox-profile", "x-signalbox-session", "x-team"}
	if diff := cmp.Diff(gone, ok.GetHeadersToRemove()); diff != "" {
		t.Error(diff)
	}
	told := map[string]string{"x-signalbox-decision": "d-1", "x-signalbox-budget": "acme-month", "x-signalbox-budget-left": "12.5", envoy.HeaderDeployment: "a"}
	if diff := cmp.Diff(told, set(ok.GetResponseHeadersToAdd())); diff != "" {
		t.Error(diff)
	}
	call, found := envoy.ReadCall(res.GetDynamicMetadata())
	if !found || call.Token != "token" || !slices.Equal(call.Order, []string{"a"}) || res.GetDynamicMetadata().GetFields()["priority_groups"] != nil {
		t.Errorf("metadata %v", res.GetDynamicMetadata())
	}
}

// With the routes that xds makes, order, paths and edits go along as metadata.
func TestACallThroughOurRoutes(t *testing.T) {
	r := newRig(t, two(nil), nil)
	res := r.ask(t, envoy.ProfileOrder, chat())
	if r.decider.Seen()[0].Fixed {
		t.Error("the body can be changed, and the decision was told that it cannot")
	}
	headers := set(res.GetOkResponse().GetHeaders())
	if headers["x-envoy-max-retries"] != "1" || headers["x-envoy-retry-on"] != "" || headers[envoy.HeaderDeployment] != "" || headers[":path"] != "" {
		t.Errorf("headers %v", headers)
	}
	if !slices.Contains(res.GetOkResponse().GetHeadersToRemove(), envoy.HeaderDeployment) {
		t.Error("the caller's own word for a deployment goes on")
	}
	got, err := json.Marshal(res.GetDynamicMetadata().AsMap())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"attempts":1,"decision":"d-1","dialect":"openai","endpoint":"chat_completions","order":["a","b"],"priority_groups":[` +
		`{"clusters":[{"cluster_name":"deployment/a","weight":1}],"name":"a"},{"clusters":[{"cluster_name":"deployment/b","weight":1}],"name":"b"}],"token":"token","tries":{` +
		`"a":{"edits":[[10,16,"gpt-4o-2024"]],"path":"/v1/chat/completions?beta=true"},` +
		`"b":{"edits":[[10,16,"prod"]],"path":"/openai/deployments/prod/chat/completions?api-version=2024-10-21\u0026beta=true"}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Deployments whose clusters the Envoys do not have yet are passed over; if that is all
// of them, the Envoy says so.
func TestOnlyUsableDeploymentsAreNamed(t *testing.T) {
	for usable, want := range map[string][]string{"b": {"b"}, "none": {"a", "b"}} {
		r := newRig(t, two(nil), nil, func(p *authz.Parts) { p.Usable = func(d string) bool { return d == usable } })
		call, _ := envoy.ReadCall(r.ask(t, envoy.ProfileOrder, chat()).GetDynamicMetadata())
		if !slices.Equal(call.Order, want) {
			t.Errorf("usable %s: %v, want %v", usable, call.Order, want)
		}
	}
}

// A second try after a reset or a silence is asked for only where the hold pays for it.
func TestAHoldForTwoTries(t *testing.T) {
	answer := two(nil)
	answer.Plan.Hold.Attempts = 2
	headers := set(newRig(t, answer, nil).ask(t, envoy.ProfileOrder, chat()).GetOkResponse().GetHeaders())
	if headers["x-envoy-retry-on"] != "reset" || headers["x-envoy-upstream-rq-per-try-timeout-ms"] != "60000" {
		t.Errorf("headers %v", headers)
	}
}

// What one route says of its profile wins over what the filter says for all.
func TestARoutesProfileWins(t *testing.T) {
	m := chat()
	m.Attributes.ContextExtensions = map[string]string{"profile": "order"}
	r := newRig(t, two(nil), nil)
	if res := r.ask(t, envoy.ProfileHeader, m); res.GetDynamicMetadata().GetFields()["priority_groups"] == nil {
		t.Errorf("got %v", res)
	}
	m.Attributes.ContextExtensions["profile"] = "whatever"
	if r.ask(t, envoy.ProfileOrder, m); !r.decider.Seen()[1].Fixed {
		t.Error("a profile that nobody knows was promised changes of the body")
	}
}

// How much of a body has come, by the filter's word and by what was announced.
func TestBodies(t *testing.T) {
	for name, c := range map[string]struct {
		headers  map[string]string
		body     string
		complete bool
		have     int
	}{
		"whole":                          {map[string]string{"content-length": "2", "x-envoy-auth-partial-body": "false"}, "{}", true, 2},
		"cut, the filter says":           {map[string]string{"x-envoy-auth-partial-body": "true"}, "{}", false, 2},
		"cut, by what was announced":     {map[string]string{"content-length": "20"}, "{}", false, 2},
		"not sent to us at all":          {map[string]string{"content-length": "20"}, "", false, 0},
		"of unknown length":              {nil, "{}", true, 2},
		"none":                           {nil, "", true, 0},
		"longer than any that is judged": {nil, strings.Repeat("x", 101), false, 0},
		"a length that is none":          {map[string]string{"content-length": "a lot"}, "{}", true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, two(nil), nil, func(p *authz.Parts) { p.Limits = authz.DefaultLimits(); p.Limits.Body = 100 })
			r.ask(t, "", question("POST", "/v1/chat/completions", c.body, c.headers))
			asked := r.decider.Seen()[0]
			if asked.BodyComplete != c.complete || len(asked.Body) != c.have {
				t.Errorf("complete %v, %d bytes", asked.BodyComplete, len(asked.Body))
			}
		})
	}
}

// Filters differ in how they send bodies and headers.
func TestOtherSpellings(t *testing.T) {
	m := question("POST", "/v1/chat/completions", "", nil)
	m.Attributes.Request.Http.Body = chatBody
	m.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: ":method", RawValue: []byte("POST")}, {Key: "authorization", RawValue: []byte("Bearer sbx_first")}, {Key: "authorization", RawValue: []byte("Bearer sbx_second")},
	}}
	r := newRig(t, two(nil), nil)
	r.ask(t, "", m)
	if asked := r.decider.Seen()[0]; string(asked.Body) != chatBody || asked.Headers["authorization"] != "Bearer sbx_first" || len(asked.Headers) != 1 {
		t.Errorf("asked %+v", asked)
	}
}

// What is not let through reaches the caller as it would from any other door, and the
// metadata says that we were asked.
func TestDenials(t *testing.T) {
	served := decision.Answer{DecisionID: "d-4", Dialect: llm.OpenAI, Served: &decision.Served{Status: 200, Headers: map[string]string{"content-type": "text/event-stream"}, Body: []byte("data: [DONE]\n\n")}}
	for name, c := range map[string]struct {
		answer decision.Answer
		err    error
		status int32
		header map[string]string
		body   string
	}{
		"a budget that is spent":       {answer: adaptertest.Refusal(llm.OpenAI, 0, decision.BudgetExhausted), status: 402, header: map[string]string{"x-signalbox-decision": "d-2", "x-should-retry": "false", "x-signalbox-budget": "acme-month"}, body: "insufficient_quota"},
		"a rate, in Anthropic's words": {answer: adaptertest.Refusal(llm.Anthropic, 2e9, decision.RateLimited), status: 429, header: map[string]string{"retry-after": "2", "request-id": "d-2"}, body: `"type":"rate_limit_error"`},
		"an answer of ours":            {answer: served, status: 200, header: map[string]string{"content-type": "text/event-stream", "x-signalbox-decision": "d-4"}, body: "data: [DONE]\n\n"},
		"bytes that are no text":       {answer: decision.Answer{DecisionID: "d-5", Served: &decision.Served{Status: 200, Body: []byte{0xff}}}, status: 500, body: "no text"},
		"nothing can be decided":       {err: &decision.Unavailable{Answer: adaptertest.Refusal(llm.OpenAI, 5e9, decision.JournalUnavailable), Cause: errors.New("no broker")}, status: 503, header: map[string]string{"retry-after": "5"}, body: "journal_unavailable"},
		"nothing can be said of it":    {err: &decision.Unavailable{Cause: errors.New("no broker")}, status: 503, header: map[string]string{"retry-after": "1"}, body: "overloaded"},
		"no time left":                 {err: context.DeadlineExceeded, status: 503, body: "overloaded"},
		"something broke":              {err: errors.New("boom with sbx_key"), status: 500, body: "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.answer, c.err)
			res := r.ask(t, envoy.ProfileOrder, chat())
			denied := res.GetDeniedResponse()
			if denied == nil || res.GetStatus().GetCode() == int32(codes.OK) || int32(denied.GetStatus().GetCode()) != c.status || !strings.Contains(denied.GetBody(), c.body) {
				t.Fatalf("got %v", res)
			}
			headers := set(denied.GetHeaders())
			for name, want := range c.header {
				if headers[name] != want {
					t.Errorf("%s: %q, want %q", name, headers[name], want)
				}
			}
			if !envoy.Asked(res.GetDynamicMetadata()) {
				t.Error("the access log would take it for a call that nobody was asked about")
			}
			if strings.Contains(res.String(), "sbx_key") {
				t.Error("the answer holds the caller's key")
			}
		})
	}
}

// A call that cannot be read is the caller's mistake, and never the filter's error: a
// filter that fails open would let it pass.
func TestUnreadableCallsAreRefused(t *testing.T) {
	encoded := chat()
	encoded.Attributes.Request.Http.Headers["content-encoding"] = "br"
	long := chat()
	long.Attributes.Request.Http.Path = "/" + strings.Repeat("a", 9<<10)
	for name, m := range map[string]*authv3.CheckRequest{
		"a body in another coding": encoded, "a path that is too long": long, "no request": {}, "no method": question("", "/v1/models", "", nil),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, two(nil), nil)
			res := r.ask(t, "", m)
			if int32(res.GetDeniedResponse().GetStatus().GetCode()) != 400 || len(r.decider.Seen()) != 0 {
				t.Errorf("got %v", res)
			}
		})
	}
}

// A path that a rule lets through unjudged goes where somebody's routes send it; routes
// of xds have nowhere to send it.
func TestUnjudgedPaths(t *testing.T) {
	r := newRig(t, decision.Answer{DecisionID: "d-6", Plan: &decision.Plan{Free: true}}, nil)
	m := question("POST", "/v1/files", "", map[string]string{"authorization": "Bearer sbx_key"})
	res := r.ask(t, envoy.ProfileHeader, m)
	if ok := res.GetOkResponse(); ok == nil || !slices.Contains(ok.GetHeadersToRemove(), "authorization") || set(ok.GetHeaders())[envoy.HeaderDeployment] != "" {
		t.Errorf("own routes: %v", res)
	}
	if res := r.ask(t, envoy.ProfileOrder, m); int32(res.GetDeniedResponse().GetStatus().GetCode()) != 404 {
		t.Errorf("our routes: %v", res)
	}
}

func TestAGatewayThatIsNotLetIn(t *testing.T) {
	r := newRig(t, two(nil), nil)
	if _, err := r.client.Check(t.Context(), chat()); status.Code(err) != codes.Unauthenticated || len(r.decider.Seen()) != 0 {
		t.Errorf("got %v", err)
	}
}

// patient decides when the gateway has gone.
type patient struct{ gone context.CancelFunc }

func (p patient) Decide(ctx context.Context, _ decision.Request) (decision.Answer, error) {
	p.gone()
	<-ctx.Done()
	return two(nil), nil
}

// An Envoy that no longer waits has refused the call, or let it pass by itself: either
// way nothing of it is ours to charge.
func TestAnAnswerThatNobodyWaitedForIsGivenBack(t *testing.T) {
	settled := make(chan decision.Report, 1)
	ctx, gone := context.WithCancel(t.Context())
	a := authz.New(authz.Parts{Decider: patient{gone}, Settler: settling(settled), Admit: func(context.Context) (string, *problem) { return "edge", nil }})
	res, err := a.Check(ctx, chat())
	if err != nil || res.GetOkResponse() != nil {
		t.Errorf("got %v, %v", res, err)
	}
	if report := <-settled; report.Token != "token" || report.Outcome != journal.OutcomeNotSent {
		t.Errorf("settled %+v", report)
	}
}
