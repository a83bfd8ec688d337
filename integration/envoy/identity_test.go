package envoy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// An Envoy with a certificate that names a gateway of the registry needs no token; one
// with a token that nobody made, or with none, is given neither routes nor credentials,
// and opens no listener while it asks for them.
func TestWhichEnvoyItIs(t *testing.T) {
	authority := rigtest.NewAuthority(t, "ours")
	dir := t.TempDir()
	server, edge := authority.Issue(t, "signalbox"), authority.Issue(t, envoytest.Gateway)
	l := start(t, rig.Config{Secure: &rig.Certificate{Cert: server.CertFile(t, dir), Key: server.KeyFile(t, dir), ClientCA: authority.CertFile(t, dir)}}, "gpt", "claude")
	way := []string{"--tls", "--tls-ca", authority.CertFile(t, dir)}

	t.Run("by a certificate", func(t *testing.T) {
		front := envoytest.Before(t, l.Box, append(way, "--tls-cert", edge.CertFile(t, dir), "--tls-key", edge.KeyFile(t, dir)), alphaKey, betaKey)
		l.allAnswered(t, front)
		rigtest.Eventually(t, "the decisions are the gateway's", func() error {
			rows, err := l.SQL(ctx(t), "SELECT gateway FROM decisions")
			if err == nil && len(rows) != len(l.models) {
				err = fmt.Errorf("there are %d", len(rows))
			}
			for _, row := range rows {
				if row["gateway"] != envoytest.Gateway {
					t.Errorf("the decision's gateway is %v", row["gateway"])
				}
			}
			return err
		})
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
			rigtest.Eventually(t, "it has asked, and was refused", func() error {
				stats, err := e.Stats(ctx(t), "cluster_manager.cds.")
				if err == nil && stats["cluster_manager.cds.update_failure"] == 0 {
					err = fmt.Errorf("it counts %v", stats)
				}
				return err
			})
			if resp, err := http.Get("http://" + addr); err == nil {
				resp.Body.Close()
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
