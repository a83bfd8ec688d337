package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/registry"
)

// transports are the connections to providers, one pool each: what one provider's
// file or address says must not touch another's connections.
type transports struct {
	limits Limits
	now    func() time.Time

	mu    sync.Mutex
	pools map[string]*connections // by the provider's name
}

// connections are one provider's, made for these settings.
type connections struct {
	settings  settings
	transport *http.Transport
	used      time.Time
}

// settings are what of a provider its connections hang on. When one changes, new
// calls get new connections, and those in flight keep theirs.
type settings struct {
	baseURL, caFile, proxyURL string
	allowPrivate              bool
	caAt                      time.Time // when the file changed, so that it can be replaced while we run
	caSize                    int64
}

// forgotten is when the connections of a provider that nobody calls are let go of.
const forgotten = 10 * time.Minute

func newTransports(limits Limits, now func() time.Time) *transports {
	return &transports{limits: limits, now: now, pools: map[string]*connections{}}
}

// of is the way to a provider.
func (t *transports) of(p *registry.Provider) (*http.Transport, error) {
	want, err := settingsOf(p)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.now()
	if known, ok := t.pools[p.Name]; ok && known.settings == want {
		known.used = at
		return known.transport, nil
	}
	made, err := t.connect(p)
	if err != nil {
		return nil, err
	}
	if old, ok := t.pools[p.Name]; ok {
		old.transport.CloseIdleConnections()
	}
	for name, c := range t.pools {
		if at.Sub(c.used) > forgotten {
			c.transport.CloseIdleConnections()
			delete(t.pools, name)
		}
	}
	t.pools[p.Name] = &connections{settings: want, transport: made, used: at}
	return made, nil
}

// close lets go of all idle connections.
func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.pools {
		c.transport.CloseIdleConnections()
	}
}

func settingsOf(p *registry.Provider) (settings, error) {
	s := settings{baseURL: p.BaseURL, caFile: p.CAFile, proxyURL: p.ProxyURL, allowPrivate: p.AllowPrivate}
	if p.CAFile == "" {
		return s, nil
	}
	info, err := os.Stat(p.CAFile)
	if err != nil {
		return s, fmt.Errorf("provider %s: ca_file: %w", p.Name, err)
	}
	s.caAt, s.caSize = info.ModTime(), info.Size()
	return s, nil
}

// connect makes a provider's connections. The environment's proxies are not used:
// where calls go, and the credential with them, is said in one place.
func (t *transports) connect(p *registry.Provider) (*http.Transport, error) {
	may, proxy := p.MayDial, (func(*http.Request) (*url.URL, error))(nil)
	if p.ProxyURL != "" {
		through, err := url.Parse(p.ProxyURL)
		if err != nil {
			return nil, fmt.Errorf("provider %s: proxy_url is not an address", p.Name)
		}
		may, proxy = p.MayDialProxy, http.ProxyURL(through)
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.CAFile != "" {
		roots, err := readRoots(p.CAFile)
		if err != nil {
			return nil, fmt.Errorf("provider %s: ca_file: %w", p.Name, err)
		}
		tlsConfig.RootCAs = roots
	}
	dialer := &net.Dialer{Timeout: t.limits.Connect, KeepAlive: 30 * time.Second, ControlContext: judged(may)}
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext,
		TLSClientConfig: tlsConfig, TLSHandshakeTimeout: t.limits.Connect, ForceAttemptHTTP2: true,
		// We ask for no encoding; net/http must not ask for one behind our back.
		DisableCompression: true,
		// Shorter than most servers wait, so that it is we who close.
		IdleConnTimeout: 50 * time.Second, MaxIdleConnsPerHost: 256,
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2: &http.HTTP2Config{
			// What a provider may send ahead of a slow caller, for each stream.
			MaxReceiveBufferPerStream: 256 << 10,
			// A connection that died silently would take all its streams to their idle time.
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: 30 * time.Second,
		},
	}, nil
}

// judged asks of the very address that is about to be dialled, after its name was
// looked up, so that a name cannot be made to lead elsewhere in between.
func judged(may func(netip.Addr) error) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("dial: %q is not an address", address)
		}
		return may(to.Addr())
	}
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return roots, nil
}
