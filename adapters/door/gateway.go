package door

import (
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Gateways knows the gateways of the registry.
type Gateways interface {
	// GatewayByToken is the gateway that a token (sbg_…) was made for. It takes
	// the same time whatever the token holds.
	GatewayByToken(token string) (name string, ok bool)
	// KnownGateway reports whether the registry has a gateway of this name.
	KnownGateway(name string) bool
}

// Peer is who stands at the door, as far as the connection tells.
type Peer struct {
	Token string // x-signalbox-gateway-token, or an operator's bearer token
	// Certificate is the client's, verified against our own client CA; nil: none.
	Certificate *x509.Certificate
	Local       bool   // the connection comes from this machine
	Host        string // as the client spelt it, with its port
	Origin      string // a browser's; "" when absent
}

// Guard finds out which gateway is asking.
type Guard struct {
	Gateways Gateways
	// TrustLocal lets gateways of this machine ask without proof: only where the
	// listener is loopback.
	TrustLocal bool
}

// Who is a gateway that was let in.
type Who struct {
	names    []string // proven; a certificate may name several
	gateways Gateways // set: nothing was proven, it is on this machine
}

// Admit says who a peer is, or why it is not let in.
func (g *Guard) Admit(p Peer) (Who, *Problem) {
	if p.Token != "" {
		// A token that is wrong ends the matter: falling back to what else might let
		// the peer in would hide that it was revoked.
		name, ok := g.Gateways.GatewayByToken(p.Token)
		if !ok {
			return Who{}, unknownGateway("this gateway token is not known, was revoked or has expired")
		}
		return Who{names: []string{name}}, nil
	}
	if p.Certificate != nil {
		if names := g.named(p.Certificate); len(names) > 0 {
			return Who{names: names}, nil
		}
		return Who{}, unknownGateway("the client certificate names no gateway of the registry, neither in its common name nor in a DNS name")
	}
	if !g.TrustLocal || !p.Local {
		return Who{}, unknownGateway("a gateway proves itself by a client certificate or by the header x-signalbox-gateway-token (signalbox keys create --gateway NAME)")
	}
	if p := p.Foreign(); p != nil {
		return Who{}, p
	}
	return Who{gateways: g.Gateways}, nil
}

// named lists the gateways that a certificate stands for.
func (g *Guard) named(cert *x509.Certificate) []string {
	var names []string
	for _, name := range append([]string{cert.Subject.CommonName}, cert.DNSNames...) {
		if name != "" && !slices.Contains(names, name) && g.Gateways.KnownGateway(name) {
			names = append(names, name)
		}
	}
	return names
}

// Name is who asks, given the name that stands in the question. What was proven
// wins; a question that says otherwise is refused, because one of the two is a
// mistake and budgets may count by gateway.
func (w Who) Name(claimed string) (string, *Problem) {
	if w.gateways == nil {
		if claimed == "" {
			return w.names[0], nil
		}
		if slices.Contains(w.names, claimed) {
			return claimed, nil
		}
		return "", unknownGateway("the question says gateway %s, its proof says %s", quote(claimed), quote(w.names[0]))
	}
	if claimed == "" || w.gateways.KnownGateway(claimed) {
		return claimed, nil
	}
	return "", unknownGateway("the registry has no gateway %s: declare it under gateways, or leave the field out", quote(claimed))
}

func unknownGateway(format string, args ...any) *Problem {
	p := bad("gateway", format, args...)
	p.Kind = UnknownGateway
	return p
}

// Foreign refuses what a browser was led to by another page. It matters where
// being on this machine is proof enough: a page's script is on this machine too,
// and by DNS rebinding its requests carry the page's own host name.
func (p Peer) Foreign() *Problem {
	if !isHome(p.Host) {
		return &Problem{Kind: Foreign, Where: "host", Message: "without a token, call this machine by localhost or its loopback address; the request names " + quote(p.Host)}
	}
	if p.Origin == "" {
		return nil
	}
	origin, err := url.Parse(p.Origin)
	if err != nil || !strings.EqualFold(origin.Host, p.Host) {
		return &Problem{Kind: Foreign, Where: "origin", Message: "without a token, requests from the pages of " + quote(p.Origin) + " are refused"}
	}
	return nil
}

// isHome reports whether a host, with or without a port, can only be this machine.
func isHome(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

// IsLocal reports whether a remote address, as the listener gives it, is of this
// machine.
func IsLocal(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}
