package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// The decision is asked exactly what the caller wrote.
func TestTheQuestion(t *testing.T) {
	h := build(t, []http.HandlerFunc{says(200, answerJSON)})
	h.post("/openai/deployments/gpt/chat/completions?api-version=2024-10-21&x=%2F", ask, "X-Signalbox-Session", "s-1", "X-Stainless-Retry-Count", "2")
	q := h.decider.last(t)
	h.report()
	if q.Method != "POST" || q.Path != "/openai/deployments/gpt/chat/completions?api-version=2024-10-21&x=%2F" || string(q.Body) != ask || !q.BodyComplete ||
		q.Headers["authorization"] != "Bearer "+callerKey || q.Headers["x-signalbox-session"] != "s-1" || q.Headers["x-stainless-retry-count"] != "2" ||
		q.Gateway != proxy.Gateway || q.CallID != "" {
		t.Errorf("asked %+v", q)
	}
}

// refusing answers as the decision does where it only looks at what it was given.
func refusing(h *house) {
	h.decider.answer = func(req decision.Request) (decision.Answer, error) {
		route, known := llm.Recognise(req.Method, req.Path)
		code := decision.Malformed
		switch {
		case req.Headers["authorization"] == "" && req.Headers["x-api-key"] == "":
			code = decision.KeyMissing
		case !known:
			code = decision.PathUnknown
		case !req.BodyComplete:
			code = decision.TooLarge
		}
		return decision.Answer{DecisionID: "d-2", Dialect: route.Dialect, Refusal: &decision.Refusal{Reasons: []decision.Reason{{Code: code, Message: "because"}}}}, nil
	}
}

// What cannot go out is refused in the caller's dialect, by the decision where it is
// the decision's, so that it is written down.
func TestRefusals(t *testing.T) {
	long := `{"model":"gpt","messages":["` + strings.Repeat("x", 5000) + `"]}`
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	for _, c := range []struct {
		name, method, path, body string
		change                   func(*http.Request)
		status                   int
		says                     string
		asked                    bool
	}{
		{"too long", "POST", chat, long, nil, 413, `"code":"too_large"`, true},
		{"too long, without saying", "POST", chat, long, chunked, 413, `"code":"too_large"`, true},
		{"too long, asking first", "POST", chat, long, func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, 413, `"code":"too_large"`, true},
		{"too long, in the other dialect", "POST", messages, long, nil, 413, `"error_code":"too_large"`, true},
		{"no key", "POST", chat, long, func(r *http.Request) { r.Header.Del("Authorization") }, 401, `"code":"key_missing"`, true},
		{"no path of ours", "POST", "/v1/files", "{}", nil, 404, `"code":"path_unknown"`, true},
		{"a path that is not clean", "POST", "/v1//chat/completions", "{}", nil, 404, `"code":"path_unknown"`, true},
		{"a path with dots", "POST", "/v1/x/../chat/completions", "{}", nil, 404, `"code":"path_unknown"`, true},
		{"a page, with a key", "GET", "/", "", nil, 404, `"code":"path_unknown"`, true},
		{"encoded", "POST", chat, "\x1f\x8b", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 400, "send it as it is", false},
		{"encoded, in the other dialect", "POST", messages, "\x1f\x8b", func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }, 400, `"type":"invalid_request_error"`, false},
		{"a path without end", "POST", chat + "?" + strings.Repeat("x", 9000), "{}", nil, 400, "request.path", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, nil, refusing, func(h *house) { h.limits.Body = 4096 })
			r := h.request(c.path, c.body)
			r.Method = c.method
			if c.change != nil {
				c.change(r)
			}
			resp := h.do(r)
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.says) {
				t.Errorf("%v %d %s", err, resp.StatusCode, body)
			}
			if (len(h.decider.asked) > 0) != c.asked {
				t.Errorf("the decision was asked %d times", len(h.decider.asked))
			}
			if c.asked && len(h.decider.last(t).Body) > 4096 {
				t.Error("the decision was given a body that is too long")
			}
			h.settledOnce()
		})
	}
}

// A free call is let out by its path alone; one that is too long to be sent is not
// sent in part.
func TestAFreeCallThatIsTooLong(t *testing.T) {
	h := build(t, []http.HandlerFunc{func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }}, func(h *house) { h.limits.Body = 100 },
		altering(func(a *decision.Answer) { a.Plan = &decision.Plan{Free: true, Deployments: a.Plan.Deployments} }))
	resp, body, err := h.post(messages+"/count_tokens", strings.Repeat("x", 101))
	if err != nil || resp.StatusCode != 413 || !strings.Contains(body, "too_large") || h.decider.last(t).BodyComplete {
		t.Errorf("%v %d %s", err, resp.StatusCode, body)
	}
}

// A client that sends a large body to the end, and only then listens, hears why it
// was refused.
func TestALargeBodyIsHeardOut(t *testing.T) {
	h := build(t, nil, refusing, func(h *house) { h.limits.Body = 4096 })
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 20 << 20
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", chat, callerKey, size); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(conn, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("%v %+v", err, resp)
	}
	_ = resp.Body.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A client that asks before it sends is told to go on, and only when its body will
// be read.
func TestExpectContinue(t *testing.T) {
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "" {
			t.Error("the provider was asked too")
		}
		says(200, answerJSON)(w, r)
	}})
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", chat, callerKey, len(ask)); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	if line, err := from.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%v %q", err, line)
	}
	_, _ = from.ReadString('\n')
	_, _ = io.WriteString(conn, ask)
	resp, err := http.ReadResponse(from, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %+v", err, resp)
	}
	_ = resp.Body.Close()
	h.report()
}

// What is no path of ours and brings no key is no call, and nothing is written down.
func TestVisits(t *testing.T) {
	h := build(t, nil)
	for _, visit := range [][2]string{{"GET", "/"}, {"GET", "/favicon.ico"}, {"GET", chat}, {"POST", "/v1/decides"}} {
		r := h.request(visit[1], "")
		r.Method = visit[0]
		r.Header.Del("Authorization")
		if resp := h.do(r); resp.StatusCode != 404 {
			t.Errorf("%s: %d", visit, resp.StatusCode)
		}
	}
	if len(h.decider.asked) > 0 {
		t.Errorf("the decision was asked %+v", h.decider.asked)
	}
}

// A client that would rather have a WebSocket is told to come by POST, at once and
// without a decision.
func TestNoWebSocket(t *testing.T) {
	h := build(t, []http.HandlerFunc{says(200, answerJSON)})
	r := h.request("/v1/responses", "", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version", "13")
	r.Method = http.MethodGet
	resp := h.do(r)
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusUpgradeRequired || resp.Header.Get("Upgrade") == "" || !strings.Contains(string(body), `"error"`) {
		t.Errorf("%d %v %s %v", resp.StatusCode, resp.Header, body, err)
	}
	if len(h.decider.asked) > 0 {
		t.Errorf("the decision was asked %+v", h.decider.asked)
	}
}

// What the decision serves itself, such as the list of models, goes out as it is.
func TestServed(t *testing.T) {
	h := build(t, nil, func(h *house) {
		h.decider.answer = func(decision.Request) (decision.Answer, error) {
			return decision.Answer{DecisionID: "d-3", Served: &decision.Served{Status: 200, Headers: map[string]string{"content-type": "application/json"}, Body: []byte(`{"data":[]}`)}}, nil
		}
	})
	r := h.request("/v1/models", "")
	r.Method = http.MethodGet
	resp := h.do(r)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(body) != `{"data":[]}` || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("X-Signalbox-Decision") != "d-3" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

// Where no decision can be made, or leads nowhere, that is said in the dialect.
func TestUndecided(t *testing.T) {
	away := decision.Answer{DecisionID: "d-4", Dialect: llm.Anthropic, Refusal: &decision.Refusal{RetryAfter: 5 * time.Second,
		Reasons: []decision.Reason{{Code: decision.JournalUnavailable, Message: "no decision can be made now"}}}}
	for _, c := range []struct {
		name   string
		answer decision.Answer
		err    error
		status int
		says   string
		retry  string
	}{
		{"the journal is away", decision.Answer{}, &decision.Unavailable{Answer: away, Cause: errors.New("no brokers")}, 503, `"error_code":"journal_unavailable"`, "5"},
		{"a bug", decision.Answer{}, errors.New("index out of range"), 500, `"error_code":"internal"`, ""},
		{"an unmetered path", decision.Answer{DecisionID: "d-5", Dialect: llm.Anthropic, Plan: &decision.Plan{Free: true}}, nil, 404, "does not know which provider", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, nil, func(h *house) {
				h.decider.answer = func(decision.Request) (decision.Answer, error) { return c.answer, c.err }
			})
			resp, body, err := h.post(messages, ask)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(body, c.says) || resp.Header.Get("Retry-After") != c.retry || strings.Contains(body, "brokers") {
				t.Errorf("%v %d %v %s", err, resp.StatusCode, resp.Header, body)
			}
		})
	}
}

// A caller who leaves while the decision is made has sent nothing anywhere.
func TestLeavingWhileItIsDecided(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	h := build(t, []http.HandlerFunc{func(http.ResponseWriter, *http.Request) { t.Error("the call went out") }}, func(h *house) {
		allow := h.decider.answer
		h.decider.answer = func(req decision.Request) (decision.Answer, error) {
			a, err := allow(req)
			hangUp()
			return a, err
		}
	})
	h.parts.Decider = leavesFirst{h}
	h.proxy = proxy.New(h.limits, h.parts)
	h.server.Config.Handler = h.proxy
	if _, err := h.wire.RoundTrip(h.request(chat, ask).WithContext(ctx)); err == nil {
		t.Error("a caller who left has an answer")
	}
	if r := h.report(); r.Outcome != "not_sent" || r.Deployment != "" {
		t.Errorf("reported %+v", r)
	}
}

// leavesFirst decides, and answers when the caller's going has been noticed.
type leavesFirst struct{ *house }

func (d leavesFirst) Decide(ctx context.Context, req decision.Request) (decision.Answer, error) {
	a, err := d.decider.Decide(ctx, req)
	<-ctx.Done()
	return a, err
}

// There are only so many calls at once, and so much memory for bodies; the rest is
// told to come again.
func TestTurnedAway(t *testing.T) {
	t.Run("too many", func(t *testing.T) {
		here, goOn := make(chan struct{}), make(chan struct{})
		h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			close(here)
			<-goOn
			says(200, answerJSON)(w, r)
		}}, func(h *house) { h.limits.Streams = 1 })
		first := make(chan int, 1)
		go func() { resp, _, _ := h.post(chat, ask); first <- resp.StatusCode }()
		<-here
		turnedAway(t, h)
		close(goOn)
		if status := <-first; status != 200 {
			t.Errorf("the first: %d", status)
		}
		h.report()
	})
	t.Run("too much", func(t *testing.T) {
		h := build(t, nil, func(h *house) {
			full := semaphore.NewWeighted(100)
			_ = full.Acquire(t.Context(), 100)
			h.parts.Memory, h.limits.Memory = full, 10*time.Millisecond
		})
		turnedAway(t, h)
		if len(h.decider.asked) > 0 {
			t.Error("the decision was asked")
		}
	})
}

func turnedAway(t *testing.T, h *house) {
	t.Helper()
	resp, body, err := h.post(messages, ask)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, `"error_code":"overloaded"`) {
		t.Errorf("%v %d %v %s", err, resp.StatusCode, resp.Header, body)
	}
	if !strings.Contains(h.watch.String(), "away:full") {
		t.Errorf("observed %s", h.watch)
	}
}

// A body of unknown length waits for as much as it may be, and keeps what it is.
func TestMemoryOfAChunkedBody(t *testing.T) {
	memory := semaphore.NewWeighted(10_000)
	here, goOn := make(chan struct{}), make(chan struct{})
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		close(here)
		<-goOn
		says(200, answerJSON)(w, r)
	}}, func(h *house) { h.parts.Memory, h.limits.Body = memory, 10_000 })
	r := h.request(chat, `{"model":"gpt","messages":["`+strings.Repeat("x", 5000)+`"]}`)
	r.ContentLength = -1
	answered := make(chan *http.Response, 1)
	go func() { answered <- h.do(r) }()
	<-here
	if !memory.TryAcquire(4900) || memory.TryAcquire(100) {
		t.Error("while it waits for its answer, a body of 5 kB does not hold 5 kB")
	}
	close(goOn)
	_, _ = io.Copy(io.Discard, (<-answered).Body)
	h.report()
}

// The memory of a body is given back as soon as somebody has answered, and in the
// end it is all there again.
func TestMemoryIsGivenBack(t *testing.T) {
	memory := semaphore.NewWeighted(10_000)
	here, goOn := make(chan struct{}), make(chan struct{})
	h := build(t, []http.HandlerFunc{streams(func(s *stream) { _ = s.word("one"); here <- struct{}{}; <-goOn; s.ends() })}, func(h *house) {
		h.parts.Memory, h.limits.Body = memory, 10_000
	})
	for name, announce := range map[string]func(*http.Request){"announced": func(*http.Request) {}, "chunked": func(r *http.Request) { r.ContentLength = -1 }} {
		r := h.request(chat, `{"model":"gpt","messages":["`+strings.Repeat("x", 5000)+`"],"stream":true}`)
		announce(r)
		resp := h.do(r)
		<-here
		until(t, name+": the stream holds no memory", func() bool {
			free := memory.TryAcquire(10_000)
			if free {
				memory.Release(10_000)
			}
			return free
		})
		goOn <- struct{}{}
		_, _ = io.Copy(io.Discard, resp.Body)
		h.report()
	}
}

// nobodysKey knows no key.
type nobodysKey struct{ asked decision.Headers }

func (k *nobodysKey) Knows(h decision.Headers) bool { k.asked = h; return false }

// A body of somebody whose key is not good takes no memory, however long it says it
// will be and however slowly it comes; and the decision is told no other way.
func TestNoMemoryForAKeyThatIsNotGood(t *testing.T) {
	keys := &nobodysKey{}
	h := build(t, nil, refusing, func(h *house) {
		h.parts.Keys, h.parts.Memory = keys, semaphore.NewWeighted(1) // less than the body
	})
	if resp, body, err := h.post(chat, ask); err != nil || resp.StatusCode != 413 {
		t.Errorf("%v %d %s", err, resp.StatusCode, body) // 401 of a decision that looks at keys
	}
	if q := h.decider.last(t); q.Body != nil || q.BodyComplete || q.Headers["authorization"] != "Bearer "+callerKey {
		t.Errorf("asked %+v", q)
	}
	if keys.asked["authorization"] != "Bearer "+callerKey {
		t.Errorf("was asked of %v", keys.asked)
	}
}
