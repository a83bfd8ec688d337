package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/signalbox-dev/signalbox/adapters/http/proxy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/integration/sdk"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/vault"
)

// everyReason raises each reason of the closed set in each SDK, those too that the
// real binary cannot easily be brought to: the real proxy stands before a decision
// that refuses with whatever the model is called.
func everyReason(t *testing.T, drivers map[string]*sdk.Driver) {
	server := httptest.NewServer(proxy.New(proxy.DefaultLimits(), proxy.Parts{
		Decider: &refuser{}, Settler: noSettler{}, Credentials: noCredentials{}, Memory: semaphore.NewWeighted(1 << 30),
		Unspoken: http.NotFoundHandler(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(server.Close)
	s := newStage(t, drivers, server.URL, &sdk.Gates{})
	s.through = true
	s.key = func(*play) string { return "sbx_anybody" }
	all := s.playAll(t.Context(), reasons())
	for _, plays := range all {
		for _, one := range plays {
			if one.row.want.status == http.StatusTooManyRequests && one.row.want.attempts == 1 {
				one.row.want.also = toldNotToRetry
			}
		}
	}
	judge(t, all)
}

// soon is longer than any SDK waits by itself before it tries a second or a third
// time, so that one that comes no earlier has listened.
const soon = 1200 * time.Millisecond

// reasons is a row for each reason, and the table's word about trying again.
func reasons() []row {
	var rows []row
	for _, code := range decision.Codes() {
		r := row{name: string(code), ops: generating, ask: ask{model: string(code), text: "Hello", max: 100},
			want: want{refused: string(code), status: code.Status()}}
		switch code.Status() {
		case http.StatusTooManyRequests:
			long := r
			long.name, long.ask.model = r.name+" for longer than a minute", r.name+" long"
			long.want.attempts = 1
			rows = append(rows, long)
			r.want.attempts, r.want.waits = 3, true
		case http.StatusServiceUnavailable:
			r.want.attempts, r.want.waits = 3, true
		default:
			r.want.attempts = 1
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return append(rows, streams(rows)...)
}

// streams asks for a stream where one reason of each status refuses it: an SDK has
// other code for those.
func streams(rows []row) (more []row) {
	seen := map[int]bool{}
	for _, r := range rows {
		if seen[r.want.status] || r.want.attempts > 1 { // to try again takes its time, and is the same
			continue
		}
		seen[r.want.status] = true
		for _, how := range []string{"stream", "helper"} {
			streamed := r
			streamed.name, streamed.how = r.name+", "+how, how
			more = append(more, streamed)
		}
	}
	return more
}

func toldNotToRetry(t *testing.T, p *play) {
	h := p.attempts[0].Header
	if h.Get("X-Should-Retry") != "false" || h.Get("Retry-After") != "120" || h.Get("Retry-After-Ms") != "120000" {
		t.Errorf("a wait of two minutes was told as %v", h)
	}
}

// refuser is a decision that refuses. It tells each answer its own id.
type refuser struct{ n atomic.Int64 }

func (r *refuser) Decide(_ context.Context, req decision.Request) (decision.Answer, error) {
	route, _ := llm.Recognise(req.Method, req.Path)
	var body struct{ Model string }
	if err := json.Unmarshal(req.Body, &body); err != nil {
		return decision.Answer{}, fmt.Errorf("a test's own body: %w", err)
	}
	name, long := strings.CutSuffix(body.Model, " long")
	code := decision.Code(name)
	answer := decision.Answer{DecisionID: fmt.Sprintf("decision-%d", r.n.Add(1)), Dialect: route.Dialect, Refusal: &decision.Refusal{
		Reasons: []decision.Reason{{Code: code, Message: "as the test asked", Budget: "month", Unit: journal.UnitUSD, Limit: 5e9, Spent: 5e9, Asked: 1e6}}}}
	switch code.Status() {
	case http.StatusTooManyRequests:
		answer.Refusal.RetryAfter = soon
		if long {
			answer.Refusal.RetryAfter = 2 * time.Minute
		}
	case http.StatusServiceUnavailable:
		answer.Refusal.RetryAfter = soon
		return decision.Answer{}, &decision.Unavailable{Answer: answer, Cause: errors.New("the test's own outage")}
	}
	return answer, nil
}

type noSettler struct{}

func (noSettler) Settle(context.Context, decision.Report) (decision.Settled, error) {
	return decision.Settled{}, errors.New("nothing was let out, so there is nothing to settle")
}

type noCredentials struct{}

func (noCredentials) Credential(string) (vault.Secret, bool) { return vault.Secret{}, false }
