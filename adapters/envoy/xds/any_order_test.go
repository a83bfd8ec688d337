package xds_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
)

// Deployments come and go, move to another provider, credentials are rotated and
// revoked, and an Envoy takes what it is told when it pleases: in the end it has what
// is there, and no more, and that is what is sent to.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		providers := []string{"openai", "weu"}
		at := map[string]string{"a": "openai"} // deployments, and whose they are
		h := newHouse(t, xds.Options{Grace: time.Millisecond}, twoProviders+deployed(spelled(at)...), newKeys("openai", "openai-0", "weu", "weu-0"))
		g := h.connect(t, nodeOf("edge-1", 1, 40))
		keys := map[string]string{"openai": "openai-0", "weu": "weu-0"}
		for step := range rapid.IntRange(1, 8).Draw(r, "steps") {
			name, provider := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "deployment"), rapid.SampledFrom(providers).Draw(r, "provider")
			switch rapid.SampledFrom([]string{"put", "remove", "rotate", "revoke", "take"}).Draw(r, "what") {
			case "put":
				at[name] = provider
				apply(t, h.registry, twoProviders+deployed(spelled(at)...))
			case "remove":
				if len(at) > 1 { // a registry's file says something
					delete(at, name)
					apply(t, h.registry, twoProviders+deployed(spelled(at)...))
				}
			case "rotate":
				keys[provider] = provider + "-" + string(rune('1'+step))
				h.keys.set(provider, keys[provider])
			case "revoke":
				delete(keys, provider)
				h.keys.set(provider, "")
			case "take":
				g.some(t, rapid.IntRange(1, 3).Draw(r, "messages"))
			}
		}
		want, secrets := []string{"deny"}, map[string]string{}
		for name, provider := range at {
			if key, ok := keys[provider]; ok {
				want = append(want, envoy.Cluster(name))
				secrets[xds.SecretName(provider)] = key
			}
		}
		slices.Sort(want)
		until(t, "it has what is there", func() bool {
			g.some(t, 1)
			return slices.Equal(names(g.clusters), want) && same(g.secrets, secrets)
		})
		for _, name := range []string{"a", "b", "c"} {
			there := slices.Contains(want, envoy.Cluster(name))
			until(t, "what is there is sent to, and nothing else", func() bool { g.some(t, 1); return h.Usable(name) == there })
		}
		s := h.Status()
		if s.Problem != "" || len(s.Nodes) != 1 || s.Nodes[0].Nack != nil {
			r.Fatalf("%+v", s)
		}
	})
}

// some takes up to so many messages, if there are any.
func (g *gateway) some(t *testing.T, most int) {
	t.Helper()
	for range most {
		select {
		case m := <-g.got:
			if m.err != nil {
				t.Fatal(m.err)
			}
			g.answer(t, m.m)
		default:
			return
		}
	}
}

func spelled(at map[string]string) []string {
	out := make([]string, 0, len(at))
	for name, provider := range at {
		out = append(out, name+" "+provider)
	}
	slices.Sort(out)
	return out
}

func same(a, b map[string]string) bool {
	for name, value := range a {
		if b[name] != value {
			return false
		}
	}
	return len(a) == len(b)
}
