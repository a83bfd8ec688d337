package decision_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
)

var errBroken = errors.New("broken for the test")

// brokenSpool takes nothing while it is broken.
type brokenSpool struct {
	decision.Recorder
	broken bool
}

func (b *brokenSpool) Put(recs ...journal.Record) error {
	if b.broken {
		return errBroken
	}
	return b.Recorder.Put(recs...)
}

// brokenLedger fails where it is told to.
type brokenLedger struct {
	decision.Ledger
	hold, keep error
}

func (b *brokenLedger) Hold(ctx context.Context, req *ledger.HoldRequest) (ledger.Held, []ledger.Shortage, error) {
	if b.hold != nil {
		return ledger.Held{}, nil, b.hold
	}
	return b.Ledger.Hold(ctx, req)
}

func (b *brokenLedger) Keep(held ledger.Held, callID string, note []byte) error {
	if b.keep != nil {
		return b.keep
	}
	return b.Ledger.Keep(held, callID, note)
}

// Whatever fails between the hold and the answer, the hold is given up, the call
// id is free again, and the names it met are written by the next call.
func TestWhatFailsHoldsNothing(t *testing.T) {
	for _, failing := range []struct {
		name string
		fail func(*brokenSpool, *brokenLedger)
	}{
		{"the hold", func(_ *brokenSpool, l *brokenLedger) { l.hold = errBroken }},
		{"keeping it", func(_ *brokenSpool, l *brokenLedger) { l.keep = errBroken }},
		{"the record", func(s *brokenSpool, _ *brokenLedger) { s.broken = true }},
	} {
		t.Run(failing.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var spool brokenSpool
				var books brokenLedger
				st := newStage(t, story{World: `budgets: [{name: cap, match: {tenant: acme}, unit: usd, amount: "1", window: total}]`},
					func(_ *decision.Config, p *decision.Parts) {
						spool.Recorder, books.Ledger = p.Recorder, p.Ledger
						p.Recorder, p.Ledger = &spool, &books
					})
				ask := question{Key: "helpdesk", CallID: "c-1", Headers: map[string]string{"x-signalbox-user": "alice@example.com"}, Body: small}
				failing.fail(&spool, &books)
				if got := st.decide(t, ask); got["error"] != "unavailable" || got["status"] != 503 {
					t.Fatalf("want unavailable, got %v", got)
				}
				if open := st.keeper.Stats().HoldsOpen; open != 0 {
					t.Errorf("%d holds are left open", open)
				}
				spool.broken, books.hold, books.keep = false, nil, nil
				if got := st.decide(t, ask); got["action"] != "allow" {
					t.Fatalf("want the id to be free again, got %v", got)
				}
				if named := len(st.entries(t, journal.TopicNames)); named != 1 {
					t.Errorf("want the name written once, got %d times", named)
				}
			})
		})
	}
}

// However long ids, tags and failover lists are, the call goes out, and its token
// settles it at a process that remembers nothing.
func TestALongCallCanBeSettledElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := "deployments:\n"
		tags := ""
		for i := range 60 {
			world += fmt.Sprintf("  - {name: a-deployment-with-a-long-name-%d, provider: azure, model: gpt-4o, upstream_model: std, kind: provisioned, region: eu}\n", i)
			tags += fmt.Sprintf("tag-%d: %s, ", i, strings.Repeat("x", 100))
		}
		world += "tenants: [{name: initech, tags: {" + tags + "}}]\n" +
			"teams: [{tenant: initech, name: all}]\napps: [{tenant: initech, team: all, name: long, assert: [user, session, agent]}]\n"
		var parts decision.Parts
		st := newStage(t, story{World: world}, func(_ *decision.Config, p *decision.Parts) { parts = *p })
		got := st.decide(t, question{Key: "long", CallID: strings.Repeat("x", 256), Gateway: "edge-1", Body: `{"model":"gpt-4o","max_tokens":9,"messages":[]}`,
			Headers: map[string]string{"x-signalbox-user": "alice", "x-signalbox-session": "s-42", "x-signalbox-agent": "scout"}})
		if got["action"] != "route" || len(st.answers[0].Plan.Deployments) != 62 {
			t.Fatalf("want all deployments, got %v", got)
		}
		token := st.answers[0].Plan.ReportToken
		if len(token) > ledger.MaxTokenBytes {
			t.Errorf("the token has %d bytes", len(token))
		}
		st.service = decision.New(decision.DefaultConfig(), parts)
		if got := st.report(t, report{Token: token, Outcome: "completed", Deployment: "small", Usage: map[string]int64{"input": 1, "output": 1}}); got["status"] != 400 {
			t.Errorf("want another model's deployment refused, got %v", got)
		}
		if got := st.report(t, report{Token: token, Outcome: "completed", Deployment: "paygo", Usage: map[string]int64{"input": 1, "output": 1}}); got["charged"] != "0.0000125" {
			t.Errorf("want it charged, got %v", got)
		}
	})
}

// A name's record is given out once and written once.
func TestANameIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		for range 3 {
			st.decide(t, question{Key: "helpdesk", Headers: map[string]string{"x-signalbox-user": "alice@example.com", "x-signalbox-session": "s-42"}, Body: small})
		}
		if named := len(st.entries(t, journal.TopicNames)); named != 2 {
			t.Errorf("want a user and a session, got %d names", named)
		}
	})
}

// What is not text is kept out of the journal, which could not hold it.
func TestWhatIsNotTextStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		odd := "\xff\xfe" + strings.Repeat("é", 200)
		for _, q := range []question{
			{Key: "helpdesk", Path: "/" + odd, Method: odd},
			{Key: "helpdesk", Body: `{"model":"` + strings.Repeat("é", 100) + `","messages":[]}`},
			{Key: "helpdesk", Body: small, Headers: map[string]string{"traceparent": odd, "x-signalbox-user": "\xffalice", "x-signalbox-tag-feature": "\xff"}},
			{Key: "helpdesk", Body: small, CallID: "\xff"},
		} {
			st.decide(t, q)
		}
		decided := st.entries(t, journal.TopicDecisions)
		if len(decided) != 4 || len(st.entries(t, journal.TopicNames)) != 0 {
			t.Errorf("want four decisions and no name, got %d decisions", len(decided))
		}
		for _, e := range decided {
			if d := e.Event.(journal.Decided); !utf8.ValidString(d.Method + d.Path + d.ModelAsked + d.TraceParent + d.Principal.User + d.CallID + string(d.Facts)) {
				t.Errorf("not text: %+v", d)
			}
		}
	})
}

// A refusal speaks the caller's dialect also where the path does not tell which:
// its SDK would find neither code nor request id in the other one's.
func TestARefusalSpeaksTheCallersDialect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		version := map[string]string{"anthropic-version": "2023-06-01"}
		for _, c := range []struct {
			q    question
			want llm.Dialect
		}{
			{question{Key: "helpdesk", Method: "POST", Path: "/v1/complete", Headers: version}, llm.Anthropic},
			{question{Key: "helpdesk", Method: "POST", Path: "/v1/complete"}, ""},
			{question{Key: "nobody", Method: "GET", Path: "/v1/models", Headers: version}, llm.Anthropic},
			{question{Key: "nobody", Method: "GET", Path: "/v1/models"}, llm.OpenAI},
			{question{Key: "nobody", Body: small, Headers: version}, llm.OpenAI},
		} {
			st.decide(t, c.q)
			if got := st.answers[len(st.answers)-1]; got.Refusal == nil || got.Dialect != c.want {
				t.Errorf("%s %s: refused in %q, want %q", c.q.Method, c.q.Path, got.Dialect, c.want)
			}
		}
	})
}
