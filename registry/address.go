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
// judges what is written; what a host name resolves to is for whoever dials it.
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
var metadata = []string{"metadata", "metadata.google.internal", "metadata.goog", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"}

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
	ip = embedded(ip)
	switch {
	case ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.Zone() != "":
		return 0, addressProblem{fmt.Sprintf("%s names the link-local address %s, where a cloud's own credentials are served", what, host), wantPublic}, false
	case ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return 0, addressProblem{fmt.Sprintf("%s names %s, which is no single host", what, host), wantPublic}, false
	case slices.Contains(metadata, ip.String()):
		return 0, addressProblem{fmt.Sprintf("%s names %s, where a cloud's own credentials are served", what, host), wantPublic}, false
	case ip.IsLoopback():
		return loopback, addressProblem{}, true
	case ip.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(ip):
		return private, addressProblem{}, true
	}
	return public, addressProblem{}, true
}

// embedded is the IPv4 address inside an IPv6 one that only carries it.
func embedded(ip netip.Addr) netip.Addr {
	if ip = ip.Unmap(); ip.Is6() {
		b := ip.As16()
		if netip.MustParsePrefix("64:ff9b::/96").Contains(ip) {
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
