// Package upstream is a provider that is not one: it speaks OpenAI's chat
// completions and Anthropic's messages, bills what it says it used, and does what
// request headers tell it to, so that tests and the demo can steer it.
package upstream

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Steering headers.
const (
	HeaderStatus = "x-upstream-status" // answer with this status and an error
	HeaderOutput = "x-upstream-output" // write exactly this many tokens
)

// Provider counts what it billed.
type Provider struct {
	mu    sync.Mutex
	calls int
	in    int64
	out   int64
}

// Totals is what was billed so far.
func (p *Provider) Totals() (calls int, input, output int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls, p.in, p.out
}

// ServeHTTP answers one call.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if status, err := strconv.Atoi(r.Header.Get(HeaderStatus)); err == nil && status != http.StatusOK {
		w.Header().Set("content-type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"as the test asked","type":"upstream_error","code":"%d"}}`, status)
		return
	}
	body, err := p.Complete(raw, r.Header.Get(HeaderOutput))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("content-type", "application/json")
	_, _ = w.Write(body)
}

// Complete answers a body as the provider would, with the usage it bills.
func (p *Provider) Complete(raw []byte, steer string) ([]byte, error) {
	var ask struct {
		Model     string          `json:"model"`
		Messages  json.RawMessage `json:"messages"`
		MaxTokens int64           `json:"max_tokens"`
		MaxOutput int64           `json:"max_completion_tokens"`
	}
	if err := json.Unmarshal(raw, &ask); err != nil {
		return nil, err
	}
	most := max(ask.MaxTokens, ask.MaxOutput)
	if most == 0 {
		most = 4096
	}
	input := int64(len(ask.Messages))/4 + 8 // about four bytes a token, as English has
	output := min(most, length(raw, most))
	if n, err := strconv.ParseInt(steer, 10, 64); err == nil {
		output = min(n, most)
	}
	p.mu.Lock()
	p.calls++
	p.in += input
	p.out += output
	id := p.calls
	p.mu.Unlock()
	finish := "stop"
	if output == most {
		finish = "length"
	}
	return fmt.Appendf(nil, `{"id":"chatcmpl-%d","object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":"…"},"finish_reason":%q}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":0}}}`,
		id, ask.Model, finish, input, output, input+output), nil
}

// length is how long this answer happens to be: a quarter of the calls write
// nearly nothing, a few all they may. It depends on the body alone, so that a run
// can be repeated.
func length(body []byte, most int64) int64 {
	h := fnv.New64a()
	_, _ = h.Write(body)
	switch x := h.Sum64() % 100; {
	case x < 25:
		return 1 + int64(x)
	case x < 95:
		return 20 + most*int64(x)/250
	default:
		return most
	}
}
