package http_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	httpdoor "github.com/signalbox-dev/signalbox/adapters/http"
	"github.com/signalbox-dev/signalbox/decision"
)

// waiting answers when it is told to.
type waiting struct {
	in, out chan struct{}
}

func (w *waiting) Decide(context.Context, decision.Request) (decision.Answer, error) {
	w.in <- struct{}{}
	<-w.out
	return adaptertest.Plan(), nil
}

// Questions wait for memory instead of taking it: with room for one, the second
// is read when the first is answered, and one that gives up is let go.
func TestQuestionsWaitForMemory(t *testing.T) {
	const body = 64 << 10
	d := &waiting{in: make(chan struct{}), out: make(chan struct{})}
	h := httpdoor.New(httpdoor.Config{Decider: d, Settler: &adaptertest.Settler{}, Body: body, InFlight: 1, Log: slog.New(slog.DiscardHandler),
		Guard: door.Guard{Gateways: adaptertest.Gateways{}, TrustLocal: true}})
	full := goodQuestion + strings.Repeat(" ", int(door.EnvelopeBound(body))-len(goodQuestion))

	codes := make(chan int, 2)
	var askers sync.WaitGroup
	for range 2 {
		askers.Go(func() { codes <- ask(h, "POST", "/v1/decide", full).Code })
	}
	<-d.in // one of them is being decided, and the other cannot be

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("POST", "/v1/decide", strings.NewReader(full)).WithContext(gone)
	r.Header.Set("X-Signalbox-Gateway-Token", adaptertest.Token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "withdrawn") {
		t.Errorf("a question that gave up: %d %s", w.Code, w.Body)
	}
	select {
	case <-d.in:
		t.Error("both questions are in memory at once")
	default:
	}
	d.out <- struct{}{}
	<-d.in
	d.out <- struct{}{}
	askers.Wait()
	if first, second := <-codes, <-codes; first != 200 || second != 200 {
		t.Errorf("answered %d and %d", first, second)
	}
}
