package proxy_test

import (
	"net/http"
	"testing"

	"github.com/signalbox-dev/signalbox/registry"
)

// What reaches the provider of what the caller sends. "": it does not.
func TestHeadersToTheProvider(t *testing.T) {
	table := []struct{ name, sent, arrives string }{
		{"Authorization", "Bearer " + callerKey, "Bearer " + secret},
		{"X-Api-Key", "dummy", ""},
		{"Api-Key", "dummy", ""},
		{"Ocp-Apim-Subscription-Key", "k", ""},
		{"Cookie", "session=1", ""},
		{"X-Signalbox-User", "ann", ""},
		{"X-Signalbox-Gateway-Token", "sbg_1", ""},
		{"X-Signalbox-Anything", "1", ""},
		{"Openai-Organization", "org-caller", ""},
		{"Openai-Project", "proj-caller", ""},
		{"Forwarded", "for=10.0.0.1", ""},
		{"X-Forwarded-For", "10.0.0.1", ""},
		{"X-Forwarded-Host", "inner", ""},
		{"X-Real-Ip", "10.0.0.1", ""},
		{"Via", "1.1 inner", ""},
		{"Te", "trailers", ""},
		{"Upgrade", "h2c", ""},
		{"Proxy-Authorization", "Basic x", ""},
		{"Connection", "X-Hop", ""},
		{"X-Hop", "1", ""},
		{"X-Lost-Key", "key=" + callerKey, ""},
		{"Accept-Encoding", "gzip, br", "identity"},
		{"Accept", "application/json", "application/json"},
		{"Content-Type", "application/json", "application/json"},
		{"User-Agent", "OpenAI/Python 1.2", "OpenAI/Python 1.2"},
		{"X-Stainless-Retry-Count", "1", "1"},
		{"Openai-Beta", "responses=v1", "responses=v1"},
		{"Anthropic-Beta", "context-1m", "context-1m"},
		{"Idempotency-Key", "k-1", "k-1"},
		{"X-Idempotency-Key", "k-2", "k-2"},
		{"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		{"X-Of-Tomorrow", "yes", "yes"},
	}
	var got http.Header
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		if r.Host == "" || r.ContentLength <= 0 {
			t.Errorf("host %q, %d bytes announced", r.Host, r.ContentLength)
		}
		says(200, answerJSON)(w, r)
	}})
	var headers []string
	for _, row := range table {
		headers = append(headers, row.name, row.sent)
	}
	h.post(chat, ask, headers...)
	h.report()
	for _, row := range table {
		if got.Get(row.name) != row.arrives {
			t.Errorf("%s: %q arrived as %q, want %q", row.name, row.sent, got.Get(row.name), row.arrives)
		}
		got.Del(row.name)
	}
	got.Del("Content-Length")
	if len(got) > 0 {
		t.Errorf("the provider was also sent %v", got)
	}
}

// What goes out was read as JSON in UTF-8, and is sent as that, whatever the caller
// calls it: a provider must not read another body than the one that was judged.
func TestTheBodyGoesOutAsWhatItWasReadAs(t *testing.T) {
	for _, sent := range [][]string{
		{"application/json; charset=utf-7"}, {"application/json", "application/x-www-form-urlencoded"}, {"multipart/form-data; boundary=model"}, {"text/plain"}, {"application/json"}, nil,
	} {
		var got []string
		h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			got = r.Header["Content-Type"]
			says(200, answerJSON)(w, r)
		}})
		r := h.request(chat, ask)
		r.Header["Content-Type"] = sent
		_ = h.do(r)
		h.report()
		if len(got) != 1 || got[0] != "application/json" {
			t.Errorf("%q arrived as %q", sent, got)
		}
	}
}

// Where each kind of provider wants its credential, and what its protocol wants.
func TestCredentialsByProvider(t *testing.T) {
	for _, c := range []struct {
		name     string
		provider registry.Provider
		path     string
		sends    []string
		want     map[string]string
	}{
		{"openai", registry.Provider{Kind: registry.ProviderOpenAI, Credential: "key"}, chat, nil, map[string]string{"Authorization": "Bearer " + secret, "Anthropic-Version": ""}},
		{"azure", registry.Provider{Kind: registry.ProviderAzureOpenAI, Credential: "key"}, chat, nil, map[string]string{"Api-Key": secret, "Authorization": ""}},
		{"azure with Entra", registry.Provider{Kind: registry.ProviderAzureOpenAI, Credential: "key", AuthHeader: "authorization", AuthPrefix: "Bearer "}, chat, nil,
			map[string]string{"Api-Key": "", "Authorization": "Bearer " + secret}},
		{"anthropic", registry.Provider{Kind: registry.ProviderAnthropic, Credential: "key"}, messages, nil,
			map[string]string{"X-Api-Key": secret, "Authorization": "", "Anthropic-Version": "2023-06-01"}},
		{"anthropic, by an SDK's version", registry.Provider{Kind: registry.ProviderAnthropic, Credential: "key"}, messages, []string{"Anthropic-Version", "2030-01-01"},
			map[string]string{"Anthropic-Version": "2030-01-01"}},
		{"one's own, without any", registry.Provider{Kind: registry.ProviderOpenAICompatible}, chat, nil, map[string]string{"Authorization": "", "User-Agent": "signalbox"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got http.Header
			h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { got = r.Header.Clone(); says(200, answerJSON)(w, r) }}, func(h *house) {
				c.provider.BaseURL, c.provider.Name = h.places[0].ProviderRef.BaseURL, "p"
				h.places[0].ProviderRef = &c.provider
			})
			h.post(c.path, ask, append(c.sends, "User-Agent", "")...)
			h.report()
			for name, want := range c.want {
				if got.Get(name) != want {
					t.Errorf("%s: %q, want %q", name, got.Get(name), want)
				}
			}
		})
	}
}

// What reaches the caller of what the provider answers, and what we add.
func TestHeadersToTheCaller(t *testing.T) {
	table := []struct{ name, sent, arrives string }{
		{"Content-Type", "application/json; charset=utf-8", "application/json; charset=utf-8"},
		{"X-Request-Id", "req_1", "req_1"},
		{"Request-Id", "req_2", "req_2"},
		{"Openai-Processing-Ms", "12", "12"},
		{"Openai-Version", "2020-10-01", "2020-10-01"},
		{"Retry-After", "3", "3"},
		{"X-Of-Tomorrow", "yes", "yes"},
		{"Set-Cookie", "__cf_bm=1", ""},
		{"X-Ratelimit-Limit-Requests", "500", ""},
		{"X-Ratelimit-Remaining-Tokens", "7", ""},
		{"Anthropic-Ratelimit-Tokens-Remaining", "7", ""},
		{"Openai-Organization", "our-org", ""},
		{"Openai-Project", "our-project", ""},
		{"Anthropic-Organization-Id", "our-org", ""},
		{"Www-Authenticate", "Bearer", ""},
		{"Server", "cloudflare", ""},
		{"Cf-Ray", "1", ""},
		{"Alt-Svc", "h3", ""},
		{"Strict-Transport-Security", "max-age=1", ""},
		{"X-Ms-Region", "West Europe", ""},
		{"Access-Control-Allow-Origin", "*", ""},
		{"Keep-Alive", "timeout=5", ""},
		{"Connection", "X-Hop", ""},
		{"X-Hop", "1", ""},
		{"X-Signalbox-Decision", "forged", "d-1"},
		{"X-Signalbox-Deployment", "forged", "d1"},
		{"X-Signalbox-Budget", "forged", "month"},
		{"X-Signalbox-Budget-Left", "forged", "12.5"},
		{"X-Signalbox-Other", "forged", ""},
	}
	var headers []string
	for _, row := range table {
		headers = append(headers, row.name, row.sent)
	}
	for name, provider := range map[string]http.HandlerFunc{
		"an answer": says(200, answerJSON, headers...), "a refusal": says(400, `{}`, headers...),
		"a stream": func(w http.ResponseWriter, r *http.Request) {
			says(200, doneMark, append(headers, "Content-Type", "text/event-stream")...)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, []http.HandlerFunc{provider})
			resp, _, err := h.post(chat, ask)
			if err != nil {
				t.Fatal(err)
			}
			h.report()
			got := resp.Header
			for _, row := range table {
				if want := row.arrives; got.Get(row.name) != want && !(name == "a stream" && row.name == "Content-Type") {
					t.Errorf("%s: %q arrived as %q, want %q", row.name, row.sent, got.Get(row.name), want)
				}
				got.Del(row.name)
			}
			got.Del("Date")
			got.Del("Content-Length")
			if len(got) > 0 {
				t.Errorf("the caller was also given %v", got)
			}
		})
	}
}
