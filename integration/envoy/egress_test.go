package envoy_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/envoy/envoytest"
	"github.com/signalbox-dev/signalbox/integration/rig"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
)

// Whatever an Envoy can reach is in its configuration. Nothing in that of a running
// one names a host but the registry's providers, the service itself, and where it
// listens; and what leaves the registry leaves it.
func TestNothingElseCanBeReached(t *testing.T) {
	l := start(t, rig.Config{}, "gpt", "claude")
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			front := envoytest.Before(t, l.Box, []string{"--mode", mode, "--node", mode}, alphaKey, betaKey)
			l.mustAsk(t, front.URL(), call{model: "gpt"})
			l.mustAsk(t, front.URL(), call{model: "claude", stream: true})
			own := []string{l.GRPC, front.Addr, front.Admin()}
			names := func() []string {
				dump, err := front.ConfigDump(ctx(t))
				if err != nil {
					t.Fatal(err)
				}
				return named(t, dump)
			}
			got := names()
			for _, addr := range got {
				if !slices.Contains(append(own, l.alpha.addr, l.beta.addr), addr) {
					t.Errorf("the configuration names %s, which is none of the registry's", addr)
				}
			}
			for _, addr := range []string{l.GRPC, l.alpha.addr, l.beta.addr} {
				if !slices.Contains(got, addr) {
					t.Errorf("%s is not named, so this test would not see what else is: %v", addr, got)
				}
			}
			if err := l.Apply(ctx(t), l.world("gpt-beta", "claude-beta"), "--prune"); err != nil {
				t.Fatal(err)
			}
			rigtest.Eventually(t, "who left the registry has left the configuration", func() error {
				if got := names(); slices.Contains(got, l.beta.addr) {
					return fmt.Errorf("it still names %s: %v", l.beta.addr, got)
				}
				return nil
			})
			if err := l.Apply(ctx(t), l.world()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// hostLike is a name with a dot that a resolver could be asked for, or an address.
var hostLike = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

// named are the hosts of a configuration: each socket's address, with its port, and
// beside these every string under a name that can hold a host, and every URL.
func named(t *testing.T, dump []byte) []string {
	t.Helper()
	var root any
	if err := json.Unmarshal(dump, &root); err != nil {
		t.Fatal(err)
	}
	var found []string
	var walk func(under string, at any)
	walk = func(under string, at any) {
		switch v := at.(type) {
		case map[string]any:
			if address, ok := v["address"].(string); ok && v["port_value"] != nil {
				found = append(found, net.JoinHostPort(address, fmt.Sprint(v["port_value"])))
				return
			}
			for name, inner := range v {
				walk(name, inner)
			}
		case []any:
			for _, inner := range v {
				walk(under, inner)
			}
		case string:
			found = append(found, inString(under, v)...)
		}
	}
	walk("", root)
	slices.Sort(found)
	return slices.Compact(found)
}

// inString is a host that stands in a string.
func inString(under, text string) []string {
	if u, err := url.Parse(text); err == nil && u.Host != "" && u.Scheme != "" {
		return []string{u.Host}
	}
	switch under {
	case "hostname", "sni", "authority", "host_rewrite_literal", "target_uri", "uri", "address":
		if host, _, err := net.SplitHostPort(text); err == nil || hostLike.MatchString(text) && !strings.HasPrefix(text, "envoy.") {
			_ = host
			return []string{text}
		}
	}
	return nil
}
