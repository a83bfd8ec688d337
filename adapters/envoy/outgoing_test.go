package envoy_test

import (
	"slices"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// Who a caller is stays here, whoever before us has found it out, and so does a key in
// whatever header; a provider is told of no other method or path than what was judged.
func TestWhatNoProviderIsTold(t *testing.T) {
	asked := decision.Headers{
		"x-auth-request-email": "kim@acme.test", "x-amzn-oidc-data": "eyJ", "cf-access-jwt-assertion": "eyJ", "baggage": "user=kim", "remote-user": "kim",
		"x-http-method-override": "DELETE", "x-original-url": "/v1/files", "x-rewrite-url": "/v1/files", "x-team": "sbx_key", "x-forwarded-proto": "sbx_key",
	}
	o := envoy.NewOutgoing(asked, llm.OpenAI, true)
	for name := range asked {
		if !slices.Contains(o.Remove, name) {
			t.Errorf("%s goes to the provider", name)
		}
	}
	for _, value := range []string{"https", "http", "https,http"} { // without it no route matches
		if o := envoy.NewOutgoing(decision.Headers{"x-forwarded-proto": value}, llm.OpenAI, true); slices.Contains(o.Remove, "x-forwarded-proto") {
			t.Errorf("x-forwarded-proto: %s goes, and with it the route", value)
		}
	}
}

func TestKeysInPaths(t *testing.T) {
	for path, bad := range map[string]bool{
		"/v1/files": false, "/v1/files?after=sb": false, "/v1/files/%zz": false,
		"/v1/files?api-key=sbx_key": true, "/v1/files/sbx_key": true, "/v1/files?key=%73bx_key": true, "/v1/files?key=sbx%5Fkey": true, "/%zz?key=sbx_key": true,
	} {
		if why := envoy.KeyInPath(path); (why != "") != bad {
			t.Errorf("%s: %q", path, why)
		}
	}
}
