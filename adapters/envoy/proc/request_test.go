package proc_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// What the decision is asked is what the caller sent; what goes on is what it answered.
func TestAnAllowedCall(t *testing.T) {
	h := build(t, func(h *house) { h.profile = envoy.ProfileOrder })
	f := h.filter()
	if !f.ask("POST", chat+"?beta=true", ask, "x-api-key", "sk-dummy", "openai-organization", "org-1", "x-trace", "t", "x-odd", "Bearer "+callerKey, "accept-encoding", "gzip", "x-signalbox-deployment", "theirs") {
		t.Fatalf("answered with %v", f.instead)
	}
	req := h.decider.last(t)
	if req.Gateway != "edge" || req.Method != "POST" || req.Path != chat+"?beta=true" || string(req.Body) != ask || !req.BodyComplete || req.Fixed ||
		req.Headers["authorization"] != "Bearer "+callerKey || req.Headers[":path"] != "" {
		t.Errorf("asked %+v", req)
	}
	if want := strings.Replace(ask, "gpt", "up-1", 1); f.body != want {
		t.Errorf("sent %s, want %s", f.body, want)
	}
	delete(f.headers, "content-length")
	want := map[string]string{":method": "POST", ":path": chat + "?beta=true", ":authority": "gateway.test", ":scheme": "https", "content-type": "application/json",
		"x-trace": "t", "accept-encoding": "identity", "x-envoy-max-retries": "2"}
	if diff := cmp.Diff(want, f.headers); diff != "" {
		t.Error(diff)
	}
	if !f.cleared {
		t.Error("the route that was chosen before stays")
	}
	c, ok := envoy.ReadCall(f.meta[envoy.NamespaceCall])
	if !ok || c.Token != "token" || c.DecisionID != "d-1" || c.Dialect != llm.OpenAI || c.Endpoint != llm.ChatCompletions || !slices.Equal(c.Order, []string{"d1", "d2", "d3"}) {
		t.Errorf("the access log reads %+v", c)
	}
	if groups := f.meta[envoy.NamespaceRoute].GetFields()["priority_groups"].GetListValue().GetValues(); len(groups) != 3 {
		t.Errorf("the router reads %v", groups)
	}
	second := f.meta[envoy.NamespaceCall].GetFields()["tries"].GetStructValue().GetFields()["d2"].GetStructValue().GetFields()
	if second["path"].GetStringValue() != "/v2/chat/completions?beta=true" || second["edits"].GetListValue().GetValues()[0].GetListValue().GetValues()[2].GetStringValue() != "up-2" {
		t.Errorf("the second try reads %v", second)
	}
	f.pass("application/json", answerJSON)
	if f.got.String() != answerJSON || !f.whole {
		t.Errorf("the caller has %q", f.got.String())
	}
	r := h.report()
	if r.Outcome != journal.OutcomeCompleted || r.Usage == nil || r.Usage.Output != 2 || r.Deployment != "d1" || r.Source != journal.SourceBody {
		t.Errorf("reported %+v", r)
	}
	if got := h.watch.String(); got != "go, d1:ok, ended:complete" {
		t.Errorf("observed %s", got)
	}
}

// The filter has routes of somebody's own behind it: they get one deployment, by its
// name in a header, and the path and the model that it wants.
func TestRoutesOfSomebodysOwn(t *testing.T) {
	h := build(t, func(h *house) { h.profile = envoy.ProfileHeader })
	f := h.filter()
	f.ask("POST", chat, ask, "x-signalbox-deployment", "theirs", "x-envoy-attempt-count", "1")
	if f.headers[":path"] != "/v1/chat/completions" || f.headers["x-signalbox-deployment"] != "d1" || !strings.Contains(f.body, "up-1") || !f.cleared {
		t.Errorf("sent %v %s", f.headers, f.body)
	}
	for name := range f.headers {
		if strings.HasPrefix(name, "x-envoy-") && name != "x-envoy-attempt-count" {
			t.Errorf("%s is not ours to set there", name)
		}
	}
	if f.meta[envoy.NamespaceRoute] != nil {
		t.Error("there is an order, and nobody to follow it")
	}
	f.answer(1, "via_upstream", 200, false, "content-type", "application/json", "x-envoy-upstream-service-time", "3", "x-ratelimit-limit-tokens", "9")
	if _, ok := f.reached["x-envoy-upstream-service-time"]; !ok {
		t.Error("a header was removed that a filter may be forbidden to touch")
	}
	if _, ok := f.reached["x-ratelimit-limit-tokens"]; ok {
		t.Error("the caller sees the account's rates")
	}
	f.chunk(answerJSON, true)
	if r := h.report(); r.Outcome != journal.OutcomeCompleted || len(r.Attempts) != 0 {
		t.Errorf("reported %+v", r)
	}
}

// A deployment that the Envoys do not have yet is no place to go, unless there is no
// other.
func TestOnlyWhatTheEnvoysHave(t *testing.T) {
	for name, c := range map[string]struct{ usable, order []string }{
		"one":  {[]string{"d2"}, []string{"d2"}},
		"some": {[]string{"d3", "d1"}, []string{"d1", "d3"}},
		"none": {nil, []string{"d1", "d2", "d3"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, func(h *house) { h.parts.Usable = func(d string) bool { return slices.Contains(c.usable, d) } })
			f := h.filter()
			f.ask("POST", chat, ask)
			read, _ := envoy.ReadCall(f.meta[envoy.NamespaceCall])
			if diff := cmp.Diff(c.order, read.Order); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(f.body, "up-"+c.order[0][1:]) {
				t.Errorf("sent %s", f.body)
			}
			f.abort()
			h.report()
		})
	}
}

// Only a hold that pays for another try lets one be tried again that may have been
// billed.
func TestTriesThatMayBeBilled(t *testing.T) {
	for attempts, want := range map[int]string{1: "", 2: "reset"} {
		h := build(t, altering(func(a *decision.Answer) { a.Plan.Hold.Attempts = attempts }))
		f := h.filter()
		f.ask("POST", chat, ask)
		if f.headers["x-envoy-retry-on"] != want || (f.headers["x-envoy-upstream-rq-per-try-timeout-ms"] != "") != (want != "") {
			t.Errorf("%d attempts: %v", attempts, f.headers)
		}
		f.abort()
		h.report()
	}
}

// A body that the plan has changed goes out with its own length, and with the model
// that its first deployment knows.
func TestAChangedBody(t *testing.T) {
	h := build(t, altering(func(a *decision.Answer) {
		at := len(ask) - 1
		a.Changes = []decision.Change{decision.Clamped, decision.UsageRequested}
		a.Plan.Edits = []llm.Edit{{At: [2]int{at, at}, Text: []byte(`,"max_tokens":7`)}}
		a.Plan.Body = []byte(ask[:at] + `,"max_tokens":7}`)
	}))
	f := h.filter()
	f.ask("POST", chat, ask)
	if want := strings.Replace(ask[:len(ask)-1], "gpt", "up-1", 1) + `,"max_tokens":7}`; f.body != want {
		t.Errorf("sent %s, want %s", f.body, want)
	}
	f.pass("text/event-stream", oneWord+stopChunk+usageChunk+doneMark, "")
	if got := f.got.String(); got != oneWord+stopChunk+doneMark || !f.whole {
		t.Errorf("the caller has %q", got)
	}
	if r := h.report(); r.Usage == nil || r.Usage.Output != 3 {
		t.Errorf("reported %+v", r)
	}
}

// What we answer ourselves is the caller's, in their dialect.
func TestAnswersOfOurOwn(t *testing.T) {
	served := decision.Answer{DecisionID: "d-3", Served: &decision.Served{Status: 200, Headers: map[string]string{"content-type": "text/event-stream"}, Body: []byte(oneWord + doneMark)}}
	away := &decision.Unavailable{Answer: refusing(decision.JournalUnavailable), Cause: errAway}
	for name, c := range map[string]struct {
		change   func(*house)
		path     string
		more     []string
		status   int
		contains string
		details  string
		header   string
		seen     string
	}{
		"refused":          {change: answering(refusing(decision.BudgetExhausted), nil), status: 402, contains: `"code":"budget_exhausted"`, details: "signalbox_budget_exhausted", header: "x-should-retry", seen: "refused"},
		"served":           {change: answering(served, nil), status: 200, contains: "[DONE]", details: "signalbox_served", header: "x-signalbox-decision", seen: "served"},
		"no decision":      {change: answering(decision.Answer{}, away), status: 503, contains: `"code":"journal_unavailable"`, details: "signalbox_journal_unavailable", seen: "undecided"},
		"broken":           {change: answering(decision.Answer{}, errors.New("boom")), status: 500, contains: `"code":"internal"`, details: "signalbox_internal", seen: "undecided"},
		"late":             {change: answering(decision.Answer{}, context.DeadlineExceeded), status: 503, contains: `"code":"overloaded"`, details: "signalbox_overloaded", header: "retry-after", seen: "undecided"},
		"encoded":          {more: []string{"content-encoding", "gzip"}, status: 400, contains: "content-encoding", details: "signalbox_malformed", seen: "malformed"},
		"anthropic":        {path: messages, more: []string{"content-encoding", "br"}, status: 400, contains: `"type":"error"`, details: "signalbox_malformed", seen: "malformed"},
		"WebSocket":        {more: []string{"upgrade", "WebSocket"}, status: 426, contains: "WebSocket", details: "signalbox_path_unknown", seen: "malformed"},
		"no path":          {path: "chat", status: 400, contains: "request.path", details: "signalbox_malformed", seen: "malformed"},
		"a control in it":  {more: []string{"x-bad", "a\x01b"}, status: 400, contains: "x-bad", details: "signalbox_malformed", seen: "malformed"},
		"nothing to write": {change: altering(func(a *decision.Answer) { a.Plan.ModelSpan = [2]int{9, 999} }), status: 500, contains: `"code":"internal"`, details: "signalbox_internal", seen: "undecided"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*house) {}
			}
			h := build(t, c.change)
			f := h.filter()
			if f.ask("POST", cmpOr(c.path, chat), ask, c.more...) {
				t.Fatal("it went on")
			}
			got := f.instead
			if int(got.GetStatus().GetCode()) != c.status || !strings.Contains(string(got.GetBody()), c.contains) || got.GetDetails() != c.details || got.GetGrpcStatus() != nil {
				t.Errorf("answered with %v", got)
			}
			headers := map[string]string{}
			for _, o := range got.GetHeaders().GetSetHeaders() {
				headers[o.GetHeader().GetKey()] = string(o.GetHeader().GetRawValue())
			}
			if headers["content-type"] == "" || c.header != "" && headers[c.header] == "" {
				t.Errorf("with %v", headers)
			}
			if !envoy.Asked(f.meta[envoy.NamespaceCall]) {
				t.Error("the access log is not told that we were asked")
			}
			if got := h.watch.String(); got != c.seen {
				t.Errorf("observed %s", got)
			}
			if name == "nothing to write" {
				if r := h.report(); r.Outcome != journal.OutcomeNotSent {
					t.Errorf("reported %+v", r)
				}
			}
			h.settledOnce()
		})
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Callers who speak gRPC read a status of theirs.
func TestCallersWhoSpeakGRPC(t *testing.T) {
	for code, want := range map[decision.Code]codes.Code{
		decision.BudgetExhausted: codes.ResourceExhausted, decision.RateLimited: codes.ResourceExhausted, decision.PolicyDenied: codes.PermissionDenied,
		decision.KeyUnknown: codes.Unauthenticated, decision.ModelUnknown: codes.Unimplemented, decision.Malformed: codes.InvalidArgument,
	} {
		h := build(t, answering(refusing(code), nil))
		f := h.filter()
		f.ask("POST", "/pkg.Service/Method", ask, "content-type", "application/grpc+proto")
		if got := codes.Code(f.instead.GetGrpcStatus().GetStatus()); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}

// Nobody's body is read who has no good key, and none that is too long; the decision
// says what is wrong all the same.
func TestBodiesThatAreNotRead(t *testing.T) {
	h := build(t, answering(refusing(decision.KeyUnknown), nil), func(h *house) { h.parts.Keys = nobodys{} })
	f := h.filter()
	f.send(f.head("POST", chat, false, "authorization", "Bearer sk-wrong"))
	if _, err := f.reply(); err != nil || f.instead.GetStatus().GetCode() != 401 {
		t.Errorf("%v %v", err, f.instead)
	}
	if req := h.decider.last(t); req.BodyComplete || req.Body != nil {
		t.Errorf("asked %+v", req)
	}
	for _, c := range []struct {
		name string
		send func(*filter)
	}{
		{"announced", func(f *filter) { f.send(f.head("POST", chat, false, "content-length", "65537")) }},
		{"sent", func(f *filter) {
			f.send(f.head("POST", chat, false))
			if _, err := f.reply(); err != nil {
				t.Fatal(err)
			}
			f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestBody{RequestBody: &pb.HttpBody{Body: make([]byte, 64<<10+1), EndOfStream: true}}})
		}},
		{"refused by Envoy", func(f *filter) {
			f.send(f.head("POST", chat, false))
			if _, err := f.reply(); err != nil {
				t.Fatal(err)
			}
			f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseHeaders{ResponseHeaders: &pb.HttpHeaders{Headers: fields(":status", "413", "content-type", "text/plain")}},
				Attributes: provided(0, "request_payload_too_large")})
		}},
	} {
		h := build(t, answering(refusing(decision.TooLarge), nil))
		f := h.filter()
		c.send(f)
		if _, err := f.reply(); err != nil || f.instead.GetStatus().GetCode() != 413 || !strings.Contains(string(f.instead.GetBody()), "too_large") {
			t.Errorf("%s: %v %v", c.name, err, f.instead)
		}
		if req := h.decider.last(t); req.BodyComplete || req.Body != nil {
			t.Errorf("%s: asked %+v", c.name, req)
		}
	}
}

type nobodys struct{}

func (nobodys) Knows(decision.Headers) bool { return false }

// A message that cannot be received, or a reply that cannot be written, ends the stream
// with an error: at a clean end the filter lets the call on.
func TestACleanEndIsALeave(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.send(f.head("POST", chat, false))
	_, _ = f.reply()
	f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestBody{RequestBody: &pb.HttpBody{Body: make([]byte, 5<<20), EndOfStream: true}}})
	if _, err := f.reply(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message that is too large: %v", err)
	}
	h = build(t, altering(func(a *decision.Answer) { a.DecisionID = "no UTF-8: \xff" }))
	f = h.filter()
	f.send(f.head("POST", chat, true))
	if _, err := f.reply(); status.Code(err) != codes.Internal {
		t.Errorf("a reply that cannot be written: %v", err)
	}
	if r := h.report(); r.Outcome != journal.OutcomeNotSent {
		t.Errorf("reported %+v", r)
	}
}

// A list of models needs no body and no settlement; what is let through by its path
// alone goes as it came, without the key.
func TestCallsThatAreNotJudged(t *testing.T) {
	h := build(t, altering(func(a *decision.Answer) { a.Plan.Free, a.Plan.ReportToken, a.Plan.ModelSpan = true, "", [2]int{} }))
	f := h.filter()
	if !f.ask("GET", "/v1/models", "") || f.headers["authorization"] != "" || f.headers["content-type"] == "" {
		t.Errorf("%v %v", f.instead, f.headers)
	}
	f.pass("application/json", `{"data":[]}`)
	if f.mode != mode.ProcessingMode_NONE || f.got.String() != `{"data":[]}` {
		t.Errorf("%s %q", f.mode, f.got.String())
	}
	h.settledOnce()

	h = build(t, answering(decision.Answer{DecisionID: "d-4"}, nil))
	f = h.filter()
	if !f.ask("POST", "/healthz", "{}") || f.headers["authorization"] != "" || f.cleared || f.body != "{}" {
		t.Errorf("%v %v", f.instead, f.headers)
	}
	if !envoy.Asked(f.meta[envoy.NamespaceCall]) {
		t.Error("the access log is not told that we were asked")
	}
	if !f.answer(1, "via_upstream", 200, false, "server", "x") || f.reached["server"] != "" {
		t.Errorf("%v %v", f.instead, f.reached)
	}
	h.settledOnce()

	// Whatever its length: nothing of it is ours.
	h = build(t, answering(decision.Answer{DecisionID: "d-5", Plan: &decision.Plan{Free: true}}, nil))
	f = h.filter()
	if !f.ask("POST", "/v1/files", "{}", "content-length", "9999999") || f.headers["authorization"] != "" {
		t.Errorf("%v %v", f.instead, f.headers)
	}

	// A free call of which we do not have all is none that we can send on.
	h = build(t, altering(func(a *decision.Answer) { a.Plan.Free = true }), func(h *house) { h.parts.Keys = nobodys{} })
	f = h.filter()
	if f.ask("POST", "/v1/messages/count_tokens", ask) || f.instead.GetStatus().GetCode() != 413 {
		t.Errorf("%v", f.instead)
	}
	if r := h.report(); r.Outcome != journal.OutcomeNotSent {
		t.Errorf("reported %+v", r)
	}
}

// A filter that does not send the body gets no call through, and the operators are
// told what to set.
func TestAFilterThatSendsNoBody(t *testing.T) {
	for _, m := range []mode.ProcessingMode_BodySendMode{mode.ProcessingMode_NONE, mode.ProcessingMode_STREAMED, mode.ProcessingMode_BUFFERED_PARTIAL} {
		h := build(t)
		f := h.filter()
		head := f.head("POST", chat, false, "authorization", "Bearer "+callerKey)
		head.ProtocolConfig.RequestBodyMode = m
		f.send(head)
		if _, err := f.reply(); err != nil || f.instead.GetStatus().GetCode() != 500 {
			t.Errorf("%s: %v %v", m, err, f.instead)
		}
		if !strings.Contains(h.log.String(), "request_body_mode to BUFFERED") || h.watch.String() != "wrong:request_body_mode, impossible" {
			t.Errorf("%s: %s\n%s", m, h.watch, h.log)
		}
	}
	// One that does not say, and lets the call out: its answer is not the caller's.
	h := build(t)
	f := h.filter()
	head := f.head("POST", chat, false, "authorization", "Bearer "+callerKey)
	head.ProtocolConfig = nil
	f.send(head)
	if r, err := f.reply(); err != nil || r.GetRequestHeaders() == nil {
		t.Fatal(err, r)
	}
	if f.answer(1, "via_upstream", 200, false) || f.instead.GetStatus().GetCode() != 500 || !strings.Contains(h.log.String(), "nobody has judged") {
		t.Errorf("%v\n%s", f.instead, h.log)
	}
	// One that only lets us look on is not answered, and nothing is held for it.
	h = build(t)
	f = h.filter()
	head = f.head("POST", chat, true)
	head.ObservabilityMode = true
	f.send(head)
	if _, err := f.reply(); err != io.EOF || len(h.decider.asked) > 0 || h.watch.String() != "wrong:observability_mode" {
		t.Errorf("%v %s", err, h.watch)
	}
	// And one whose body comes in parts has not sent all of it.
	h = build(t)
	f = h.filter()
	head = f.head("POST", chat, false)
	head.ProtocolConfig = nil
	f.send(head)
	_, _ = f.reply()
	f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_RequestBody{RequestBody: &pb.HttpBody{Body: []byte(ask)}}})
	_, _ = f.reply()
	if req := h.decider.last(t); req.BodyComplete {
		t.Error("a part of a body was judged as all of it")
	}
	h.report()
}

// Who is not let in gets an error that no caller can mistake for an answer.
func TestGatewaysThatAreNotLetIn(t *testing.T) {
	for kind, want := range map[door.Kind]codes.Code{door.UnknownGateway: codes.Unauthenticated, door.Foreign: codes.PermissionDenied} {
		h := build(t, func(h *house) {
			h.parts.Admit = func(context.Context) (string, *door.Problem) {
				return "", &door.Problem{Kind: kind, Message: "not you"}
			}
		})
		f := h.filter()
		f.send(f.head("POST", chat, true))
		if _, err := f.reply(); status.Code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// One call more than there is room for is turned away, in its dialect, and nothing is
// decided.
func TestTooManyAtOnce(t *testing.T) {
	h := build(t, func(h *house) { h.parts.Limits.Streams = 1 })
	first := h.filter()
	first.ask("POST", chat, ask)
	second := h.filter()
	if second.ask("POST", messages, ask) || second.instead.GetStatus().GetCode() != 503 || !strings.Contains(string(second.instead.GetBody()), `"type":"error"`) {
		t.Errorf("%v", second.instead)
	}
	if h.proc.Streams() != 1 {
		t.Errorf("%d streams", h.proc.Streams())
	}
	first.pass("application/json", answerJSON)
	h.report()
}

// Bodies that are judged at once fit into the memory there is for them.
func TestNoMemoryForABody(t *testing.T) {
	room := semaphore.NewWeighted(int64(len(ask)))
	h := build(t, func(h *house) { h.parts.Memory, h.parts.Limits.Memory = room, 50*time.Millisecond })
	if !room.TryAcquire(1) {
		t.Fatal("no room")
	}
	f := h.filter()
	if f.ask("POST", chat, ask) || f.instead.GetStatus().GetCode() != 503 || h.watch.String() != "away:memory" {
		t.Errorf("%v %s", f.instead, h.watch)
	}
	room.Release(1)
	f = h.filter()
	h.decider.during = func(context.Context) {
		if room.TryAcquire(1) {
			t.Error("a body that is judged takes no room")
		}
	}
	if !f.ask("POST", chat, ask) || !room.TryAcquire(int64(len(ask))) {
		t.Errorf("%v, or its room was not given back", f.instead)
	}
	f.abort()
	h.report()
}

// A caller who hangs up while the decision is made was sent nowhere, and the decision
// is told at once.
func TestCallersWhoDoNotWait(t *testing.T) {
	asked := make(chan struct{})
	h := build(t, func(h *house) {
		h.decider.during = func(ctx context.Context) { close(asked); <-ctx.Done() }
	})
	f := h.filter()
	f.send(f.head("POST", chat, true))
	<-asked
	f.abort()
	if r := h.report(); r.Outcome != journal.OutcomeNotSent {
		t.Errorf("reported %+v", r)
	}
	h.settledOnce()
	if got := h.watch.String(); got != "withdrawn" {
		t.Errorf("observed %s", got)
	}
}

// No header that holds a key goes out of any call, whatever becomes of it.
func TestNoKeyGoesOut(t *testing.T) {
	h := build(t)
	f := h.filter()
	head := f.head("POST", chat, false)
	for _, name := range decision.KeyHeaders() {
		head.GetRequestHeaders().Headers.Headers = append(head.GetRequestHeaders().Headers.Headers, fields(name, callerKey).Headers...)
		f.headers[name] = callerKey
	}
	// The second of a repeated header is one that the decision does not read.
	head.GetRequestHeaders().Headers.Headers = append(head.GetRequestHeaders().Headers.Headers, fields("x-twice", "no", "x-twice", "a "+callerKey).Headers...)
	f.headers["x-twice"] = callerKey
	f.send(head)
	r, err := f.reply()
	if err != nil {
		t.Fatal(err)
	}
	f.mutate(r.GetRequestHeaders().GetResponse(), false)
	for name, value := range maps.All(f.headers) {
		if strings.Contains(value, callerKey) {
			t.Errorf("%s still holds the key, before anything is decided", name)
		}
	}
}
