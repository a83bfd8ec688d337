package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// play is one run of the demo.
type play struct {
	box      *rig.Box
	provider *upstream.Provider
	address  string // the provider's
	bill     *bill
	http     *http.Client // the applications'
	out      io.Writer
	callers  int
	keys     map[string]string
	leaked   int // answers with a provider's private headers, in all acts
	began    time.Time
}

// all is the play from door to door.
func (p *play) all(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		p.world, p.everyday, p.redaction, p.capacity, p.failover, p.loop, p.dollar, p.credentials, p.books,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// world tells Signalbox who there is.
func (p *play) world(ctx context.Context) error {
	if err := p.box.Apply(ctx, worldAt(p.address)); err != nil {
		return err
	}
	for _, app := range apps {
		key, err := p.box.CreateKey(ctx, app)
		if err != nil {
			return err
		}
		p.keys[app] = key
	}
	p.keys["nobody"] = "sbx_notakey"
	return nil
}

// everyday: two tenants at work in two dialects, and three calls that must not go out.
func (p *play) everyday(ctx context.Context) error {
	s := p.scene("1. Everyday traffic by the official OpenAI and Anthropic SDKs, and three calls that must not go out")
	bar := p.bar("calls", 120)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range 120 {
		group.Go(func() error {
			defer bar.Add(1)
			r, err := p.ask(gctx, s.tally, everydayAsk(i))
			if err == nil && (r.code != "" || i%10 == 5 && r.tool != "lookup") {
				err = fmt.Errorf("call %d was answered %+v", i, r)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, stray := range []struct{ app, model string }{
		{"acme/billing", "gpt-4o"}, {"acme/helpdesk", "gpt-5-imaginary"}, {"nobody", "gpt-4o"},
	} {
		if _, err := p.ask(ctx, s.tally, ask{app: stray.app, model: stray.model, turns: said("Hello?"), max: 16}); err != nil {
			return err
		}
	}
	bar.Done()
	return p.ends(s)
}

func everydayAsk(i int) ask {
	a := ask{app: apps[i%2], model: "gpt-4o-mini", max: 256, stream: i%3 == 0}
	if i%4 == 3 {
		a.app = "globex/notebook"
	}
	if a.app != "acme/billing" && i%8 > 2 {
		a.model = "claude-sonnet"
	}
	a.headers = []string{"x-signalbox-user", fmt.Sprintf("user-%d", i%9), "x-signalbox-session", fmt.Sprintf("s-%d", i%12)}
	if i%5 == 0 {
		a.headers = append(a.headers, upstream.HeaderCached, "16") // the provider had seen the beginning before
	}
	prompt := prompts[a.app][i%len(prompts[a.app])]
	if i%10 == 5 {
		a.tool, prompt = "lookup", prompt+" Look the order up first. call:lookup"
	}
	a.turns = said(prompt)
	return a
}

// redaction: what acme's policy takes out of prompts, the provider never sees.
func (p *play) redaction(ctx context.Context) error {
	s := p.scene("2. Acme's policy takes e-mail addresses out of prompts")
	const prompt = "Write to jan.de.vries@example.nl that the parcel is found."
	for _, model := range []string{"gpt-4o-mini", "claude-sonnet"} {
		if _, err := p.ask(ctx, s.tally, ask{app: "acme/helpdesk", model: model, turns: said(prompt), max: 64, stream: true}); err != nil {
			return err
		}
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	p.say("   the application wrote  %s", prompt)
	calls := p.provider.Calls()
	for _, c := range calls[max(0, len(calls)-2):] {
		_, saw, _ := strings.Cut(c.Body, "Write to ")
		saw, _, _ = strings.Cut(saw, ".\"")
		p.say("   the provider saw       Write to %s.  (%s)", saw, c.Path)
		if strings.Contains(c.Body, "jan.de.vries") || !strings.Contains(c.Body, "[email]") {
			return fmt.Errorf("the provider was sent %s", c.Body)
		}
	}
	found, err := p.findings(ctx, prompt)
	if err != nil {
		return err
	}
	p.say("   a gateway that asks    is told %s", found)
	return p.ends(s)
}

// findings is what a gateway is told of a prompt, which then does not send it.
func (p *play) findings(ctx context.Context, prompt string) (string, error) {
	body, err := json.Marshal(map[string]any{"model": "gpt-4o-mini", "max_tokens": 64, "messages": []any{map[string]string{"role": "user", "content": prompt}}})
	if err != nil {
		return "", err
	}
	question, err := json.Marshal(rig.Question{Request: rig.Request{Method: http.MethodPost, Path: "/v1/chat/completions", Body: string(body), BodyComplete: true,
		Headers: map[string]string{"authorization": "Bearer " + p.keys["acme/helpdesk"]}}})
	if err != nil {
		return "", err
	}
	resp, err := p.http.Post(p.box.URL()+"/v1/decide", "application/json", bytes.NewReader(question))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Action      string          `json:"action"`
		Findings    json.RawMessage `json:"findings"`
		ReportToken string          `json:"report_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return "", err
	}
	if _, err := p.box.Settle(ctx, rig.Report{ReportToken: answer.ReportToken, Outcome: "not_sent"}); err != nil {
		return "", err
	}
	if answer.Action != "redact" || len(answer.Findings) == 0 {
		return "", fmt.Errorf("a gateway is told to %s, with the findings %s", answer.Action, answer.Findings)
	}
	return fmt.Sprintf("to %s, and where: %s", answer.Action, answer.Findings), nil
}

// capacity: a provisioned deployment fills up, and calls move to pay-as-you-go
// before anybody sees a 429.
func (p *play) capacity(ctx context.Context) error {
	s := p.scene("3. A provisioned deployment of 24,000 tokens a minute fills up; calls move to pay-as-you-go")
	bar := p.bar("calls", 70)
	for i := range 70 {
		if _, err := p.ask(ctx, s.tally, ask{app: "acme/helpdesk", model: "gpt-4o", turns: said(prompts["acme/helpdesk"][i%4]), max: 400,
			headers: []string{"x-signalbox-user", fmt.Sprintf("user-%d", i%9), upstream.HeaderOutput, "350"}}); err != nil {
			return err
		}
		bar.Add(1)
	}
	bar.Done()
	if s.tally.deployments["gpt-4o-ptu"] == 0 || s.tally.deployments["gpt-4o-paygo"] == 0 {
		return fmt.Errorf("the calls did not move: %v, %v", s.tally.deployments, s.tally.refusals)
	}
	return p.ends(s)
}

// failover: a deployment has enough, and its calls go to the next before their
// callers see anything of it; then it is left alone for as long as it said.
func (p *play) failover(ctx context.Context) error {
	s := p.scene("4. A deployment answers 429 and says to come back in half a minute; its calls go elsewhere")
	for i := range 20 {
		if _, err := p.ask(ctx, s.tally, ask{app: "globex/notebook", model: "gpt-4.1", turns: said(fmt.Sprintf("[%d] %s", i, prompts["globex/notebook"][i%3])), max: 64, stream: i%2 == 0,
			headers: []string{upstream.HeaderStatus, "429", upstream.HeaderRetryAfter, "30", upstream.HeaderOnly, "gpt-41-weu"}}); err != nil {
			return err
		}
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	refused := 0
	for _, c := range p.provider.Calls() {
		if c.Model == "gpt-41-weu" {
			refused++
		}
	}
	p.say("   gpt-41-a was asked ×%d and said 429; gpt-41-b served all 20, and the SDKs saw none of it", refused)
	if served := s.tally.deployments["gpt-41-b"]; served != 20 || refused == 0 || s.tally.retries > 0 {
		return fmt.Errorf("gpt-41-b served %d of 20, gpt-41-a was asked %d times, the SDK retried %d times", served, refused, s.tally.retries)
	}
	return p.ends(s)
}

// loop: an agent that calls the same tool in circles, with a prompt that grows, is
// stopped by its session's cap.
func (p *play) loop(ctx context.Context) error {
	s := p.scene("5. An agent on Anthropic's SDK calls one tool in circles; its session may cost $0.05")
	turns := said("List every link on the page and decide which to visit next. call:fetch")
	for range 60 {
		r, err := p.ask(ctx, s.tally, ask{app: "globex/crawler", model: "claude-sonnet", turns: turns, max: 400, tool: "fetch",
			headers: []string{"x-signalbox-session", "crawl-7", "x-signalbox-agent", "crawler"}})
		if err != nil {
			return err
		}
		if r.code != "" {
			break
		}
		turns = append(turns, turn{"I fetch the page."}, turn{"It links to /a, /b and to itself. Go on. call:fetch"})
	}
	if s.tally.refusals["budget_exhausted"] == 0 {
		return fmt.Errorf("the loop was not stopped: %v", s.tally.refusals)
	}
	return p.ends(s)
}

// dollar: many callers at once on one dollar, until it is spent. The SDKs wait and
// try again by themselves where the money is only held.
func (p *play) dollar(ctx context.Context) error {
	s := p.scene(fmt.Sprintf("6. %d concurrent callers on what is left of one dollar, with the SDKs' own retries", p.callers))
	var spent atomic.Bool
	bar := p.bar("cents", 100)
	group, gctx := errgroup.WithContext(ctx)
	for i := range p.callers {
		group.Go(func() error {
			for n := 0; !spent.Load(); n++ {
				prompt := fmt.Sprintf("[%d.%d] %s", i, n, prompts["globex/notebook"][(i+n)%3])
				r, err := p.ask(gctx, s.tally, ask{app: "globex/notebook", model: "gpt-4.1", turns: said(prompt), max: 300, stream: (i+n)%2 == 0})
				if err != nil {
					return err
				}
				if r.code == "budget_exhausted" {
					spent.Store(true)
				}
				bar.Set(int(p.since(s) / cent))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	bar.Done()
	return p.ends(s)
}

// credentials: whose keys went where, in all that was played.
func (p *play) credentials(ctx context.Context) error {
	p.act("7. Whose keys went where")
	if err := p.settle(ctx); err != nil {
		return err
	}
	calls, _, strays := p.bill.sum()
	p.say("   %d calls reached the provider, each with the provider's credential and none with a caller's key", calls)
	p.say("   no answer told a caller of the provider's account, cookies or rate limits")
	if strays > 0 || p.leaked > 0 {
		return fmt.Errorf("%d calls came with the wrong key, and %d answers said too much", strays, p.leaked)
	}
	return nil
}
