package proxy_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/registry"
)

// Where a call goes and as what: the provider's own path, the upstream model in the
// place of the caller's, and not one other byte changed.
func TestWhatGoesOut(t *testing.T) {
	const odd = `  {"messages":[{"content":"\u00e9 1.50 ` + "\t" + `"}],"model":"gpt","temperature":1.0e0}`
	const noModel = "\n{ \"messages\": []}"
	for _, c := range []struct {
		name     string
		provider registry.Provider
		path     string
		model    string // upstream
		body     string
		edited   string // by the decision
		wantPath string
		want     string
	}{
		{"openai", registry.Provider{Kind: registry.ProviderOpenAI}, chat, "gpt-4o-2024", odd, "", "/v1/chat/completions", strings.Replace(odd, `"gpt"`, `"gpt-4o-2024"`, 1)},
		{"a name that wants escapes", registry.Provider{Kind: registry.ProviderOpenAICompatible}, chat, `a"b\<c>`, odd, "", "/v1/chat/completions", strings.Replace(odd, `"gpt"`, `"a\"b\\<c>"`, 1)},
		{"edited", registry.Provider{Kind: registry.ProviderOpenAI}, chat, "up", odd, `{"max_tokens":5,"model":"gpt"}`, "/v1/chat/completions", `{"max_tokens":5,"model":"up"}`},
		{"azure, dated, keeps a body without a model", registry.Provider{Kind: registry.ProviderAzureOpenAI, APIVersion: "2024-10-21"}, "/openai/deployments/gpt/chat/completions?api-version=2023-05-15", "std", noModel, "",
			"/openai/deployments/std/chat/completions?api-version=2024-10-21", noModel},
		{"azure's path at openai", registry.Provider{Kind: registry.ProviderOpenAI}, "/openai/deployments/gpt/chat/completions?api-version=2023-05-15", "up", noModel, "",
			"/v1/chat/completions", "\n{\"model\":\"up\", \"messages\": []}"},
		{"azure, v1", registry.Provider{Kind: registry.ProviderAzureOpenAI}, chat, "std", odd, "", "/openai/v1/chat/completions", strings.Replace(odd, `"gpt"`, `"std"`, 1)},
		{"azure, dated, responses", registry.Provider{Kind: registry.ProviderAzureOpenAI, APIVersion: "2025-04-01-preview"}, "/v1/responses", "std", odd, "", "/openai/responses?api-version=2025-04-01-preview", strings.Replace(odd, `"gpt"`, `"std"`, 1)},
		{"azure, dated, embeddings", registry.Provider{Kind: registry.ProviderAzureOpenAI, APIVersion: "2024-10-21"}, "/v1/embeddings", "emb", odd, "", "/openai/deployments/emb/embeddings?api-version=2024-10-21", strings.Replace(odd, `"gpt"`, `"emb"`, 1)},
		{"anthropic, beta", registry.Provider{Kind: registry.ProviderAnthropic}, messages + "?beta=true&key=sk", "claude", odd, "", "/v1/messages?beta=true", strings.Replace(odd, `"gpt"`, `"claude"`, 1)},
		{"a query of the caller's", registry.Provider{Kind: registry.ProviderOpenAI}, chat + "?api-version=1&beta=evil&key=" + callerKey, "up", odd, "", "/v1/chat/completions", strings.Replace(odd, `"gpt"`, `"up"`, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var path, body string
			var length int64
			h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
				all, _ := io.ReadAll(r.Body)
				path, body, length = r.RequestURI, string(all), r.ContentLength
				says(200, answerJSON)(w, r)
			}}, func(h *house) {
				url := h.places[0].ProviderRef.BaseURL
				if c.provider.Kind == registry.ProviderAzureOpenAI {
					url = strings.TrimSuffix(url, "/v1")
				}
				c.provider.BaseURL, c.provider.Name = url, "p"
				h.places[0].ProviderRef, h.places[0].UpstreamModel = &c.provider, c.model
			}, altering(func(a *decision.Answer) {
				if c.edited != "" {
					a.Plan.Body = []byte(c.edited)
					at := strings.Index(c.edited, `gpt`)
					a.Plan.ModelSpan = [2]int{at, at + 3}
				}
			}))
			if resp, text, err := h.post(c.path, c.body); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%v %d %s", err, resp.StatusCode, text)
			}
			h.report()
			if path != c.wantPath || body != c.want || length != int64(len(c.want)) || !json.Valid([]byte(body)) && json.Valid([]byte(c.body)) {
				t.Errorf("%s\n%q (%d bytes announced)\nwant %s\n%q", path, body, length, c.wantPath, c.want)
			}
		})
	}
}

// Each deployment is sent its own name of the model, and the same body otherwise.
func TestEachDeploymentItsOwnModel(t *testing.T) {
	var bodies []string
	keeps := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			all, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(all))
			says(status, answerJSON)(w, r)
		}
	}
	h := build(t, []http.HandlerFunc{keeps(503), keeps(429), keeps(200)})
	h.post(chat, ask)
	r := h.report()
	for i, want := range []string{"up-d1", "up-d2", "up-d3"} {
		if bodies[i] != strings.Replace(ask, `"gpt"`, `"`+want+`"`, 1) {
			t.Errorf("%s was sent %s", want, bodies[i])
		}
	}
	if len(r.Attempts) != 2 || r.Deployment != "d3" {
		t.Errorf("reported %+v", r)
	}
}
