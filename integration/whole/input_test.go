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

// Keys, paths, names and ids are a caller's to write, and may be anything.
func TestHostileCallers(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	long := strings.Repeat("a", 60<<10)
	ask := func(path string, headers map[string]string) string {
		a, err := box.Decide(ctx(t), rig.Question{Request: rig.Request{Method: "POST", Path: path, Headers: headers, Body: hello, BodyComplete: true}})
		var status *rig.StatusError
		switch {
		case errors.As(err, &status) && status.Status == http.StatusBadRequest && strings.Contains(status.Body, `"bad_envelope"`):
			return "bad_envelope" // what no gateway can have read in a request
		case err != nil:
			t.Errorf("%.40q %.60q: %v", path, headers, err)
		}
		return a.Denied()
	}
	for _, hostile := range []string{"", " ", "Bearer", "sbx_", "sbx_" + long, secret + "\n", secret[:len(secret)-1], "sbx_\x00\xff\u202e", "sba_" + secret[4:], strings.ToUpper(secret), "sbx_" + strings.Repeat("日", 40)} {
		switch got := ask("/v1/chat/completions", map[string]string{"authorization": "Bearer " + hostile}); got {
		case "key_missing", "key_unknown", "bad_envelope":
		default:
			t.Errorf("key %.20q: %q", hostile, got)
		}
	}
	for _, path := range []string{"", "/", "v1/chat/completions", "/v1/chat/completions/../messages", "//v1/chat/completions", "/v1/chat/completions/", "/v1/%63hat/completions", "/openai/deployments//chat/completions", "/" + long, "/\x00", "http://127.0.0.1/v1/messages", "/v1/chat/completions\r\nHost: evil"} {
		switch got := ask(path, bearer(secret)); got {
		case "path_unknown", "malformed", "model_unknown", "bad_envelope":
		default:
			t.Errorf("path %.40q: %q", path, got)
		}
	}
	for name, headers := range map[string]map[string]string{
		"a user that is too long":  {"x-signalbox-user": long},
		"a user of control bytes":  {"x-signalbox-user": "a\x00b\nc"},
		"a trace parent that lies": {"traceparent": "00-" + long},
		"a retry count that lies":  {"x-stainless-retry-count": "99999999999999999999"},
		"another tenant's name":    {"x-signalbox-tenant": "acme", "x-signalbox-team": "support"},
		"a length that lies":       {"content-length": "-1", "transfer-encoding": "chunked"},
	} {
		headers["authorization"] = "Bearer " + secret
		switch got := ask("/v1/chat/completions", headers); got {
		case "", "malformed", "bad_envelope":
		default:
			t.Errorf("%s: %q", name, got)
		}
	}
	open(t, box, secret, "")
}

// What is typed wrongly is exit 2 with what to type, and a hostile registry file
// is exit 1 with a sentence.
func TestHostileOperators(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	for _, args := range [][]string{
		{"serv"}, {"serve", "--chek"}, {"apply", "-f"}, {"keys"}, {"keys", "create"}, {"keys", "create", "--app", "a/b", "--admin"},
		{"keys", "create", "--app", "globex/notebook", "--expires", "soon"}, {"keys", "rotate", "k-1"}, {"keys", "rotate"},
		{"budgets", "--match", "tenant"}, {"budgets", "adjust", "month"}, {"sql"}, {"sql", ""}, {"sql", "SELECT 1", "-o", "xml"},
		{"decide", "-H", "no colon"}, {"budgets", "--url", "ftp://nowhere"},
	} {
		done, err := box.Command(ctx(t), args...)
		if help := len(args) == 1 && args[0] == "keys"; help {
			if err != nil || done.Exit != 0 {
				t.Errorf("%v: %v %+v; want its help", args, err, done)
			}
			continue
		}
		if err != nil || done.Exit != 2 || strings.Count(strings.TrimSpace(done.Stderr), "\n") > 1 || !strings.HasPrefix(done.Stderr, "signalbox: ") {
			t.Errorf("%v: %v %+v; want exit 2 and a sentence", args, err, done)
		}
	}
	r := newRegistryFile(t, box)
	for name, world := range map[string]string{
		"nested 100,000 deep": "tenants: " + strings.Repeat("[", 100_000),
		"an alias bomb":       "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\ntenants: [*c,*c,*c,*c]\n",
		"not UTF-8":           "tenants: [{name: \"\xff\xfe\"}]\n",
		"a name twice":        "tenants: [{name: a}, {name: a}]\n",
		"a key twice":         "tenants: []\ntenants: []\n",
		"a number too large":  people + "budgets: [{name: b, match: {tenant: globex}, unit: usd, amount: \"99999999999999999999\", window: total}]\n",
		"an infinite amount":  people + "budgets: [{name: b, match: {tenant: globex}, unit: usd, amount: \"1e9\", window: total}]\n",
		"a control character": "tenants: [{name: \"a\\u0000b\"}]\n",
		"a name of a path":    "tenants: [{name: ../../etc}]\n",
	} {
		done := r.apply(t, world, "--yes")
		if done.Exit != 1 || !strings.HasPrefix(done.Stderr, r.file+":") && !strings.HasPrefix(done.Stderr, "signalbox: ") || strings.Contains(done.Stderr, "panic") {
			t.Errorf("%s: exit %d %.300q", name, done.Exit, done.Stderr)
		}
	}
}
