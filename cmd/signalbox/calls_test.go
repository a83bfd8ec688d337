package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

type safe map[string]string

func (s safe) Credential(name string) (vault.Secret, bool) {
	secret, ok := s[name]
	return vault.NewSecret(secret), ok
}

// Readiness names the credentials that are missing, whose they are, and both ways to
// give them; and nothing of those that are there.
func TestMissingCredentialsAreNamed(t *testing.T) {
	providers := []*registry.Provider{{Name: "azure-weu", Credential: "azure.weu-1"}, {Name: "openai", Credential: "openai"}, {Name: "vllm"}}
	got := missing(providers, safe{"openai": "sk-hush"}, "secrets")
	for _, want := range []string{"azure.weu-1 for provider azure-weu", "secrets/azure.weu-1", "SIGNALBOX_CREDENTIAL_AZURE_WEU_1"} {
		if !strings.Contains(got, want) {
			t.Errorf("does not say %q: %s", want, got)
		}
	}
	for _, not := range []string{"openai", "vllm", "hush"} {
		if strings.Contains(got, not) {
			t.Errorf("says %q: %s", not, got)
		}
	}
	if got := missing(providers, safe{"openai": "x", "azure.weu-1": "y"}, "secrets"); got != "" {
		t.Errorf("nothing is missing, and it says %s", got)
	}
	var many []*registry.Provider
	for i := range 100 {
		many = append(many, &registry.Provider{Name: fmt.Sprint("p", i), Credential: fmt.Sprint("c", i)})
	}
	if got := missing(many, safe{}, "secrets"); !strings.HasSuffix(got, "and 95 more") || strings.Count(got, "for provider") != 5 {
		t.Errorf("%s", got)
	}
	if got := trouble([]vault.Problem{{Where: "secrets/a", What: "is empty", Want: "write it"}, {Where: "b", Warning: true}}); got != "credentials: secrets/a is empty; write it" {
		t.Errorf("%s", got)
	}
}

// A client that will not finish is no failure of a stop: it is cut when the time is
// over.
func TestAStopCutsWhoWillNotFinish(t *testing.T) {
	here := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(here); <-r.Context().Done() }))
	defer server.Close()
	failed := make(chan error, 1)
	go func() {
		resp, err := http.Get(server.URL)
		if err == nil {
			err = resp.Body.Close()
		}
		failed <- err
	}()
	<-here
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	b := &box{log: slog.New(slog.DiscardHandler)}
	if err := b.closeHTTP(ctx, "http", server.Config, nil); err != nil {
		t.Errorf("the stop failed: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the client was not cut")
	}
	if _, err := net.DialTimeout("tcp", server.Listener.Addr().String(), time.Second); err == nil {
		t.Error("the listener is still there")
	}
}

// Our own prefix is ours, and every other path reaches the calls as it was written.
func TestBesides(t *testing.T) {
	says := func(word string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, word+" "+r.URL.Path) })
	}
	h := besides("/admin/v1/", says("admin"), says("calls"))
	for path, want := range map[string]string{"/admin/v1/keys": "admin /admin/v1/keys", "/v1/chat/completions": "calls /v1/chat/completions",
		"/v1//messages": "calls /v1//messages", "/admin/v1": "calls /admin/v1", "/v1/../admin/v1/keys": "calls /v1/../admin/v1/keys"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "http://x/", nil)
		r.URL.Path = path
		h.ServeHTTP(w, r)
		if w.Body.String() != want || w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
