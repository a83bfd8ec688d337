package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// One try's fate, and what follows it. The first deployment does this; the second
// answers well, if it is asked.
func TestFailover(t *testing.T) {
	reads := func(then func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			then(w, r)
		}
	}
	silent := reads(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	resets := reads(func(http.ResponseWriter, *http.Request) { cut() })
	for _, c := range []struct {
		name     string
		first    http.HandlerFunc
		change   func(*house)
		paid     int // tries the hold pays for
		next     bool
		status   int    // for the caller
		says     string // in the body
		reported string // what the first try is reported as, when the second answers
		outcome  journal.Outcome
		observed string
		learned  string
	}{
		{"429", says(429, `{"error":{"message":"slow down"}}`, "Retry-After", "7"), nil, 1, true, 200, "hello", "failed 429", "completed", "rate_limited", "429"},
		{"500", says(500, `oops`), nil, 1, true, 200, "hello", "failed 500", "completed", "unavailable", "500"},
		{"503", says(503, ``), nil, 1, true, 200, "hello", "failed 503", "completed", "unavailable", "503"},
		{"529", says(529, `{"type":"error"}`), nil, 1, true, 200, "hello", "failed 529", "completed", "unavailable", "529"},
		{"our credential", says(401, `bad key`), nil, 1, true, 200, "hello", "failed 401", "completed", "not_admitted", "401 failed"},
		{"our account", says(402, `pay`), nil, 1, true, 200, "hello", "failed 402", "completed", "not_admitted", "402 failed"},
		{"our permissions", says(403, `no`), nil, 1, true, 200, "hello", "failed 403", "completed", "not_admitted", "403"},
		{"a redirect", says(307, ``, "Location", "http://127.0.0.1:1/elsewhere"), nil, 1, true, 200, "hello", "not_sent 0", "completed", "redirected", "307 failed"},
		{"nobody there", nil, func(h *house) { h.places[0].ProviderRef.BaseURL = closedPort(h.t) }, 1, true, 200, "hello", "not_sent 0", "completed", "not_connected", "0 failed"},
		{"no TLS", says(200, answerJSON), func(h *house) {
			h.places[0].ProviderRef.BaseURL = strings.Replace(h.places[0].ProviderRef.BaseURL, "http:", "https:", 1)
		}, 1, true, 200, "hello", "not_sent 0", "completed", "not_connected", "0 failed"},
		{"a forbidden address", nil, func(h *house) { h.places[0].ProviderRef.BaseURL = "http://169.254.169.254/v1" }, 1, true, 200, "hello", "not_sent 0", "completed", "not_connected", "0 failed"},
		{"the caller's mistake", says(400, `{"error":{"message":"no"}}`), nil, 1, false, 400, `"no"`, "", "failed", "refused", "400"},
		{"an unknown model there", says(404, `{"error":{"message":"no model"}}`), nil, 1, false, 404, "no model", "", "failed", "refused", "404"},
		{"too much for it", says(413, `{"error":{"message":"big"}}`), nil, 1, false, 413, "big", "", "failed", "refused", "413"},
		{"a conflict", says(409, `{}`), nil, 1, false, 409, "{}", "", "failed", "refused", "409"},
		{"silence, paid once", silent, slow, 1, false, 504, "upstream_timeout", "", "aborted", "timeout", "0 failed"},
		{"silence, paid twice", silent, slow, 2, true, 200, "hello", "aborted 0", "completed", "timeout", "0 failed"},
		{"a reset, paid once", resets, nil, 1, false, 502, "upstream_unavailable", "", "aborted", "broken", "0 failed"},
		{"a reset, paid twice", resets, nil, 2, true, 200, "hello", "aborted 0", "completed", "broken", "0 failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			second := func(w http.ResponseWriter, r *http.Request) { asked.Add(1); says(200, answerJSON)(w, r) }
			if c.first == nil {
				c.first = says(200, answerJSON)
			}
			h := build(t, []http.HandlerFunc{c.first, second}, func(h *house) {
				if c.change != nil {
					c.change(h)
				}
				altering(func(a *decision.Answer) { a.Plan.Hold.Attempts = c.paid })(h)
			})
			resp, body, err := h.post(chat, ask)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(body, c.says) || resp.Header.Get("Location") != "" {
				t.Errorf("the caller was given %v %d %v %s", err, resp.StatusCode, resp.Header, body)
			}
			if (asked.Load() == 1) != c.next {
				t.Errorf("the second was asked %d times", asked.Load())
			}
			r := h.report()
			before := ""
			for _, a := range r.Attempts {
				before += fmt.Sprint(a.Outcome, " ", a.Status)
			}
			if r.Outcome != c.outcome || before != c.reported || r.SeenOutputTokens != -1 || r.Deployment != map[bool]string{true: "d2", false: "d1"}[c.next] {
				t.Errorf("reported %+v", r)
			}
			if r.Outcome == journal.OutcomeFailed && r.Status != c.status {
				t.Errorf("reported status %d", r.Status)
			}
			if got := h.watch.String(); !strings.HasPrefix(got, "d1:"+c.observed) {
				t.Errorf("observed %s", got)
			}
			if got := h.health.String(); !strings.HasPrefix(got, "d1 "+c.learned) {
				t.Errorf("learned %s, want %s", got, c.learned)
			}
			h.settledOnce()
		})
	}
}

func slow(h *house) { h.limits.FirstByte = time.Second }

// closedPort is an address of this machine where nobody listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String() + "/v1"
}

// Where none answers well, the caller is given the last thing that a provider said
// to them, and only then ours.
func TestNobodyAnswersWell(t *testing.T) {
	limited := says(429, `{"error":{"message":"slow down"}}`, "Retry-After", "7", "X-Ratelimit-Remaining-Requests", "0")
	overloaded := says(529, `{"error":{"message":"overloaded"}}`, "Retry-After", "3")
	ours := says(401, `{"error":{"message":"Incorrect API key provided: sk-prov…"}}`)
	for _, c := range []struct {
		name    string
		places  []http.HandlerFunc
		gone    bool // nobody listens at the last place
		status  int
		body    string
		retry   string
		outcome journal.Outcome
		from    string // whose answer it is
	}{
		{"one", []http.HandlerFunc{limited}, false, 429, "slow down", "7", "failed", "d1"},
		{"the last of two", []http.HandlerFunc{limited, overloaded}, false, 529, "overloaded", "3", "failed", "d2"},
		{"one that was not the last", []http.HandlerFunc{limited, limited}, true, 429, "slow down", "7", "failed", "d1"},
		{"about our key, and a limit before", []http.HandlerFunc{limited, ours}, false, 429, "slow down", "7", "failed", "d1"},
		{"about our key", []http.HandlerFunc{ours}, false, 502, "upstream_unavailable", "", "failed", ""},
		{"nobody there", []http.HandlerFunc{ours}, true, 502, "upstream_unavailable", "", "not_sent", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, c.places, func(h *house) {
				if c.gone {
					h.places[len(h.places)-1].ProviderRef.BaseURL = closedPort(t)
				}
			})
			resp, body, err := h.post(chat, ask)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(body, c.body) || resp.Header.Get("Retry-After") != c.retry ||
				resp.Header.Get("X-Signalbox-Deployment") != c.from || resp.Header.Get("X-Ratelimit-Remaining-Requests") != "" {
				t.Errorf("%v %d %v %s", err, resp.StatusCode, resp.Header, body)
			}
			if resp.Header.Get("X-Signalbox-Decision") != "d-1" {
				t.Errorf("the decision is not named: %v", resp.Header)
			}
			if strings.Contains(body, "Incorrect API key") {
				t.Errorf("the caller is told that their key is wrong: %s", body)
			}
			if r := h.report(); r.Outcome != c.outcome || len(r.Attempts) != len(c.places)-1 {
				t.Errorf("reported %+v", r)
			}
		})
	}
}

// A missing credential makes its deployments useless, which is for the operators to
// know by name, and for nobody else.
func TestMissingCredential(t *testing.T) {
	h := build(t, []http.HandlerFunc{says(200, answerJSON), says(200, answerJSON)}, func(h *house) {
		h.places[0].ProviderRef.Credential = "azure-weu"
	})
	resp, _, _ := h.post(chat, ask)
	if r := h.report(); resp.StatusCode != 200 || r.Deployment != "d2" || len(r.Attempts) != 0 {
		t.Errorf("%d %+v", resp.StatusCode, r)
	}
	if got := h.watch.String(); !strings.HasPrefix(got, "d1:no_credential, d2:ok") {
		t.Errorf("observed %s", got)
	}
	delete(h.secrets, "key")
	for range 3 {
		resp, body, err := h.post(chat, ask)
		if err != nil || resp.StatusCode != 502 || !strings.Contains(body, "upstream_unavailable") || strings.Contains(body, "azure-weu") || strings.Contains(body, "p-d") {
			t.Errorf("%v %d %s", err, resp.StatusCode, body)
		}
		if r := h.report(); r.Outcome != journal.OutcomeNotSent || r.Deployment != "" {
			t.Errorf("reported %+v", r)
		}
	}
	if n := strings.Count(h.log.String(), "credential=azure-weu"); n != 1 {
		t.Errorf("said %d times in a minute:\n%s", n, h.log.String())
	}
	h.secrets["key"] = secret // and when it is there, it is used
	if resp, _, _ := h.post(chat, ask); resp.StatusCode != 200 {
		t.Errorf("%d with the credential", resp.StatusCode)
	}
}

// A provider that hangs up before it can have read the whole request has billed
// nothing: the next one is tried, whatever the hold pays for.
func TestHungUpBeforeTheRequestHadLeft(t *testing.T) {
	h := build(t, []http.HandlerFunc{nil, says(200, answerJSON)}, func(h *house) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 100))
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		}()
		h.places[0].ProviderRef.BaseURL = "http://" + l.Addr().String() + "/v1"
		h.limits.Body = 64 << 20
	})
	big := `{"model":"gpt","messages":[{"role":"user","content":"` + strings.Repeat("x", 32<<20) + `"}]}`
	resp, _, err := h.post(chat, big)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %d", err, resp.StatusCode)
	}
	if r := h.report(); r.Deployment != "d2" || len(r.Attempts) != 1 || r.Attempts[0].Outcome != journal.OutcomeNotSent {
		t.Errorf("reported %+v", r)
	}
}

// A connection that dies under a call takes the call with it, though the caller sent
// an idempotency key, at which net/http would send it again by itself.
func TestNothingIsSentTwiceBehindOurBack(t *testing.T) {
	var calls atomic.Int64
	var keys []string
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if calls.Add(1) == 2 {
			cut() // over the connection that the first call left
		}
		says(200, answerJSON)(w, r)
	}})
	for i, want := range []int{200, 502, 200} {
		resp, body, err := h.post(chat, ask, "Idempotency-Key", "once")
		if err != nil || resp.StatusCode != want {
			t.Errorf("call %d: %v %d %s", i+1, err, resp.StatusCode, body)
		}
		h.report()
	}
	if calls.Load() != 3 || keys[0] != "once" {
		t.Errorf("the provider had %d calls, by the keys %q", calls.Load(), keys)
	}
}

// A connection that the provider has closed while it was idle is no failure: the
// call goes over a new one.
func TestAnIdleConnectionThatDied(t *testing.T) {
	open := make(chan net.Conn, 10)
	server := httptest.NewUnstartedServer(says(200, answerJSON))
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			open <- conn
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	h := build(t, nil, func(h *house) { h.place(server.URL+"/v1", "d1") })
	for range 3 {
		resp, body, err := h.post(chat, ask)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v %d %s", err, resp.StatusCode, body)
		}
		h.report()
		_ = (<-open).Close()
	}
}

// What a provider says of its credential in an error is not passed on, in whatever
// status it says it.
func TestTheCredentialIsNeverShown(t *testing.T) {
	for name, provider := range map[string]http.HandlerFunc{
		"in an error's body": func(w http.ResponseWriter, r *http.Request) {
			says(400, `{"you sent":"`+r.Header.Get("Authorization")+`"}`)(w, r)
		},
		"in an error's header": func(w http.ResponseWriter, r *http.Request) {
			says(400, `{}`, "X-Echo", r.Header.Get("Authorization"))(w, r)
		},
		"in a good one's header": func(w http.ResponseWriter, r *http.Request) {
			says(200, answerJSON, "X-Echo", r.Header.Get("Authorization"))(w, r)
		},
		"after all have failed": func(w http.ResponseWriter, r *http.Request) {
			says(500, r.Header.Get("Authorization"), "X-Echo", secret)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, []http.HandlerFunc{provider})
			resp, body, err := h.post(chat, ask) // which looks for the secret
			if err != nil || resp.Header.Get("X-Echo") != "" || body == "" {
				t.Errorf("%v %v %s", err, resp.Header, body)
			}
			h.report()
		})
	}
}

// An error page without end is nobody's error object: ours takes its place, under
// the provider's status.
func TestAnErrorWithoutEnd(t *testing.T) {
	h := build(t, []http.HandlerFunc{says(422, strings.Repeat("<p>sorry</p>", 50_000))})
	resp, body, err := h.post(chat, ask)
	if err != nil || resp.StatusCode != 422 || !strings.Contains(body, "cannot be shown") || len(body) > 1000 {
		t.Errorf("%v %d %.100s", err, resp.StatusCode, body)
	}
	h.report()
}

// A free call costs nothing, so it may be tried again after anything, and nobody
// settles it.
func TestFreeCalls(t *testing.T) {
	free := func(a *decision.Answer) {
		a.Plan = &decision.Plan{Free: true, Deployments: a.Plan.Deployments, ModelAsked: "gpt", ModelSpan: a.Plan.ModelSpan}
	}
	h := build(t, []http.HandlerFunc{
		func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); cut() },
		says(200, `{"input_tokens":14}`),
	}, altering(free), func(h *house) {
		for _, d := range h.places {
			d.ProviderRef.Kind = registry.ProviderAnthropic
		}
	})
	resp, body, err := h.post(messages+"/count_tokens", `{"model":"gpt","messages":[]}`)
	if err != nil || resp.StatusCode != 200 || body != `{"input_tokens":14}` {
		t.Errorf("%v %d %s", err, resp.StatusCode, body)
	}
	h.settledOnce()
}

// A provider that answers before it has read the request is heard.
func TestAnEarlyAnswer(t *testing.T) {
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		_, _ = io.Copy(io.Discard, bufio.NewReader(buffered))
	}})
	resp, body, err := h.post(chat, `{"model":"gpt","messages":["`+strings.Repeat("x", 4<<20)+`"]}`)
	if err != nil || resp.StatusCode != 400 || body != "{}" {
		t.Errorf("%v %d %s", err, resp.StatusCode, body)
	}
	h.report()
}

// A deployment that begins each answer well and breaks each off goes out like one that
// never answers, and answers that are read whole in between keep it in.
func TestAnswersThatBreakOffTakeADeploymentOut(t *testing.T) {
	for name, c := range map[string]struct {
		answers string // b breaks off, w is whole
		well    bool
	}{
		"three in a row":             {"bbb", false},
		"two":                        {"bb", true},
		"with whole ones in between": {"bbwbbwbb", true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			board := health.NewBoard(time.Now)
			h := build(t, []http.HandlerFunc{streams(func(s *stream) {
				_ = s.word("x")
				if c.answers[asked.Add(1)-1] == 'b' {
					cut()
				}
				s.ends()
			})}, func(h *house) { h.parts.Health = board })
			for range c.answers {
				h.post(chat, ask)
				h.report()
			}
			until(t, "the last is over", func() bool { calls, _ := h.proxy.Stats(); return calls == 0 })
			if board.Healthy("d1", time.Now()) != c.well {
				t.Errorf("after %s: %+v", c.answers, board.States())
			}
		})
	}
}
