package sdk_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

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
	if p.row.gate && !p.early {
		t.Error("the first piece of the stream did not reach the application while the provider held back the second")
	}
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
	p.judgeAdvice(t)
}

// judgeAdvice: what a refusal says about trying again, by the status table.
func (p *play) judgeAdvice(t *testing.T) {
	for i, a := range p.attempts {
		should, after, ms := a.Header.Get("X-Should-Retry"), a.Header.Get("Retry-After"), a.Header.Get("Retry-After-Ms")
		seconds, err := strconv.Atoi(after)
		switch {
		case a.Status == http.StatusPaymentRequired && (should != "false" || after != "" || ms != ""),
			a.Status == http.StatusTooManyRequests && (err != nil || seconds < 1 || ms == "" || (seconds > 60) != (should == "false")),
			a.Status < http.StatusTooManyRequests && a.Status != http.StatusPaymentRequired && (should != "" || after != ""):
			t.Errorf("attempt %d was answered %d with x-should-retry %q, retry-after %q and retry-after-ms %q", i+1, a.Status, should, after, ms)
		}
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
