package xds

import (
	_ "embed" // upstream.lua
	"slices"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	injectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

//go:embed upstream.lua
var upstreamLua string

// luaVM is shared by all clusters of a worker: the script is the same, and what differs
// is its context.
const luaVM = "signalbox"

// secretTimeout ends the wait for a credential. It never runs out, because a cluster is
// pushed with its credential; if it did, an Envoy that waited for ever would open no
// listener at all.
const secretTimeout = 2 * time.Second

// secretName is a credential's, as clusters name it.
func secretName(credential string) string { return "key/" + credential }

// filters are what a request to a deployment goes through, in this order: what no
// provider may see comes off, the script writes path and body, and only then the
// credential goes on.
func (in *Input) filters(d *registry.Deployment) ([]*hcmv3.HttpFilter, error) {
	chain := []struct {
		name   string
		config proto.Message
	}{
		{"envoy.filters.http.header_mutation", strip(d)},
		{"envoy.filters.http.lua", in.script(d)},
	}
	if d.ProviderRef.Credential != "" {
		injector, err := credential(d.ProviderRef)
		if err != nil {
			return nil, err
		}
		chain = append(chain, struct {
			name   string
			config proto.Message
		}{"envoy.filters.http.credential_injector", injector})
	}
	chain = append(chain, struct {
		name   string
		config proto.Message
	}{"envoy.filters.http.upstream_codec", &codecv3.UpstreamCodec{}})
	out := make([]*hcmv3.HttpFilter, len(chain))
	for i, f := range chain {
		config, err := packed(f.config)
		if err != nil {
			return nil, err
		}
		out[i] = &hcmv3.HttpFilter{Name: f.name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
	}
	return out, nil
}

// strip takes off what no provider may see, whatever the filter before has done: a
// call that nobody decided comes with its caller's key.
func strip(d *registry.Deployment) *headerv3.HeaderMutation {
	exact, prefixes := door.NotToProvider()
	var out []*mutationv3.HeaderMutation
	for _, name := range exact {
		out = append(out, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}})
	}
	for _, p := range append(prefixes, "x-envoy-") {
		out = append(out, without(p))
	}
	// An answer that is encoded could not be read for its usage.
	out = append(out, write("accept-encoding", "identity", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
	if d.ModelRef != nil && d.ModelRef.Dialect == registry.DialectAnthropic {
		out = append(out, write(door.HeaderAnthropicVersion, door.AnthropicVersion, corev3.HeaderValueOption_ADD_IF_ABSENT))
	}
	return &headerv3.HeaderMutation{Mutations: &headerv3.Mutations{RequestMutations: out, ResponseMutations: signed(d)}}
}

// signed says to the caller who answered, and takes out what a provider says in our name.
func signed(d *registry.Deployment) []*mutationv3.HeaderMutation {
	return []*mutationv3.HeaderMutation{
		without("x-signalbox-"),
		write(envoy.HeaderDeployment, d.Name, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
	}
}

// without takes out all headers whose names begin so.
func without(prefix string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{
		KeyMatcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}},
	}}}
}

func write(name, value string, how corev3.HeaderValueOption_HeaderAppendAction) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: how,
	}}}
}

// script is upstream.lua, told whose cluster it runs in.
func (in *Input) script(d *registry.Deployment) *luav3.Lua {
	context := map[string]*structpb.Value{"deployment": structpb.NewStringValue(d.Name)}
	if d.ProviderRef.Credential != "" {
		header, _ := d.ProviderRef.Auth()
		context["credential"] = structpb.NewStringValue(header)
	}
	if slices.Contains(in.Options.Fallback, d.Name) {
		paths := map[string]*structpb.Value{}
		for asked, path := range undecidedPaths(d) {
			paths[asked] = structpb.NewStringValue(path)
		}
		context["paths"] = structpb.NewStructValue(&structpb.Struct{Fields: paths})
	}
	return &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: upstreamLua}},
		FilterContext:     &structpb.Struct{Fields: context},
		SharedVmId:        luaVM,
		StatPrefix:        "signalbox",
	}
}

// undecidedPaths is where a deployment serves what callers ask, by what they ask. The
// caller's model goes out as it stands, because nobody has read the body.
func undecidedPaths(d *registry.Deployment) map[string]string {
	out := map[string]string{}
	for _, o := range operations {
		route, known := llm.Recognise(o.method, "/v1"+o.path)
		if !known || d.ModelRef != nil && string(route.Dialect) != d.ModelRef.Dialect {
			continue
		}
		for _, prefix := range []string{"/v1", "/openai/v1"} {
			asked := prefix + o.path
			told := door.Render(&decision.Request{Method: o.method, Path: asked}, &decision.Answer{Plan: &decision.Plan{Deployments: []*registry.Deployment{d}}})
			out[asked] = told.Deployments[0].Path
		}
		if o.bare {
			out["/openai"+o.path] = out["/v1"+o.path]
		}
	}
	return out
}

// credential puts the provider's key where that provider takes it, over whatever the
// caller, or a try before, has left there.
func credential(p *registry.Provider) (*injectorv3.CredentialInjector, error) {
	header, prefix := p.Auth()
	config, err := packed(&genericv3.Generic{
		Header: header, HeaderValuePrefix: prefix,
		Credential: &tlsv3.SdsSecretConfig{Name: secretName(p.Credential), SdsConfig: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
			ResourceApiVersion:    corev3.ApiVersion_V3, InitialFetchTimeout: durationpb.New(secretTimeout),
		}},
	})
	if err != nil {
		return nil, err
	}
	return &injectorv3.CredentialInjector{
		Overwrite:  true,
		Credential: &corev3.TypedExtensionConfig{Name: "envoy.http.injected_credentials.generic", TypedConfig: config},
	}, nil
}
