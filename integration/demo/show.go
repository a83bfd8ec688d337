package main

import (
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

// scene is an act while it is played.
type scene struct {
	tally *tally
	nano  int64 // what the provider had billed before it
}

func (p *play) scene(title string) *scene {
	p.act(title)
	_, nano, _ := p.bill.sum()
	return &scene{newTally(), nano}
}

// since is what the provider has billed since the scene began.
func (p *play) since(s *scene) int64 {
	_, nano, _ := p.bill.sum()
	return nano - s.nano
}

// ends prints what an act came to.
func (p *play) ends(s *scene) error {
	if err := p.settle(context.Background()); err != nil {
		return err
	}
	t := s.tally
	slices.Sort(t.took)
	p.leaked += t.leaked
	waits := ""
	if t.retries > 0 {
		waits = " with the SDKs' waits"
	}
	p.say("   %d of %d calls answered, p50 %s%s (%s); billed $%s", t.allowed(), len(t.took),
		t.took[len(t.took)/2].Round(10*time.Microsecond), waits, counted("", t.calls), registry.FormatUSD(p.since(s)))
	if len(t.deployments) > 0 {
		p.say("   went to%s", counted(" ", t.deployments))
	}
	if len(t.refusals) > 0 {
		p.say("   refused%s", counted(" ", t.refusals))
	}
	if t.retries > 0 {
		p.say("   the SDKs waited and tried again by themselves ×%d", t.retries)
	}
	return nil
}

// settle waits until the provider has written down what it answered. An answer
// may be with its caller a moment before that.
func (p *play) settle(ctx context.Context) error {
	for range 3000 {
		if p.provider.InFlight() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%d calls are still at the provider", p.provider.InFlight())
}

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

// questions are the three SQL answers the demo ends with.
var questions = []struct{ title, sql string }{
	{"spend by team", "SELECT tenant, team, count() AS calls, sum(input_tokens + output_tokens) AS tokens, sum(cost_nano_usd) / 1e9 AS usd FROM costs GROUP BY tenant, team ORDER BY usd DESC"},
	{"who was refused, and why", "SELECT tenant, app, reason, count() AS calls FROM decisions WHERE action = 'deny' GROUP BY tenant, app, reason ORDER BY calls DESC, tenant, app"},
	{"tokens by deployment", "SELECT deployment, count() AS calls, sum(input_tokens) AS input, sum(output_tokens) AS output FROM usage GROUP BY deployment ORDER BY deployment"},
}

// books shows that the ledger, ClickHouse and the provider say the same, to the
// nano-dollar.
func (p *play) books(ctx context.Context) error {
	p.act("8. The books: the ledger's sum, ClickHouse's, and the provider's bill")
	_, billed, _ := p.bill.sum()
	dollar, ledger, err := p.ledger(ctx)
	if err != nil {
		return err
	}
	p.say("   the one dollar: $%s charged (%s)", registry.FormatUSD(dollar), atMost(dollar))
	if dollar > 1_000_000_000 {
		return fmt.Errorf("the dollar was overspent: %s", registry.FormatUSD(dollar))
	}
	sum, err := p.settledSum(ctx, ledger)
	if err != nil {
		return err
	}
	p.say("   ledger $%s = SQL $%s = provider $%s", registry.FormatUSD(ledger), registry.FormatUSD(sum), registry.FormatUSD(billed))
	if ledger != billed {
		return fmt.Errorf("the provider billed %s and the ledger charged %s", registry.FormatUSD(billed), registry.FormatUSD(ledger))
	}
	p.say("   equal to the nano-dollar")
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

// ledger is what the books have charged to the one dollar, and in all.
func (p *play) ledger(ctx context.Context) (dollar, all int64, err error) {
	budgets, err := p.box.Budgets(ctx, "")
	if err != nil {
		return 0, 0, err
	}
	for _, b := range budgets {
		if !slices.Contains(charges, b.Budget) {
			continue
		}
		nano, err := registry.ParseUSD(b.Spent)
		if err != nil {
			return 0, 0, err
		}
		all += nano
		if b.Budget == "globex-total" {
			dollar = nano
		}
	}
	return dollar, all, nil
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
	const query = "SELECT sum(charged_nano_usd) AS nano FROM usage"
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
	key, url := p.keys["acme/helpdesk"], p.box.URL()
	p.say(`
Signalbox stays up, and the simulated provider with it. Use it as if it were the provider:

  curl -s %[1]s/v1/chat/completions -H 'authorization: Bearer %[2]s' -H 'content-type: application/json' \
    -d '{"model":"gpt-4o","max_tokens":32,"messages":[{"role":"user","content":"Hello"}]}'
  curl -s %[1]s/v1/messages -H 'x-api-key: %[2]s' -H 'content-type: application/json' \
    -d '{"model":"claude-sonnet","max_tokens":32,"messages":[{"role":"user","content":"Hello"}]}'

  ANTHROPIC_BASE_URL=%[1]s ANTHROPIC_AUTH_TOKEN=%[2]s ANTHROPIC_MODEL=claude-sonnet claude -p "Say hello"
  CODEX_API_KEY=%[2]s codex exec -c 'openai_base_url="%[1]s/v1"' -c model=gpt-4o -c web_search=disabled "Say hello"

A gateway of yours asks, calls the provider itself, and reports:

  curl -s %[1]s/v1/decide -H 'content-type: application/json' -d '{"request":{"method":"POST","path":"/v1/chat/completions","body_complete":true,
    "headers":{"authorization":"Bearer %[2]s"},
    "body":"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}"}}'

  %[3]s budgets
  %[3]s sql "SELECT * FROM decisions ORDER BY at DESC LIMIT 5"

Ctrl-C stops it and removes its folder.`, url, key, p.box.Bin)
}
