package http_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	httpdoor "github.com/signalbox-dev/signalbox/adapters/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is the far end of the HTTP door, written against the contract and not
// against our own types.
type gateway struct {
	url    string
	client *http.Client
}

func open(t *testing.T, h adaptertest.House) adaptertest.Door {
	handler := httpdoor.New(httpdoor.Config{Decider: h.Decider, Settler: h.Settler, Guard: h.Guard, Log: slog.New(slog.DiscardHandler)})
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &gateway{url: server.URL, client: server.Client()}
}

func TestConformance(t *testing.T) { adaptertest.Run(t, open) }

func (g *gateway) Decide(t *testing.T, token string, q door.Question) (*door.Answer, *adaptertest.Failure) {
	request := map[string]any{"method": q.Method, "path": q.Path, "headers": q.Headers}
	if utf8.Valid(q.Body) {
		request["body"] = string(q.Body)
	} else {
		request["body_base64"] = base64.StdEncoding.EncodeToString(q.Body)
	}
	if q.BodyComplete != nil {
		request["body_complete"] = *q.BodyComplete
	}
	envelope := map[string]any{"request": request}
	if q.CallID != "" {
		envelope["call_id"] = q.CallID
	}
	if q.Gateway != "" {
		envelope["gateway"] = q.Gateway
	}
	var a door.Answer
	failure := g.post(t, "/v1/decide", token, envelope, &a)
	if failure != nil {
		return nil, failure
	}
	return &a, nil
}

func (g *gateway) Report(t *testing.T, token string, r door.Report) (*door.Receipt, *adaptertest.Failure) {
	message := map[string]any{"outcome": r.Outcome, "status": r.Status, "latency_ms": r.LatencyMS, "ttft_ms": r.TTFTMS}
	for name, value := range map[string]string{"report_token": r.ReportToken, "call_id": r.CallID, "gateway": r.Gateway,
		"deployment": r.Deployment, "service_tier": r.ServiceTier, "source": r.Source} {
		if value != "" {
			message[name] = value
		}
	}
	if r.Usage != nil {
		message["usage"] = r.Usage
	}
	if r.ProviderUsage != nil {
		message["provider_usage"] = json.RawMessage(r.ProviderUsage)
	}
	if r.SeenOutputTokens != nil {
		message["seen_output_tokens"] = *r.SeenOutputTokens
	}
	if len(r.Attempts) > 0 {
		message["attempts"] = r.Attempts
	}
	var receipt door.Receipt
	failure := g.post(t, "/v1/report", token, message, &receipt)
	if failure != nil {
		return nil, failure
	}
	return &receipt, nil
}

// kinds reads the codes of errors back.
var kinds = map[string]door.Kind{
	"bad_envelope": door.BadEnvelope, "envelope_too_large": door.TooLarge, "wrong_content_type": door.WrongType,
	"gateway_unknown": door.UnknownGateway, "report_token_forged": door.ForgedToken, "foreign_origin": door.Foreign, "call_unknown": door.UnknownCall,
	"call_conflict": door.Conflict, "unavailable": door.Unavailable, "withdrawn": door.Withdrawn, "internal": door.Internal,
}

func (g *gateway) post(t *testing.T, path, token string, message, into any) *adaptertest.Failure {
	t.Helper()
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+path, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("X-Signalbox-Gateway-Token", token)
	}
	res, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%v in %.200s", err, answer)
		}
		return nil
	}
	if res.StatusCode == http.StatusServiceUnavailable && bytes.Contains(answer, []byte(`"decision_id"`)) {
		var a door.Answer
		if err := json.Unmarshal(answer, &a); err != nil {
			t.Fatal(err)
		}
		return &adaptertest.Failure{Kind: door.Unavailable, Answer: &a}
	}
	var e struct {
		Error struct{ Code, Message, Where string }
	}
	if err := json.Unmarshal(answer, &e); err != nil || kinds[e.Error.Code] == 0 {
		t.Fatalf("status %d with %.200s: %v", res.StatusCode, answer, err)
	}
	return &adaptertest.Failure{Kind: kinds[e.Error.Code], Message: e.Error.Message}
}
