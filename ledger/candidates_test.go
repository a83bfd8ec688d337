package ledger_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/registry"
)

// among makes a request that may go to several places.
func among(candidates ...[]ledger.Demand) *ledger.HoldRequest {
	req := &ledger.HoldRequest{At: time.Now(), Key: "acme"}
	for _, demands := range candidates {
		req.Candidates = append(req.Candidates, ledger.Candidate{Demands: demands})
	}
	return req
}

// What a refused call is told: to wait, while one candidate is only held; that
// money is spent, when it is on all of them.
func TestRefusalNamesTheCandidatesThatWaitingHelps(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, k *ledger.Keeper) {
		held := w.budget(registry.Budget{Name: "held", Unit: journal.UnitTokens, Amount: 100, Window: journal.Window{Rolling: time.Minute}, Capacity: true})
		spent := w.budget(registry.Budget{Name: "spent", Unit: journal.UnitUSD, Amount: 10})
		gone := w.budget(registry.Budget{Name: "gone", Unit: journal.UnitUSD, Amount: 10})
		hold(t, k, demand(held, "", 100))
		pay(t, k, hold(t, k, demand(spent, "", 10), demand(gone, "", 10)), 10)
		synctest.Wait()
		full, none, never := demand(held, "", 50), demand(spent, "", 5), demand(gone, "", 5)
		for name, one := range map[string]struct {
			req  *ledger.HoldRequest
			want []string
		}{
			"held, then spent":                   {among([]ledger.Demand{full}, []ledger.Demand{none}), []string{"held"}},
			"spent, then held":                   {among([]ledger.Demand{none}, []ledger.Demand{full}), []string{"held"}},
			"held and spent, then held":          {among([]ledger.Demand{full, none}, []ledger.Demand{full}), []string{"held"}},
			"both spent":                         {among([]ledger.Demand{none}, []ledger.Demand{never}), []string{"spent", "gone"}},
			"held and spent, then another spent": {among([]ledger.Demand{full, none}, []ledger.Demand{never}), []string{"held", "spent", "gone"}},
		} {
			var names []string
			short := refuse(t, k, one.req)
			for _, sh := range short {
				names = append(names, sh.Demand.Budget.Name)
			}
			if !slices.Equal(names, one.want) || exhausted(short) != slices.Contains(one.want, "spent") {
				t.Errorf("%s: %+v", name, short)
			}
		}
	})
}

// slowOnShared is a log that takes long with asks for what the tenants share.
type slowOnShared struct{ logJournal }

func (s slowOnShared) Append(ctx context.Context, recs ...journal.Record) error {
	if slices.ContainsFunc(recs, func(r journal.Record) bool {
		_, asks := r.Event.(journal.Asked)
		return asks && r.Key == journal.SharedKey
	}) {
		time.Sleep(300 * time.Millisecond)
	}
	return s.logJournal.Append(ctx, recs...)
}

// The first candidate's lease does not come in time; the second has all it needs.
func TestCallWhoseFirstLeaseIsLateGoesToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.journal = slowOnShared{w.journal}
		k, stop := w.start(w.config())
		ptu := w.budget(registry.Budget{Name: "ptu", Unit: journal.UnitTokens, Amount: 100, Window: journal.Window{Rolling: time.Minute}, Capacity: true})
		money := w.budget(registry.Budget{Name: "money", Unit: journal.UnitUSD, Amount: 1000})
		full := demand(ptu, "", 40)
		full.Key = journal.SharedKey
		held, short, err := k.Hold(t.Context(), among([]ledger.Demand{demand(money, "", 10), full}, []ledger.Demand{demand(money, "", 10)}))
		if err != nil || len(short) > 0 || held.Candidate != 1 {
			t.Errorf("candidate %d, %+v, %v", held.Candidate, short, err)
		}
		stop()
	})
}
