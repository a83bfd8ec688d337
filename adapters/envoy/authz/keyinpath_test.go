package authz_test

import (
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
)

// A path that goes on as it was written takes no key to the provider. One that we write
// anew does: what stood in it is gone.
func TestAKeyInThePath(t *testing.T) {
	w := newWeb(two(nil))
	if res := w.ask(t, "/v1/chat/completions?api-key=sbx_key", chatBody); res.StatusCode != 400 || len(w.decider.Seen()) != 0 {
		t.Errorf("over HTTP, which cannot write paths: %d", res.StatusCode)
	}
	r := newRig(t, decision.Answer{DecisionID: "d-6", Plan: &decision.Plan{Free: true}}, nil)
	m := question("GET", "/v1/files?key=sbx_key", "", map[string]string{"authorization": "Bearer sbx_key"})
	if res := r.ask(t, envoy.ProfileHeader, m); int32(res.GetDeniedResponse().GetStatus().GetCode()) != 400 {
		t.Errorf("unjudged: %v", res)
	}
	r = newRig(t, two(nil), nil)
	m = question("POST", "/v1/chat/completions?key=sbx_key", chatBody, map[string]string{"authorization": "Bearer sbx_key"})
	if res := r.ask(t, envoy.ProfileHeader, m); set(res.GetOkResponse().GetHeaders())[":path"] != "/v1/chat/completions" {
		t.Errorf("judged: %v", res)
	}
}
