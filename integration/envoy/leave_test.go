package envoy_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// length is how many tokens an answer has that nobody cuts.
const length = 100

// left is a stream whose caller hung up.
type left struct {
	what, mode, decision string
	seen                 int64 // tokens of text
}

// A caller hangs up at each tenth of its answer, in each profile and dialect: the
// provider stops, and the call is charged once, for no less than was seen and no more
// than was held.
func TestACallerHangsUpAtEachTenth(t *testing.T) {
	l := start(t, rig.Config{}, "gpt", "claude")
	var streams []*left
	group, gctx := errgroup.WithContext(ctx(t))
	group.SetLimit(6)
	for _, mode := range modes {
		front := envoytest.Before(t, l.Box, []string{"--mode", mode, "--node", mode}, alphaKey, betaKey)
		for _, model := range l.models {
			for tenth := int64(1); tenth < 10; tenth++ {
				s := &left{what: fmt.Sprintf("%s, %s, tenth %d", mode, model, tenth), mode: mode}
				streams = append(streams, s)
				group.Go(func() error { return l.leave(gctx, front.URL(), model, tenth*length/10, s) })
			}
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	rows, held := l.settled(t, len(streams)), l.held(t)
	for _, s := range streams {
		tries, most := rows[s.decision], held[s.decision]
		if len(tries) != 1 {
			t.Errorf("%s: charged %d times: %+v", s.what, len(tries), tries)
			continue
		}
		got := tries[0]
		t.Logf("%s: saw %d tokens, charged %d of %d held, %s, %s, %s", s.what, s.seen, got.charged, most, got.outcome, got.source, got.known)
		if least := cost(0, s.seen); got.charged < least || got.charged > most {
			t.Errorf("%s: charged %d for %d tokens seen; want %d to %d", s.what, got.charged, s.seen, least, most)
		}
		if got.outcome == "completed" {
			t.Errorf("%s: it was settled as if it had been whole", s.what)
		}
		// Who reads the stream charges what was seen of it; the access log alone knows
		// only that it broke off.
		if s.mode == "ext_proc" && s.seen <= length/5 && got.charged > most*9/10 {
			t.Errorf("%s: charged %d of %d held for %d tokens seen", s.what, got.charged, most, s.seen)
		}
	}
	for _, c := range append(l.alpha.Calls(), l.beta.Calls()...) {
		if c.Completed {
			t.Errorf("the provider wrote to the end for a caller who had gone: %s", c.Path)
		}
	}
}

// leave reads a stream until so many tokens have come, and hangs up.
func (l *lab) leave(ctx context.Context, url, model string, after int64, s *left) error {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	// The delay is longer than a caller needs to leave, so that no answer is whole before.
	req, err := l.request(ctx, url, call{model: model, stream: true, max: 4 * length,
		steer: []string{upstream.HeaderOutput, fmt.Sprint(length), upstream.HeaderChunkDelay, "10ms"}})
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", s.what, err)
	}
	defer resp.Body.Close()
	if s.decision = resp.Header.Get("X-Signalbox-Decision"); s.decision == "" || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: no stream began: %d %v", s.what, resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	for s.seen < after && lines.Scan() {
		if text := lines.Text(); strings.Contains(text, `"text_delta"`) || strings.Contains(text, `"content":"`) && !strings.Contains(text, `"content":""`) {
			s.seen++
		}
	}
	if s.seen < after {
		return fmt.Errorf("%s: the stream ended after %d tokens: %w", s.what, s.seen, lines.Err())
	}
	return nil
}

// held is what each decision held.
func (l *lab) held(t *testing.T) map[string]int64 {
	t.Helper()
	rows, err := l.SQL(ctx(t), "SELECT decision_id, held_nano_usd FROM decisions")
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]int64{}
	for _, row := range rows {
		var n int64
		if _, err := fmt.Sscan(fmt.Sprint(row["held_nano_usd"]), &n); err != nil {
			t.Fatal(err)
		}
		held[fmt.Sprint(row["decision_id"])] = n
	}
	return held
}
