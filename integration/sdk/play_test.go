package sdk_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/sdk"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// play is one row, played by one player with one operation.
type play struct {
	row
	player
	op      string
	through bool // Signalbox, and not the provider itself

	scene    *sdk.Scene
	locked   *sdk.Gate
	got      *sdk.Got
	err      error // of the harness: the driver died, or did not answer
	attempts []sdk.Attempt
	calls    []upstream.Call // at the provider
	took     time.Duration
}

// title names a play among those of its player.
func (p *play) title() string {
	if len(p.row.ops) == 1 {
		return p.row.name
	}
	return p.row.name + ", " + p.op
}

// stage is where rows are played: with the provider, or with a Signalbox before it.
type stage struct {
	drivers map[string]*sdk.Driver
	front   *sdk.Front
	url     string // of the front
	gates   *sdk.Gates
	through bool
	// key is whose key the application has.
	key func(p *play) string
	// before is what happened before the application calls; nil: nothing. What it
	// returns undoes it.
	before func(ctx context.Context, p *play) (undo func(), err error)
}

// newStage puts a front before a target.
func newStage(t *testing.T, drivers map[string]*sdk.Driver, target string, gates *sdk.Gates) *stage {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	front := sdk.NewFront(to)
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	return &stage{drivers: drivers, front: front, url: server.URL, gates: gates}
}

// atOnce is how many rows each player plays at the same time. Most of a row is
// waiting: for a process to start, for a retry.
const atOnce = 4

// patience is for a machine that has much else to do, and says nothing of speed.
const patience = 2 * time.Minute

// playAll plays rows with all players, each at its own pace.
func (s *stage) playAll(ctx context.Context, rows []row) map[player][]*play {
	all := map[player][]*play{}
	var playing sync.WaitGroup
	for _, p := range players() {
		turn := make(chan struct{}, atOnce)
		for _, r := range rows {
			for _, op := range r.opsOf(p) {
				one := &play{row: r, player: p, op: op, through: s.through}
				all[p] = append(all[p], one)
				playing.Go(func() {
					turn <- struct{}{}
					defer func() { <-turn }()
					s.play(ctx, one)
				})
			}
		}
	}
	playing.Wait()
	return all
}

// play is one play from its before to its answer.
func (s *stage) play(ctx context.Context, p *play) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	defer func() { p.took = time.Since(began) }()
	p.scene = &sdk.Scene{Name: slug(p.player.name() + " " + p.row.name + " " + p.op), Steer: p.row.steer}
	first := func() {}
	if p.row.gate {
		p.locked = s.gates.Close(p.scene.Name)
		defer p.locked.Open()
		first = p.locked.Open
	}
	undo := func() {}
	if p.row.before && s.before != nil {
		if undo, p.err = s.before(ctx, p); p.err != nil {
			return
		}
		if p.row.released {
			p.scene.Answered = func(n, _ int) {
				if n == 1 {
					undo()
				}
			}
		} else {
			defer undo()
		}
	}
	p.got, p.err = s.drivers[p.language].Do(ctx, sdk.Task{
		SDK: p.sdk, Op: p.op, How: p.row.how, Azure: p.row.azure, URL: s.url + s.front.Open(p.scene),
		Key: s.key(p), Headers: p.row.headersOf(p.player), Params: p.row.ask.params(p.op, p.player),
	}, first)
	p.attempts = p.scene.Attempts()
}

// headersOf are those that the application adds; "*" stands for the player.
func (r *row) headersOf(p player) map[string]string {
	out := map[string]string{}
	for name, value := range r.headers {
		out[name] = strings.Replace(value, "*", p.name(), 1)
	}
	return out
}

func slug(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ':
			return '-'
		}
		return -1
	}, name)
}

// provider is a simulated one on a port of its own, with a gate before it.
func provider(t *testing.T) (*upstream.Provider, *sdk.Gates, string) {
	t.Helper()
	// Azure and Anthropic take a key either way; their SDKs differ in what they send.
	p := upstream.New(map[string]bool{"Bearer " + openaiCredential: true, anthropicCredential: true, "Bearer " + anthropicCredential: true,
		azureCredential: true, "Bearer " + azureCredential: true})
	gates := &sdk.Gates{Provider: p}
	server := httptest.NewServer(gates)
	t.Cleanup(server.Close)
	return p, gates, server.URL
}

// The provider's credentials. No application may ever see one.
const (
	openaiCredential    = "sk-provider-openai-5f1c0e9a"
	anthropicCredential = "sk-ant-provider-9b2d77c1"
	azureCredential     = "azure-provider-44e8a3d0"
)

// collect gives each play the calls that the provider recorded of it.
func collect(t *testing.T, p *upstream.Provider, all map[player][]*play) {
	t.Helper()
	for deadline := time.Now().Add(patience); p.InFlight() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the provider still answers")
		}
	}
	scenes := map[string][]upstream.Call{}
	for _, c := range p.Calls() {
		name := c.Header.Get(sdk.HeaderScene)
		scenes[name] = append(scenes[name], c)
	}
	for _, plays := range all {
		for _, one := range plays {
			one.calls = scenes[one.scene.Name]
			delete(scenes, one.scene.Name)
		}
	}
	for name := range scenes {
		t.Errorf("the provider had calls of %q, which was not played", name)
	}
}

// judge says of each play, under its player's name, whether it was as the table
// wants it.
func judge(t *testing.T, all map[player][]*play) {
	for _, p := range players() {
		t.Run(p.name(), func(t *testing.T) {
			for _, one := range all[p] {
				t.Run(one.title(), one.judge)
			}
		})
	}
}

func (p *play) judge(t *testing.T) {
	defer func() {
		if t.Failed() {
			t.Logf("%s", p.story())
		}
	}()
	if p.err != nil {
		t.Fatal(p.err)
	}
	t.Log(p.summary())
	w := p.row.want
	if n := max(w.attempts, 1); len(p.attempts) < n || len(p.attempts) > max(n, w.atMost) {
		t.Errorf("the SDK tried %d times, want %d to %d", len(p.attempts), n, max(n, w.atMost))
	}
	for i, a := range p.attempts {
		if a.Retry != strconv.Itoa(i) {
			t.Errorf("attempt %d is the SDK's retry %q", i+1, a.Retry)
		}
	}
	calls := w.calls
	switch {
	case calls < 0 || calls == 0 && w.refused != "":
		calls = 0
	case calls == 0:
		calls = 1
	}
	if len(p.calls) != calls {
		t.Errorf("the provider was called %d times, want %d", len(p.calls), calls)
	}
	if len(p.attempts) == 0 || t.Failed() && p.got.Error == nil && w.status != 0 {
		return
	}
	switch {
	case w.status != 0:
		p.judgeException(t)
	case w.broken:
		if p.got.Error == nil {
			t.Errorf("the application was told nothing of the break: %+v", p.got)
		}
	default:
		p.judgeAnswer(t)
	}
	if w.waits {
		p.judgeWaits(t)
	}
	if w.also != nil && !t.Failed() {
		w.also(t, p)
	}
}

func (p *play) judgeAnswer(t *testing.T) {
	if p.got.Error != nil {
		t.Fatalf("the application caught %+v", p.got.Error)
	}
	w := p.row.want
	if want := finishOf(p.op, w.finish); want != "" && p.got.Finish != want {
		t.Errorf("it finished because of %q, want %q", p.got.Finish, want)
	}
	if w.finish == "stop" && p.got.Text == "" {
		t.Error("the application got no text")
	}
	if p.row.gate && !p.locked.Reached() {
		t.Error("the provider never stood before its gate, so nothing is known of the first chunk")
	}
	if p.row.how != "" && p.got.Chunks < 3 {
		t.Errorf("a stream of %d chunks", p.got.Chunks)
	}
	if p.got.Usage != nil && len(p.calls) == 1 {
		p.judgeUsage(t)
	}
}

// judgeException: the class by which an application catches it, and what it can
// read in it.
func (p *play) judgeException(t *testing.T) {
	w, e := p.row.want, p.got.Error
	if e == nil {
		t.Fatalf("the application caught nothing; it got %+v", p.got)
	}
	if e.Status != w.status {
		t.Errorf("the exception's status is %d, want %d", e.Status, w.status)
	}
	class := w.class
	if class == "" {
		class = classOf(p.player, w.status)
	}
	if err := catches(e, class); err != nil {
		t.Error(err)
	}
	if w.refused == "" {
		return
	}
	if e.Code != w.refused {
		t.Errorf("the exception's code is %q, want %q", e.Code, w.refused)
	}
	if last := p.attempts[len(p.attempts)-1].Header; e.RequestID == "" || e.RequestID != last.Get("X-Signalbox-Decision") {
		t.Errorf("the exception's request id is %q, want the decision's, which is %q", e.RequestID, last.Get("X-Signalbox-Decision"))
	}
	if e.Message == "" && e.Body == nil {
		t.Error("the exception says nothing")
	}
}

// judgeWaits: no attempt came earlier than the answer before it allowed. That it
// came at all is in the count.
func (p *play) judgeWaits(t *testing.T) {
	for i := 1; i < len(p.attempts); i++ {
		before := p.attempts[i-1]
		after, err := time.ParseDuration(before.Header.Get("Retry-After-Ms") + "ms")
		if err != nil {
			t.Errorf("attempt %d was not told when to come back: %v", i, before.Header)
			continue
		}
		if waited := p.attempts[i].At.Sub(before.Ended); waited < after {
			t.Errorf("attempt %d came after %v, and was told to wait %v", i+1, waited, after)
		}
	}
}

// judgeUsage: what the application is told it used is what the provider billed.
func (p *play) judgeUsage(t *testing.T) {
	bill := p.calls[0].Usage
	number := func(path ...string) int64 {
		var at any = p.got.Usage
		for _, name := range path {
			inner, _ := at.(map[string]any)
			at = inner[name]
		}
		n, _ := at.(float64)
		return int64(n)
	}
	told := map[string][2]int64{}
	switch p.op {
	case "chat":
		told["input"] = [2]int64{number("prompt_tokens"), bill.Input}
		told["cached"] = [2]int64{number("prompt_tokens_details", "cached_tokens"), bill.Cached}
		told["output"] = [2]int64{number("completion_tokens"), bill.Output}
		told["reasoning"] = [2]int64{number("completion_tokens_details", "reasoning_tokens"), bill.Reasoning}
	case "responses":
		told["input"] = [2]int64{number("input_tokens"), bill.Input}
		told["cached"] = [2]int64{number("input_tokens_details", "cached_tokens"), bill.Cached}
		told["output"] = [2]int64{number("output_tokens"), bill.Output}
		told["reasoning"] = [2]int64{number("output_tokens_details", "reasoning_tokens"), bill.Reasoning}
	case "messages":
		told["input"] = [2]int64{number("input_tokens"), bill.Input - bill.Cached - bill.CacheWrite - bill.CacheWriteLong}
		told["cached"] = [2]int64{number("cache_read_input_tokens"), bill.Cached}
		told["written"] = [2]int64{number("cache_creation_input_tokens"), bill.CacheWrite + bill.CacheWriteLong}
		told["output"] = [2]int64{number("output_tokens"), bill.Output}
	case "embeddings":
		told["input"] = [2]int64{number("prompt_tokens"), bill.Input}
	}
	for part, n := range told {
		if n[0] != n[1] {
			t.Errorf("the application was told of %d %s tokens, and the provider billed %d", n[0], part, n[1])
		}
	}
}

// summary is a play in a line.
func (p *play) summary() string {
	var statuses []int
	for _, a := range p.attempts {
		statuses = append(statuses, a.Status)
	}
	end := fmt.Sprintf("%q", p.got.Finish)
	if e := p.got.Error; e != nil {
		end = fmt.Sprintf("%s %s", e.Class, e.Code)
	}
	return fmt.Sprintf("answers %v, %d calls at the provider, %s, in %v", statuses, len(p.calls), end, p.took.Round(time.Millisecond))
}

// story is what happened, for whoever reads a failure.
func (p *play) story() string {
	var b strings.Builder
	if p.got != nil {
		fmt.Fprintf(&b, "the application got %+v\n", *p.got)
		if p.got.Error != nil {
			fmt.Fprintf(&b, "and caught %+v\n", *p.got.Error)
		}
	}
	for i, a := range p.attempts {
		body := string(a.Body)
		fmt.Fprintf(&b, "attempt %d at %s: %d %s\n%v\n%s\n", i+1, a.Path, a.Status, a.Problem, tame(a.Header), body[:min(len(body), 2000)])
	}
	for _, c := range p.calls {
		fmt.Fprintf(&b, "the provider at %s answered %d, completed %v, billed %+v: %s\n", c.Path, c.Status, c.Completed, c.Usage, c.Body[:min(len(c.Body), 1000)])
	}
	return b.String()
}

// tame leaves out what every answer has.
func tame(h http.Header) http.Header {
	h = h.Clone()
	for name := range h {
		if lower := strings.ToLower(name); strings.Contains(lower, "ratelimit") || strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "openai-") ||
			slices.Contains([]string{"date", "set-cookie", "cf-ray"}, lower) {
			h.Del(name)
		}
	}
	return h
}
