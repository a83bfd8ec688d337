package authz_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/authz"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// memory counts what is held.
type memory struct{ held, most int64 }

func (m *memory) Acquire(_ context.Context, n int64) error {
	if m.held+n > m.most {
		return errors.New("full")
	}
	m.held += n
	return nil
}

func (m *memory) Release(n int64) { m.held -= n }

// knows is whose key is good.
type knows string

func (k knows) Knows(h decision.Headers) bool { return h["authorization"] == "Bearer "+string(k) }

// web is Handler with everything around it.
type web struct {
	decider *adaptertest.Decider
	memory  *memory
	handler http.Handler
}

func newWeb(answer decision.Answer) *web {
	w := &web{decider: &adaptertest.Decider{Answer: answer}, memory: &memory{most: 1 << 10}}
	guard := door.Guard{Gateways: adaptertest.Gateways{}}
	w.handler = authz.New(authz.Parts{Decider: w.decider, Settler: &adaptertest.Settler{}, Memory: w.memory, Keys: knows("sbx_key"),
		AdmitHTTP: func(r *http.Request) (string, *door.Problem) {
			who, p := guard.Admit(door.Peer{Token: r.Header.Get("x-signalbox-gateway-token")})
			if p != nil {
				return "", p
			}
			return who.Name("")
		}}).Handler()
	return w
}

func (w *web) ask(t *testing.T, path, body string, change ...func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequest("POST", authz.Prefix+path, strings.NewReader(body))
	r.Header.Set("X-Signalbox-Gateway-Token", adaptertest.Token)
	r.Header.Set("X-Signalbox-Profile", "order")
	r.Header.Set("Authorization", "Bearer sbx_key")
	r.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(r)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if w.memory.held != 0 {
		t.Errorf("%d bytes are still held", w.memory.held)
	}
	return rec.Result()
}

func TestHTTPAllows(t *testing.T) {
	w := newWeb(two(nil))
	res := w.ask(t, "/v1/chat/completions?api-version=1", chatBody)
	asked := w.decider.Seen()[0]
	if asked.Path != "/v1/chat/completions?api-version=1" || !asked.Fixed || string(asked.Body) != chatBody || asked.Gateway != adaptertest.Gateway || len(asked.Headers) != 2 {
		t.Errorf("asked %+v", asked)
	}
	if res.StatusCode != 200 || res.Header.Get(envoy.HeaderDeployment) != "a" || res.Header.Get("x-signalbox-decision") != "d-1" || res.Header.Get("accept-encoding") != "identity" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if gone := strings.Split(res.Header.Get("x-envoy-auth-headers-to-remove"), ","); !slices.Contains(gone, "authorization") {
		t.Errorf("the caller's key goes on: %v", gone)
	}
	// The filter makes metadata of this one header, and the access log reads it.
	m := &structpb.Struct{Fields: map[string]*structpb.Value{envoy.HeaderCall: structpb.NewStringValue(res.Header.Get(envoy.HeaderCall))}}
	call, authz, ok := envoy.ReadLogged(map[string]*structpb.Struct{envoy.NamespaceAuthz: m})
	if !ok || !authz || call.Token != "token" || call.Dialect != llm.OpenAI || !slices.Equal(call.Order, []string{"a"}) {
		t.Errorf("call %+v", call)
	}
}

func TestHTTPRefuses(t *testing.T) {
	w := newWeb(adaptertest.Refusal(llm.OpenAI, 0, decision.BudgetExhausted))
	res := w.ask(t, "/v1/chat/completions", chatBody)
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 402 || !strings.Contains(string(body), "insufficient_quota") || res.Header.Get("x-should-retry") != "false" {
		t.Errorf("%d %v %s %v", res.StatusCode, res.Header, body, err)
	}
}

// Envoy lets a call through for any answer of 200, so that an answer of ours that is a
// success must be another one.
func TestHTTPServesWithoutLettingThrough(t *testing.T) {
	w := newWeb(decision.Answer{DecisionID: "d-4", Served: &decision.Served{Status: 200, Headers: map[string]string{"content-type": "application/json"}, Body: []byte(`{"data":[]}`)}})
	res := w.ask(t, "/v1/models", "")
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 203 || string(body) != `{"data":[]}` || res.Header.Get(envoy.HeaderCall) != "" {
		t.Errorf("%d %v %s %v", res.StatusCode, res.Header, body, err)
	}
}

func TestHTTPBodies(t *testing.T) {
	partial := func(r *http.Request) { r.Header.Set("X-Envoy-Auth-Partial-Body", "true") }
	stranger := func(r *http.Request) { r.Header.Set("Authorization", "Bearer nobody") }
	unknown := func(r *http.Request) { r.ContentLength = -1 }
	for name, c := range map[string]struct {
		body     string
		change   func(*http.Request)
		complete bool
		have     int
		status   int
	}{
		"whole":                        {chatBody, func(*http.Request) {}, true, len(chatBody), 200},
		"cut":                          {chatBody, partial, false, len(chatBody), 200},
		"of who has no good key":       {chatBody, stranger, false, 0, 200},
		"more than there is room for":  {strings.Repeat("x", 2<<10), func(*http.Request) {}, false, -1, 503},
		"no room, of unknown length":   {chatBody, unknown, false, -1, 503},
		"a type that is no JSON":       {chatBody, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, false, -1, 400},
		"a charset that is not UTF-8":  {chatBody, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-7") }, false, -1, 400},
		"a charset that is":            {chatBody, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=UTF-8") }, true, len(chatBody), 200},
		"longer than any that is read": {chatBody, func(r *http.Request) { r.ContentLength = door.DefaultBody + 1 }, false, 0, 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(two(nil))
			res := w.ask(t, "/v1/chat/completions", c.body, c.change)
			if res.StatusCode != c.status {
				t.Fatalf("status %d, want %d", res.StatusCode, c.status)
			}
			if c.have < 0 {
				if len(w.decider.Seen()) != 0 {
					t.Error("the decision was asked")
				}
				return
			}
			if asked := w.decider.Seen()[0]; asked.BodyComplete != c.complete || len(asked.Body) != c.have {
				t.Errorf("complete %v, %d bytes", asked.BodyComplete, len(asked.Body))
			}
		})
	}
}

// Envoy takes 5xx for an error, for which the route's failure mode holds, as for a
// gateway that gRPC does not let in.
func TestHTTPLetsNobodyIn(t *testing.T) {
	w := newWeb(two(nil))
	res := w.ask(t, "/v1/chat/completions", chatBody, func(r *http.Request) { r.Header.Del("X-Signalbox-Gateway-Token") })
	if res.StatusCode != 503 || len(w.decider.Seen()) != 0 {
		t.Errorf("status %d", res.StatusCode)
	}
	elsewhere := w.ask(t, "", "", func(r *http.Request) { r.RequestURI = "/elsewhere" })
	if elsewhere.StatusCode != 400 || len(w.decider.Seen()) != 0 {
		t.Errorf("status %d", elsewhere.StatusCode)
	}
	closed := authz.New(authz.Parts{Decider: w.decider}).Handler()
	rec := httptest.NewRecorder()
	closed.ServeHTTP(rec, httptest.NewRequest("POST", authz.Prefix+"/v1/models", nil))
	if rec.Code != 503 {
		t.Errorf("status %d", rec.Code)
	}
}
