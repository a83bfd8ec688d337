package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/signalbox-dev/signalbox/registry"
)

func (p *play) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p *play) act(title string) { p.say("\n%s", title) }

// bar draws on a terminal, and says one plain line elsewhere.
func (p *play) bar(what string, total int) progress {
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return progress{}
	}
	return progress{progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("   "+what),
		progressbar.OptionSetWidth(40), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(50*time.Millisecond))}
}

type progress struct{ *progressbar.ProgressBar }

func (b progress) Add(n int) {
	if b.ProgressBar != nil {
		_ = b.ProgressBar.Add(n)
	}
}

func (b progress) Set(n int) {
	if b.ProgressBar != nil {
		_ = b.ProgressBar.Set(min(n, b.GetMax()))
	}
}

func (b progress) Done() {
	if b.ProgressBar != nil {
		_ = b.Finish()
	}
}

// show prints what an act came to.
func (p *play) show(t *tally) {
	slices.Sort(t.took)
	p.say("   %d decisions in p50 %s over HTTP: %d allowed%s%s", len(t.took), t.took[len(t.took)/2].Round(10*time.Microsecond),
		t.allowed, counted(", ", t.changes), charged(t.nano.Load()))
	if len(t.deployments) > 0 {
		p.say("   went to%s", counted(" ", t.deployments))
	}
	if len(t.refusals) > 0 {
		p.say("   refused%s", counted(" ", t.refusals))
	}
}

func charged(nano int64) string { return fmt.Sprintf(", charged $%s", registry.FormatUSD(nano)) }

func counted(lead string, m map[string]int) string {
	if len(m) == 0 {
		return ""
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s ×%d", k, m[k]))
	}
	return lead + strings.Join(parts, ", ")
}

func nanoUSD(s string) (int64, error) { return registry.ParseUSD(s) }

// questions are the three SQL answers the demo ends with.
var questions = []struct{ title, sql string }{
	{"spend by team", "SELECT tenant, team, count() AS calls, sum(input_tokens + output_tokens) AS tokens, sum(cost_nano_usd) / 1e9 AS usd FROM costs GROUP BY tenant, team ORDER BY usd DESC"},
	{"who was refused, and why", "SELECT tenant, app, reason, count() AS calls FROM decisions WHERE action = 'deny' GROUP BY tenant, app, reason ORDER BY calls DESC, tenant, app"},
	{"tokens by deployment", "SELECT deployment, count() AS calls, sum(input_tokens) AS input, sum(output_tokens) AS output FROM usage GROUP BY deployment ORDER BY deployment"},
}

// books shows that the ledger and ClickHouse say the same, to the nano-dollar.
func (p *play) books(ctx context.Context) error {
	p.act("5. The books: the ledger's sum and ClickHouse's")
	budgets, err := p.box.Budgets(ctx, "")
	if err != nil {
		return err
	}
	byName := map[string]string{}
	for _, b := range budgets {
		byName[b.Budget] = b.Spent
	}
	dollar := cmp.Or(byName["globex-total"], "0")
	spent, err := nanoUSD(dollar)
	if err != nil {
		return err
	}
	p.say("   ledger: $%s charged of the $1.00 (%s)", dollar, atMost(spent))
	if spent > 1_000_000_000 {
		return fmt.Errorf("the dollar was overspent: %s", dollar)
	}
	sum, err := p.settledSum(ctx, spent)
	if err != nil {
		return err
	}
	p.say("   SQL:    $%s, equal to the ledger's to the nano-dollar", registry.FormatUSD(sum))
	for _, q := range questions {
		p.act(q.title)
		p.say("   %s", q.sql)
		rows, err := p.box.Run(ctx, "sql", q.sql)
		if err != nil {
			return err
		}
		p.table(rows)
	}
	p.say("\nDone in %s.", time.Since(p.began).Round(100*time.Millisecond))
	return nil
}

func atMost(nano int64) string {
	if nano <= 1_000_000_000 {
		return "≤ 1.00"
	}
	return "OVERSPENT"
}

// settledSum waits until ClickHouse has what the ledger has; the journal streams
// into it within a second or so.
func (p *play) settledSum(ctx context.Context, want int64) (int64, error) {
	const query = "SELECT sum(charged_nano_usd) AS nano FROM usage WHERE tenant = 'globex' AND app = 'notebook'"
	var sum int64
	for range 150 {
		rows, err := p.box.SQL(ctx, query)
		if err == nil && len(rows) == 1 {
			if _, err := fmt.Sscan(fmt.Sprint(rows[0]["nano"]), &sum); err == nil && sum == want {
				return sum, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return sum, fmt.Errorf("ClickHouse says %s and the ledger says %s", registry.FormatUSD(sum), registry.FormatUSD(want))
}

func (p *play) table(text string) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "   %s", line)
	}
	_ = w.Flush()
}

// invite says how to try it by hand.
func (p *play) invite() {
	p.say(`
Signalbox stays up. Ask it, as a gateway would:

  curl -s http://%s/v1/decide -H 'content-type: application/json' -d '{"request":{"method":"POST","path":"/v1/chat/completions","body_complete":true,
    "headers":{"authorization":"Bearer %s"},
    "body":"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}"}}'

  %s budgets
  %s sql "SELECT * FROM decisions ORDER BY at DESC LIMIT 5"

Ctrl-C stops it and removes its folder.`, p.box.HTTP, p.keys["acme/helpdesk"], p.box.Bin, p.box.Bin)
}
