package whole_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// A gateway with a certificate of our client CA is the gateway of its name; one
// that the registry does not have, or of another CA, is not let in.
func TestMutualTLS(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	dir := t.TempDir()
	server := ours.issue(t, "signalbox")
	box := rigtest.New(t, rig.Config{Extra: "analytics: {disabled: true}\n", Admin: freePort(t), HTTPS: &rig.HTTPS{
		Cert: server.certFile(t, dir), Key: server.keyFile(t, dir), ClientCA: ours.certFile(t, dir),
		Client: ours.client(ours.issue(t, "edge-1")),
	}})
	if err := box.Start(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if err := box.Apply(ctx(t), edges); err != nil {
		t.Fatal(err)
	}
	secret := key(t, box, "globex/notebook")
	ask := func(config *tls.Config, gateway string) error {
		box.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: time.Minute}
		defer box.HTTPClient.CloseIdleConnections()
		_, err := box.Decide(ctx(t), rig.Question{Gateway: gateway, Request: chat(secret, hello)})
		return err
	}
	for name, c := range map[string]struct {
		with    *leaf
		gateway string
		want    int // 0: the handshake fails
	}{
		"its certificate":                       {ours.issue(t, "edge-1"), "", 200},
		"its certificate and its name":          {ours.issue(t, "edge-1"), "edge-1", 200},
		"its certificate and another's name":    {ours.issue(t, "edge-1"), "edge-2", 401},
		"a gateway that is not declared":        {ours.issue(t, "edge-9"), "", 401},
		"another CA's":                          {theirs.issue(t, "edge-1"), "", 0},
		"none, on this machine, as without TLS": {nil, "", 200},
	} {
		err := ask(ours.client(c.with), c.gateway)
		if _, answered := err.(*rig.StatusError); c.want == 0 {
			if err == nil || answered {
				t.Errorf("%s: %v; want no connection", name, err)
			}
			continue
		}
		if got := statusOf(t, err); got != c.want {
			t.Errorf("%s: %d; want %d", name, got, c.want)
		}
	}
	if err := ask(theirs.client(nil), ""); err == nil {
		t.Error("a client of another CA trusts the service's certificate")
	}
	resp, err := http.Get("http://" + box.HTTP + "/v1/decide")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP at the TLS door: %d; want 400", resp.StatusCode)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	addr, err := rig.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// leaf is a certificate and its key; an authority is one that signs others.
type leaf struct {
	name string
	der  []byte
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *leaf {
	return certify(t, name, nil)
}

func (a *leaf) issue(t *testing.T, name string) *leaf { return certify(t, name, a) }

func certify(t *testing.T, name string, by *leaf) *leaf {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := cert, key
	if by == nil {
		cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &leaf{name, der, key, cert}
}

// client trusts the authority, and shows a certificate if it has one.
func (a *leaf) client(with *leaf) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if with != nil {
		shown := &tls.Certificate{Certificate: [][]byte{with.der}, PrivateKey: with.key}
		// Also to a server that names another CA: an attacker would.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
	}
	return config
}

func (l *leaf) certFile(t *testing.T, dir string) string {
	t.Helper()
	return writePEM(t, filepath.Join(dir, l.name+".crt"), "CERTIFICATE", l.der)
}

func (l *leaf) keyFile(t *testing.T, dir string) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(l.key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, filepath.Join(dir, l.name+".key"), "PRIVATE KEY", der)
}

func writePEM(t *testing.T, file, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
