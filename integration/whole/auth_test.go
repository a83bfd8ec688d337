package whole_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

const edges = people + "gateways: [{name: edge-1}, {name: edge-2}]\n"

// A gateway that shows a token is what the token says, also on this machine, where
// it could have gone without: a wrong one must not pass as none.
func TestGatewayTokens(t *testing.T) {
	box := start(t, edges, "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	id, token := newToken(t, box, "--gateway", "edge-1")
	_, operator := newToken(t, box, "--admin")
	asks := func(token, gateway string) int {
		box.GatewayToken = token
		defer func() { box.GatewayToken = "" }()
		_, err := box.Decide(ctx(t), rig.Question{Gateway: gateway, Request: chat(secret, hello)})
		return statusOf(t, err)
	}
	for name, c := range map[string]struct {
		token, gateway string
		want           int
	}{
		"no token on this machine":        {"", "", 200},
		"no token, a declared name":       {"", "edge-2", 200},
		"no token, a name nobody knows":   {"", "edge-9", 401},
		"its token":                       {token, "", 200},
		"its token and its name":          {token, "edge-1", 200},
		"its token and another's name":    {token, "edge-2", 401},
		"a wrong token":                   {token[:len(token)-1] + "?", "", 401},
		"an app's key for a token":        {secret, "", 401},
		"an operator's token for its own": {operator, "", 401},
	} {
		if got := asks(c.token, c.gateway); got != c.want {
			t.Errorf("%s: %d; want %d", name, got, c.want)
		}
	}
	client := decisionv1.NewDecisionsClient(dial(t, box))
	for token, want := range map[string]codes.Code{token: codes.OK, "sbg_wrong": codes.Unauthenticated} {
		_, err := client.Decide(metadata.AppendToOutgoingContext(ctx(t), "x-signalbox-gateway-token", token), asked(secret, "", hello))
		if status.Code(err) != want {
			t.Errorf("over gRPC: %v; want %s", err, want)
		}
	}
	if _, err := box.Run(ctx(t), "keys", "revoke", id, "--yes"); err != nil {
		t.Fatal(err)
	}
	if got := asks(token, ""); got != 401 {
		t.Errorf("a revoked token: %d; want 401", got)
	}
}

// Operators may have a door of their own; the first of them comes from the
// environment, and a wrong token is refused even on this machine.
func TestOperatorTokens(t *testing.T) {
	t.Setenv("SIGNALBOX_ADMIN_TOKEN", "sba_the-first-of-them-has-a-long-token")
	box := rigtest.New(t, rig.Config{Admin: freePort(t), Extra: "analytics: {disabled: true}\n"})
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	box.Token = "sba_the-first-of-them-has-a-long-token"
	if err := box.Apply(ctx(t), edges); err != nil {
		t.Fatal(err)
	}
	id, second := newToken(t, box, "--admin")
	_, gateway := newToken(t, box, "--gateway", "edge-1")
	app := key(t, box, "globex/notebook")
	for token, want := range map[string]int{
		box.Token: 0, second: 0, "sba_the-first-of-them-has-a-long-tokem": 1, gateway: 0 /* not sent: it is no operator's */, app: 1,
	} {
		box.Token = token
		done, err := box.Command(ctx(t), "keys", "list")
		if err != nil || done.Exit != want || want == 1 && !strings.Contains(done.Stderr, "operator token") {
			t.Errorf("keys list with %.8s…: %v %+v; want exit %d", token, err, done, want)
		}
	}
	box.Token = second
	if _, err := box.Run(ctx(t), "keys", "revoke", id, "--yes"); err != nil {
		t.Fatal(err)
	}
	if done, err := box.Command(ctx(t), "keys", "list"); err != nil || done.Exit != 1 {
		t.Errorf("a revoked operator: %v %+v", err, done)
	}
}

// What a browser was led to by another page's script is refused, although it
// comes from this machine.
func TestForeignPagesAreRefused(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	for name, c := range map[string]struct{ method, path, host, origin string }{
		"rebinding, to operators": {"GET", "/admin/v1/keys", "evil.example", ""},
		"rebinding, to gateways":  {"POST", "/v1/decide", "evil.example", ""},
		"a page, to operators":    {"GET", "/admin/v1/keys", "", "https://evil.example"},
		"a page, to gateways":     {"POST", "/v1/decide", "", "https://evil.example"},
		"a page with no origin":   {"POST", "/v1/decide", "", "null"},
	} {
		req, err := http.NewRequestWithContext(ctx(t), c.method, box.URL()+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if c.host != "" {
			req.Host = c.host
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		resp, err := box.HTTPClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d; want 403", name, resp.StatusCode)
		}
	}
}

func statusOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return http.StatusOK
	}
	status, ok := err.(*rig.StatusError)
	if !ok {
		t.Fatal(err)
	}
	return status.Status
}

func newToken(t *testing.T, box *rig.Box, whose ...string) (id, secret string) {
	t.Helper()
	out, err := box.Run(ctx(t), append([]string{"keys", "create", "-o", "json"}, whose...)...)
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Key    struct{ ID string }
		Secret string
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	return made.Key.ID, made.Secret
}
