package envoy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// failures are the answers of a first deployment that another one may make good.
var failures = []string{"429", "500", "529"}

// The first deployment answers that it cannot: the call succeeds on the second, with
// that one's host, path, model and key; neither has seen the other's key, or the
// caller's; and both tries are rows of their own, of which the provider's own count
// is charged.
func TestAnotherDeploymentWhenOneFails(t *testing.T) {
	var models []string
	for i := range failures {
		for _, mode := range modes {
			for _, how := range []string{"json", "sse"} {
				models = append(models, fmt.Sprintf("gpt-%s-%s-%d", mode, how, i), fmt.Sprintf("claude-%s-%s-%d", mode, how, i))
			}
		}
	}
	l := start(t, rig.Config{}, spelled(models)...)
	fronts := map[string]*envoytest.Front{}
	for _, mode := range modes {
		fronts[mode] = envoytest.Before(t, l.Box, []string{"--mode", mode, "--node", mode}, alphaKey, betaKey)
	}
	answers := map[string]answer{}
	for i, failure := range failures {
		for _, mode := range modes {
			for _, model := range spelled([]string{fmt.Sprintf("gpt-%s-json-%d", mode, i), fmt.Sprintf("claude-%s-json-%d", mode, i),
				fmt.Sprintf("gpt-%s-sse-%d", mode, i), fmt.Sprintf("claude-%s-sse-%d", mode, i)}) {
				answers[model] = l.mustAsk(t, fronts[mode].URL(), call{model: model, stream: strings.Contains(model, "-sse-"),
					steer: []string{upstream.HeaderStatus, failure, upstream.HeaderOnly, model + "-at-alpha", upstream.HeaderOutput, "12"}})
			}
		}
	}
	rows := l.settled(t, len(answers))
	alpha, beta := byModel(l.alpha.Calls(), "-at-alpha"), byModel(l.beta.Calls(), "-at-beta")
	for model, a := range answers {
		t.Run(model, func(t *testing.T) {
			if len(alpha[model]) != 1 || len(beta[model]) != 1 {
				t.Fatalf("alpha was called %d times and beta %d; want once each", len(alpha[model]), len(beta[model]))
			}
			first, second := alpha[model][0], beta[model][0]
			l.sawItsOwn(t, model, first, second)
			tries := rows[a.decision]
			if len(tries) != 2 {
				t.Fatalf("the tries in ClickHouse are %+v; want two", tries)
			}
			if got := tries[0]; got.deployment != model+"-alpha" || fmt.Sprint(got.status) != fmt.Sprint(first.Status) || got.charged != 0 {
				t.Errorf("the first try is %+v; want alpha's, with status %d, free", got, first.Status)
			}
			u := second.Usage
			if got := tries[1]; got.deployment != model+"-beta" || got.status != http.StatusOK || got.input != u.Input || got.output != u.Output ||
				got.charged != cost(u.Input, u.Output) || got.known != "exact" && !unreadWhole(model) {
				t.Errorf("the second try is %+v; want beta's, with its own count %+v", got, u)
			}
		})
	}
}

// unreadWhole: of Anthropic's documents Envoy's own filters cannot copy one part, a list
// that this provider has not, so that who reads no more never says that it is all.
func unreadWhole(model string) bool {
	return strings.HasPrefix(model, "claude-ext-authz-json")
}

// spelled are names as the registry has them.
func spelled(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ReplaceAll(name, "_", "-")
	}
	return out
}

// byModel sorts calls by the model that the caller asked for.
func byModel(calls []upstream.Call, suffix string) map[string][]upstream.Call {
	out := map[string][]upstream.Call{}
	for _, c := range calls {
		model := strings.TrimSuffix(c.Model, suffix)
		out[model] = append(out[model], c)
	}
	return out
}

// sawItsOwn: each provider was addressed by its own host, path, model and key, and saw
// nothing that is the other's or the caller's.
func (l *lab) sawItsOwn(t *testing.T, model string, first, second upstream.Call) {
	t.Helper()
	paths := [2]string{"/v1/chat/completions?", "/openai/deployments/" + model + "-at-beta/chat/completions?api-version=2024-10-21"}
	header := [2]string{"Authorization", "Api-Key"}
	keys := [2]string{"Bearer " + alphaKey, betaKey}
	if strings.HasPrefix(model, "claude") {
		paths = [2]string{"/v1/messages?", "/v1/messages?"}
		header, keys = [2]string{"X-Api-Key", "X-Api-Key"}, [2]string{alphaKey, betaKey}
	}
	hosts := [2]string{l.alpha.addr, l.beta.addr}
	for i, c := range []upstream.Call{first, second} {
		if got := c.Header.Get(seenHost); got != hosts[i] {
			t.Errorf("it was addressed as %s; want %s", got, hosts[i])
		}
		if got := c.Path + "?" + c.Query; got != paths[i] {
			t.Errorf("its path was %s; want %s", got, paths[i])
		}
		if got := c.Header.Get(header[i]); got != keys[i] {
			t.Errorf("%s was shown another key than its own in %s", hosts[i], header[i])
		}
		if want := fmt.Sprintf(`"model":"%s-at-%s"`, model, []string{"alpha", "beta"}[i]); !strings.Contains(c.Body, want) {
			t.Errorf("its body is %s; want %s in it", c.Body, want)
		}
		l.noStrangeKey(t, c, []string{alphaKey, betaKey}[1-i])
	}
}

// noStrangeKey: nothing of a call holds another provider's key, or the caller's, or
// what is Envoy's and ours.
func (l *lab) noStrangeKey(t *testing.T, c upstream.Call, strange ...string) {
	t.Helper()
	for name, values := range c.Header {
		said := name + ": " + strings.Join(values, ",")
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-signalbox") || strings.HasPrefix(lower, "x-envoy") {
			t.Errorf("the provider was told %s", said)
		}
	}
	l.noCallersKey(t, c, strange...)
}

// noCallersKey: nothing of a call holds the caller's key, or any of these.
func (l *lab) noCallersKey(t *testing.T, c upstream.Call, strange ...string) {
	t.Helper()
	for _, key := range append(strange, l.key) {
		for name, values := range c.Header {
			if strings.Contains(name+strings.Join(values, ","), key) {
				t.Errorf("the provider was shown a key that is not its own, in %s", name)
			}
		}
		if strings.Contains(c.Path+c.Query+c.Body, key) {
			t.Error("the provider was shown a key that is not its own, in the path or the body")
		}
	}
}
