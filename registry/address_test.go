package registry_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/registry"
)

// What a provider's name may lead to, by what its registry entry says. Each
// address is in one group; a group says who may dial it.
func TestMayDial(t *testing.T) {
	groups := map[string]struct {
		addresses                      string
		public, private, local, onHTTP string // part of the refusal; "": may dial
	}{
		"public": {
			addresses: "1.1.1.1 203.0.113.7 2606:4700::6810:84e5 ::ffff:1.1.1.1 64:ff9b::101:101 2002:101:101::1 ::101:101",
			onHTTP:    "which is not this machine, and nothing would be encrypted; write https://",
		},
		"private": {
			addresses: "10.0.0.7 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 198.18.0.1 192.0.0.8 240.0.0.1 fd12:3456::1 fec0::1 " +
				"::ffff:10.0.0.7 64:ff9b::a00:7 64:ff9b:1::101:101 2002:a00:7::1 ::a00:7",
			public: "leads to the private address", local: "leads to the private address", onHTTP: "leads to the private address",
		},
		"loopback": {
			addresses: "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::1",
			public:    "which is this machine itself; write allow_private: true",
		},
		"where clouds hand out credentials": {
			addresses: "169.254.169.254 169.254.170.2 169.254.0.23 fe80::a9fe:a9fe ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe 2002:a9fe:a9fe:: ::a9fe:a9fe " +
				"100.100.100.200 168.63.129.16 fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42 ::ffff:168.63.129.16 " +
				"fe80::1%eth0 fd12::1%eth0 1:2:3::4%1 ff02::1 224.0.0.251",
			public: "where a cloud's own credentials are served; mend the name", private: "own credentials", local: "own credentials", onHTTP: "own credentials",
		},
		"no host": {
			addresses: "0.0.0.0 0.0.0.7 :: 255.255.255.255 224.1.2.3 239.0.0.1 ff0e::1 ::ffff:0.0.0.0 ::2",
			public:    "which is no single host; mend the name", private: "no single host", local: "no single host", onHTTP: "no single host",
		},
	}
	providers := map[string]*registry.Provider{
		"public":  {Name: "p", BaseURL: "https://api.example.com/v1"},
		"private": {Name: "p", BaseURL: "http://vllm.internal.example:8000/v1", AllowPrivate: true},
		"local":   {Name: "p", BaseURL: "https://localhost:8000/v1"},
		"onHTTP":  {Name: "p", BaseURL: "http://127.0.0.1:11434/v1"},
	}
	for name, g := range groups {
		t.Run(name, func(t *testing.T) {
			for address := range strings.FieldsSeq(g.addresses) {
				ip := netip.MustParseAddr(address)
				for who, want := range map[string]string{"public": g.public, "private": g.private, "local": g.local, "onHTTP": g.onHTTP} {
					p := providers[who]
					err := p.MayDial(ip)
					if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("%s to %s: %v, want %q", p.BaseURL, address, err, want)
					}
					if err != nil && !strings.HasPrefix(err.Error(), "provider p: base_url ") {
						t.Errorf("does not say whose: %v", err)
					}
				}
			}
		})
	}
	want := "provider p: base_url api.example.com leads to the private address 10.0.0.7; write allow_private: true if that is meant"
	if err := providers["public"].MayDial(netip.MustParseAddr("10.0.0.7")); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	for _, p := range providers {
		if p.MayDial(netip.Addr{}) == nil {
			t.Errorf("%s: no address at all may be dialled", p.BaseURL)
		}
	}
}

// Where the host is written as an address, MayDial says of it what apply said: an
// address that may be written may be dialled, and no other.
func TestWhatMayBeWrittenMayBeDialled(t *testing.T) {
	for _, address := range strings.Fields("1.1.1.1 10.0.0.1 127.0.0.1 169.254.169.254 0.0.0.0 100.100.100.200 198.18.0.1 240.0.0.1 168.63.129.16 ::1 fd12::1 fe80::1 fd00:ec2::254 2606:4700::1 ::ffff:10.0.0.1 64:ff9b::a9fe:a9fe ff02::1") {
		for _, scheme := range []string{"https", "http"} {
			for _, private := range []string{"", ", allow_private: true"} {
				ip := netip.MustParseAddr(address)
				host := address
				if ip.Is6() {
					host = "[" + address + "]"
				}
				b := newBench(t)
				_, err := b.Apply(t.Context(), file(`providers: [{name: p, kind: openai, base_url: "`+scheme+`://`+host+`/v1"`+private+`}]`), registry.ApplyOptions{})
				p := &registry.Provider{Name: "p", BaseURL: scheme + "://" + host + "/v1", AllowPrivate: private != ""}
				if dial := p.MayDial(ip); (err == nil) != (dial == nil) {
					t.Errorf("%s%s: applied %v, dialled %v", p.BaseURL, private, err, dial)
				}
			}
		}
	}
}

// An IPv6 address that only carries an IPv4 one is dialled as that one is.
func TestCarriedAddressesAreJudgedAsTheirOwn(t *testing.T) {
	providers := []*registry.Provider{{BaseURL: "https://p.example"}, {BaseURL: "https://p.example", AllowPrivate: true}, {BaseURL: "http://localhost"}}
	rapid.Check(t, func(rt *rapid.T) {
		four := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(rt, "ip"))
		if rapid.Bool().Draw(rt, "special") { // few of all addresses are
			copy(four[:], rapid.SampledFrom([][]byte{{10}, {127}, {169, 254}, {192, 168}, {100, 64}, {0}, {224}, {255, 255, 255, 255}, {168, 63, 129, 16}, {100, 100, 100, 200}}).Draw(rt, "range"))
		}
		ip := netip.AddrFrom4(four)
		mapped := ip.As16()
		var nat64, sixToFour [16]byte
		copy(nat64[:], []byte{0, 0x64, 0xff, 0x9b})
		copy(nat64[12:], four[:])
		copy(sixToFour[:], []byte{0x20, 0x02})
		copy(sixToFour[2:], four[:])
		copy(sixToFour[6:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(rt, "below"))
		for _, p := range providers {
			want := p.MayDial(ip)
			for _, carrier := range []netip.Addr{netip.AddrFrom16(mapped), netip.AddrFrom16(nat64), netip.AddrFrom16(sixToFour)} {
				if got := p.MayDial(carrier); (got == nil) != (want == nil) {
					rt.Fatalf("%s to %s: %v; to %s in it: %v", p.BaseURL, carrier, got, ip, want)
				}
			}
		}
	})
}

func TestMayDialProxy(t *testing.T) {
	p := &registry.Provider{Name: "p", BaseURL: "https://api.example.com", ProxyURL: "http://proxy.example:3128"}
	for address, want := range map[string]string{"10.0.0.1": "", "127.0.0.1": "", "1.1.1.1": "", "fd12::1": "", "169.254.169.254": "provider p: proxy_url proxy.example leads to the link-local address 169.254.169.254",
		"100.100.100.200": "own credentials", "0.0.0.0": "no single host"} {
		if err := p.MayDialProxy(netip.MustParseAddr(address)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

// A provider from an old registry may hold what is refused today; what is said of
// it does not repeat that.
func TestMayDialOfAnOldRegistry(t *testing.T) {
	for _, address := range []string{"https://user:hunter2@api.example.com/v1?key=hunter2", "http://%zz/hunter2", "://hunter2", ""} {
		p := &registry.Provider{Name: "p", BaseURL: address, ProxyURL: address}
		for _, err := range []error{p.MayDial(netip.MustParseAddr("10.0.0.1")), p.MayDialProxy(netip.MustParseAddr("169.254.1.1"))} {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v", address, err)
			}
		}
	}
}
