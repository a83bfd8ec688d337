package xds_test

import (
	"fmt"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
)

// An Envoy that asks for more names than there can be only fills our memory.
func TestAnEnvoyThatAsksForTooMuch(t *testing.T) {
	h := newHouse(t, xds.Options{Grace: never}, twoProviders+deployed("a openai"), newKeys("openai", "sk-1"))
	many := make([]string, 1<<14)
	for i := range many {
		many[i] = fmt.Sprintf("key/%d", i)
	}
	for name, asked := range map[string][]string{"many": many, "long": {strings.Repeat("k", 1<<10)}} {
		g := h.connect(t, nodeOf("edge-"+name, 1, 40))
		g.settle(t)
		for range 5 {
			g.send(t, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.SecretType, ResourceNamesSubscribe: asked})
		}
		r := g.receive(t)
		for r.err == nil {
			r = g.receive(t)
		}
		if grpcstatus.Code(r.err) != codes.ResourceExhausted {
			t.Errorf("%s names: %v", name, r.err)
		}
	}
	if !h.Usable("a") {
		t.Error("others are not served any more")
	}
}

// A gateway whose key was revoked while it was connected has no word any more on where
// calls may be sent.
func TestWhoWasRevokedRefusesNothing(t *testing.T) {
	h := newHouse(t, xds.Options{Grace: never}, twoProviders+deployed("a openai"), newKeys("openai", "sk-1"))
	g := h.connect(t, nodeOf("edge-1", 1, 40))
	g.subscribe(t)
	m := g.next(t)
	for m.GetTypeUrl() != resource.ClusterType {
		m = g.next(t)
	}
	h.admits.Store(nil)
	g.send(t, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResponseNonce: m.GetNonce(),
		ErrorDetail: &status.Status{Message: "no"}})
	until(t, "it is gone", func() bool { return len(h.Status().Nodes) == 0 })
	if !h.Usable("a") || len(h.Status().Deployments[0].Refused) != 0 {
		t.Errorf("calls are kept from a deployment by who was revoked: %+v", h.Status())
	}
}
