package proc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// What passes is what the provider wrote, byte for byte and piece by piece, but for
// the usage that the caller did not ask for; and the figures are reported either way.
func TestUsageNobodyAskedForIsHidden(t *testing.T) {
	const words = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\r\n\r\n" + ": a comment\n\n" + `data:{"choices":[{"delta":{"content":"bé"}}]}` + "\n\n"
	whole := words + stopChunk + usageChunk + doneMark
	for _, hidden := range []bool{true, false} {
		rapid.Check(t, func(rt *rapid.T) {
			h := build(t, altering(func(a *decision.Answer) {
				if hidden {
					a.Changes = []decision.Change{decision.UsageRequested}
				}
			}))
			f := h.filter()
			f.ask("POST", chat, ask)
			var pieces []string
			for rest := whole; rest != ""; {
				n := rapid.IntRange(1, len(rest)).Draw(rt, "bytes")
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			if rapid.Bool().Draw(rt, "an empty end") {
				pieces = append(pieces, "")
			}
			f.pass("text/event-stream; charset=utf-8", pieces...)
			want := whole
			if hidden {
				want = words + stopChunk + doneMark
			}
			if got := f.got.String(); got != want || !f.whole {
				rt.Fatalf("hidden %v: %q\nwant\n%q", hidden, got, want)
			}
			if f.mode != mode.ProcessingMode_STREAMED || f.length >= 0 {
				rt.Fatalf("sent as %s, with a length of %d", f.mode, f.length)
			}
			if r := h.report(); r.Outcome != journal.OutcomeCompleted || r.Usage == nil || r.Usage.Output != 3 || r.Source != journal.SourceStream {
				rt.Fatalf("reported %+v", r)
			}
			h.settledOnce()
		})
	}
}

// A document passes as it comes, however it is cut, and with its length.
func TestDocumentsAreNotDelayed(t *testing.T) {
	for cut := range len(answerJSON) {
		h := build(t)
		f := h.filter()
		f.ask("POST", chat, ask)
		f.answer(1, "via_upstream", 200, false, "content-type", "application/json", "content-length", fmt.Sprint(len(answerJSON)), "set-cookie", "a=b", "x-request-id", "theirs")
		f.chunk(answerJSON[:cut], false)
		if f.got.String() != answerJSON[:cut] {
			t.Fatalf("of %q the caller has %q", answerJSON[:cut], f.got.String())
		}
		f.chunk(answerJSON[cut:], true)
		if f.got.String() != answerJSON || f.length != len(answerJSON) || !f.whole {
			t.Fatalf("cut at %d: %q, said to have %d bytes", cut, f.got.String(), f.length)
		}
		if f.reached["set-cookie"] != "" || f.reached["x-request-id"] != "theirs" || f.reached["x-signalbox-deployment"] != "d1" || f.reached["x-signalbox-decision"] != "d-1" || f.reached["x-signalbox-budget"] != "month" {
			t.Fatalf("the caller reads %v", f.reached)
		}
		if r := h.report(); r.Usage == nil || r.Usage.Input != 9 || r.TTFTMS < 1 || r.LatencyMS < r.TTFTMS {
			t.Fatalf("reported %+v", r)
		}
	}
}

// The end is settled before the caller has it.
func TestSettledBeforeTheEnd(t *testing.T) {
	for name, c := range map[string]struct{ contentType, pieces, end string }{
		"a stream":       {"text/event-stream", oneWord + stopChunk + usageChunk + doneMark, doneMark},
		"a document":     {"application/json", answerJSON, "11}}"},
		"an error event": {"text/event-stream", oneWord + "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", "overloaded\"}}\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var f *filter
			var before string
			h := build(t, func(h *house) {
				h.settler.when = func(context.Context, decision.Report) error { before = f.got.String(); return nil }
			})
			f = h.filter()
			f.ask("POST", chat, ask)
			f.pass(c.contentType, strings.Split(c.pieces, "")...)
			h.report()
			if f.got.String() != c.pieces || strings.HasSuffix(before, c.end) || !strings.HasSuffix(f.got.String(), c.end) {
				t.Errorf("when it was settled the caller had %q of %q", before, f.got.String())
			}
			if strings.Contains(name, "error") && h.watch.String() != "go, d1:ok, ended:failed" {
				t.Errorf("observed %s", h.watch)
			}
		})
	}
}

// A settlement that fails, or takes too long, does not keep the end from the caller.
func TestTheCallerDoesNotWaitForTheJournal(t *testing.T) {
	h := build(t, func(h *house) {
		h.parts.Limits.Settle = 1
		h.settler.when = func(ctx context.Context, _ decision.Report) error { <-ctx.Done(); return errAway }
	})
	f := h.filter()
	f.ask("POST", chat, ask)
	f.pass("application/json", answerJSON)
	if f.got.String() != answerJSON || h.watch.String() != "go, d1:ok, unsettled, ended:complete" {
		t.Errorf("%q, observed %s", f.got.String(), h.watch)
	}
}

// An answer that ends as if it were whole, and is not, is not taken for whole.
func TestAnswersCutShort(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.pass("text/event-stream", oneWord, "")
	if got := f.got.String(); !strings.HasPrefix(got, oneWord) || !strings.Contains(got, `"upstream_unavailable"`) {
		t.Errorf("the caller has %q", got)
	}
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.SeenOutputTokens < 1 || r.Status != 200 {
		t.Errorf("reported %+v", r)
	}
	if h.health.String() != "d1 200, d1 200 failed" || h.watch.String() != "go, d1:ok, ended:broken" {
		t.Errorf("learned %s, observed %s", h.health, h.watch)
	}
	for name, end := range map[string]bool{"half a document": false, "none": true} {
		h := build(t)
		f := h.filter()
		f.ask("POST", chat, ask)
		if f.answer(1, "via_upstream", 200, end, "content-type", "application/json") {
			f.chunk(answerJSON[:50], false)
			f.chunk("", true)
		}
		if f.instead.GetStatus().GetCode() != 502 || f.whole {
			t.Errorf("%s: %v", name, f.instead)
		}
		if r := h.report(); r.Outcome != journal.OutcomeAborted || r.SeenOutputTokens != -1 {
			t.Errorf("%s: reported %+v", name, r)
		}
		h.settledOnce()
	}
}

// What cannot be read passes, and is charged as held, because nobody knows better.
func TestAnswersNobodyCanRead(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.answer(1, "via_upstream", 200, false, "content-type", "application/json", "content-encoding", "gzip")
	f.chunk("\x1f\x8b", false)
	f.chunk("…", true)
	if r := h.report(); r.Outcome != journal.OutcomeCompleted || r.Usage != nil || f.got.String() != "\x1f\x8b…" {
		t.Errorf("reported %+v, the caller has %q", r, f.got.String())
	}
}

// A provider's no is the caller's, but for what it says of our account, and for what
// is no answer at all.
func TestAProvidersNo(t *testing.T) {
	for _, c := range []struct {
		status  int
		shown   bool
		outcome journal.Outcome
		said    int
		word    string
		learned string
	}{
		{400, true, journal.OutcomeFailed, 400, "refused", "d1 400"},
		{404, true, journal.OutcomeFailed, 404, "refused", "d1 404"},
		{429, true, journal.OutcomeFailed, 429, "rate_limited", "d1 429 after 7"},
		{500, true, journal.OutcomeFailed, 500, "unavailable", "d1 500 after 7"},
		{529, true, journal.OutcomeFailed, 529, "unavailable", "d1 529 after 7"},
		{401, false, journal.OutcomeFailed, 401, "not_admitted", "d1 401 failed"},
		{402, false, journal.OutcomeFailed, 402, "not_admitted", "d1 402 failed"},
		{403, false, journal.OutcomeFailed, 403, "not_admitted", "d1 403"},
		{407, false, journal.OutcomeFailed, 407, "not_admitted", "d1 407 failed"},
		{302, false, journal.OutcomeNotSent, 0, "redirected", "d1 302 failed"},
		{199, false, journal.OutcomeNotSent, 0, "redirected", "d1 199 failed"},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			h := build(t)
			f := h.filter()
			f.ask("POST", chat, ask)
			shown := f.answer(1, "via_upstream", c.status, false, "content-type", "application/json", "retry-after", "7", "www-authenticate", "Basic", "location", "https://x")
			if shown != c.shown {
				t.Fatalf("%v", f.instead)
			}
			if shown {
				f.chunk(`{"error":{}}`, true)
				if f.mode != mode.ProcessingMode_NONE || f.got.String() != `{"error":{}}` || f.reached["www-authenticate"]+f.reached["location"] != "" || f.reached["retry-after"] != "7" {
					t.Errorf("%s %q %v", f.mode, f.got.String(), f.reached)
				}
			} else if f.instead.GetStatus().GetCode() != 502 || !strings.Contains(string(f.instead.GetBody()), `"upstream_unavailable"`) {
				t.Errorf("%v", f.instead)
			}
			if r := h.report(); r.Outcome != c.outcome || r.Status != c.said || r.SeenOutputTokens != -1 || r.Usage != nil {
				t.Errorf("reported %+v", r)
			}
			h.settledOnce()
			if h.watch.String() != "go, d1:"+c.word || strings.TrimSuffix(h.health.String(), " after 7") != strings.TrimSuffix(c.learned, " after 7") {
				t.Errorf("observed %s, learned %s", h.watch, h.health)
			}
		})
	}
}

// The tries that Envoy has made are told one by one: what the filter at each noted,
// and where none did, whether it can have been billed.
func TestTriesBeforeTheAnswer(t *testing.T) {
	type attempt = decision.ReportedAttempt
	for name, c := range map[string]struct {
		attempts int // as Envoy counts; -1: it does not say
		paid     int
		profile  string
		noted    []string // deployment and status
		want     []attempt
		last     string
		learned  string
	}{
		"limited, then down": {3, 1, "order", []string{"d1", "429", "d2", "503"},
			[]attempt{{Deployment: "d1", Status: 429, Outcome: journal.OutcomeFailed}, {Deployment: "d2", Status: 503, Outcome: journal.OutcomeFailed}}, "d3", "d1 429 after 7, d2 503 after 7, d3 200"},
		"did not connect": {2, 1, "order", []string{"d1", "0"},
			[]attempt{{Deployment: "d1", Outcome: journal.OutcomeNotSent}}, "d2", "d1 0 failed, d2 200"},
		"nothing noted": {2, 1, "order", nil,
			[]attempt{{Deployment: "d1", Outcome: journal.OutcomeNotSent}}, "d2", "d1 0 failed, d2 200"},
		"cut, where two are paid for": {2, 2, "order", []string{"d1", "0"},
			[]attempt{{Deployment: "d1", Outcome: journal.OutcomeAborted}}, "d2", "d1 0 failed, d2 200"},
		"redirected": {2, 2, "order", []string{"d1", "302"},
			[]attempt{{Deployment: "d1", Outcome: journal.OutcomeNotSent}}, "d2", "d1 302 failed after 7, d2 200"},
		"our account": {2, 1, "order", []string{"d1", "401"},
			[]attempt{{Deployment: "d1", Status: 401, Outcome: journal.OutcomeFailed}}, "d2", "d1 401 failed after 7, d2 200"},
		"not counted": {-1, 1, "order", []string{"d1", "429", "d2", "200"},
			[]attempt{{Deployment: "d1", Status: 429, Outcome: journal.OutcomeFailed}}, "d2", "d1 429 after 7, d2 200"},
		"neither counted nor noted": {-1, 1, "order", nil, nil, "d1", "d1 200"},
		"counted beyond the order": {9, 1, "order", []string{"d1", "429", "d2", "429"},
			[]attempt{{Deployment: "d1", Status: 429, Outcome: journal.OutcomeFailed}, {Deployment: "d2", Status: 429, Outcome: journal.OutcomeFailed}}, "d3", "d1 429 after 7, d2 429 after 7, d3 200"},
		"somebody's own retries": {2, 1, "header", nil, nil, "d1", "d1 200"},
		"nonsense": {2, 1, "order", []string{"d1", "soon", "d9", "429"},
			[]attempt{{Deployment: "d1", Outcome: journal.OutcomeNotSent}}, "d2", "d1 0 failed, d2 200"},
		"no try, and an answer": {0, 1, "order", nil, nil, "d1", "d1 200"},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, altering(func(a *decision.Answer) { a.Plan.Hold.Attempts = c.paid }), func(h *house) { h.profile = profile(c.profile) })
			f := h.filter()
			f.ask("POST", chat, ask)
			for i := 0; i < len(c.noted); i += 2 {
				f.note(c.noted[i], "status", c.noted[i+1], "retry-after", "7", "x-of-no-use", "y")
			}
			f.answer(c.attempts, "via_upstream", 200, false, "content-type", "application/json")
			f.chunk(answerJSON, true)
			r := h.report()
			if diff := cmp.Diff(c.want, r.Attempts); diff != "" || r.Deployment != c.last || r.Outcome != journal.OutcomeCompleted || r.Status != 200 {
				t.Errorf("%s\nreported %+v", diff, r)
			}
			if sure := r.Rank != journal.RankEstimate; sure != (c.profile == "order") {
				t.Errorf("the figures' rank is %v", r.Rank)
			}
			if f.reached["x-signalbox-deployment"] != c.last {
				t.Errorf("the caller reads %v", f.reached)
			}
			if got := h.health.String(); got != c.learned+", "+c.last+" 0 whole" {
				t.Errorf("learned %s", got)
			}
		})
	}
}

// A reply that Envoy wrote itself is no provider's: it says what became of the call,
// and the caller gets it in their dialect.
func TestRepliesOfEnvoysOwn(t *testing.T) {
	for _, c := range []struct {
		details  string
		attempts int
		outcome  journal.Outcome
		status   int
		code     string
		learned  string
	}{
		{"no_healthy_upstream", 1, journal.OutcomeNotSent, 502, "upstream_unavailable", "d1 0 failed"},
		{"cluster_not_found", 0, journal.OutcomeNotSent, 502, "upstream_unavailable", ""},
		{"route_not_found", 0, journal.OutcomeNotSent, 502, "upstream_unavailable", ""},
		{"lua_response", 1, journal.OutcomeNotSent, 502, "upstream_unavailable", ""},
		{"failed_to_inject_credential", 1, journal.OutcomeNotSent, 502, "upstream_unavailable", "d1 0 failed"},
		{"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}", 1, journal.OutcomeNotSent, 502, "upstream_unavailable", "d1 0 failed"},
		{"upstream_reset_before_response_started{connection_timeout}", 1, journal.OutcomeNotSent, 502, "upstream_unavailable", "d1 0 failed"},
		{"upstream_reset_before_response_started{overflow}", 1, journal.OutcomeNotSent, 503, "overloaded", ""},
		{"upstream_reset_before_response_started{connection_termination}", 1, journal.OutcomeAborted, 502, "upstream_unavailable", "d1 0 failed"},
		{"upstream_reset_before_response_started{remote_reset}", 1, journal.OutcomeAborted, 502, "upstream_unavailable", "d1 0 failed"},
		{"upstream_response_timeout", 1, journal.OutcomeAborted, 504, "upstream_timeout", "d1 0 failed"},
		{"upstream_per_try_timeout", 1, journal.OutcomeAborted, 504, "upstream_timeout", "d1 0 failed"},
		{"stream_idle_timeout", 1, journal.OutcomeAborted, 504, "upstream_timeout", "d1 0 failed"},
		{"response_payload_too_large", 1, journal.OutcomeAborted, 502, "upstream_unavailable", "d1 0 failed"},
		{"something_new", 1, journal.OutcomeAborted, 502, "upstream_unavailable", ""},
		{"", -1, journal.OutcomeAborted, 502, "upstream_unavailable", ""},
	} {
		t.Run(c.details, func(t *testing.T) {
			h := build(t)
			f := h.filter()
			f.ask("POST", messages, ask)
			if f.answer(c.attempts, c.details, 503, false, "content-type", "text/plain") {
				t.Fatal("it went on")
			}
			body := string(f.instead.GetBody())
			if int(f.instead.GetStatus().GetCode()) != c.status || !strings.Contains(body, c.code) || !strings.Contains(body, `"type":"error"`) || !strings.Contains(body, "d-1") {
				t.Errorf("%v", f.instead)
			}
			if r := h.report(); r.Outcome != c.outcome || r.Status != 0 || r.SeenOutputTokens != -1 || r.Deployment != "d1" {
				t.Errorf("reported %+v", r)
			}
			h.settledOnce()
			if h.health.String() != c.learned {
				t.Errorf("learned %s", h.health)
			}
		})
	}
}

// A failure after another try's answer is told beside it; and what a filter behind
// ours said to the caller stands as it was written.
func TestOwnRepliesAfterTries(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.note("d1", "status", "429", "retry-after", "7")
	if f.answer(2, "no_healthy_upstream", 503, false) {
		t.Fatal("it went on")
	}
	if r := h.report(); r.Outcome != journal.OutcomeFailed || r.Deployment != "d2" || len(r.Attempts) != 1 || r.Attempts[0].Status != 429 {
		t.Errorf("reported %+v", r)
	}
	for _, details := range []string{"rbac_access_denied_matched_policy[x]", "direct_response", "jwt_authn_access_denied"} {
		h := build(t)
		f := h.filter()
		f.ask("POST", chat, ask)
		if !f.answer(0, details, 403, false, "content-type", "text/plain") {
			t.Fatalf("%s: %v", details, f.instead)
		}
		if r := h.report(); r.Outcome != journal.OutcomeNotSent || f.mode != mode.ProcessingMode_NONE {
			t.Errorf("%s: reported %+v, %s", details, r, f.mode)
		}
	}
	// Before a decision it is nobody's business of ours.
	h = build(t)
	f = h.filter()
	f.send(f.head("POST", chat, false))
	_, _ = f.reply()
	if !f.answer(0, "downstream_idle", 408, false, "content-type", "text/plain") || len(f.reached) != 2 {
		t.Errorf("%v %v", f.instead, f.reached)
	}
	h.settledOnce()
}

// However far an answer has come when its caller, or its provider, goes away: the
// call is settled once, by what was seen of it, or by the provider's rule.
func TestStreamsThatEndAnywhere(t *testing.T) {
	pieces := []string{oneWord, oneWord, oneWord[:30], oneWord[30:], stopChunk, usageChunk, doneMark, ""}
	for _, rule := range []string{registry.AbortSeen, registry.AbortCeiling, registry.AbortDrain} {
		for n := range len(pieces) + 1 {
			for _, reset := range []bool{false, true} {
				h := build(t, func(h *house) {
					for _, d := range h.places {
						d.ProviderRef.OnAbort = rule
					}
				})
				f := h.filter()
				f.ask("POST", chat, ask)
				f.answer(1, "via_upstream", 200, false, "content-type", "text/event-stream")
				for i, piece := range pieces[:n] {
					f.chunk(piece, i == len(pieces)-1)
				}
				if reset {
					f.end()
				} else {
					f.abort()
				}
				r := h.report()
				at := fmt.Sprintf("%s, %d pieces, reset %v: reported %+v", rule, n, reset, r)
				switch {
				case n >= 7:
					if r.Outcome != journal.OutcomeCompleted || r.Usage == nil {
						t.Error(at)
					}
				case n == 6: // the figures were the last ones; whether it ends is no matter
					if r.Outcome != journal.OutcomeAborted || r.Usage == nil || r.Usage.Output != 3 {
						t.Error(at)
					}
				case n == 0 || rule != registry.AbortSeen:
					if r.Outcome != journal.OutcomeAborted || r.Usage != nil || r.SeenOutputTokens != -1 {
						t.Error(at)
					}
				default:
					if r.Outcome != journal.OutcomeAborted || r.Usage != nil || r.SeenOutputTokens < 1 || r.SeenOutputTokens > 60 {
						t.Error(at)
					}
				}
				h.settledOnce()
			}
		}
	}
}

// Before its head nobody knows whether a provider had the call.
func TestStreamsThatEndBeforeTheAnswer(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.abort()
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.SeenOutputTokens != -1 || r.Deployment != "d1" {
		t.Errorf("reported %+v", r)
	}
	h.settledOnce()

	h = build(t)
	f = h.filter()
	f.send(f.head("POST", chat, false))
	_, _ = f.reply()
	f.abort()
	h.settledOnce()

	// Where the hold pays for another try after one that was sent, there may have been
	// as many.
	h = build(t, altering(func(a *decision.Answer) { a.Plan.Hold.Attempts = 2 }))
	f = h.filter()
	f.ask("POST", chat, ask)
	f.abort()
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.Deployment != "d2" || len(r.Attempts) != 1 || r.Attempts[0] != (decision.ReportedAttempt{Deployment: "d1", Outcome: journal.OutcomeAborted}) {
		t.Errorf("reported %+v", r)
	}
	h.settledOnce()
}

// Figures behind the end replace what was charged without any.
func TestFiguresBehindTheEnd(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.pass("text/event-stream", oneWord+stopChunk+doneMark, usageChunk, "")
	if r := h.report(); r.Outcome != journal.OutcomeCompleted || r.Usage != nil {
		t.Errorf("first reported %+v", r)
	}
	if r := h.report(); r.Outcome != journal.OutcomeCompleted || r.Usage == nil || r.Usage.Output != 3 {
		t.Errorf("then reported %+v", r)
	}
}

// A body that ends with trailers has ended.
func TestTrailersEndABody(t *testing.T) {
	for _, piece := range []string{answerJSON, answerJSON[:40]} {
		h := build(t)
		f := h.filter()
		f.ask("POST", chat, ask)
		f.answer(1, "via_upstream", 200, false, "content-type", "application/json")
		f.chunk(piece, false)
		f.send(&pb.ProcessingRequest{Request: &pb.ProcessingRequest_ResponseTrailers{ResponseTrailers: &pb.HttpTrailers{}}})
		r, err := f.reply()
		if whole := piece == answerJSON; err != nil || whole != (r.GetResponseTrailers() != nil) || whole != (h.report().Outcome == journal.OutcomeCompleted) {
			t.Errorf("%q: %v %v", piece, r, err)
		}
		h.settledOnce()
	}
}

// A filter that shows us no body: what the answer used is unknown, not nothing, and
// the operators are told what to set.
func TestABodyThatIsNotShown(t *testing.T) {
	h := build(t)
	f := h.filter()
	f.ask("POST", chat, ask)
	f.answer(1, "via_upstream", 200, false, "content-type", "text/event-stream")
	f.end()
	if r := h.report(); r.Outcome != journal.OutcomeAborted || r.SeenOutputTokens != -1 {
		t.Errorf("reported %+v", r)
	}
	if !slices.Contains(strings.Split(h.watch.String(), ", "), "wrong:allow_mode_override") || !strings.Contains(h.log.String(), "allow_mode_override: true") {
		t.Errorf("observed %s\n%s", h.watch, h.log)
	}
}
