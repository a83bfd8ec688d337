package xds

import (
	"fmt"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	groupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// RouteConfig is the name under which an Envoy asks for its routes: by which filter
// decides there, and by what becomes of a call that nobody decided.
func RouteConfig(authz, open bool) string {
	name := "signalbox"
	if authz {
		name += "-authz"
	}
	if open {
		name += "-open"
	}
	return name
}

// operation is a path below a prefix that callers may ask for. The list is that of
// llm.Recognise, which judges and cannot be listed; a test holds the two together.
type operation struct {
	method, path string
	azure        bool // below /openai/deployments/{model} too
	bare         bool // below /openai too, with the model in the body
}

var operations = []operation{
	{method: "POST", path: "/chat/completions", azure: true},
	{method: "POST", path: "/messages", azure: true},
	{method: "POST", path: "/responses", azure: true, bare: true},
	{method: "POST", path: "/embeddings", azure: true},
	{method: "POST", path: "/messages/count_tokens", azure: true},
	{method: "GET", path: "/models", bare: true},
}

// azureModel is a deployment's name in Azure's paths.
const azureModel = `[A-Za-z0-9._-]+`

const (
	retryOn    = "connect-failure,refused-stream,reset-before-request,retriable-headers"
	bodySlack  = 1 << 20 // what edits may add to a body of the full size
	afterFirst = 10 * time.Second
)

// routes are one route configuration: each path that is judged or let through leads to
// where the call's metadata says, every other to a refusal. fallback is who takes the
// calls of each dialect that nobody decided, where the failure mode is open.
func routes(authz, open bool, paths []*registry.Path, fallback map[llm.Dialect]string, o Options) (*routev3.RouteConfiguration, error) {
	name := RouteConfig(authz, open)
	host := &routev3.VirtualHost{
		Name: name, Domains: []string{"*"},
		// Tries after the first need the whole body.
		RequestBodyBufferLimit: wrapperspb.UInt64(uint64(o.Body + bodySlack)),
	}
	if authz {
		var err error
		if host.TypedPerFilterConfig, err = authzContext(); err != nil {
			return nil, err
		}
	}
	actions := map[string]*routev3.RouteAction{} // by where a call goes that has no order
	for _, m := range matches(paths) {
		static := denyCluster
		if to, ok := fallback[m.dialect]; ok && open {
			static = envoy.Cluster(to)
		}
		action := actions[static]
		if action == nil {
			var err error
			if action, err = ordered(authz, static, o); err != nil {
				return nil, err
			}
			actions[static] = action
		}
		host.Routes = append(host.Routes, &routev3.Route{Match: m.RouteMatch, Action: &routev3.Route_Route{Route: action}})
	}
	host.Routes = append(host.Routes, refusals(404, string(decision.PathUnknown), "this is not a path that is judged here, and no paths rule lets it through")...)
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{host}}, nil
}

// ordered leads a try where the call's order says, and a call without one to static.
func ordered(authz bool, static string, o Options) (*routev3.RouteAction, error) {
	namespace := envoy.NamespaceRoute
	if authz {
		namespace = envoy.NamespaceAuthz
	}
	order, err := packed(&groupv3.PriorityGroupClusterSpecifier{
		OverrideMetadataNamespace: namespace,
		PriorityGroups: []*groupv3.PriorityGroup{{
			Name: "undecided", Clusters: []*groupv3.ClusterWeight{{ClusterName: static, Weight: wrapperspb.UInt32(1)}},
		}},
	})
	if err != nil {
		return nil, err
	}
	return &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_InlineClusterSpecifierPlugin{InlineClusterSpecifierPlugin: &routev3.ClusterSpecifierPlugin{
			Extension: &corev3.TypedExtensionConfig{Name: "envoy.router.cluster_specifier_plugin.priority_group", TypedConfig: order},
		}},
		// The 15 s that Envoy gives a whole answer would cut every long one.
		Timeout:              durationpb.New(0),
		IdleTimeout:          durationpb.New(o.FirstByte + afterFirst),
		HostRewriteSpecifier: &routev3.RouteAction_AutoHostRewrite{AutoHostRewrite: wrapperspb.Bool(true)},
		RetryPolicy:          failover(o),
	}, nil
}

// failover is what the next deployment may be tried after: what surely cost nothing.
// Envoy's 5xx, gateway-error and reset would also go on after a reset or a time-out of
// a request that was sent, which may have been billed and is not paid for twice; where
// the hold pays for a second such try, our filter adds reset in a header of the call.
//
// No tries are given here, because a list that is shorter would end in its last
// deployment being tried again: the filter says how many in x-envoy-max-retries.
func failover(o Options) *routev3.RetryPolicy {
	status := func(match *routev3.HeaderMatcher) *routev3.HeaderMatcher { match.Name = ":status"; return match }
	span := func(from, to int64) *routev3.HeaderMatcher {
		return status(&routev3.HeaderMatcher{HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{RangeMatch: &typev3.Int64Range{Start: from, End: to}}})
	}
	return &routev3.RetryPolicy{
		RetryOn: retryOn,
		// As the proxy does: 429 and 5xx, what is about our account there, and redirects,
		// which are never followed.
		RetriableHeaders: []*routev3.HeaderMatcher{span(500, 600), span(429, 430), span(401, 404), span(407, 408), span(300, 400)},
		NumRetries:       wrapperspb.UInt32(0),
		PerTryTimeout:    durationpb.New(o.FirstByte),
		// Another deployment needs no rest.
		RetryBackOff:          &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(time.Millisecond), MaxInterval: durationpb.New(2 * time.Millisecond)},
		RefreshClusterOnRetry: true,
	}
}

// match is what a caller may ask, and in which dialect; "": a rule lets it through, and
// there is nothing to send it to that nobody decided.
type match struct {
	*routev3.RouteMatch
	dialect llm.Dialect
}

// matches are what callers may ask: the paths that are judged, and those that a rule
// lets through, which our filter has to allow as well.
func matches(paths []*registry.Path) []match {
	var out []match
	for _, o := range operations {
		route, _ := llm.Recognise(o.method, "/v1"+o.path)
		add := func(m *routev3.RouteMatch) { out = append(out, match{by(m, o.method), route.Dialect}) }
		exact := []string{"/v1" + o.path, "/openai/v1" + o.path}
		if o.bare {
			exact = append(exact, "/openai"+o.path)
		}
		for _, path := range exact {
			add(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}})
		}
		if o.azure {
			add(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{
				SafeRegex: &matcherv3.RegexMatcher{Regex: "/openai/deployments/" + azureModel + o.path},
			}})
		}
	}
	for _, p := range paths {
		m := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: p.Path}}
		if prefix, ok := strings.CutSuffix(p.Path, "*"); ok {
			m.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: prefix}
		}
		if len(p.Methods) > 0 {
			by(m, p.Methods...)
		}
		out = append(out, match{RouteMatch: m})
	}
	return out
}

// by adds that the method is one of these.
func by(match *routev3.RouteMatch, methods ...string) *routev3.RouteMatch {
	value := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: methods[0]}}
	if len(methods) > 1 {
		value.MatchPattern = &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: strings.Join(methods, "|")}}
	}
	match.Headers = []*routev3.HeaderMatcher{{Name: ":method", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: value}}}
	return match
}

// refusals answer whatever is left, in the dialect that the path speaks.
func refusals(status uint32, code, message string) []*routev3.Route {
	answer := func(prefix string, dialect llm.Dialect) *routev3.Route {
		body := llm.ErrorBody(dialect, llm.RefusalBody{Status: int(status), Code: code, Message: message})
		return &routev3.Route{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix}},
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
				Status: status, Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: body}},
			}},
			ResponseHeadersToAdd: []*corev3.HeaderValueOption{{
				Header:       &corev3.HeaderValue{Key: "content-type", Value: "application/json"},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}},
		}
	}
	return []*routev3.Route{answer("/v1/messages", llm.Anthropic), answer("/", llm.OpenAI)}
}

// authzContext tells our ext_authz that what stands behind it are these routes.
func authzContext() (map[string]*anypb.Any, error) {
	config, err := packed(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_CheckSettings{CheckSettings: &authzv3.CheckSettings{
		ContextExtensions: map[string]string{"profile": string(envoy.ProfileOrder)},
	}}})
	if err != nil {
		return nil, fmt.Errorf("tell ext_authz the profile: %w", err)
	}
	return map[string]*anypb.Any{envoy.NamespaceAuthz: config}, nil
}

// tooOld are all routes of an Envoy that cannot follow an order.
func tooOld(authz, open bool) *routev3.RouteConfiguration {
	name := RouteConfig(authz, open)
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
		Name: name, Domains: []string{"*"},
		Routes: refusals(503, "gateway_too_old", "this gateway's Envoy is older than 1.40, which is the first that can follow an order of deployments: it needs an update"),
	}}}
}
