package envoy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// An Envoy with a certificate that names a gateway of the registry needs no token; one
// with a token that nobody made, or with none, is given neither routes nor credentials
// nor decisions, and opens no listener.
func TestWhichEnvoyItIs(t *testing.T) {
	authority := rigtest.NewAuthority(t, "ours")
	dir := t.TempDir()
	server, edge := authority.Issue(t, "signalbox"), authority.Issue(t, envoytest.Gateway)
	l := start(t, rig.Config{Secure: &rig.Certificate{Cert: server.CertFile(t, dir), Key: server.KeyFile(t, dir), ClientCA: authority.CertFile(t, dir)}}, "gpt", "claude")
	way := []string{"--tls", "--tls-ca", authority.CertFile(t, dir)}

	t.Run("by a certificate", func(t *testing.T) {
		front := envoytest.Before(t, l.Box, append(way, "--tls-cert", edge.CertFile(t, dir), "--tls-key", edge.KeyFile(t, dir)), alphaKey, betaKey)
		l.allAnswered(t, front)
		rows, err := l.SQL(ctx(t), "SELECT gateway FROM decisions")
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if row["gateway"] != envoytest.Gateway {
				t.Errorf("the decision's gateway is %v", row["gateway"])
			}
		}
	})
	for name, token := range map[string]string{"by a wrong token": "sbg_nobody_made_this_one_at_all", "by nothing": ""} {
		t.Run(name, func(t *testing.T) {
			addr, flags := envoytest.Address(t, "--listen", way)
			_, flags = envoytest.Address(t, "--admin", flags)
			bootstrap, err := l.Run(ctx(t), append([]string{"envoy", "bootstrap", "--signalbox", l.GRPC}, flags...)...)
			if err != nil {
				t.Fatal(err)
			}
			e := envoytest.Launch(t, envoyrig.Newest, envoyrig.Config{Bootstrap: bootstrap, Env: []string{"SIGNALBOX_GATEWAY_TOKEN=" + token}})
			rigtest.Eventually(t, "it was told why", func() error {
				stats, err := e.Stats(ctx(t), "control_plane.")
				if err == nil && stats["control_plane.connected_state"] != 0 {
					t.Error("it is let in")
				}
				return err
			})
			soon, cancel := context.WithTimeout(ctx(t), 2*time.Second)
			defer cancel()
			if err := e.Ready(soon); err == nil {
				t.Errorf("it serves at %s", addr)
			}
			dump, err := e.ConfigDump(ctx(t))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(dump), l.alpha.addr) {
				t.Error("it was told of a provider")
			}
		})
	}
}
