package printed_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// An Envoy proves which gateway it is by a token from a file, newline and all, or by a
// certificate; the service it finds must prove itself too.
func TestProof(t *testing.T) {
	dir := t.TempDir()
	authority, stranger := rigtest.NewAuthority(t, "ca"), rigtest.NewAuthority(t, "stranger")
	edge, ours := authority.Issue(t, "edge"), authority.Issue(t, "signalbox")
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(authority.CertFile(t, dir))
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(ours.CertFile(t, dir), ours.KeyFile(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	certificate := config.TLS{Enabled: true, CA: authority.CertFile(t, dir), Cert: edge.CertFile(t, dir), Key: edge.KeyFile(t, dir)}
	other := certificate
	other.CA = stranger.CertFile(t, dir)
	elsewhere := certificate
	elsewhere.ServerName = "another.host"
	token := filepath.Join(dir, "token")
	write(t, token, "sbg_of-the-test\n")
	for _, mode := range []config.Mode{config.ExtAuthz, config.ExtProc, config.ExtAuthzHTTP} {
		o := config.DefaultOptions()
		o.Mode = mode

		byFile := o
		byFile.TokenFile = token
		b := bolt(t, envoyrig.Newest, byFile, 0)
		if got := b.call(t, chat, "{}"); got.status != 200 || !slices.Equal(b.service.asked.Load().Get("x-signalbox-gateway-token"), []string{"sbg_of-the-test"}) {
			t.Errorf("%s by file: %+v %v", mode, got, b.service.asked.Load())
		}

		if mode == config.ExtAuthzHTTP {
			continue // the service here speaks HTTP without TLS
		}
		byCertificate := o
		byCertificate.TLS = certificate
		b = bolt(t, envoyrig.Newest, byCertificate, 0, server)
		if got := b.call(t, chat, "{}"); got.status != 200 || len(b.service.asked.Load().Get("x-signalbox-gateway-token")) > 0 {
			t.Errorf("%s by certificate: %+v", mode, got)
		}

		for name, way := range map[string]config.TLS{"of a stranger's authority": other, "for another host": elsewhere} {
			believed := o
			believed.TLS = way
			b = bolt(t, envoyrig.Newest, believed, 0, server)
			b.call(t, chat, "{}").is(t, 503, chat, "undecided")
			if b.service.asked.Load() != nil {
				t.Errorf("%s: a service %s was asked", mode, name)
			}
		}
	}
}
