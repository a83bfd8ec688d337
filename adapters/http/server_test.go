package http_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	httpdoor "github.com/signalbox-dev/signalbox/adapters/http"
	"github.com/signalbox-dev/signalbox/decision"
)

// local is a door of this machine, with everything it logged.
func local(t *testing.T, d httpdoor.Decider) (http.Handler, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	return httpdoor.New(httpdoor.Config{
		Decider: d, Settler: &adaptertest.Settler{}, Guard: door.Guard{Gateways: adaptertest.Gateways{}, TrustLocal: true},
		Body: 64 << 10, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}), log
}

// ask sends one request from this machine.
func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "127.0.0.1:8080"
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const goodQuestion = `{"request":{"method":"POST","path":"/v1/chat/completions","headers":{},"body":"{}"}}`

// The answer's JSON, field by field and in the contract's order.
func TestAnswerAsTheContractShowsIt(t *testing.T) {
	h, _ := local(t, &adaptertest.Decider{Answer: adaptertest.Plan()})
	w := ask(h, "POST", "/v1/decide", goodQuestion)
	want := `{"decision_id":"d-1","call_id":"c-1","action":"route","changes":["clamped"],"deployments":[` +
		`{"name":"gpt-4o-ptu","provider":"azure-weu","kind":"azure-openai","host":"contoso.openai.azure.com","path":"/openai/deployments/gpt-4o-prod/chat/completions?api-version=2024-10-21","upstream_model":"gpt-4o-prod","scheme":"https"},` +
		`{"name":"gpt-4o-paygo","provider":"azure-weu","kind":"azure-openai","host":"contoso.openai.azure.com","path":"/openai/deployments/gpt-4o-std/chat/completions?api-version=2024-10-21","upstream_model":"gpt-4o-std","scheme":"https"}],` +
		`"request":{"body":"{\"model\":\"gpt-4o\",\"max_tokens\":1024}","model_span":[10,16]},"reasons":[],` +
		`"hold":{"usd":"0.01234","tokens":1864,"max_output_tokens":1024,"expires_at":"2026-03-01T12:00:00.000005Z","attempts":2},` +
		`"report_token":"token","policy_revision":"p-7","registry_version":17,` +
		`"caller_headers":{"x-signalbox-budget":"acme-month","x-signalbox-budget-left":"12.5","x-signalbox-decision":"d-1"},` +
		`"findings":[{"kind":"email","at":[17,31],"where":"messages[0].content"}]}` + "\n"
	if diff := cmp.Diff(want, w.Body.String()); w.Code != 200 || diff != "" {
		t.Errorf("status %d (-want +got):\n%s", w.Code, diff)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
}

// A denial is an answer: 200, empty lists, and no field that has no meaning.
func TestDenialAsTheContractShowsIt(t *testing.T) {
	h, _ := local(t, &adaptertest.Decider{Answer: adaptertest.Refusal("openai", 0, decision.BudgetExhausted)})
	w := ask(h, "POST", "/v1/decide", goodQuestion)
	want := `{"decision_id":"d-2","call_id":"","action":"deny","changes":[],"deployments":[],"response":{"status":402,"headers":{` +
		`"content-type":"application/json","x-request-id":"d-2","x-should-retry":"false","x-signalbox-budget":"acme-month","x-signalbox-budget-left":"0.02","x-signalbox-decision":"d-2"},` +
		`"body":"{\"error\":{\"message\":\"because of \\\"budget_exhausted\\\"\",\"type\":\"insufficient_quota\",\"param\":null,\"code\":\"budget_exhausted\",\"signalbox\":{\"decision_id\":\"d-2\",\"budget\":\"acme-month\",\"unit\":\"usd\",\"limit\":\"5000\",\"spent\":\"4999.98\",\"held\":\"0\",\"asked\":\"0.0123\",\"resets_at\":\"2026-04-01T00:00:00Z\"}}}"},` +
		`"reasons":[{"code":"budget_exhausted","message":"because of \"budget_exhausted\"","budget":"acme-month","unit":"usd","limit":"5000","spent":"4999.98","held":"0","asked":"0.0123","resets_at":"2026-04-01T00:00:00Z"}],` +
		`"policy_revision":"p-7","registry_version":17}` + "\n"
	if diff := cmp.Diff(want, w.Body.String()); w.Code != 200 || diff != "" {
		t.Errorf("status %d (-want +got):\n%s", w.Code, diff)
	}
}

// A report as the contract shows it.
func TestReportAsTheContractShowsIt(t *testing.T) {
	settler := &adaptertest.Settler{Settled: decision.Settled{Settled: true, ChargedNanoUSD: 2_590_000, ReleasedNanoUSD: 9_750_000}}
	h := httpdoor.New(httpdoor.Config{Decider: &adaptertest.Decider{}, Settler: settler, Log: slog.New(slog.DiscardHandler),
		Guard: door.Guard{Gateways: adaptertest.Gateways{}, TrustLocal: true}})
	w := ask(h, "POST", "/v1/report", `{"report_token":"t","outcome":"completed","deployment":"gpt-4o-paygo","status":200,
		"attempts":[{"deployment":"x","status":429,"outcome":"failed","latency_ms":20}],
		"usage":{"input_tokens":812,"cached_input_tokens":512,"cache_write_tokens":0,"cache_write_long_tokens":0,"output_tokens":120,"reasoning_tokens":0},
		"latency_ms":912,"ttft_ms":140}`)
	want := `{"settled":true,"repeated":false,"charged":{"usd":"0.00259"},"released":{"usd":"0.00975"}}` + "\n"
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What is wrong with an envelope is said with its place, and never with a value.
func TestBadEnvelopes(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for _, c := range []struct{ name, body, where, says string }{
		{"empty", "", "", "no body"},
		{"not JSON", "hello", "", "not JSON at byte 0"},
		{"cut short", goodQuestion[:40], "", "too early"},
		{"two documents", goodQuestion + goodQuestion, "", "not JSON"},
		{"an array", "[]", "", "want an object"},
		{"null", "null", "request", "want the caller's request"},
		{"no request", "{}", "request", "want the caller's request"},
		{"an unknown field", `{"reqest":{}}`, "reqest", "unknown field"},
		{"an unknown field within", `{"request":{"method":"POST","path":"/","header":{}}}`, "request.header", "unknown field"},
		{"a field in another case", `{"Request":{}}`, "Request", "unknown field"},
		{"a field twice", `{"request":{"method":"POST","method":"GET","path":"/"}}`, "request.method", "twice"},
		{"a header twice", `{"request":{"method":"POST","path":"/","headers":{"a":"1","a":"2"}}}`, "request.headers.a", "twice"},
		{"a header in two cases", `{"request":{"method":"POST","path":"/","headers":{"A":"1","a":"2"}}}`, "request.headers.a", "twice"},
		{"a header's list", `{"request":{"method":"POST","path":"/","headers":{"a":["1"]}}}`, "request.headers.a", "want a string"},
		{"the body as an object", `{"request":{"method":"POST","path":"/","body":{"model":"x"}}}`, "request.body", "want a string: the caller's body"},
		{"the body twice", `{"request":{"method":"POST","path":"/","body":"","body_base64":""}}`, "request.body_base64", "not both"},
		{"half a surrogate pair", `{"request":{"method":"POST","path":"/","body":"\ud83d"}}`, "request.body", "body_base64"},
		{"half a pair in a header", `{"request":{"method":"POST","path":"/","headers":{"a":"\udc00"}}}`, "request.headers.a", "UTF-8"},
		{"not UTF-8", "{\"request\":{\"method\":\"POST\",\"path\":\"/\",\"body\":\"\xff\"}}", "request.body", "body_base64"},
		{"not base64", `{"request":{"method":"POST","path":"/","body_base64":"%%"}}`, "request.body_base64", "base64"},
		{"completeness as a word", `{"request":{"method":"POST","path":"/","body_complete":"yes"}}`, "request.body_complete", "true or false"},
		{"a number for a name", `{"call_id":7}`, "call_id", "want a string"},
		{"nested without end", deep, "", ""},
		{"nested without end, within", `{"request":{"headers":` + deep, "", ""},
		{"a name of 10 KiB", `{"` + strings.Repeat("n", 10<<10) + `":1}`, strings.Repeat("n", 40) + "…", "unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			decider := &adaptertest.Decider{}
			h, log := local(t, decider)
			w := ask(h, "POST", "/v1/decide", c.body)
			got := w.Body.String()
			if w.Code != 400 || !strings.Contains(got, `"code":"bad_envelope"`) || !strings.Contains(got, c.says) {
				t.Errorf("%d %s", w.Code, got)
			}
			if c.where != "" && !strings.Contains(got, `"where":"`+c.where+`"`) {
				t.Errorf("where is not %q in %s", c.where, got)
			}
			if len(got) > 500 || log.Len() > 0 || len(decider.Seen()) > 0 {
				t.Errorf("too much said (%d bytes), logged (%s) or asked", len(got), log)
			}
		})
	}
}

func TestBadReportsByTheirPlace(t *testing.T) {
	for body, where := range map[string]string{
		`{"report_token":"t","outcome":"completed","usage":{"input_tokens":"1"}}`:                                                      "usage.input_tokens",
		`{"report_token":"t","outcome":"completed","usage":{"input_tokens":1.5}}`:                                                      "usage.input_tokens",
		`{"report_token":"t","outcome":"completed","usage":{"input_tokens":99999999999999999999}}`:                                     "usage.input_tokens",
		`{"report_token":"t","outcome":"completed","usage":{"prompt_tokens":1}}`:                                                       "usage.prompt_tokens",
		`{"report_token":"t","outcome":"completed","provider_usage":[1]}`:                                                              "provider_usage",
		`{"report_token":"t","outcome":"done"}`:                                                                                        "outcome",
		`{"report_token":"t","outcome":"completed","attempts":[{"outcome":"failed"},{"outcome":"failed","usage":{"other":{"a":-1}}}]}`: "attempts[1].usage.other",
	} {
		h, _ := local(t, &adaptertest.Decider{})
		if w := ask(h, "POST", "/v1/report", body); w.Code != 400 || !strings.Contains(w.Body.String(), `"where":"`+where+`"`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// Doors that are not there, or are knocked at in the wrong way.
func TestWrongDoors(t *testing.T) {
	h, _ := local(t, &adaptertest.Decider{Answer: adaptertest.Plan()})
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
	}{
		{"the right way", "POST", "/v1/decide", nil, 200},
		{"the right way, with a charset", "POST", "/v1/decide", []string{"Content-Type", "application/json; charset=utf-8"}, 200},
		{"without a content type", "POST", "/v1/decide", []string{"Content-Type", ""}, 200},
		{"as a form", "POST", "/v1/decide", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"as plain text", "POST", "/v1/decide", []string{"Content-Type", "text/plain"}, 415},
		{"compressed", "POST", "/v1/decide", []string{"Content-Encoding", "gzip"}, 415},
		{"read instead of asked", "GET", "/v1/decide", nil, 405},
		{"a report put", "PUT", "/v1/report", nil, 405},
		{"nothing there", "POST", "/v1/decides", nil, 404},
		{"a rebound name", "POST", "/v1/decide", []string{"Host", "evil.example"}, 403},
		{"another page", "POST", "/v1/decide", []string{"Origin", "https://evil.example"}, 403},
		{"a token, whatever the host", "POST", "/v1/decide", []string{"Host", "signalbox.internal", "X-Signalbox-Gateway-Token", adaptertest.Token}, 200},
		{"a wrong token", "POST", "/v1/decide", []string{"X-Signalbox-Gateway-Token", "sbg_guess"}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(h, c.method, c.path, goodQuestion, c.headers...)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if c.status == 405 && w.Header().Get("Allow") != "POST" {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
}

// A question is read up to its bound and not a byte further, whether or not its
// length was announced.
func TestEnvelopeBound(t *testing.T) {
	h, _ := local(t, &adaptertest.Decider{Answer: adaptertest.Plan()})
	bound := int(door.EnvelopeBound(64 << 10))
	pad := func(n int) string { return goodQuestion + strings.Repeat(" ", n-len(goodQuestion)) }
	if w := ask(h, "POST", "/v1/decide", pad(bound)); w.Code != 200 {
		t.Errorf("at the bound: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/v1/decide", pad(bound+1)); w.Code != 413 {
		t.Errorf("above the bound: %d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest("POST", "/v1/decide", io.MultiReader(strings.NewReader(pad(bound)), strings.NewReader("x")))
	r.ContentLength = -1
	r.Header.Set("X-Signalbox-Gateway-Token", adaptertest.Token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "body_base64") {
		t.Errorf("unannounced: %d %s", w.Code, w.Body)
	}
	// A body that breaks off is the sender's, and no 500.
	r = httptest.NewRequest("POST", "/v1/decide", io.MultiReader(strings.NewReader("{"), failing{}))
	r.Header.Set("X-Signalbox-Gateway-Token", adaptertest.Token)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 400 {
		t.Errorf("broken off: %d %s", w.Code, w.Body)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Neither a key nor a prompt reaches the log, whatever goes wrong with the
// question that holds them.
func TestNoSecretReachesTheLog(t *testing.T) {
	const key, prompt, token = "sbx_PLANTEDKEY", "PLANTEDPROMPT", "sbg_PLANTEDTOKEN"
	question := `{"call_id":"c","request":{"method":"POST","path":"/v1/chat/completions","headers":{"authorization":"Bearer ` + key + `"},"body":"` + prompt + `"}}`
	for name, d := range map[string]httpdoor.Decider{
		"allowed":     &adaptertest.Decider{Answer: adaptertest.Plan()},
		"refused":     &adaptertest.Decider{Answer: adaptertest.Refusal("openai", 0, decision.KeyUnknown)},
		"conflict":    &adaptertest.Decider{Err: &decision.Conflict{CallID: "c", Why: "settled"}},
		"unavailable": &adaptertest.Decider{Err: &decision.Unavailable{Cause: errors.New("no broker")}},
		"broken":      &adaptertest.Decider{Err: errors.New("boom")},
		"panicking":   panicking{},
	} {
		h, log := local(t, d)
		var said strings.Builder
		for _, body := range []string{question, question[:len(question)-1], strings.Replace(question, `"body"`, `"bodi"`, 1),
			strings.Replace(question, `"`+prompt+`"`, `{"x":"`+prompt+`"}`, 1), strings.Replace(question, `"Bearer `+key+`"`, `7`, 1)} {
			said.WriteString(ask(h, "POST", "/v1/decide", body).Body.String())
			said.WriteString(ask(h, "POST", "/v1/decide", body, "X-Signalbox-Gateway-Token", token).Body.String())
		}
		for _, secret := range []string{key, prompt, token} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%s: the log holds %s:\n%s", name, secret, log)
			}
			if strings.Contains(said.String(), secret) {
				t.Errorf("%s: an answer repeats %s:\n%s", name, secret, said.String())
			}
		}
	}
}

// panicking is a bug that holds what the caller sent.
type panicking struct{}

func (panicking) Decide(_ context.Context, r decision.Request) (decision.Answer, error) {
	panic("bug with " + string(r.Body) + r.Headers["authorization"])
}

func TestAPanicIsA500WithItsPlaceInTheLog(t *testing.T) {
	h, log := local(t, panicking{})
	w := ask(h, "POST", "/v1/decide", goodQuestion)
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"code":"internal"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "panicking.Decide") {
		t.Errorf("the log does not say where: %s", log)
	}
}

// A gateway proves itself by its certificate; one of another authority, or none,
// is not let in, and old TLS is not spoken.
func TestGatewaysProveThemselvesByCertificate(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := authority(t, "ours")
	otherCA, otherKey := authority(t, "theirs")
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.Raw)
	issue(t, dir, "server", ca, caKey, "localhost")
	good := issue(t, dir, "good", ca, caKey, adaptertest.Gateway)
	stranger := issue(t, dir, "stranger", ca, caKey, "edge-9")
	forged := issue(t, dir, "forged", otherCA, otherKey, adaptertest.Gateway)

	decider := &adaptertest.Decider{Answer: adaptertest.Plan()}
	handler := httpdoor.New(httpdoor.Config{Decider: decider, Settler: &adaptertest.Settler{}, Guard: door.Guard{Gateways: adaptertest.Gateways{}}, Log: slog.New(slog.DiscardHandler)})
	server, err := httpdoor.NewServer(handler, door.TLS{Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key"), ClientCA: filepath.Join(dir, "ca.pem")},
		httpdoor.DefaultTimeouts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })

	call := func(config *tls.Config) (int, error) {
		config.RootCAs, config.ServerName = x509.NewCertPool(), "localhost"
		config.RootCAs.AddCert(ca)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		res, err := client.Post("https://"+listener.Addr().String()+"/v1/decide", "application/json", strings.NewReader(goodQuestion))
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		return res.StatusCode, nil
	}
	if status, err := call(&tls.Config{Certificates: []tls.Certificate{good}}); status != 200 || decider.Seen()[0].Gateway != adaptertest.Gateway {
		t.Errorf("a gateway's certificate: %d %v", status, err)
	}
	if status, err := call(&tls.Config{}); status != 401 {
		t.Errorf("no certificate: %d %v", status, err)
	}
	if status, err := call(&tls.Config{Certificates: []tls.Certificate{stranger}}); status != 401 {
		t.Errorf("a certificate of no gateway: %d %v", status, err)
	}
	if status, err := call(&tls.Config{Certificates: []tls.Certificate{forged}}); err == nil && status != 401 {
		t.Errorf("a certificate of another authority: %d", status)
	}
	if _, err := call(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func TestTLSFilesThatDoNotWork(t *testing.T) {
	dir := t.TempDir()
	ca, key := authority(t, "ours")
	issue(t, dir, "server", ca, key, "localhost")
	cert, certKey := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	for name, files := range map[string]door.TLS{
		"no key":        {Cert: cert},
		"no file":       {Cert: cert, Key: filepath.Join(dir, "none")},
		"swapped":       {Cert: certKey, Key: cert},
		"no authority":  {Cert: cert, Key: certKey, ClientCA: filepath.Join(dir, "none")},
		"a key as a CA": {Cert: cert, Key: certKey, ClientCA: certKey},
	} {
		if _, err := files.Config(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if config, err := (door.TLS{}).Config(); config != nil || err != nil {
		t.Errorf("no TLS: %v %v", config, err)
	}
}

func authority(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func issue(t *testing.T, dir, file string, ca *x509.Certificate, caKey *ecdsa.PrivateKey, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, file+".pem"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, file+".key"), "PRIVATE KEY", private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
