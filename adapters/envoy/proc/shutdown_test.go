package proc_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// A stop lets in nobody new and waits for who is there.
func TestShutdownWaits(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.ask("POST", chat, ask)
	stopped := make(chan error, 1)
	go func() { stopped <- h.proc.Shutdown(context.Background()) }()
	// It is stopping when it says so to somebody new.
	for {
		late := h.filter()
		if late.ask("POST", chat, ask) {
			late.abort()
			h.report()
			continue
		}
		if late.instead.GetStatus().GetCode() != 503 || !strings.Contains(h.watch.String(), "away:stopping") {
			t.Fatalf("%v, observed %s", late.instead, h.watch)
		}
		break
	}
	f.pass("application/json", answerJSON)
	if err := <-stopped; err != nil || h.report().Outcome != journal.OutcomeCompleted {
		t.Error(err)
	}
}

// When its time is over, streams that are answering are settled by what was seen, and
// cut, so that nobody takes a part of an answer for all of it.
func TestShutdownCuts(t *testing.T) {
	h := build(t)
	answering, waiting := h.filter(), h.filter()
	answering.ask("POST", chat, ask)
	answering.answer(1, "via_upstream", 200, false, "content-type", "text/event-stream")
	answering.chunk(oneWord, false)
	waiting.ask("POST", chat, ask)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := h.proc.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	seen := map[bool]int{}
	for range 2 {
		r := h.report()
		if r.Outcome != journal.OutcomeAborted {
			t.Errorf("reported %+v", r)
		}
		seen[r.SeenOutputTokens > 0]++
	}
	if seen[true] != 1 || seen[false] != 1 {
		t.Errorf("seen %v", seen)
	}
	for _, f := range []*filter{answering, waiting} {
		if _, err := f.reply(); status.Code(err) != codes.Unavailable {
			t.Errorf("the filter reads %v", err)
		}
	}
	if !strings.Contains(h.watch.String(), "ended:stopped") {
		t.Errorf("observed %s", h.watch)
	}
}

// A decision or a settlement that panics ends its call, charged by rule, and no other;
// the log says where and not what.
func TestPanics(t *testing.T) {
	h := build(t)
	var once sync.Once
	h.settler.when = func(context.Context, decision.Report) error {
		once.Do(func() { panic(callerKey) })
		return nil
	}
	f := h.filter()
	f.ask("POST", chat, ask)
	f.answer(1, "via_upstream", 200, false, "content-type", "application/json")
	f.chunk(answerJSON[:20], false)
	h.decider.during = func(context.Context) { panic(callerKey) }
	g := h.filter()
	g.send(g.head("POST", chat, true))
	if _, err := g.reply(); status.Code(err) != codes.Internal || !strings.Contains(h.log.String(), "panicked") {
		t.Errorf("%v\n%s", err, h.log)
	}
	f.abort() // its settlement panics
	h.settledOnce()
	h.decider.during = nil
	f = h.filter()
	f.ask("POST", chat, ask)
	f.pass("application/json", answerJSON)
	h.report()
}
