package envoytest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/rig"
)

// Gateway is the name of the Envoys here, which the registry of a box must have.
const Gateway = "edge"

// tokenVariable is where an Envoy looks for its token, unless it is told otherwise.
const tokenVariable = "SIGNALBOX_GATEWAY_TOKEN"

// Front is an Envoy before a box.
type Front struct {
	*envoyrig.Envoy
	Addr string // where callers come in
}

// URL is where callers come in.
func (f *Front) URL() string { return "http://" + f.Addr }

// Before puts a whole Envoy before a box, as `signalbox envoy bootstrap` with these
// flags prints it: whatever lies behind its listener comes from the box.
func Before(t *testing.T, box *rig.Box, flags []string, hidden ...string) *Front {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	token, err := box.NewGatewayToken(ctx, Gateway)
	if err != nil {
		t.Fatal(err)
	}
	addr, flags := Address(t, "--listen", flags)
	_, flags = Address(t, "--admin", flags)
	bootstrap, err := box.Run(ctx, append([]string{"envoy", "bootstrap", "--signalbox", box.GRPC}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	c := envoyrig.Config{Bootstrap: bootstrap, Env: []string{tokenVariable + "=" + token}}
	return &Front{Envoy: Start(t, envoyrig.Newest, c, append([]string{token}, hidden...)...), Addr: addr}
}

// Address is what stands behind a flag, or else a free port that is put there.
func Address(t *testing.T, flag string, flags []string) (string, []string) {
	t.Helper()
	if i := slices.Index(flags, flag); i >= 0 && i+1 < len(flags) {
		return flags[i+1], flags
	}
	addr, err := rig.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return addr, append(slices.Clone(flags), flag, addr)
}
