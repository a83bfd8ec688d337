package whole_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// A gateway with a certificate of our client CA is the gateway of its name; one
// that the registry does not have, or of another CA, is not let in.
func TestMutualTLS(t *testing.T) {
	ours, theirs := rigtest.NewAuthority(t, "ours"), rigtest.NewAuthority(t, "theirs")
	dir := t.TempDir()
	server := ours.Issue(t, "signalbox")
	box := rigtest.New(t, rig.Config{Extra: "analytics: {disabled: true}\n", Admin: freePort(t), HTTPS: &rig.Certificate{
		Cert: server.CertFile(t, dir), Key: server.KeyFile(t, dir), ClientCA: ours.CertFile(t, dir),
		Client: ours.Client(ours.Issue(t, "edge-1")),
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
		with    *rigtest.Leaf
		gateway string
		want    int // 0: the handshake fails
	}{
		"its certificate":                       {ours.Issue(t, "edge-1"), "", 200},
		"its certificate and its name":          {ours.Issue(t, "edge-1"), "edge-1", 200},
		"its certificate and another's name":    {ours.Issue(t, "edge-1"), "edge-2", 401},
		"a gateway that is not declared":        {ours.Issue(t, "edge-9"), "", 401},
		"another CA's":                          {theirs.Issue(t, "edge-1"), "", 0},
		"none, on this machine, as without TLS": {nil, "", 200},
	} {
		err := ask(ours.Client(c.with), c.gateway)
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
	if err := ask(theirs.Client(nil), ""); err == nil {
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
