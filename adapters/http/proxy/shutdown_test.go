package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// A stop lets nobody in and waits for those who are in.
func TestAStopWaitsForStreams(t *testing.T) {
	goOn := make(chan struct{})
	h := build(t, []http.HandlerFunc{streams(func(s *stream) { _ = s.word("one"); <-goOn; s.ends() })}, func(h *house) {
		allow := h.decider.answer
		h.decider.answer = func(req decision.Request) (decision.Answer, error) {
			if req.Path == "/v1/none" {
				return decision.Answer{Refusal: &decision.Refusal{Reasons: []decision.Reason{{Code: decision.PathUnknown}}}}, nil
			}
			return allow(req)
		}
	})
	resp := h.do(h.request(chat, ask))
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		stopped <- h.proxy.Shutdown(ctx)
	}()
	until(t, "nobody is let in", func() bool {
		late, body, _ := h.post("/v1/none", "{}")
		return late.StatusCode == 503 && strings.Contains(body, "overloaded")
	})
	select {
	case err := <-stopped:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	close(goOn)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(rest), doneMark) {
		t.Errorf("%v %q", err, rest)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// When a stop's time is over, what is still in flight is cut, and settled before the
// stop returns: streams, calls that wait for their first byte, and drains.
func TestAStopCutsWhatDoesNotEnd(t *testing.T) {
	asked := make(chan struct{}, 3)
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Story") != "silent" {
			streams(func(s *stream) { _ = s.word("one") })(w, r)
		}
		asked <- struct{}{}
		<-r.Context().Done()
	}}, func(h *house) { h.places[0].ProviderRef.OnAbort = registry.AbortDrain })
	streaming := h.do(h.request(chat, ask))
	silent := make(chan string, 1)
	go func() {
		resp, body, _ := h.post(chat, ask, "X-Story", "silent")
		silent <- resp.Status + body
	}()
	ctx, hangUp := context.WithCancel(t.Context())
	h.do(h.request(chat, ask).WithContext(ctx))
	for range 3 {
		<-asked
	}
	hangUp()
	until(t, "one is drained", func() bool { _, drains := h.proxy.Stats(); return drains == 1 })

	stop, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := h.proxy.Shutdown(stop); err != nil {
		t.Fatal(err)
	}
	if n := len(h.settler.told); n != 3 {
		t.Errorf("%d calls are settled when the stop returns", n)
	}
	for range 3 {
		if r := h.report(); r.Outcome != journal.OutcomeAborted || r.SeenOutputTokens != -1 {
			t.Errorf("reported %+v", r)
		}
	}
	rest, err := io.ReadAll(streaming.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(string(rest), `"code":"overloaded"`) {
		t.Errorf("%v %q", err, rest)
	}
	if got := <-silent; !strings.HasPrefix(got, "503") || !strings.Contains(got, "about to end") {
		t.Errorf("%s", got)
	}
	if got := h.health.String(); strings.Contains(got, "failed") {
		t.Errorf("our stop is held against a deployment: %s", got)
	}
}

// A stop that cannot end, because a settlement does not, says what is left.
func TestAStopThatCannotEnd(t *testing.T) {
	stuck, free := make(chan struct{}), make(chan struct{})
	h := build(t, []http.HandlerFunc{says(200, answerJSON)}, func(h *house) {
		h.settler.when = func(context.Context, decision.Report) error { close(stuck); <-free; return nil }
	})
	ended := make(chan struct{})
	go func() { h.post(chat, ask); close(ended) }()
	<-stuck
	stop, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.proxy.Shutdown(stop); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 calls have not ended") {
		t.Errorf("%v", err)
	}
	close(free)
	<-ended
}
