package envoy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// What a provider says of its limits is noted as text and told on. Bytes that are none
// end neither the call nor the log that settles it and others: each is settled, with the
// provider's own count.
func TestAProviderWhoseHeadersAreNoText(t *testing.T) {
	l := start(t, rig.Config{}, "gpt-ext_proc", "gpt-ext_authz")
	answers := map[string]answer{}
	for _, mode := range modes {
		front := envoytest.Before(t, l.Box, []string{"--mode", mode, "--node", mode}, alphaKey, betaKey)
		model := "gpt-" + mode
		a := l.mustAsk(t, front.URL(), call{model: model,
			steer: []string{upstream.HeaderStatus, "429", upstream.HeaderRetryAfter, "7\xff", upstream.HeaderOnly, model + "-at-alpha", upstream.HeaderOutput, "12"}})
		if got := a.header.Values("X-Signalbox-Deployment"); len(got) != 1 || got[0] != model+"-beta" {
			t.Errorf("%s: the caller is told of %q", mode, got)
		}
		answers[model] = a
	}
	for id, tries := range l.settled(t, len(answers)) {
		if last := tries[len(tries)-1]; last.known != "exact" {
			t.Errorf("%s: %+v", id, tries)
		}
	}
}

// A caller cannot make the question about them unreadable: where the failure mode is open
// they would pass by it. Nothing of theirs that is no text, or long, or repeated, does.
func TestNoCallerMakesTheirQuestionUnreadable(t *testing.T) {
	l := start(t, rig.Config{}, "gpt-any")
	for _, mode := range modes {
		front := l.bolted(t, envoyrig.Newest, "--mode", mode, "--signalbox", l.GRPC, "--failure-mode", "open")
		for _, name := range []string{"X-Request-Id", "User-Agent", "Referer", "X-Forwarded-For", "Traceparent", "X-Envoy-Original-Path", "X-Any"} {
			status, err := asks(l, front.URL(), bytes.NewReader([]byte(`{"model":"gpt-any","messages":[]}`)), name, "\xff\xfe")
			if err != nil || status != http.StatusUnauthorized {
				t.Errorf("%s: %s that is no text: %d %v; want our refusal", mode, name, status, err)
			}
		}
		// Of unknown length, so that nobody can refuse it by its head.
		long := io.MultiReader(bytes.NewReader([]byte(`{"model":"gpt-any","messages":[{"role":"user","content":"`)), bytes.NewReader(bytes.Repeat([]byte{'a'}, 12<<20)), bytes.NewReader([]byte(`"}]}`)))
		if status, err := asks(l, front.URL(), long, "Authorization", "Bearer "+l.key); err == nil && status < 400 {
			t.Errorf("%s: a body of 12 MiB passes: %d", mode, status)
		}
	}
	if n := len(l.alpha.Calls()) + len(l.beta.Calls()); n != 0 {
		t.Errorf("%d calls have passed", n)
	}
}

// asks sends a chat with one header of the caller's, and a key that nobody made.
func asks(l *lab, url string, body io.Reader, name, value string) (int, error) {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer sbx_nobody")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(name, value)
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
