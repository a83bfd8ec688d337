package conformance_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	money "github.com/signalbox-dev/signalbox/registry"
)

// decided is a row of decisions, without what is this call's alone.
type decided struct {
	action, reasons, changes, deployments string
	maxOutput                             int64
	rest                                  string // beside those: what all doors must agree about, too
}

// settledRow is a row of usage.
type settledRow struct {
	deployment, outcome, known, tokens string
	status, charged                    int64
}

func (r settledRow) String() string {
	return fmt.Sprintf("%s %d %s", r.deployment, r.status, r.outcome)
}

// columns of decisions that do not depend on when a call came, or which it was.
const columns = `tenant, team, app, tags, method, path, dialect, model_asked, model, input_tokens, held_nano_usd, policy_revision, registry_version,
	findings, reasons.message, reasons.budget, reasons.warning`

// written is what ClickHouse and the budgets have of calls, by decision; budgets by the
// session.
type written struct {
	decisions map[string]decided
	usage     map[string][]settledRow
	spent     map[string]int64
}

// read waits until all of these are there, and nothing is held any more.
func (w *world) read(t *testing.T, played []*played) *written {
	t.Helper()
	all := &written{}
	rigtest.Eventually(t, "what was decided and settled is written down", func() (err error) {
		if all.decisions, err = w.readDecisions(t); err != nil {
			return err
		}
		if all.usage, err = w.readUsage(t); err != nil {
			return err
		}
		for _, p := range played {
			d, ok := all.decisions[p.decision]
			if !ok {
				return fmt.Errorf("%s: decision %q is not there", p.id, p.decision)
			}
			if d.action != "deny" && len(p.of(p.door).Tries) > 0 && len(all.usage[p.decision]) == 0 {
				return fmt.Errorf("%s: call %q is not settled", p.id, p.decision)
			}
		}
		all.spent, err = w.readBudgets(t)
		return err
	})
	return all
}

func (w *world) readDecisions(t *testing.T) (map[string]decided, error) {
	t.Helper()
	rows, err := w.SQL(within(t), "SELECT decision_id, action, changes, deployments, reasons.code AS reasons, max_output_tokens, "+columns+" FROM decisions")
	if err != nil {
		return nil, err
	}
	all := map[string]decided{}
	for _, row := range rows {
		d := decided{action: fmt.Sprint(row["action"]), changes: words(row["changes"]), deployments: words(row["deployments"]), reasons: words(row["reasons"])}
		if d.maxOutput, err = number(row["max_output_tokens"]); err != nil {
			return nil, err
		}
		var rest []string
		for column := range strings.SplitSeq(columns, ",") {
			column = strings.TrimSpace(column)
			rest = append(rest, fmt.Sprintf("%s=%v", column, row[column]))
		}
		d.rest = strings.Join(rest, "\n")
		all[fmt.Sprint(row["decision_id"])] = d
	}
	return all, nil
}

func (w *world) readUsage(t *testing.T) (map[string][]settledRow, error) {
	t.Helper()
	rows, err := w.SQL(within(t), `SELECT decision_id, deployment, status, outcome, known, charged_nano_usd, input_tokens, cached_input_tokens, cache_write_tokens,
		cache_write_long_tokens, output_tokens, reasoning_tokens, other, service_tier FROM usage ORDER BY decision_id, attempt`)
	if err != nil {
		return nil, err
	}
	all := map[string][]settledRow{}
	for _, row := range rows {
		r := settledRow{deployment: fmt.Sprint(row["deployment"]), outcome: fmt.Sprint(row["outcome"]), known: fmt.Sprint(row["known"])}
		for column, to := range map[string]*int64{"status": &r.status, "charged_nano_usd": &r.charged} {
			if *to, err = number(row[column]); err != nil {
				return nil, err
			}
		}
		r.tokens = fmt.Sprint(row["input_tokens"], row["cached_input_tokens"], row["cache_write_tokens"], row["cache_write_long_tokens"],
			row["output_tokens"], row["reasoning_tokens"], row["other"], row["service_tier"])
		id := fmt.Sprint(row["decision_id"])
		all[id] = append(all[id], r)
	}
	return all, nil
}

// readBudgets is what each session has spent of the budget that all have; it complains
// as long as anything is held.
func (w *world) readBudgets(t *testing.T) (map[string]int64, error) {
	t.Helper()
	rows, err := w.Budgets(within(t), "")
	if err != nil {
		return nil, err
	}
	spent := map[string]int64{}
	for _, b := range rows {
		if b.Budget != "all" {
			continue
		}
		held, err := money.ParseUSD(b.Held)
		if err != nil {
			return nil, err
		}
		if held != 0 {
			return nil, fmt.Errorf("%v still holds %s", b.Per, b.Held)
		}
		per, _ := b.Per.(map[string]any)
		if spent[fmt.Sprint(per["session"])], err = money.ParseUSD(b.Spent); err != nil {
			return nil, err
		}
	}
	return spent, nil
}

func words(list any) string {
	all, ok := list.([]any)
	if !ok {
		return fmt.Sprint(list)
	}
	var out []string
	for _, one := range all {
		out = append(out, fmt.Sprint(one))
	}
	return strings.Join(out, " ")
}

func number(v any) (int64, error) {
	var n int64
	if text := fmt.Sprint(v); text != "" && v != nil {
		if _, err := fmt.Sscan(text, &n); err != nil {
			return 0, fmt.Errorf("%v is no number: %w", v, err)
		}
	}
	return n, nil
}
