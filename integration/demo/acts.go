package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
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
	out      io.Writer
	callers  int
	keys     map[string]string
	began    time.Time
}

// all is the play from door to door.
func (p *play) all(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		p.world, p.everyday, p.capacity, p.loop, p.dollar, p.books,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// world tells Signalbox who there is.
func (p *play) world(ctx context.Context) error {
	if err := p.box.Apply(ctx, world); err != nil {
		return err
	}
	for _, app := range apps {
		key, err := p.box.CreateKey(ctx, app)
		if err != nil {
			return err
		}
		p.keys[app] = key
	}
	return nil
}

// everyday: two tenants at work, and three calls that should not go out.
func (p *play) everyday(ctx context.Context) error {
	p.act("1. Everyday traffic: two tenants, three apps, and three calls that must not go out")
	var t tally
	bar := p.bar("calls", 120)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range 120 {
		group.Go(func() error {
			app := apps[i%2] // acme's two
			if i%4 == 3 {
				app = "globex/notebook"
			}
			model := "gpt-4o-mini"
			err := p.call(gctx, &t, app, chat(model, prompts[app][i%len(prompts[app])], 256), map[string]string{
				"x-signalbox-user": fmt.Sprintf("user-%d", i%9), "x-signalbox-session": fmt.Sprintf("s-%d", i%12)})
			bar.Add(1)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, stray := range []struct{ app, model string }{
		{"acme/billing", "gpt-4o"}, {"acme/helpdesk", "gpt-5-imaginary"},
	} {
		if err := p.call(ctx, &t, stray.app, chat(stray.model, "Hello?", 16), nil); err != nil {
			return err
		}
	}
	p.keys["nobody"] = "sbx_notakey"
	if err := p.call(ctx, &t, "nobody", chat("gpt-4o", "Hello?", 16), nil); err != nil {
		return err
	}
	bar.Done()
	p.show(&t)
	return nil
}

// capacity: a provisioned deployment fills up, and calls move to pay-as-you-go
// before anybody sees a 429.
func (p *play) capacity(ctx context.Context) error {
	p.act("2. A provisioned deployment of 24,000 tokens a minute fills up; calls move to pay-as-you-go")
	var t tally
	bar := p.bar("calls", 60)
	for i := range 60 {
		prompt := prompts["acme/helpdesk"][i%4]
		if err := p.call(ctx, &t, "acme/helpdesk", chat("gpt-4o", prompt, 400), map[string]string{
			"x-signalbox-user": fmt.Sprintf("user-%d", i%9), upstream.HeaderOutput: "350"}); err != nil {
			return err
		}
		bar.Add(1)
	}
	bar.Done()
	p.show(&t)
	if t.at("gpt-4o-ptu") == 0 || t.at("gpt-4o-paygo") == 0 {
		return fmt.Errorf("the calls did not move: %v", t.deployments)
	}
	return nil
}

// loop: an agent that calls itself in circles is stopped by its session's cap.
func (p *play) loop(ctx context.Context) error {
	p.act("3. An agent loops; its session may cost $0.002")
	var t tally
	for range 40 {
		if err := p.call(ctx, &t, "globex/crawler", chat("gpt-4o-mini", prompts["globex/crawler"][0], 400), map[string]string{
			"x-signalbox-session": "crawl-7", "x-signalbox-agent": "crawler", upstream.HeaderOutput: "300"}); err != nil {
			return err
		}
	}
	p.show(&t)
	if t.refused("budget_exhausted") == 0 {
		return fmt.Errorf("the loop was not stopped: %v", t.refusals)
	}
	return nil
}

// dollar: many callers at once on one dollar, until it is spent.
func (p *play) dollar(ctx context.Context) error {
	p.act(fmt.Sprintf("4. %d concurrent callers on one dollar", p.callers))
	var t tally
	var spent atomic.Bool
	bar := p.bar("cents", 100)
	group, gctx := errgroup.WithContext(ctx)
	for i := range p.callers {
		group.Go(func() error {
			for n := 0; !spent.Load(); n++ {
				prompt := prompts["globex/notebook"][(i+n)%3]
				code, err := p.callCode(gctx, &t, "globex/notebook", chat("gpt-4o", fmt.Sprintf("[%d.%d] %s", i, n, prompt), 300), nil)
				if err != nil {
					return err
				}
				switch code {
				case "budget_exhausted":
					spent.Store(true)
				case "budget_held":
					// What the SDKs do with a 429: wait and try again.
					time.Sleep(20 * time.Millisecond)
				}
				bar.Set(int(t.nano.Load() / 10_000_000))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	bar.Done()
	p.show(&t)
	return nil
}

// chat is an OpenAI body.
func chat(model, prompt string, maxTokens int) string {
	body, _ := json.Marshal(map[string]any{
		"model": model, "max_tokens": maxTokens,
		"messages": []map[string]string{
			{"role": "system", "content": "You answer briefly, truthfully and in the language of the question."},
			{"role": "user", "content": prompt},
		},
	})
	return string(body)
}

// call asks, calls the provider as told, and reports.
func (p *play) call(ctx context.Context, t *tally, app, body string, headers map[string]string) error {
	_, err := p.callCode(ctx, t, app, body, headers)
	return err
}

func (p *play) callCode(ctx context.Context, t *tally, app, body string, headers map[string]string) (string, error) {
	began := time.Now()
	answer, err := p.box.Chat(ctx, p.keys[app], body, headers)
	if err != nil {
		return "", err
	}
	t.decided(answer, time.Since(began))
	if code := answer.Denied(); code != "" {
		return code, nil
	}
	send := body
	if answer.Request != nil {
		send = answer.Request.Body
	}
	reply, err := p.provider.Complete([]byte(send), headers[upstream.HeaderOutput])
	if err != nil {
		return "", err
	}
	var said struct{ Usage json.RawMessage }
	if err := json.Unmarshal(reply, &said); err != nil {
		return "", err
	}
	receipt, err := p.box.Settle(ctx, rig.Report{ReportToken: answer.ReportToken, Outcome: "completed",
		Deployment: answer.Deployments[0].Name, Status: 200, ProviderUsage: said.Usage, LatencyMS: 800})
	if err != nil {
		return "", err
	}
	return "", t.charged(receipt)
}

// tally counts what happened in one act.
type tally struct {
	mu          sync.Mutex
	allowed     int
	changes     map[string]int
	refusals    map[string]int
	deployments map[string]int
	took        []time.Duration
	nano        atomic.Int64
}

func (t *tally) decided(a *rig.Answer, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refusals == nil {
		t.refusals, t.deployments, t.changes = map[string]int{}, map[string]int{}, map[string]int{}
	}
	t.took = append(t.took, took)
	if code := a.Denied(); code != "" {
		t.refusals[code]++
		return
	}
	t.allowed++
	for _, c := range a.Changes {
		t.changes[c]++
	}
	t.deployments[a.Deployments[0].Name]++
}

func (t *tally) charged(r *rig.Receipt) error {
	nano, err := nanoUSD(r.Charged.USD)
	t.nano.Add(nano)
	return err
}

func (t *tally) at(deployment string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deployments[deployment]
}

func (t *tally) refused(code string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refusals[code]
}
