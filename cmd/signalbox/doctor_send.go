package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

const (
	// probeTime bounds one call. A direct answer takes milliseconds; a provider that
	// is reached need not be waited for.
	probeTime = 10 * time.Second
	// probeAnswer is what is read of an answer: a refusal is short, and of a provider's
	// answer only its beginning matters.
	probeAnswer = 64 << 10
	// foldTime is how long a replica may take to hear of a new key.
	foldTime = 5 * time.Second
	// enough calls of one kind have been let through: more would cost money and say
	// nothing new.
	enough = 3
)

// doctorCaller calls the gateway as an application does.
type doctorCaller struct {
	address string
	headers map[string]string // of the operator's, for a gateway that wants them
	http    *http.Client
}

func newDoctorCaller(o doctorOptions) (*doctorCaller, error) {
	address, err := readGateway(o.gateway)
	if err != nil {
		return nil, err
	}
	headers, err := readCallerHeaders(o.headers)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, fmt.Errorf("read --ca: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s holds no certificate", o.ca)
		}
	}
	client := &http.Client{Transport: transport, Timeout: probeTime,
		// Where a gateway redirects to is another gateway, and the key is for this one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &doctorCaller{address: address, headers: headers, http: client}, nil
}

// probe sends the calls one after another, so that a gateway in use does not feel it.
func probe(ctx context.Context, caller *doctorCaller, c *canary, probes []doctorProbe) ([]*doctorSeen, error) {
	var all []*doctorSeen
	passed, silent := map[string]int{}, 0
	for _, p := range probes {
		kind := string(p.check) + " " + p.shown
		if passed[kind] >= enough {
			continue
		}
		seen := caller.ask(ctx, c, p)
		if ctx.Err() != nil {
			return nil, errors.New("interrupted; the canary is removed")
		}
		silent++
		if seen.err == nil {
			silent = 0
		}
		if silent == enough {
			return nil, fmt.Errorf("cannot reach the gateway at %s: %w", caller.address, seen.err)
		}
		if seen.verdict = judgeSeen(seen); seen.verdict.is == passedBy {
			passed[kind]++
		}
		all = append(all, seen)
	}
	return all, nil
}

// ask sends one call, again where the replica that was asked does not know the canary
// yet.
func (d *doctorCaller) ask(ctx context.Context, c *canary, p doctorProbe) *doctorSeen {
	for {
		seen := d.send(ctx, c, p)
		young := seen.code == "key_unknown" && p.sendsCanary() && time.Since(c.born) < foldTime
		if !young || ctx.Err() != nil {
			return seen
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// sendsCanary reports whether the call has the canary's own key.
func (p doctorProbe) sendsCanary() bool {
	return p.check == checkCanary || p.check == checkForged || p.check == checkList || p.check == checkUnknown
}

func (d *doctorCaller) send(ctx context.Context, c *canary, p doctorProbe) *doctorSeen {
	seen := &doctorSeen{doctorProbe: p, canary: c}
	req, err := d.request(ctx, c, p)
	if err != nil {
		seen.err = err
		return seen
	}
	began := time.Now()
	res, err := d.http.Do(req)
	if err != nil {
		if failure, ok := errors.AsType[*url.Error](err); ok {
			err = failure.Err // without the address, which stands above the table
		}
		seen.err = err
		return seen
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, probeAnswer)) // what could be read is judged
	seen.took = time.Since(began)
	seen.read(res, body)
	return seen
}

func (d *doctorCaller) request(ctx context.Context, c *canary, p doctorProbe) (*http.Request, error) {
	var body io.Reader
	if p.method != http.MethodGet {
		body = strings.NewReader(p.body)
	}
	req, err := http.NewRequestWithContext(ctx, p.method, d.address, body)
	if err != nil {
		return nil, err
	}
	// Written as it is: a client that tidies paths would try another one.
	path, query, _ := strings.Cut(p.path, "?")
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = unescaped(path), path, query
	if body != nil {
		req.Header.Set("content-type", "application/json")
	}
	if p.dialect == llm.Anthropic {
		req.Header.Set("anthropic-version", "2023-06-01")
	}
	for _, headers := range []map[string]string{d.headers, p.headers} {
		for name, value := range headers {
			req.Header.Set(name, value)
		}
	}
	if host := d.headers["host"]; host != "" {
		req.Host = host
	}
	if key := p.key(c); key != "" {
		name, value := keyHeader(p, key)
		req.Header.Set(name, value)
	}
	return req, nil
}

func unescaped(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return path
	}
	return plain
}

// The keys that nobody made: of our shape, with a checksum that is wrong, and of a
// provider's.
const (
	badKey     = "sbx_0000000000000000000000000000000000000000"
	foreignKey = "sk-proj-signalbox-doctor-0000000000000000"
)

// key is what the call is sent with.
func (p doctorProbe) key(c *canary) string {
	switch p.check {
	case checkNoKey:
		return ""
	case checkBadKey:
		return badKey
	case checkForeign:
		return foreignKey
	}
	return c.secret
}

// keyHeader is where the SDK of this path's dialect puts a key.
func keyHeader(p doctorProbe, key string) (name, value string) {
	switch {
	case p.dialect == llm.Anthropic:
		return "x-api-key", key
	case strings.HasPrefix(p.path, "/openai/deployments/"):
		return "api-key", key
	}
	return "authorization", "Bearer " + key
}

// doctorSeen is a call and what came back.
type doctorSeen struct {
	doctorProbe
	canary *canary
	err    error // nothing came back

	status   int
	decision string // the decision that the answer names
	code     string // of an error body, in either dialect
	budget   string // that a refusal names
	error    bool   // the body is a JSON error, whoever wrote it
	upstream bool   // a provider's mark is on the answer
	took     time.Duration

	gateway string // as whom the gateway asked, by the journal
	verdict verdict
}

// providerHeaders begin headers that providers send, or Envoy for them. A gateway
// that answers by itself sends none.
var providerHeaders = []string{"x-envoy-upstream-service-time", "openai-", "anthropic-", "x-ratelimit-", "cf-ray", "x-ms-", "apim-request-id"}

// read takes from an answer what the verdict is made of.
func (s *doctorSeen) read(res *http.Response, body []byte) {
	s.status, s.decision = res.StatusCode, res.Header.Get("x-signalbox-decision")
	for name := range res.Header {
		for _, prefix := range providerHeaders {
			s.upstream = s.upstream || strings.HasPrefix(strings.ToLower(name), prefix)
		}
	}
	var document struct {
		Error *struct {
			Code      any       `json:"code"`
			Signalbox ourFields `json:"signalbox"`
			Details   struct {
				Code      string    `json:"error_code"`
				Signalbox ourFields `json:"signalbox"`
			} `json:"details"`
		} `json:"error"`
	}
	// What is not JSON leaves everything empty; so does a provider that says error in
	// another way.
	if json.Unmarshal(body, &document) != nil || document.Error == nil {
		return
	}
	e := document.Error
	s.error = true
	s.code, _ = e.Code.(string)
	ours := e.Signalbox
	if e.Details.Code != "" {
		s.code, ours = e.Details.Code, e.Details.Signalbox
	}
	s.budget = ours.Budget
	if s.decision == "" { // a gateway that drops our headers still shows our body
		s.decision = ours.DecisionID
	}
}

type ourFields struct {
	DecisionID string `json:"decision_id"`
	Budget     string `json:"budget"`
}
