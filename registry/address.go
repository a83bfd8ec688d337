package registry

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// addressProblem is what is wrong with an address, and what to write instead.
type addressProblem struct{ what, want string }

const (
	wantHTTPS   = "write https://…; http only for loopback, or with allow_private: true"
	wantPrivate = "write allow_private: true if that is meant"
	wantPublic  = "write the provider's own address"
)

// checkBaseURL judges where calls, and the credential with them, would go. It
// judges what is written; what a host name resolves to, whoever dials it asks MayDial.
func checkBaseURL(text string, allowPrivate bool) (p addressProblem, ok bool) {
	u, p, ok := parseAddress("base_url", text)
	if !ok {
		return p, false
	}
	reach, p, ok := hostReach("base_url", u)
	switch {
	case !ok:
		return p, false
	case reach == private && !allowPrivate:
		return addressProblem{fmt.Sprintf("base_url names the private address %s", u.Hostname()), wantPrivate}, false
	case u.Scheme == "http" && reach != loopback && !allowPrivate:
		return addressProblem{"base_url is not encrypted, and the credential would be read on its way", wantHTTPS}, false
	case u.Path != "" && !plainPath(u.Path) || u.RawPath != "":
		return addressProblem{"base_url has a path that can be read in two ways", "write plain segments, without \"..\", \"//\" or escapes"}, false
	}
	return addressProblem{}, true
}

// checkProxyURL judges a proxy's address. It may be private: proxies are.
func checkProxyURL(text string) (p addressProblem, ok bool) {
	u, p, ok := parseAddress("proxy_url", text)
	if !ok {
		return p, false
	}
	if _, p, ok = hostReach("proxy_url", u); !ok {
		return p, false
	}
	if strings.Trim(u.Path, "/") != "" {
		return addressProblem{"proxy_url has a path", "write https://host:port"}, false
	}
	return addressProblem{}, true
}

func parseAddress(what, text string) (*url.URL, addressProblem, bool) {
	u, err := url.Parse(text)
	bad := func(why, want string) (*url.URL, addressProblem, bool) {
		return nil, addressProblem{what + " " + why, want}, false
	}
	switch {
	case err != nil: // its text may hold what should not be repeated
		return bad("is not an address", "write https://host/path")
	case u.Scheme != "https" && u.Scheme != "http":
		return bad(fmt.Sprintf("begins with %q", clip(u.Scheme)), wantHTTPS)
	case u.User != nil:
		return bad("holds a user or a password", "put them into a credential, and name that")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#"):
		return bad("holds a query or a fragment", "write https://host/path only")
	case u.Opaque != "" || u.Hostname() == "":
		return bad("names no host", "write https://host/path")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return bad("has no valid port", "write a port from 1 to 65535, or none")
		}
	}
	return u, addressProblem{}, true
}

// reach is how far a host is away.
type reach int

const (
	public reach = iota
	private
	loopback
)

// metadata are names and addresses under which clouds hand credentials to
// whoever asks from inside. Those that are link-local are refused as such.
var metadata = []string{"metadata", "metadata.google.internal", "metadata.goog", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "fd00:c1::a9fe:a9fe", "fd00:42::42"}

// metadataRange is where Amazon's machines find theirs: fd00:ec2::254 and others.
var metadataRange = netip.MustParsePrefix("fd00:ec2::/32")

// privateRanges are those that netip does not count as private: shared by
// carriers, for protocols' own use, for benchmarks (and the made-up answers of
// some VPNs), reserved, once site-local, and behind a network's own translator.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("fec0::/10"), ownNAT64,
}

// ownNAT64 is for translators of a network's own (RFC 8215).
var ownNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")

// hostReach refuses hosts that no provider has, and says how far the others are.
func hostReach(what string, u *url.URL) (reach, addressProblem, bool) {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if slices.Contains(metadata, host) {
		return 0, addressProblem{fmt.Sprintf("%s names %s, where a cloud's own credentials are served", what, host), wantPublic}, false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nameReach(what, host)
	}
	reach, refused := addressReach(ip, host)
	if refused != "" {
		return 0, addressProblem{what + " names " + refused, wantPublic}, false
	}
	return reach, addressProblem{}, true
}

// addressReach says how far an address is away, or why nobody may have it for a
// provider: refused names it as it is shown.
func addressReach(ip netip.Addr, shown string) (_ reach, refused string) {
	inner := embedded(ip)
	switch {
	case !ip.IsValid():
		return 0, shown + ", which is no address"
	case inner.IsLinkLocalUnicast() || inner.IsLinkLocalMulticast() || ip.Zone() != "":
		return 0, "the link-local address " + shown + ", where a cloud's own credentials are served"
	case inner.IsMulticast() || inner == netip.IPv6Unspecified() || inner.Is4() && (inner.As4()[0] == 0 || inner == netip.AddrFrom4([4]byte{255, 255, 255, 255})):
		return 0, shown + ", which is no single host"
	case slices.Contains(metadata, inner.String()) || metadataRange.Contains(inner):
		return 0, shown + ", where a cloud's own credentials are served"
	case inner.IsLoopback():
		return loopback, ""
	case inner.IsPrivate() || slices.ContainsFunc(privateRanges, func(p netip.Prefix) bool { return p.Contains(inner) || p.Contains(ip) }):
		return private, ""
	}
	return public, ""
}

// embedded is the IPv4 address inside an IPv6 one that only carries it: mapped,
// translated (RFC 6052), 6to4, and IPv4-compatible, which some still route.
func embedded(ip netip.Addr) netip.Addr {
	if ip = ip.Unmap(); ip.Is6() {
		b := ip.As16()
		compatible := [12]byte(b[:12]) == [12]byte{} && ip != netip.IPv6Unspecified() && ip.WithZone("") != netip.IPv6Loopback()
		if compatible || netip.MustParsePrefix("64:ff9b::/96").Contains(ip) || ownNAT64.Contains(ip) {
			return netip.AddrFrom4([4]byte(b[12:]))
		}
		if netip.MustParsePrefix("2002::/16").Contains(ip) {
			return netip.AddrFrom4([4]byte(b[2:6]))
		}
	}
	return ip
}

func nameReach(what, host string) (reach, addressProblem, bool) {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxName || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return 0, addressProblem{fmt.Sprintf("%s: %q is not a host name", what, clip(host)), "write letters, digits, \"-\" and \".\" (other scripts in their xn-- form)"}, false
		}
	}
	last := labels[len(labels)-1]
	if len(host) > 253 || digits(last) || strings.HasPrefix(last, "0x") {
		// "127.1", "2130706433" and "0x7f.1" are addresses to some resolvers.
		return 0, addressProblem{fmt.Sprintf("%s: %q is neither a host name nor an address", what, clip(host)), "write an IPv4 address as four numbers, or a name"}, false
	}
	if last == "localhost" {
		return loopback, addressProblem{}, true
	}
	return public, addressProblem{}, true
}

// MayDial judges an address that base_url's host name has led to, just before it
// is dialled: a name that was harmless when it was applied can be made to lead
// anywhere later (DNS rebinding), and the credential goes there. Ask it of the
// very address that is connected to, not of one looked up before.
//
// Where calls go through proxy_url the address dialled is the proxy's, which is
// for MayDialProxy; what the proxy then dials is for the proxy to judge.
func (p *Provider) MayDial(ip netip.Addr) error {
	reach, refused := addressReach(ip, ip.String())
	if refused != "" {
		return p.leads("base_url", p.BaseURL, refused, "mend the name, or write another base_url")
	}
	u, err := url.Parse(p.BaseURL)
	if err != nil { // it was checked when it was applied
		return fmt.Errorf("provider %s: base_url is not an address", p.Name)
	}
	written, _, ok := hostReach("base_url", u)
	local := ok && written == loopback
	switch {
	case p.AllowPrivate:
		return nil
	case reach == private:
		return p.leads("base_url", p.BaseURL, "the private address "+ip.String(), wantPrivate)
	case reach == loopback && !local:
		return p.leads("base_url", p.BaseURL, ip.String()+", which is this machine itself", wantPrivate)
	case reach != loopback && u.Scheme != "https":
		return p.leads("base_url", p.BaseURL, ip.String()+", which is not this machine, and nothing would be encrypted", wantHTTPS)
	}
	return nil
}

// MayDialProxy judges an address that proxy_url's host name has led to. It may
// be private: proxies are.
func (p *Provider) MayDialProxy(ip netip.Addr) error {
	if _, refused := addressReach(ip, ip.String()); refused != "" {
		return p.leads("proxy_url", p.ProxyURL, refused, "mend the name, or write another proxy_url")
	}
	return nil
}

func (p *Provider) leads(field, address, to, want string) error {
	host := ""
	if u, err := url.Parse(address); err == nil {
		host = u.Hostname() // not more of it: an old registry may hold what a new one refuses
	}
	return fmt.Errorf("provider %s: %s %s leads to %s; %s", p.Name, field, host, to, want)
}
