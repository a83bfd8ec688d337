package sdk_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/sdk"
	"github.com/signalbox-dev/signalbox/integration/upstream"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// usageRow is one attempt as ClickHouse has it.
type usageRow struct {
	outcome string
	tokens  journal.Tokens
	charged int64
}

// writtenDown holds ClickHouse and the budgets to what the provider billed: token
// by token for each call that was answered, no call without a row, and none twice.
func writtenDown(t *testing.T, box *rig.Box, p *upstream.Provider, all map[player][]*play) {
	usage := readUsage(t, box, all)
	var billed, written journal.Tokens
	calls, input, output := p.Totals()
	for _, plays := range all {
		for _, one := range plays {
			rows := one.usageRows(usage)
			billed = plus(billed, one.judgeRows(t, rows))
			for _, row := range rows {
				written = plus(written, row.tokens)
			}
		}
	}
	t.Logf("%d calls were billed, with %d tokens in and %d out; %d rows of usage", calls, input, output, len(usage))
	if fmt.Sprint(billed) != fmt.Sprint(written) {
		t.Errorf("ClickHouse has %+v in all, and the provider billed %+v", written, billed)
	}
	balanced(t, box)
}

// usageRows are those of a play's decisions.
func (p *play) usageRows(usage map[string][]usageRow) (rows []usageRow) {
	for _, a := range p.attempts {
		for _, row := range usage[a.Header.Get("X-Signalbox-Decision")] {
			if row.tokens.Input+row.tokens.Output > 0 || row.charged > 0 {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// judgeRows compares the rows of a play with the provider's bill for it, use by use
// of its tools too, and what was charged with what that costs to the last digit. What
// broke off is charged by what was seen of it, which is never under the bill and
// here far from what was held.
func (p *play) judgeRows(t *testing.T, rows []usageRow) (billed journal.Tokens) {
	var bills []upstream.Call
	for _, c := range p.calls {
		if c.Usage.Input > 0 {
			bills = append(bills, c)
		}
	}
	name := p.player.name() + "/" + p.title()
	if len(rows) != len(bills) {
		t.Errorf("%s: %d rows of usage for %d calls that were billed: %+v, %+v", name, len(rows), len(bills), rows, bills)
		return billed
	}
	for i, c := range bills {
		row := rows[i]
		if c.Completed {
			if fmt.Sprint(row.tokens) != fmt.Sprint(c.Usage) {
				t.Errorf("%s: ClickHouse has %+v, and the provider billed %+v", name, row.tokens, c.Usage)
			}
			if want := costs(c.Usage); row.charged != want {
				t.Errorf("%s: %d nano-USD were charged, want %d for %+v", name, row.charged, want, c.Usage)
			}
			billed = plus(billed, c.Usage)
			continue
		}
		if most := int64(p.row.ask.max); row.tokens.Input < c.Usage.Input || row.tokens.Output < c.Usage.Output || row.tokens.Output >= most {
			t.Errorf("%s broke off: ClickHouse has %+v, want what the provider billed, %+v, or more, and less than the %d tokens that were held", name, row.tokens, c.Usage, most)
		}
		billed = plus(billed, row.tokens)
	}
	return billed
}

// readUsage waits until every decision that was answered has its rows: ClickHouse
// follows the journal.
func readUsage(t *testing.T, box *rig.Box, all map[player][]*play) map[string][]usageRow {
	t.Helper()
	expected := map[string]bool{}
	for _, plays := range all {
		for _, one := range plays {
			for _, c := range one.calls {
				if c.Usage.Input > 0 {
					expected[one.attempts[len(one.attempts)-1].Header.Get("X-Signalbox-Decision")] = true
				}
			}
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		usage, err := queryUsage(t, box)
		missing := 0
		for decision := range expected {
			if len(usage[decision]) == 0 {
				missing++
			}
		}
		if err == nil && missing == 0 {
			return usage
		}
		if time.Now().After(deadline) {
			t.Fatalf("ClickHouse has no rows for %d of %d decisions: %v", missing, len(expected), err)
		}
	}
}

func queryUsage(t *testing.T, box *rig.Box) (map[string][]usageRow, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rows, err := box.SQL(ctx, `SELECT decision_id, attempt, outcome, input_tokens, cached_input_tokens, cache_write_tokens, cache_write_long_tokens,
		output_tokens, reasoning_tokens, other, charged_nano_usd FROM usage ORDER BY at, decision_id, attempt`)
	if err != nil {
		return nil, err
	}
	usage, seen := map[string][]usageRow{}, map[string]bool{}
	for _, r := range rows {
		n := func(column string) int64 {
			v, err := strconv.ParseInt(fmt.Sprint(r[column]), 10, 64)
			if err != nil {
				t.Fatalf("%s: %v in %v", column, err, r)
			}
			return v
		}
		id := fmt.Sprint(r["decision_id"])
		if key := fmt.Sprint(id, " ", r["attempt"]); seen[key] {
			t.Errorf("attempt %s stands there twice", key)
		} else {
			seen[key] = true
		}
		usage[id] = append(usage[id], usageRow{outcome: fmt.Sprint(r["outcome"]), charged: n("charged_nano_usd"), tokens: journal.Tokens{
			Input: n("input_tokens"), Cached: n("cached_input_tokens"), CacheWrite: n("cache_write_tokens"),
			CacheWriteLong: n("cache_write_long_tokens"), Output: n("output_tokens"), Reasoning: n("reasoning_tokens"), Other: otherOf(t, r["other"])}})
	}
	return usage, nil
}

// otherOf is what was used besides tokens. ClickHouse writes its numbers as strings
// or not, by its settings.
func otherOf(t *testing.T, column any) map[string]int64 {
	t.Helper()
	said, ok := column.(map[string]any)
	if !ok {
		t.Fatalf("other is %v", column)
	}
	var other map[string]int64
	for name, v := range said {
		n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil {
			t.Fatalf("other: %v", err)
		}
		if other == nil {
			other = map[string]int64{}
		}
		other[name] = n
	}
	return other
}

// balanced: what the budget of everybody has spent is what the rows say was
// charged, at the prices in force, and nothing is held any more.
func balanced(t *testing.T, box *rig.Box) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		err := balance(ctx, box)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
	}
}

func balance(ctx context.Context, box *rig.Box) error {
	rows, err := box.SQL(ctx, "SELECT sum(charged_nano_usd) AS charged, sum(cost_nano_usd) AS cost FROM costs WHERE tenant = 'lab'")
	if err != nil || len(rows) != 1 {
		return fmt.Errorf("%d rows, %w", len(rows), err)
	}
	charged, cost := fmt.Sprint(rows[0]["charged"]), fmt.Sprint(rows[0]["cost"])
	budgets, err := box.Budgets(ctx, "tenant=lab")
	if err != nil {
		return err
	}
	for _, b := range budgets {
		if b.Budget != "all" {
			continue
		}
		spent, err := registry.ParseUSD(b.Spent)
		if err != nil {
			return err
		}
		if fmt.Sprint(spent) != charged || charged != cost || b.Held != "0" {
			return fmt.Errorf("the budget has spent %d nano-USD and holds %s, ClickHouse has %s charged and %s by its own prices", spent, b.Held, charged, cost)
		}
		return nil
	}
	return fmt.Errorf("no budget of everybody in %+v", budgets)
}

func plus(a, b journal.Tokens) journal.Tokens {
	a.Input += b.Input
	a.Cached += b.Cached
	a.CacheWrite += b.CacheWrite
	a.CacheWriteLong += b.CacheWriteLong
	a.Output += b.Output
	a.Reasoning += b.Reasoning
	other := map[string]int64{}
	for _, part := range []map[string]int64{a.Other, b.Other} {
		for name, n := range part {
			other[name] += n
		}
	}
	a.Other = other
	return a
}

// callersKey is one of ours, as it would stand in a request.
var callersKey = regexp.MustCompile(`sb[xga]_[0-9A-Za-z]{12}`)

// keysStay: no provider was shown a caller's key, nor anything else of ours, and no
// application was shown a provider's, nor whose account it was.
func keysStay(t *testing.T, box *rig.Box, p *upstream.Provider, all map[player][]*play, drivers map[string]*sdk.Driver) {
	if log := box.Tail(); callersKey.MatchString(log) || leaks(nil, []byte(log)) != "" {
		t.Error("a key stands in the log")
	}
	for _, c := range p.Calls() {
		if text := c.Path + c.Query + c.Body + fmt.Sprint(c.Header); callersKey.MatchString(text) {
			t.Errorf("the provider was shown a caller's key at %s", c.Path)
		}
		for name := range c.Header {
			if strings.HasPrefix(name, "X-Signalbox-") {
				t.Errorf("the provider was shown %s", name)
			}
		}
	}
	for _, plays := range all {
		for _, one := range plays {
			for _, a := range one.attempts {
				if leak := leaks(a.Header, a.Body); leak != "" {
					t.Errorf("%s/%s was shown %s", one.player.name(), one.title(), leak)
				}
			}
		}
	}
	for language, d := range drivers {
		if said := d.Said(); strings.Contains(said, openaiCredential) || strings.Contains(said, anthropicCredential) || strings.Contains(said, azureCredential) {
			t.Errorf("an application in %s printed a provider's credential", language)
		}
	}
}

// leaks is what an answer must not have in it.
func leaks(h http.Header, body []byte) string {
	for _, secret := range []string{openaiCredential, anthropicCredential, azureCredential} {
		if strings.Contains(string(body), secret) || strings.Contains(fmt.Sprint(h), secret) {
			return "a provider's credential"
		}
	}
	for name := range h {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-ratelimit-") || strings.HasPrefix(lower, "anthropic-ratelimit-") ||
			lower == "openai-organization" || lower == "openai-project" || lower == "anthropic-organization-id" || lower == "set-cookie" {
			return "the provider's " + name
		}
	}
	return ""
}
