package whole_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// Bodies of callers that are hostile, broken or cut short are answers with a
// reason, never a 500 and never a dead process.
func TestHostileBodies(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for name, c := range map[string]struct {
		body string
		raw  []byte
		want string
	}{
		"empty":                  {body: "", want: "malformed"},
		"not JSON":               {body: "hello", want: "malformed"},
		"not an object":          {body: "[]", want: "malformed"},
		"nested 100,000 deep":    {body: `{"model":"gpt-4o","messages":` + deep + `}`, want: "malformed"},
		"two models":             {body: `{"model":"gpt-4o","model":"secret-model","messages":[]}`, want: "malformed"},
		"two models, escaped":    {body: `{"model":"gpt-4o","mod\u0065l":"secret-model","messages":[]}`, want: "malformed"},
		"something behind":       {body: `{"model":"gpt-4o","messages":[]} {}`, want: "malformed"},
		"a negative limit":       {body: `{"model":"gpt-4o","max_tokens":-1,"messages":[]}`, want: "malformed"},
		"a limit beyond numbers": {body: `{"model":"gpt-4o","max_tokens":1e400,"messages":[]}`, want: "malformed"},
		"not UTF-8":              {raw: []byte("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]"), want: "malformed"},
		"8 MiB":                  {body: `{"model":"gpt-4o","max_tokens":5,"messages":[{"role":"user","content":"` + strings.Repeat("a", 8<<20-100) + `"}]}`},
		"above 8 MiB":            {body: `{"model":"gpt-4o","max_tokens":5,"messages":[{"role":"user","content":"` + strings.Repeat("a", 8<<20) + `"}]}`, want: "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			request := chat(secret, c.body)
			if c.raw != nil {
				request.Body, request.BodyBase64 = "", base64.StdEncoding.EncodeToString(c.raw)
			}
			a, err := box.Decide(ctx(t), rig.Question{Request: request})
			var status *rig.StatusError
			if errors.As(err, &status) && status.Status == http.StatusRequestEntityTooLarge && c.want == "too_large" {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.Denied() != c.want {
				t.Errorf("answered %q %+v; want %q", a.Denied(), a.Reasons, c.want)
			}
		})
	}
}

// A gateway's own mistakes are 400 with what and where, and 404, 405 elsewhere.
func TestHostileEnvelopes(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	for name, c := range map[string]struct {
		method, path, body string
		want               int
	}{
		"empty":             {"POST", "/v1/decide", "", 400},
		"unknown field":     {"POST", "/v1/decide", `{"request":{"method":"POST","path":"/v1/messages"},"requset":{}}`, 400},
		"two bodies":        {"POST", "/v1/decide", `{"request":{"method":"POST","path":"/","body":"a","body_base64":"YQ=="}}`, 400},
		"deep":              {"POST", "/v1/decide", strings.Repeat(`{"request":`, 50_000), 400},
		"wrong method":      {"GET", "/v1/decide", "", 405},
		"wrong path":        {"POST", "/v1/decides", "{}", 404},
		"report of nothing": {"POST", "/v1/report", `{"outcome":"completed"}`, 400},
		"forged token":      {"POST", "/v1/report", `{"report_token":"forged","outcome":"completed"}`, 401},
		"unknown call":      {"POST", "/v1/report", `{"call_id":"never","outcome":"completed"}`, 404},
		"unknown outcome":   {"POST", "/v1/report", `{"call_id":"never","outcome":"lost"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(ctx(t), c.method, "http://"+box.HTTP+c.path, bytes.NewReader([]byte(c.body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := box.HTTPClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.want {
				t.Errorf("answered %d %s; want %d", resp.StatusCode, body, c.want)
			}
			if c.want != 405 && c.want != 404 && !bytes.Contains(body, []byte("message")) {
				t.Errorf("no message: %s", body)
			}
		})
	}
}
