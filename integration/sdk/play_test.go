package sdk_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
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
	early    bool // the first text came while the provider was held back
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
	before func(ctx context.Context, p *play) (undo func() error, err error)
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
const patience = time.Minute

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
		first = func() {
			p.early = true
			p.locked.Open()
		}
	}
	undo := func() error { return nil }
	if p.row.before && s.before != nil {
		if undo, p.err = s.before(ctx, p); p.err != nil {
			return
		}
	}
	undone := sync.OnceValue(undo)
	if p.row.released {
		p.scene.Answered = func(int, int) { _ = undone() } // its error is asked for below
	}
	var err error
	p.got, err = s.drivers[p.language].Do(ctx, sdk.Task{
		SDK: p.sdk, Op: p.op, How: p.row.how, Azure: p.row.azure, URL: s.url + s.front.Open(p.scene),
		Key: s.key(p), Headers: p.row.headersOf(p.player), Params: p.row.ask.params(p.op, p.player),
	}, first)
	p.err = errors.Join(err, undone())
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
