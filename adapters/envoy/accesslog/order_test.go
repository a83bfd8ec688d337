package accesslog_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// most is what the calls here may have used: 50 tokens in, 100 out.
var most = journal.Tokens{Input: 50, Output: 100}

// ledger is the rule for reports of one call, by itself: a higher rank
// replaces a lower one, an equal one is a repeat. It charges a token one.
type ledger struct {
	mu      sync.Mutex
	rank    journal.Rank
	charged int64
}

func (l *ledger) Settle(_ context.Context, r decision.Report) (decision.Settled, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rank, charge := bill(r)
	if rank <= l.rank {
		return decision.Settled{Repeated: true}, nil
	}
	l.rank, l.charged = rank, charge
	return decision.Settled{}, nil
}

// bill is how well decision knows what a reported call cost, and what that is. A log
// that did not read the whole usage guesses.
func bill(r decision.Report) (journal.Rank, int64) {
	rank, charge := cost(r)
	if r.Source == journal.SourceAccessLog && (rank < journal.RankExact || r.Outcome == journal.OutcomeNotSent) {
		rank = journal.RankRule
	}
	return rank, charge
}

func cost(r decision.Report) (journal.Rank, int64) {
	switch {
	case r.Outcome == journal.OutcomeNotSent:
		return journal.RankExact, 0
	case r.Usage != nil:
		return r.Rank, r.Usage.Input + r.Usage.Output
	case r.Outcome == journal.OutcomeCompleted:
		return journal.RankRule, most.Input + most.Output
	case r.Outcome == journal.OutcomeFailed && r.TTFTMS == 0 && r.Status >= 400:
		return journal.RankEstimate, 0
	case r.SeenOutputTokens >= 0:
		input := most.Input
		if r.SeenInput != nil {
			input = r.SeenInput.Input
		}
		return journal.RankEstimate, input + min(r.SeenOutputTokens, most.Output)
	}
	return journal.RankRule, most.Input + most.Output
}

// ways are how a call may end, as the log has it, and as ext_proc reports it.
var ways = []struct {
	name string
	log  []func(*entry)
	proc decision.Report
}{
	{"whole", []func(*entry){counted}, decision.Report{Outcome: journal.OutcomeCompleted, Status: 200, Usage: &journal.Tokens{Input: 12, Output: 34}, Rank: journal.RankExact, SeenOutputTokens: -1}},
	{"whole, not counted", nil, decision.Report{Outcome: journal.OutcomeCompleted, Status: 200, SeenOutputTokens: -1}},
	{"the caller left", []func(*entry){details(200, "downstream_remote_disconnect")}, decision.Report{Outcome: journal.OutcomeAborted, Status: 200, SeenOutputTokens: 17, TTFTMS: 1}},
	{"the caller left before the answer", []func(*entry){silent, details(0, "downstream_remote_disconnect")}, decision.Report{Outcome: journal.OutcomeAborted, SeenOutputTokens: -1}},
	{"it broke off", []func(*entry){counted, details(200, "upstream_reset_after_response_started{protocol_error}")}, decision.Report{Outcome: journal.OutcomeAborted, Status: 200, SeenOutputTokens: 34, SeenInput: &journal.Tokens{Input: 12}, TTFTMS: 1}},
	{"the provider's no", []func(*entry){details(429, "via_upstream")}, decision.Report{Outcome: journal.OutcomeFailed, Status: 429, SeenOutputTokens: -1}},
	{"not connected", []func(*entry){silent, details(503, "upstream_reset_before_response_started{remote_connection_failure|refused}")}, decision.Report{Outcome: journal.OutcomeNotSent, SeenOutputTokens: -1}},
}

// uncounted is an entry whose usage the filters have lost.
func uncounted(e *entry) {
	e.put(envoy.NamespaceUsage, &structpb.Struct{})
}

// Whoever speaks first, last or twice, and how much each has seen: one charge stands,
// and it is the same one.
func TestTheOrderOfReportsChangesNothing(t *testing.T) {
	for _, way := range ways {
		for name, let := range map[string]func(*entry){"ext_proc": allowedByProc, "ext_authz": allowed} {
			t.Run(way.name+", "+name, func(t *testing.T) {
				entry := append([]func(*entry){let}, way.log...)
				told := []func(*ledger) error{settleBy(t, chat(entry...))}
				if name == "ext_proc" || way.proc.Outcome == journal.OutcomeCompleted {
					// An Envoy logs a call once. Of two guesses that differ the first would stand.
					told = append(told, settleBy(t, chat(append(entry, uncounted)...)))
				}
				if name == "ext_proc" {
					told = append(told, func(l *ledger) error {
						_, err := l.Settle(t.Context(), way.proc)
						return err
					})
				}
				want := tell(t, told)
				rapid.Check(t, func(rt *rapid.T) {
					again := rapid.SliceOfN(rapid.SampledFrom(told), 0, 4).Draw(rt, "again")
					order := rapid.Permutation(append(slices.Clone(told), again...)).Draw(rt, "order")
					if got := tell(t, order); got != want {
						rt.Fatalf("charged %d, and %d in another order", got, want)
					}
				})
			})
		}
	}
}

// settleBy is the log that reads one entry and settles.
func settleBy(t *testing.T, e *datav3.HTTPAccessLogEntry) func(*ledger) error {
	h := &house{}
	if err := h.send(t, nil, []*datav3.HTTPAccessLogEntry{e}); err != nil || len(h.reports) != 1 {
		t.Fatalf("%v, reported %v", err, h.reports)
	}
	return func(l *ledger) error {
		_, err := l.Settle(t.Context(), h.reports[0])
		return err
	}
}

func tell(t *testing.T, reports []func(*ledger) error) int64 {
	l := &ledger{}
	for _, report := range reports {
		if err := report(l); err != nil {
			t.Fatal(err)
		}
	}
	return l.charged
}
