package xds

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/http_11_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/registry"
)

// maxCA bounds a ca_file: the whole of a system's authorities is a quarter of it.
const maxCA = 1 << 20

// socket is how bytes get to a provider; nil: plainly.
func (in *Input) socket(p *registry.Provider, to address) (*corev3.TransportSocket, error) {
	if !to.secure() {
		if p.ProxyURL != "" {
			return nil, errors.New("its provider has a proxy_url and no TLS: Envoy goes through a proxy to https only")
		}
		return nil, nil
	}
	context, err := in.tls(p, to)
	if err != nil {
		return nil, err
	}
	inner, err := typed("envoy.transport_sockets.tls", context)
	if err != nil || p.ProxyURL == "" {
		return inner, err
	}
	return throughProxy(p, inner)
}

// tls proves that the provider is who its address says. The name is fixed here: taken
// from the Host header it would be the first try's for all tries.
func (in *Input) tls(p *registry.Provider, to address) (*tlsv3.UpstreamTlsContext, error) {
	authorities := &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: in.Options.TrustedCA}}
	if p.CAFile != "" {
		text, err := in.authorities(p.CAFile)
		if err != nil {
			return nil, err
		}
		authorities = &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: text}}
	}
	judged := &tlsv3.CertificateValidationContext{TrustedCa: authorities}
	context := &tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:             &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: judged},
		},
	}
	if !to.ip {
		context.Sni, context.AutoSniSanValidation = to.host, true
		return context, nil
	}
	// No SNI can say an address (RFC 6066, 3); the certificate still has to.
	judged.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{{
		SanType: tlsv3.SubjectAltNameMatcher_IP_ADDRESS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: to.host}},
	}}
	return context, nil
}

// authorities reads a ca_file, which is on our machine and not on Envoy's. Only its
// certificates go out: a key that somebody left in the same file does not.
func (in *Input) authorities(file string) ([]byte, error) {
	text, err := in.ReadFile(file)
	switch {
	case err != nil:
		return nil, fmt.Errorf("its provider's ca_file cannot be read: %w", err)
	case len(text) > maxCA:
		return nil, fmt.Errorf("its provider's ca_file is longer than %d bytes", maxCA)
	}
	var out bytes.Buffer
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("its provider's ca_file has a certificate that cannot be read: %w", err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return nil, fmt.Errorf("write the authorities: %w", err)
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("its provider's ca_file holds no certificate in PEM")
	}
	return out.Bytes(), nil
}

// throughProxy is the way through an HTTP proxy by CONNECT. Envoy looks up no name for
// it and speaks no TLS to it.
func throughProxy(p *registry.Provider, inner *corev3.TransportSocket) (*corev3.TransportSocket, error) {
	u, err := url.Parse(p.ProxyURL)
	if err != nil {
		return nil, errors.New("its provider's proxy_url is not an address")
	}
	if u.Scheme != "http" {
		return nil, errors.New("its provider's proxy_url is https: Envoy speaks to a proxy without TLS only")
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		return nil, errors.New("its provider's proxy_url has a name: Envoy looks up no proxy's name; write its IP address")
	}
	port := uint64(80)
	if text := u.Port(); text != "" {
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			return nil, errors.New("its provider's proxy_url has no port")
		}
	}
	return typed("envoy.transport_sockets.http_11_proxy", &proxyv3.Http11ProxyUpstreamTransport{
		TransportSocket: inner,
		DefaultProxyAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: u.Hostname(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
		}}},
	})
}

func typed(name string, config proto.Message) (*corev3.TransportSocket, error) {
	a, err := packed(config)
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{Name: name, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: a}}, nil
}
