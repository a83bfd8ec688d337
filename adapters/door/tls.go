package door

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS names the files of a listener's certificate. The zero value is no TLS.
type TLS struct {
	Cert, Key string // PEM; the certificate with its chain
	// ClientCA is who signs the gateways' certificates; empty: none are asked for.
	ClientCA string
}

// certificateAge is how long a certificate is used before its files are looked
// at again: renewals are taken up without a restart.
const certificateAge = time.Minute

// Config reads the files; nil without TLS. Clients may come without a
// certificate: those that have a token do. A certificate that is shown must be
// of our client CA.
func (t TLS) Config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("tls: cert and key are both needed")
	}
	source := &certificates{files: t}
	if _, err := source.get(nil); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: source.get, NextProtos: []string{"h2", "http/1.1"}}
	if t.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("tls: read client_ca: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls: client_ca %s holds no PEM certificate", t.ClientCA)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}

// certificates reads the listener's certificate again from time to time.
type certificates struct {
	files TLS
	mu    sync.Mutex
	held  *tls.Certificate
	until time.Time
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.held != nil && now.Before(c.until) {
		return c.held, nil
	}
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	c.until = now.Add(certificateAge)
	if err != nil {
		if c.held != nil {
			return c.held, nil // half-written files: the old certificate still works
		}
		return nil, fmt.Errorf("tls: read cert and key: %w", err)
	}
	c.held = &cert
	return c.held, nil
}
