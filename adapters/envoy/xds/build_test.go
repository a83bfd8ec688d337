package xds_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	proxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/http_11_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	"github.com/signalbox-dev/signalbox/registry"
)

// within finds the messages of a type inside another, extensions included.
func within[M proto.Message](t testing.TB, in proto.Message) []M {
	t.Helper()
	var out []M
	var walk func(protoreflect.Message)
	walk = func(r protoreflect.Message) {
		switch m := r.Interface().(type) {
		case M:
			out = append(out, m)
		case *anypb.Any:
			inner, err := m.UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			walk(inner.ProtoReflect())
			return
		}
		r.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case f.IsMap() && f.MapValue().Message() != nil:
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { walk(v.Message()); return true })
			case f.IsMap() || f.Message() == nil:
			case f.IsList():
				for i := range v.List().Len() {
					walk(v.List().Get(i).Message())
				}
			default:
				walk(v.Message())
			}
			return true
		})
	}
	walk(in.ProtoReflect())
	return out
}

func one[M proto.Message](t testing.TB, in proto.Message) M {
	t.Helper()
	found := within[M](t, in)
	if len(found) != 1 {
		t.Fatalf("%d of %T", len(found), *new(M))
	}
	return found[0]
}

// nothing reads no file.
func nothing(name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func build(t *testing.T, text string, read func(string) ([]byte, error), options xds.Options, credentials ...string) xds.Built {
	t.Helper()
	pairs := make([]string, 0, 2*len(credentials))
	for _, name := range credentials {
		pairs = append(pairs, name, "secret-of-"+name)
	}
	return xds.Build(xds.Input{World: newRegistry(t, text).Snapshot(), Credential: newKeys(pairs...).Credential, ReadFile: read, Options: options})
}

// provided is a world of one deployment, x, of this provider.
func provided(provider string) string {
	dialect := "openai"
	if strings.Contains(provider, "kind: anthropic") {
		dialect = "anthropic"
	}
	return "providers:\n  - {name: p, " + provider + "}\nmodels:\n  - {name: gpt, dialect: " + dialect + ", context: 128000, max_output: 4096}\n" + deployed("x p")
}

// Where a cluster leads and how it proves itself, by what the registry says.
func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		provider            string
		named               bool
		address, hostname   string
		port                uint32
		sni, header, prefix string
	}{
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k`, true, "api.openai.com", "api.openai.com", 443, "api.openai.com", "authorization", "Bearer "},
		{`kind: anthropic, base_url: "https://api.anthropic.com", credential: k`, true, "api.anthropic.com", "api.anthropic.com", 443, "api.anthropic.com", "x-api-key", ""},
		{`kind: azure-openai, base_url: "https://acme.openai.azure.com", api_version: "2024-10-21", credential: k`, true, "acme.openai.azure.com", "acme.openai.azure.com", 443, "acme.openai.azure.com", "api-key", ""},
		{`kind: openai-compatible, base_url: "https://llm.example.com:8443/x", credential: k, auth_header: x-goog-api-key`, true, "llm.example.com", "llm.example.com:8443", 8443, "llm.example.com", "x-goog-api-key", ""},
		{`kind: openai-compatible, base_url: "http://10.1.2.3:8000/v1", allow_private: true`, false, "10.1.2.3", "10.1.2.3:8000", 8000, "", "", ""},
		{`kind: openai-compatible, base_url: "http://vllm.internal", allow_private: true`, true, "vllm.internal", "vllm.internal", 80, "", "", ""},
		{`kind: openai-compatible, base_url: "https://[fd12::1]:8443", credential: k, allow_private: true`, false, "fd12::1", "[fd12::1]:8443", 8443, "", "authorization", "Bearer "},
	} {
		t.Run(c.address, func(t *testing.T) {
			built := build(t, provided(c.provider), nothing, xds.Options{}, "k")
			p, ok := built.Places["x"]
			if !ok {
				t.Fatalf("%+v", built)
			}
			at := p.Cluster.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint()
			socket := at.Address.GetSocketAddress()
			if (p.Cluster.GetClusterType().GetName() == "envoy.cluster.dns") != c.named || socket.Address != c.address || socket.GetPortValue() != c.port || at.Hostname != c.hostname || p.Cluster.Name != envoy.Cluster("x") {
				t.Errorf("%v", p.Cluster)
			}
			contexts, secure := within[*tlsv3.UpstreamTlsContext](t, p.Cluster), strings.Contains(c.provider, "https")
			if (len(contexts) == 1) != secure {
				t.Fatalf("TLS: %v", contexts)
			}
			if secure {
				judged := contexts[0].CommonTlsContext.GetValidationContext()
				san := judged.GetMatchTypedSubjectAltNames()
				if contexts[0].Sni != c.sni || contexts[0].AutoSniSanValidation != (c.sni != "") || judged.GetTrustedCa().GetFilename() != "/etc/ssl/certs/ca-certificates.crt" ||
					c.sni == "" && (len(san) != 1 || san[0].GetMatcher().GetExact() != c.address) || contexts[0].CommonTlsContext.TlsParams.TlsMinimumProtocolVersion != tlsv3.TlsParameters_TLSv1_2 {
					t.Errorf("%v", contexts[0])
				}
			}
			injected := within[*genericv3.Generic](t, p.Cluster)
			if (len(injected) == 1) != (c.header != "") || len(injected) == 1 && (injected[0].Header != c.header || injected[0].HeaderValuePrefix != c.prefix || injected[0].Credential.Name != "key/k") {
				t.Errorf("%v", injected)
			}
		})
	}
}

// What cannot be reached as it is meant is left out, and it is said why.
func TestWhatIsLeftOut(t *testing.T) {
	good := certificate(t)
	files := func(name string) ([]byte, error) {
		switch name {
		case "/good.pem":
			return append([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), good...), nil
		case "/empty.pem":
			return nil, nil
		case "/broken.pem":
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")}), nil
		case "/huge.pem":
			return make([]byte, 2<<20), nil
		}
		return nothing(name)
	}
	for _, c := range []struct{ provider, why string }{
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: gone`, "no credential gone"},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, ca_file: /good.pem`, ""},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, ca_file: /empty.pem`, "no certificate in PEM"},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, ca_file: /broken.pem`, "cannot be read"},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, ca_file: /huge.pem`, "longer than"},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, ca_file: /gone.pem`, "cannot be read: open /gone.pem"},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, proxy_url: "http://10.0.0.1:3128"`, ""},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, proxy_url: "http://proxy.internal:3128"`, "write its IP address"},
		{`kind: openai, base_url: "https://api.openai.com/v1", credential: k, proxy_url: "https://10.0.0.1:3128"`, "without TLS only"},
		{`kind: openai-compatible, base_url: "http://10.1.2.3/v1", allow_private: true, proxy_url: "http://10.0.0.1"`, "to https only"},
	} {
		built := build(t, provided(c.provider), files, xds.Options{}, "k")
		if c.why == "" {
			if len(built.LeftOut) != 0 {
				t.Errorf("%s: left out: %+v", c.provider, built.LeftOut)
			}
			continue
		}
		if len(built.Places) != 0 || len(built.LeftOut) != 1 || !strings.Contains(built.LeftOut[0].Why, c.why) {
			t.Errorf("%s: %+v", c.provider, built)
		}
	}
	built := build(t, provided(`kind: openai, base_url: "https://api.openai.com/v1", credential: k, ca_file: /good.pem`), files, xds.Options{}, "k")
	if ca := one[*tlsv3.CertificateValidationContext](t, built.Places["x"].Cluster).GetTrustedCa().GetInlineBytes(); string(ca) != string(good) {
		t.Errorf("a ca_file's other contents go out: %s", ca)
	}
	built = build(t, provided(`kind: openai, base_url: "https://api.openai.com:444/v1", credential: k, proxy_url: "http://10.0.0.1:3128"`), files, xds.Options{}, "k")
	proxied := built.Places["x"].Cluster
	through := one[*proxyv3.Http11ProxyUpstreamTransport](t, proxied)
	if at := through.DefaultProxyAddress.GetSocketAddress(); at.Address != "10.0.0.1" || at.GetPortValue() != 3128 || proxied.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().Hostname != "api.openai.com" {
		t.Errorf("%v", proxied)
	}
}

func certificate(t *testing.T) []byte {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Whatever was done before, a request leaves a cluster without what no provider may see.
func TestEveryClusterStrips(t *testing.T) {
	built := build(t, twoProviders+deployed("a openai", "b weu"), nothing, xds.Options{Fallback: []string{"a"}}, "openai", "weu")
	exact, prefixes := door.NotToProvider()
	for name, p := range built.Places {
		var removed, matched []string
		for _, m := range one[*headerv3.HeaderMutation](t, p.Cluster).Mutations.RequestMutations {
			switch action := m.Action.(type) {
			case *mutationv3.HeaderMutation_Remove:
				removed = append(removed, action.Remove)
			case *mutationv3.HeaderMutation_RemoveOnMatch_:
				matched = append(matched, action.RemoveOnMatch.KeyMatcher.GetPrefix())
			}
		}
		for _, header := range exact {
			if !slices.Contains(removed, header) {
				t.Errorf("%s lets %s through", name, header)
			}
		}
		for _, prefix := range append(prefixes, "x-envoy-") {
			if !slices.Contains(matched, prefix) {
				t.Errorf("%s lets %s… through", name, prefix)
			}
		}
		lua := one[*luav3.Lua](t, p.Cluster)
		if lua.DefaultSourceCode.GetInlineString() != xds.UpstreamLua || lua.FilterContext.Fields["deployment"].GetStringValue() != name {
			t.Errorf("%s: another script, or told of another deployment", name)
		}
		if paths := lua.FilterContext.Fields["paths"].GetStructValue(); (paths != nil) != (name == "a") || name == "a" && paths.Fields["/openai/responses"].GetStringValue() != "/v1/responses" {
			t.Errorf("%s: paths of what nobody decided: %v", name, paths)
		}
	}
}

// worlds are registries of any deployments of any providers, and credentials of some.
func worlds(t *rapid.T) (text string, credentials []string, hosts map[string]string) {
	hosts = map[string]string{}
	text = "providers:\n"
	kinds := []string{registry.ProviderOpenAI, registry.ProviderAnthropic, registry.ProviderOpenAICompatible}
	n := rapid.IntRange(1, 5).Draw(t, "providers")
	serves := make([]string, n)
	for i := range n {
		host := fmt.Sprintf("host-%d.example.com", i)
		hosts[fmt.Sprintf("p%d", i)] = host
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		serves[i] = "gpt"
		if kind == registry.ProviderAnthropic {
			serves[i] = "claude"
		}
		line := fmt.Sprintf("  - {name: p%d, kind: %s, base_url: \"https://%s\"", i, kind, host)
		if rapid.Bool().Draw(t, "needs a credential") {
			// Some share one.
			name := fmt.Sprintf("k%d", rapid.IntRange(0, n-1).Draw(t, "credential"))
			line += ", credential: " + name
			if rapid.Bool().Draw(t, "has it") && !slices.Contains(credentials, name) {
				credentials = append(credentials, name)
			}
			if rapid.Bool().Draw(t, "has a header of its own") {
				line += ", auth_header: x-own"
			}
		}
		text += line + "}\n"
	}
	text += "models:\n  - {name: gpt, dialect: openai, context: 128000, max_output: 4096}\n  - {name: claude, dialect: anthropic, context: 128000, max_output: 4096}\ndeployments:\n"
	for i := range rapid.IntRange(1, 8).Draw(t, "deployments") {
		p := rapid.IntRange(0, n-1).Draw(t, "provider")
		text += fmt.Sprintf("  - {name: d%d, provider: p%d, model: %s, upstream_model: m, kind: paygo}\n", i, p, serves[p])
	}
	return text, credentials, hosts
}

// Whatever the registry holds and whichever credentials are there: what is handed out
// is whole, nothing in it is of anybody else, every deployment is in it or was left
// out, and without any one of its secrets or clusters it would not be handed out.
func TestWhatIsBuiltIsWhole(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text, credentials, hosts := worlds(r)
		options := xds.Options{Fallback: rapid.SliceOfN(rapid.SampledFrom([]string{"d0", "nowhere"}), 0, 2).Draw(r, "fallback")}
		reg := newRegistryOnce(t, text)
		pairs := []string{}
		for _, name := range credentials {
			pairs = append(pairs, name, "secret-of-"+name)
		}
		built := xds.Build(xds.Input{World: reg, Credential: newKeys(pairs...).Credential, ReadFile: nothing, Options: options})
		if len(built.Places)+len(built.LeftOut) != len(reg.Deployments("")) {
			r.Fatalf("%d places and %d left out of %d", len(built.Places), len(built.LeftOut), len(reg.Deployments("")))
		}
		resources, err := xds.Arrange(built.Places, built.Paths, options)
		if err != nil {
			r.Fatal(err)
		}
		approved := func(name string) bool { _, ok := reg.Deployment(name); return ok }
		if err := xds.Check(resources, approved); err != nil {
			r.Fatal(err)
		}
		for _, c := range resources.Clusters {
			name, ours := envoy.Deployment(c.Name)
			if !ours {
				continue
			}
			d, _ := reg.Deployment(name)
			at := c.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint()
			if host := hosts[d.Provider]; at.Address.GetSocketAddress().Address != host || at.Hostname != host || one[*tlsv3.UpstreamTlsContext](t, c).Sni != host {
				r.Fatalf("%s leads to %v", name, at)
			}
			for _, injected := range within[*genericv3.Generic](t, c) {
				if injected.Credential.Name != xds.SecretName(d.ProviderRef.Credential) {
					r.Fatalf("%s has the credential %s", name, injected.Credential.Name)
				}
			}
			if strings.Contains(c.String(), "secret-of-") {
				r.Fatalf("a credential stands in a cluster: %v", c)
			}
		}
		resources.Routes = resources.Routes[:2] // of each kind one
		if n := len(resources.Secrets); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(r, "without the secret")
			broken := resources
			broken.Secrets = slices.Delete(slices.Clone(resources.Secrets), i, i+1)
			if xds.Check(broken, approved) == nil {
				r.Fatal("a secret is missing and nobody minds")
			}
		}
		i := rapid.IntRange(0, len(resources.Clusters)-1).Draw(r, "without the cluster")
		c, broken := resources.Clusters[i], resources
		broken.Clusters = slices.Delete(slices.Clone(resources.Clusters), i, i+1)
		shared := len(within[*genericv3.Generic](t, c)) == 0 || sharedSecret(t, resources.Clusters, c)
		fallback := c.Name == "deny" || slices.ContainsFunc(options.Fallback, func(name string) bool { return c.Name == envoy.Cluster(name) })
		if err := xds.Check(broken, approved); (err == nil) != (shared && !fallback) {
			r.Fatalf("without %s: %v", c.Name, err)
		}
		if xds.Check(resources, func(string) bool { return false }) == nil && len(built.Places) > 0 {
			r.Fatal("deployments of nobody are handed out")
		}
	})
}

// sharedSecret reports whether another cluster names this one's secret too.
func sharedSecret(t *testing.T, all []*clusterv3.Cluster, c *clusterv3.Cluster) bool {
	name := one[*genericv3.Generic](t, c).Credential.Name
	for _, other := range all {
		for _, injected := range within[*genericv3.Generic](t, other) {
			if other != c && injected.Credential.Name == name {
				return true
			}
		}
	}
	return false
}

// The same world makes the same bytes: what differs is pushed.
func TestTheSameIsTheSame(t *testing.T) {
	text := twoProviders + deployed("a openai", "b weu")
	first := build(t, text, nothing, xds.Options{Fallback: []string{"a"}}, "openai", "weu")
	for range 20 {
		again := build(t, text, nothing, xds.Options{Fallback: []string{"a"}}, "openai", "weu")
		for name, p := range first.Places {
			a, errA := proto.MarshalOptions{Deterministic: true}.Marshal(p.Cluster)
			b, errB := proto.MarshalOptions{Deterministic: true}.Marshal(again.Places[name].Cluster)
			if err := errors.Join(errA, errB); err != nil || string(a) != string(b) {
				t.Fatalf("%s differs: %v", name, err)
			}
		}
	}
}
