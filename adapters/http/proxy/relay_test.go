package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// A chunk reaches the caller before the provider has written the next one: the
// provider writes the second when the caller has read the first.
func TestChunksAreRelayedAsTheyCome(t *testing.T) {
	read := make(chan struct{})
	h := build(t, []http.HandlerFunc{streams(func(s *stream) {
		for _, word := range []string{"one", "two", "three"} {
			_ = s.word(word)
			<-read
		}
		s.ends()
	})})
	resp := h.do(h.request(chat, ask))
	from := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		line, err := from.ReadString('\n')
		if err != nil || !strings.Contains(line, word) {
			t.Fatalf("%v %q, want %s", err, line, word)
		}
		_, _ = from.ReadString('\n')
		read <- struct{}{}
	}
	rest, err := io.ReadAll(from)
	if err != nil || !strings.HasSuffix(string(rest), doneMark) {
		t.Errorf("%v %q", err, rest)
	}
	r := h.report()
	if r.Outcome != journal.OutcomeCompleted || r.Usage == nil || r.Usage.Input != 9 || r.Usage.Output != 3 || r.Source != journal.SourceStream ||
		r.Deployment != "d1" || r.Status != 200 || r.TTFTMS < 1 || r.LatencyMS < r.TTFTMS {
		t.Errorf("reported %+v", r)
	}
	if got := h.watch.String(); got != "d1:ok, ended:complete" {
		t.Errorf("observed %s", got)
	}
}

// What passes is what the provider wrote, byte for byte, but for the usage that the
// caller did not ask for; and the provider's figures are reported either way.
func TestUsageNobodyAskedForIsHidden(t *testing.T) {
	const words = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\r\n\r\n" + ": a comment\n\n" + `data:{"choices":[{"delta":{"content":"bé"}}]}` + "\n\n"
	for hidden, want := range map[bool]string{true: words + stopChunk + doneMark, false: words + stopChunk + usageChunk + doneMark} {
		h := build(t, []http.HandlerFunc{streams(func(s *stream) { _ = s.raw(words); s.ends() })}, altering(func(a *decision.Answer) {
			if hidden {
				a.Changes = []decision.Change{decision.UsageRequested}
			}
		}))
		resp, got, err := h.post(chat, ask)
		if err != nil || got != want {
			t.Errorf("hidden %v: %v\n%q\nwant\n%q", hidden, err, got, want)
		}
		if resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Signalbox-Deployment") != "d1" {
			t.Errorf("%v", resp.Header)
		}
		if r := h.report(); r.Usage == nil || r.Usage.Output != 3 {
			t.Errorf("hidden %v: reported %+v", hidden, r)
		}
	}
}

// recording is a caller whose bytes can be looked at in the moment of settling.
type recording struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(p)
}

func (r *recording) soFar() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Body.String()
}

// The end is settled before the caller has it: when the settlement begins, and when
// it returns, the last event of a stream and the last byte of a document are not
// written yet.
func TestSettledBeforeTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		provider  http.HandlerFunc
		end, want string
	}{
		"a stream":   {streams(func(s *stream) { _ = s.word("x"); s.ends() }), "[DONE]", doneMark},
		"a document": {says(200, answerJSON), "}}", "}}"},
		"an error event": {streams(func(s *stream) { _ = s.word("x"); _ = s.raw("data: {\"error\":{\"message\":\"overloaded\"}}\n\n") }),
			"overloaded", "overloaded\"}}\n\n"},
		"a refusal": {says(400, `{"error":{"message":"no such parameter"}}`), "parameter", "parameter\"}}"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &recording{ResponseRecorder: httptest.NewRecorder()}
			h := build(t, []http.HandlerFunc{c.provider}, func(h *house) {
				h.settler.when = func(context.Context, decision.Report) error {
					if strings.Contains(w.soFar(), c.end) {
						t.Errorf("the caller had the end before it was settled: %q", w.soFar())
					}
					return nil
				}
			})
			r := h.request(chat, ask)
			r.RequestURI = chat
			h.proxy.ServeHTTP(w, r)
			h.report()
			h.settledOnce()
			if !strings.HasSuffix(w.soFar(), c.want) {
				t.Errorf("the caller was given %q", w.soFar())
			}
		})
	}
}

// A settlement that fails is logged and holds nothing up.
func TestASettlementThatFails(t *testing.T) {
	h := build(t, []http.HandlerFunc{says(200, answerJSON)}, func(h *house) {
		h.settler.when = func(context.Context, decision.Report) error { return errors.New("the journal is away") }
	})
	resp, body, err := h.post(chat, ask)
	if err != nil || resp.StatusCode != 200 || body != answerJSON {
		t.Errorf("%v %d %s", err, resp.StatusCode, body)
	}
	if !strings.Contains(h.log.String(), "not settled") || !strings.Contains(h.log.String(), "d-1") || !strings.Contains(h.watch.String(), "unsettled") {
		t.Errorf("logged %s, observed %s", h.log.String(), h.watch.String())
	}
}

// A caller who hangs up after each tenth of the answer is charged once, for no less
// than they saw, and the provider is hung up on.
func TestCutByTheCallerAtEachTenth(t *testing.T) {
	for tenth := range 10 {
		t.Run(fmt.Sprint(tenth), func(t *testing.T) {
			saw, gone := make(chan struct{}), make(chan struct{})
			h := build(t, []http.HandlerFunc{streams(func(s *stream) {
				for n := range tenth*10 + 1 {
					_ = s.word(fmt.Sprint("w", n))
				}
				<-saw // the caller has this much, and hangs up
				<-s.r.Context().Done()
				close(gone)
			})})
			ctx, hangUp := context.WithCancel(t.Context())
			resp := h.do(h.request(chat, ask).WithContext(ctx))
			from := bufio.NewScanner(resp.Body)
			for seen := 0; seen < tenth*10+1 && from.Scan(); {
				if strings.HasPrefix(from.Text(), "data:") {
					seen++
				}
			}
			close(saw)
			hangUp()
			r := h.report()
			<-gone
			most := int64(tenth*10+1)*int64(len("w00")) + 64 // by bytes, and what may be in the frame
			if r.Outcome != journal.OutcomeAborted || r.Usage != nil || r.SeenOutputTokens < int64(tenth*10+1) || r.SeenOutputTokens > most {
				t.Errorf("reported %+v, want between %d and %d tokens seen", r, tenth*10+1, most)
			}
			h.settledOnce()
		})
	}
}

// What a broken answer is charged by is the provider's rule.
func TestRulesForACallerWhoHangsUp(t *testing.T) {
	for _, c := range []struct {
		name    string
		rule    string
		change  func(*house)
		drains  bool
		reports func(decision.Report) bool
	}{
		{"seen", registry.AbortSeen, nil, false, func(r decision.Report) bool { return r.Usage == nil && r.SeenOutputTokens >= 1 }},
		{"no rule", "", nil, false, func(r decision.Report) bool { return r.Usage == nil && r.SeenOutputTokens >= 1 }},
		{"ceiling", registry.AbortCeiling, nil, false, func(r decision.Report) bool { return r.Usage == nil && r.SeenOutputTokens == -1 }},
		{"drain", registry.AbortDrain, nil, true, func(r decision.Report) bool { return r.Usage != nil && r.Usage.Output == 3 }},
		{"drain, and no room for it", registry.AbortDrain, func(h *house) { h.limits.Drains = 0 }, false,
			func(r decision.Report) bool { return r.Usage == nil && r.SeenOutputTokens == -1 }},
		{"drain, and the hold is over", registry.AbortDrain, altering(func(a *decision.Answer) { a.Plan.Hold.ExpiresAt = time.Now().Add(-time.Hour) }), false,
			func(r decision.Report) bool { return r.Usage == nil && r.SeenOutputTokens == -1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			goOn := make(chan struct{})
			h := build(t, []http.HandlerFunc{streams(func(s *stream) {
				_ = s.word("one")
				select {
				case <-goOn:
					_ = s.word("two")
					s.ends()
				case <-s.r.Context().Done():
				}
			})}, func(h *house) {
				h.places[0].ProviderRef.OnAbort = c.rule
				if c.change != nil {
					c.change(h)
				}
			})
			ctx, hangUp := context.WithCancel(t.Context())
			resp := h.do(h.request(chat, ask).WithContext(ctx))
			if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			hangUp()
			if c.drains {
				until(t, "the answer is drained", func() bool { _, drains := h.proxy.Stats(); return drains == 1 })
				close(goOn)
			}
			if r := h.report(); r.Outcome != journal.OutcomeAborted || !c.reports(r) {
				t.Errorf("reported %+v", r)
			}
			until(t, "nothing is in flight", func() bool { calls, drains := h.proxy.Stats(); return calls+drains == 0 })
			h.settledOnce()
			if got := h.health.String(); got != "d1 200" {
				t.Errorf("a caller who hangs up says nothing of the deployment: %s", got)
			}
		})
	}
}

// A caller who has closed their half of the connection has gone, as far as anybody
// can tell. If they read on they find a cut, and not an end that looks like one, also
// when their answer was read to its own.
func TestHalfAConnection(t *testing.T) {
	for _, rule := range []string{registry.AbortSeen, registry.AbortDrain} {
		t.Run(rule, func(t *testing.T) {
			goOn := make(chan struct{})
			h := build(t, []http.HandlerFunc{streams(func(s *stream) {
				_ = s.word("one")
				select {
				case <-goOn:
					s.ends()
				case <-s.r.Context().Done():
				}
			})}, func(h *house) { h.places[0].ProviderRef.OnAbort = rule })
			conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", chat, callerKey, len(ask), ask)
			_, _ = conn.Read(make([]byte, 10))
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if rule == registry.AbortDrain {
				until(t, "the answer is drained", func() bool { _, drains := h.proxy.Stats(); return drains == 1 })
				close(goOn)
			}
			rest, _ := io.ReadAll(conn)
			if strings.HasSuffix(string(rest), "0\r\n\r\n") {
				t.Errorf("the answer seems whole: %q", rest)
			}
			if r := h.report(); r.Outcome != journal.OutcomeAborted || (r.Usage != nil) != (rule == registry.AbortDrain) {
				t.Errorf("reported %+v", r)
			}
		})
	}
}

// A document that has begun to come is read to its end whatever the rule, because
// the model has written it: what it used is known a moment later.
func TestADocumentIsReadOn(t *testing.T) {
	goOn := make(chan struct{})
	long := strings.Replace(answerJSON, "hello", strings.Repeat("hello ", 20_000), 1)
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, long[:60_000])
		_ = http.NewResponseController(w).Flush()
		<-goOn
		_, _ = io.WriteString(w, long[60_000:])
	}})
	ctx, hangUp := context.WithCancel(t.Context())
	resp := h.do(h.request(chat, ask).WithContext(ctx))
	if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	hangUp()
	until(t, "it is read on", func() bool { _, drains := h.proxy.Stats(); return drains == 1 })
	close(goOn)
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.Usage == nil || r.Usage.Output != 2 || r.Source != journal.SourceBody {
		t.Errorf("reported %+v", r)
	}
}

// until waits for what another goroutine does in a moment of its own choosing.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

// A caller who hangs up before the provider has answered: what had been sent may be
// billed, and nobody saw how much; with drain the answer is waited for.
func TestCallerLeavesBeforeTheFirstByte(t *testing.T) {
	for rule, usage := range map[string]bool{registry.AbortSeen: false, registry.AbortCeiling: false, registry.AbortDrain: true} {
		t.Run(rule, func(t *testing.T) {
			asked, goOn := make(chan struct{}), make(chan struct{})
			h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(asked)
				select {
				case <-goOn:
					says(200, answerJSON)(w, r)
				case <-r.Context().Done():
				}
			}, func(http.ResponseWriter, *http.Request) { t.Error("a second deployment was tried for nobody") }}, func(h *house) {
				h.places[0].ProviderRef.OnAbort = rule
			})
			ctx, hangUp := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() {
				_, err := h.wire.RoundTrip(h.request(chat, ask).WithContext(ctx))
				failed <- err
			}()
			<-asked
			hangUp()
			if err := <-failed; err == nil {
				t.Error("a caller who hung up has an answer")
			}
			if usage {
				until(t, "the answer is waited for", func() bool { _, drains := h.proxy.Stats(); return drains == 1 })
				close(goOn)
			}
			r := h.report()
			if r.Outcome != journal.OutcomeAborted || (r.Usage != nil) != usage || r.SeenOutputTokens != -1 {
				t.Errorf("reported %+v", r)
			}
		})
	}
}

// A provider that breaks off: a stream gets an error event that SDKs raise, no end
// follows it, and the connection is cut, so that nobody takes it for whole.
func TestProviderBreaksOff(t *testing.T) {
	const anthropicAsk = `{"model":"gpt","max_tokens":9,"messages":[],"stream":true}`
	for _, c := range []struct {
		name, path, ask string
		provider        http.HandlerFunc
		want            []string
		seen            int64 // at least
	}{
		{"a chat stream", chat, ask, streams(func(s *stream) { _ = s.word("one"); cut() }),
			[]string{"one", "\n\ndata: {\"error\":{", `"code":"upstream_unavailable"`, `"type":"server_error"`}, 1},
		{"in the middle of an event", chat, ask, streams(func(s *stream) { _ = s.word("one"); _ = s.raw(`data: {"choices":[{"de`); cut() }),
			[]string{"one", "\n\ndata: {\"error\":{"}, 1},
		{"a stream that only seems to end", chat, ask, streams(func(s *stream) { _ = s.word("one") }),
			[]string{"one", "\n\ndata: {\"error\":{"}, 1},
		{"a messages stream", messages, anthropicAsk, streams(func(s *stream) {
			_ = s.raw("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n")
			_ = s.raw("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"one\"}}\n\n")
			cut()
		}), []string{"message_start", "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""}, 1},
		{"a responses stream", "/v1/responses", ask, streams(func(s *stream) {
			_ = s.raw("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"one\"}\n\n")
			cut()
		}), []string{"\n\nevent: error\ndata: {\"type\":\"error\",\"code\":\"upstream_unavailable\"", `"error":{"message"`}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, []http.HandlerFunc{c.provider, func(http.ResponseWriter, *http.Request) { t.Error("tried again in the middle of an answer") }})
			_, got, err := h.post(c.path, c.ask)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the answer seems whole: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %q", want, got)
				}
			}
			if strings.Contains(got, "DONE") || strings.Contains(got, `"de`+"\n") {
				t.Errorf("%q", got)
			}
			r := h.report()
			if r.Outcome != journal.OutcomeAborted || r.Usage != nil || r.SeenOutputTokens < c.seen {
				t.Errorf("reported %+v", r)
			}
			if c.path == messages && (r.SeenInput == nil || r.SeenInput.Input != 7) {
				t.Errorf("the prompt that the provider had counted is reported as %+v", r.SeenInput)
			}
			if got := h.health.String(); got != "d1 200, d1 200 failed" {
				t.Errorf("learned %s", got)
			}
			h.settledOnce()
		})
	}
}

// A document that breaks off is cut, or, while nothing of it has gone out, an error.
func TestProviderBreaksOffADocument(t *testing.T) {
	half := func(length bool, size int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			if length {
				w.Header().Set("Content-Length", fmt.Sprint(len(answerJSON)))
			}
			_, _ = io.WriteString(w, answerJSON[:size])
			_ = http.NewResponseController(w).Flush()
			cut()
		}
	}
	for name, provider := range map[string]http.HandlerFunc{"of a known length": half(true, 60), "of an unknown length": half(false, 60)} {
		t.Run(name, func(t *testing.T) {
			h := build(t, []http.HandlerFunc{provider})
			// Little as it is, it had not left the server's buffer: not even the head came.
			if resp, err := h.wire.RoundTrip(h.request(chat, ask)); !errors.Is(err, io.EOF) {
				t.Errorf("%v %+v", err, resp)
			}
			if r := h.report(); r.Outcome != journal.OutcomeAborted || r.Usage != nil {
				t.Errorf("reported %+v", r)
			}
		})
	}
	t.Run("before its first byte", func(t *testing.T) {
		h := build(t, []http.HandlerFunc{half(true, 0)})
		resp, got, err := h.post(chat, ask)
		if err != nil || resp.StatusCode != 502 || !strings.Contains(got, `"code":"upstream_unavailable"`) {
			t.Errorf("%v %d %q", err, resp.StatusCode, got)
		}
		if r := h.report(); r.Outcome != journal.OutcomeAborted {
			t.Errorf("reported %+v", r)
		}
	})
}

// A provider that ends a stream with an error event has ended it: its own words are
// passed on, and the connection is not cut.
func TestProviderEndsWithAnError(t *testing.T) {
	const fault = "data: {\"error\":{\"message\":\"the server had an error\",\"type\":\"server_error\"}}\n\n"
	h := build(t, []http.HandlerFunc{streams(func(s *stream) { _ = s.word("one"); _ = s.raw(fault) })})
	_, got, err := h.post(chat, ask)
	if err != nil || !strings.HasSuffix(got, fault) {
		t.Errorf("%v %q", err, got)
	}
	if r := h.report(); r.Outcome != journal.OutcomeFailed || r.Usage != nil || r.SeenOutputTokens < 1 || r.Status != 200 {
		t.Errorf("reported %+v", r)
	}
}

// A provider that falls silent is not waited for without end.
func TestProviderFallsSilent(t *testing.T) {
	h := build(t, []http.HandlerFunc{streams(func(s *stream) { _ = s.word("one"); <-s.r.Context().Done() })}, func(h *house) {
		h.limits.Idle = 50 * time.Millisecond
	})
	_, got, err := h.post(chat, ask)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(got, `"code":"upstream_timeout"`) {
		t.Errorf("%v %q", err, got)
	}
	if r := h.report(); r.Outcome != journal.OutcomeAborted {
		t.Errorf("reported %+v", r)
	}
}

// What is no answer we know passes as it is, and is charged as it was held: unknown
// is not zero.
func TestUnreadableAnswersPass(t *testing.T) {
	for name, provider := range map[string]http.HandlerFunc{
		"another type": says(200, "plain words", "Content-Type", "text/plain"),
		"encoded":      says(200, "\x1f\x8b\x00garbage", "Content-Encoding", "gzip"),
		"not JSON":     says(200, "{oh no"),
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, []http.HandlerFunc{provider})
			_, got, err := h.post(chat, ask)
			if err != nil || got == "" {
				t.Errorf("%v %q", err, got)
			}
			if r := h.report(); r.Outcome != journal.OutcomeCompleted || r.Usage != nil {
				t.Errorf("reported %+v", r)
			}
		})
	}
}

// A caller who takes nothing slows the provider down: it cannot write a fraction of
// what it wants to, because nobody reads ahead. And a caller who stands still is cut.
func TestASlowCallerSlowsTheProviderDown(t *testing.T) {
	const much = 256 << 20
	blocked := make(chan int, 1)
	line := []byte("data: " + strings.Repeat("x", 16<<10) + "\n\n")
	h := build(t, []http.HandlerFunc{streams(func(s *stream) {
		_ = http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		n := 0
		for n < much {
			wrote, err := s.w.Write(line)
			if n += wrote; err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the provider was stopped by %v", err)
				}
				break
			}
		}
		blocked <- n
	})})
	resp := h.do(h.request(chat, ask))
	if n := <-blocked; n > much/4 {
		t.Errorf("the provider wrote %d MiB that nobody read", n>>20)
	}
	_ = resp.Body.Close()
	h.report()
}

func TestACallerWhoStandsStillIsCut(t *testing.T) {
	line := []byte("data: " + strings.Repeat("x", 16<<10) + "\n\n")
	h := build(t, []http.HandlerFunc{streams(func(s *stream) {
		for s.r.Context().Err() == nil {
			if _, err := s.w.Write(line); err != nil {
				return
			}
		}
	})}, func(h *house) { h.limits.Write = 100 * time.Millisecond })
	resp := h.do(h.request(chat, ask)) // and reads nothing
	if r := h.report(); r.Outcome != journal.OutcomeAborted {
		t.Errorf("reported %+v", r)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("what was cut seems whole")
	}
}

// Five hundred streams at once, each by its own connection, all of them in flight
// before any may end; nothing is left of them.
func TestManyStreamsAtOnce(t *testing.T) {
	const many = 500
	all := make(chan struct{})
	var here sync.WaitGroup
	here.Add(many)
	h := build(t, []http.HandlerFunc{streams(func(s *stream) {
		_ = s.word("one")
		here.Done()
		<-all
		_ = s.word("two")
		s.ends()
	})})
	go func() { here.Wait(); close(all) }()
	var callers sync.WaitGroup
	for range many {
		callers.Go(func() {
			_, got, err := h.post(chat, ask)
			if err != nil || !strings.Contains(got, "two") || !strings.HasSuffix(got, doneMark) {
				t.Errorf("%v %q", err, got)
			}
		})
	}
	callers.Wait()
	for range many {
		if r := h.report(); r.Outcome != journal.OutcomeCompleted || r.Usage == nil || r.Usage.Output != 3 {
			t.Fatalf("reported %+v", r)
		}
	}
	h.settledOnce()
	until(t, "nothing is in flight", func() bool { calls, _ := h.proxy.Stats(); return calls == 0 })
}

// Whatever breaks in here, the call is charged and nobody has half an answer.
func TestAPanicIsCharged(t *testing.T) {
	h := build(t, []http.HandlerFunc{streams(func(s *stream) { _ = s.word("one"); s.ends() })}, func(h *house) {
		first := true
		h.settler.when = func(context.Context, decision.Report) error {
			if first {
				first = false
				var list []int
				_ = list[len(h.places)] // a bug
			}
			return nil
		}
	})
	_, got, err := h.post(chat, ask)
	if err == nil || strings.Contains(got, "[DONE]") {
		t.Errorf("%v %q", err, got)
	}
	if !strings.Contains(h.log.String(), "the proxy panicked") {
		t.Errorf("logged %s", h.log.String())
	}
}

// The server's deadline for answers that are written at once is not for streams: one
// goes on when it has long passed, over either version of HTTP.
func TestStreamsOutliveTheServersDeadline(t *testing.T) {
	const deadline = 300 * time.Millisecond
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
				<-time.After(3 * deadline) // it is the passing of time that is tested
				streams(func(s *stream) {
					_ = s.word("one")
					<-time.After(3 * deadline)
					_ = s.word("two")
					s.ends()
				})(w, r)
			}})
			server := httptest.NewUnstartedServer(h.proxy)
			server.Config.WriteTimeout, server.Config.ReadTimeout = deadline, deadline
			server.EnableHTTP2 = version == 2
			server.StartTLS()
			t.Cleanup(server.Close)
			r := h.request(chat, ask)
			at := server.Listener.Addr().String()
			r.URL.Scheme, r.URL.Host = "https", at
			resp, err := server.Client().Transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			all, err := io.ReadAll(resp.Body)
			if err != nil || resp.ProtoMajor != version || !strings.Contains(string(all), "two") || !strings.HasSuffix(string(all), doneMark) {
				t.Errorf("%v %s %q", err, resp.Proto, all)
			}
			h.report()
		})
	}
}
