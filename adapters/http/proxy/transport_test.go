package proxy_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/registry"
)

// pemOf is a certificate as a ca_file holds it.
func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// secure is a provider with TLS and HTTP/2, under a certificate that only its
// ca_file vouches for.
func secure(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, caFile string) {
	t.Helper()
	server = httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pemOf(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	return server, caFile
}

// A provider's own CA is trusted for it alone, HTTP/2 is spoken where there is TLS,
// and a file that is replaced is taken up with the next call.
func TestOwnCA(t *testing.T) {
	var protocol atomic.Value
	server, caFile := secure(t, func(w http.ResponseWriter, r *http.Request) {
		protocol.Store(r.Proto)
		streams(func(s *stream) { _ = s.word("one"); s.ends() })(w, r)
	})
	good, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, nil, func(h *house) { h.place(server.URL+"/v1", "d1").ProviderRef.CAFile = caFile })
	if resp, body, err := h.post(chat, ask); err != nil || resp.StatusCode != 200 || !strings.HasSuffix(body, doneMark) || protocol.Load() != "HTTP/2.0" {
		t.Errorf("%v %d %s over %v", err, resp.StatusCode, body, protocol.Load())
	}
	h.report()
	for name, c := range map[string]struct {
		text   string
		status int
	}{"another's": {anotherPEM, 502}, "no certificate": {"hello", 502}, "the right one again": {string(good) + "\n", 200}} {
		if err := os.WriteFile(caFile, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Chtimes(caFile, time.Now(), time.Now().Add(time.Duration(len(c.text))*time.Second))
		if resp, body, _ := h.post(chat, ask); resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		h.report()
	}
	h.places[0].ProviderRef.CAFile = ""
	if resp, _, _ := h.post(chat, ask); resp.StatusCode != 502 {
		t.Errorf("without the file: %d", resp.StatusCode)
	}
	h.report()
}

// Over HTTP/2 a provider that breaks off a stream breaks it for the caller too, and
// a caller who hangs up is noticed by the provider, whose connection lives on.
func TestOverHTTP2(t *testing.T) {
	gone := make(chan struct{})
	server, caFile := secure(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Story") {
		case "breaks":
			streams(func(s *stream) { _ = s.word("one"); cut() })(w, r)
		case "hangs":
			streams(func(s *stream) { _ = s.word("one"); <-s.r.Context().Done(); close(gone) })(w, r)
		default:
			says(200, answerJSON)(w, r)
		}
	})
	h := build(t, nil, func(h *house) { h.place(server.URL+"/v1", "d1").ProviderRef.CAFile = caFile })
	if _, body, err := h.post(chat, ask, "X-Story", "breaks"); err == nil || !strings.Contains(body, "upstream_unavailable") {
		t.Errorf("%v %q", err, body)
	}
	h.report()
	resp := h.do(h.request(chat, ask, "X-Story", "hangs"))
	_, _ = resp.Body.Read(make([]byte, 10))
	_ = resp.Body.Close()
	<-gone
	h.report()
	if resp, _, _ := h.post(chat, ask); resp.StatusCode != 200 {
		t.Errorf("afterwards: %d", resp.StatusCode)
	}
	h.report()
}

// A provider's proxy_url is used, and the environment's proxies never are.
func TestOnlyTheConfiguredProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "")
	var through atomic.Value
	forward := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through.Store(r.URL.String())
		says(200, answerJSON)(w, r)
	}))
	t.Cleanup(forward.Close)
	h := build(t, []http.HandlerFunc{says(200, answerJSON)})
	if resp, body, _ := h.post(chat, ask); resp.StatusCode != 200 || through.Load() != nil {
		t.Errorf("without a proxy: %d %s", resp.StatusCode, body)
	}
	h.report()
	h.places[0].ProviderRef = &registry.Provider{Name: "p-d1", Kind: registry.ProviderOpenAI, BaseURL: "http://models.internal/v1", AllowPrivate: true, ProxyURL: forward.URL}
	if resp, body, _ := h.post(chat, ask); resp.StatusCode != 200 || through.Load() != "http://models.internal/v1/chat/completions" {
		t.Errorf("through %v: %d %s", through.Load(), resp.StatusCode, body)
	}
	h.report()
}

// One connection serves one call after the other.
func TestConnectionsAreUsedAgain(t *testing.T) {
	var addresses []string
	for name, answer := range map[string]http.HandlerFunc{"streams": streams(func(s *stream) { s.ends() }), "documents": says(200, answerJSON), "refusals": says(400, "{}"), "limits": says(429, "{}")} {
		addresses = nil
		h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			addresses = append(addresses, r.RemoteAddr)
			answer(w, r)
		}})
		for range 3 {
			resp := h.do(h.request(chat, ask))
			_, _ = io.Copy(io.Discard, resp.Body)
			h.report()
		}
		if addresses[0] != addresses[2] {
			t.Errorf("%s: each call had its own connection: %v", name, addresses)
		}
	}
}

// A certificate that vouches for nobody here.
const anotherPEM = `-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIQIRi6zePL6mKjOipn+dNuaTAKBggqhkjOPQQDAjASMRAw
DgYDVQQKEwdBY21lIENvMB4XDTE3MTAyMDE5NDMwNloXDTE4MTAyMDE5NDMwNlow
EjEQMA4GA1UEChMHQWNtZSBDbzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABD0d
7VNhbWvZLWPuj/RtHFjvtJBEwOkhbN/BnnE8rnZR8+sbwnc/KhCk3FhnpHZnQz7B
5aETbbIgmuvewdjvSBSjYzBhMA4GA1UdDwEB/wQEAwICpDATBgNVHSUEDDAKBggr
BgEFBQcDATAPBgNVHRMBAf8EBTADAQH/MCkGA1UdEQQiMCCCDmxvY2FsaG9zdDo1
NDUzgg4xMjcuMC4wLjE6NTQ1MzAKBggqhkjOPQQDAgNIADBFAiEA2zpJEPQyz6/l
Wf86aX6PepsntZv2GYlA5UpabfT2EZICICpJ5h/iI+i341gBmLiAFQOyTDT+/wQc
6MF9+Yw1Yy0t
-----END CERTIFICATE-----`
