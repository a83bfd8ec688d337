package authz_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy/authz"
	"github.com/signalbox-dev/signalbox/decision"
)

// always answers the same and remembers nothing.
type always struct{ answer decision.Answer }

func (a always) Decide(context.Context, decision.Request) (decision.Answer, error) {
	return a.answer, nil
}

// FuzzCheck: whatever a filter sends, it gets an answer that can be sent, and a call
// that is let through leaves its key here.
func FuzzCheck(f *testing.F) {
	for _, m := range []*authv3.CheckRequest{chat(), {}, question("GET", "/v1/models", "", nil), question("POST", "/v1/messages?beta=true", "{}", map[string]string{"X-API-Key": "sbx_key"})} {
		seed, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	a := authz.New(authz.Parts{Decider: always{two(nil)}, Settler: &adaptertest.Settler{},
		Admit: func(context.Context) (string, *door.Problem) { return "edge", nil }})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &authv3.CheckRequest{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		res, err := a.Check(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := proto.Marshal(res); err != nil {
			t.Fatal(err)
		}
		ok := res.GetOkResponse()
		if (ok == nil) == (res.GetDeniedResponse() == nil) || (ok != nil) != (res.GetStatus().GetCode() == 0) {
			t.Fatalf("neither or both: %v", res)
		}
		for _, name := range decision.KeyHeaders() {
			if ok != nil && !slices.Contains(ok.GetHeadersToRemove(), name) {
				t.Fatalf("%s goes on", name)
			}
		}
		for _, o := range ok.GetHeaders() {
			if strings.Contains(o.GetHeader().GetValue(), decision.KeyPrefix) || slices.Contains(ok.GetHeadersToRemove(), o.GetHeader().GetKey()) {
				t.Fatalf("header %v", o)
			}
		}
	})
}
