package whole_test

import (
	"fmt"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

const month = "budgets: [{name: month, match: {tenant: globex}, unit: usd, amount: \"5000\", window: total}]\n"

// A call that was let out before a restart, however the process ended, is reported
// after it: by the token, and by the gateway's own id.
func TestOpenHoldsOutliveTheProcess(t *testing.T) {
	for name, end := range map[string]func(*rig.Box) error{"a stop": (*rig.Box).Stop, "kill -9": (*rig.Box).Kill} {
		t.Run(name, func(t *testing.T) {
			box := start(t, people+month, "analytics: {disabled: true}\n")
			secret := key(t, box, "globex/notebook")
			byToken, byID := open(t, box, secret, ""), open(t, box, secret, "c-7")
			if err := end(box); err != nil {
				t.Fatal(err)
			}
			if err := box.Start(ctx(t)); err != nil {
				t.Fatal(err)
			}
			if got, held := spent(t, box, "month"); got != 0 || held != nano(t, byToken.Hold.USD)+nano(t, byID.Hold.USD) {
				t.Errorf("%d spent and %d held after the restart; want 0 and two holds of %s", got, held, byToken.Hold.USD)
			}
			first := completed(byToken, 20, 30)
			second := completed(byID, 20, 40)
			second.ReportToken, second.CallID = "", "c-7"
			for _, c := range []struct {
				report rig.Report
				want   string
			}{{first, "0.00035"}, {second, "0.00045"}} {
				for n := range 2 {
					receipt, err := box.Settle(ctx(t), c.report)
					if err != nil || receipt.Charged.USD != c.want || receipt.Repeated != (n == 1) {
						t.Errorf("report %d: %v %+v; want %s", n+1, err, receipt, c.want)
					}
				}
			}
			balanced(t, box, "month", 800_000)
		})
	}
}

// A call that nobody reports is charged by rule when its hold is over, also when
// the process that let it out is gone; the real usage replaces that whenever it
// comes.
func TestOverdueHoldsAreSettledByRule(t *testing.T) {
	box := start(t, people+`budgets:
  - {name: month, match: {tenant: globex}, unit: usd, amount: "5000", window: total}
  - {name: wide, match: {tenant: globex, session: wide}, unit: concurrent, amount: "1"}
`, "analytics: {disabled: true}\nledger: {hold_ttl: 1s}\n")
	secret := key(t, box, "globex/notebook")
	before := open(t, box, secret, "")
	if err := box.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	after, err := box.Decide(ctx(t), rig.Question{Request: session(secret, "wide", hello)})
	if err != nil || after.Denied() != "" {
		t.Fatalf("%v %+v", err, after)
	}
	balanced(t, box, "month", nano(t, before.Hold.USD)+nano(t, after.Hold.USD))
	rigtest.Eventually(t, "the place that nobody gave back is free again", func() error {
		a, err := box.Decide(ctx(t), rig.Question{Request: session(secret, "wide", hello)})
		if err != nil || a.Denied() != "" {
			return fmt.Errorf("%v %+v", err, a)
		}
		_, err = box.Settle(ctx(t), rig.Report{ReportToken: a.ReportToken, Outcome: "not_sent"})
		return err
	})
	for _, a := range []*rig.Answer{before, after} {
		receipt, err := box.Settle(ctx(t), completed(a, 20, 30))
		if err != nil || receipt.Charged.USD != "0.00035" {
			t.Errorf("the usage of an overdue call: %v %+v; want 0.00035", err, receipt)
		}
	}
	balanced(t, box, "month", 2*350_000)
}
