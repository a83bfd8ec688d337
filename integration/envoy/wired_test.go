package envoy_test

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
)

// The doctor's canary finds no way round the filter of a whole Envoy, in either
// profile; and none of what it sends reaches a provider.
func TestTheDoctorFindsItWired(t *testing.T) {
	l := start(t, rig.Config{}, "gpt", "claude")
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			front := envoytest.Before(t, l.Box, []string{"--mode", mode, "--node", mode}, alphaKey, betaKey)
			done, err := l.Command(ctx(t), "doctor", "--gateway", front.URL())
			if err != nil || done.Exit != 0 {
				t.Fatalf("%v, exit %d\n%s%s", err, done.Exit, done.Stdout, done.Stderr)
			}
			if !strings.Contains(done.Stdout, "/v1/messages") || !strings.Contains(done.Stdout, "/v1/chat/completions") {
				t.Errorf("it did not go along each path:\n%s", done.Stdout)
			}
			if calls := len(l.alpha.Calls()) + len(l.beta.Calls()); calls != 0 {
				t.Errorf("%d of the canary's calls reached a provider", calls)
			}
		})
	}
}

// Beside an Envoy that asks, one way past it is found, and said to be one.
func TestTheDoctorFindsTheWayRound(t *testing.T) {
	l := start(t, rig.Config{}, "gpt")
	provider, err := url.Parse("http://" + l.alpha.addr)
	if err != nil {
		t.Fatal(err)
	}
	open := httptest.NewServer(httputil.NewSingleHostReverseProxy(provider))
	t.Cleanup(open.Close)
	done, err := l.Command(ctx(t), "doctor", "--gateway", open.URL, "--route", "/v1/chat/completions")
	if err != nil || done.Exit != 1 {
		t.Fatalf("%v, exit %d\n%s%s", err, done.Exit, done.Stdout, done.Stderr)
	}
}
