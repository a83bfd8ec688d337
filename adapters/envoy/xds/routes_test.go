package xds_test

import (
	"regexp"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	groupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

const unmetered = `paths:
  - {path: "/v1/files/*", methods: [GET, DELETE], unmetered: true}
  - {path: "/v1/whoami", methods: [GET], unmetered: true}
  - {path: "/other/*", unmetered: true}
`

func routesOf(t *testing.T, options xds.Options, authz, open bool) *routev3.VirtualHost {
	t.Helper()
	built := build(t, twoProviders+deployed("a openai", "b weu")+unmetered, nothing, options, "openai", "weu")
	resources, err := xds.Arrange(built.Places, built.Paths, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources.Routes {
		if r.Name == xds.RouteConfig(authz, open) {
			return r.VirtualHosts[0]
		}
	}
	t.Fatalf("no routes %s", xds.RouteConfig(authz, open))
	return nil
}

// routed finds the route that an Envoy would take: the first that matches. The query
// is no part of a path there.
func routed(t testing.TB, host *routev3.VirtualHost, method, path string) *routev3.Route {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	for _, r := range host.Routes {
		if matched(t, r.Match, method, path) {
			return r
		}
	}
	t.Fatalf("no route for %s %s", method, path)
	return nil
}

func matched(t testing.TB, m *routev3.RouteMatch, method, path string) bool {
	t.Helper()
	for _, h := range m.Headers {
		if h.Name != ":method" {
			t.Fatalf("a route matches by %s", h.Name)
		}
		value := h.GetStringMatch()
		if re := value.GetSafeRegex(); re != nil {
			if !regexp.MustCompile("^(?:" + re.Regex + ")$").MatchString(method) {
				return false
			}
		} else if value.GetExact() != method {
			return false
		}
	}
	switch p := m.PathSpecifier.(type) {
	case *routev3.RouteMatch_Path:
		return path == p.Path
	case *routev3.RouteMatch_Prefix:
		return strings.HasPrefix(path, p.Prefix)
	case *routev3.RouteMatch_SafeRegex:
		return regexp.MustCompile("^(?:" + p.SafeRegex.Regex + ")$").MatchString(path) // Envoy matches the whole path
	}
	t.Fatalf("a route matches by %T", m.PathSpecifier)
	return false
}

// A path is routed if it is judged, or let through by a rule, and else refused. The
// dots alone that are no deployment's name an Envoy takes for a path above.
func TestRoutesAreWhatIsJudged(t *testing.T) {
	host := routesOf(t, xds.Options{}, false, false)
	reg := newRegistryOnce(t, twoProviders+deployed("a openai")+unmetered)
	check := func(t interface {
		testing.TB
	}, method, path string) {
		_, judged := llm.Recognise(method, path)
		// Envoy looks for a route without the query; what it is good for is for the
		// decision to say.
		bare, _, _ := strings.Cut(path, "?")
		want := judged || reg.UnmeteredPath(method, bare)
		r := routed(t, host, method, path)
		if got := r.GetRoute() != nil; got != want {
			t.Fatalf("%s %s: routed: %v, judged: %v, unmetered: %v", method, path, got, judged, want && !judged)
		}
	}
	prefixes := []string{"/v1", "/openai/v1", "/openai", "/openai/deployments/gpt-4o.mini", "/openai/deployments/a/b", "/openai/deployments/", "", "/v2"}
	operations := []string{"/chat/completions", "/responses", "/embeddings", "/messages", "/messages/count_tokens", "/models", "/files", "/files/x", "/whoami", "/chat/completions/", "/models/gpt", "/other/x"}
	judged := 0
	for _, prefix := range prefixes {
		for _, operation := range operations {
			for _, method := range []string{"GET", "POST", "DELETE", "PUT"} {
				check(t, method, prefix+operation)
				if _, ok := llm.Recognise(method, prefix+operation); ok {
					judged++
				}
			}
		}
	}
	if judged != 6+6+2+5 { // of /v1, /openai/v1, /openai, and one deployment's
		t.Errorf("%d of these are judged; the table of operations has changed and this test does not know", judged)
	}
	rapid.Check(t, func(r *rapid.T) {
		path := rapid.SampledFrom(prefixes).Draw(r, "prefix") + rapid.SampledFrom(append(operations, "", "/")).Draw(r, "operation")
		if rapid.Bool().Draw(r, "more") {
			path += rapid.SampledFrom([]string{"?api-version=1", "?", "/x", "%2e", "//"}).Draw(r, "end")
		}
		method := rapid.SampledFrom([]string{"GET", "POST", "DELETE", "PATCH"}).Draw(r, "method")
		if strings.Contains(path, "%") || strings.Contains(path, "//") || !strings.HasPrefix(path, "/") {
			return // an Envoy refuses or mends these before it looks for a route
		}
		check(t, method, path)
	})
}

// What goes where nobody decided, in each of the four.
func TestWhatIsUndecided(t *testing.T) {
	for _, c := range []struct {
		authz, open bool
		fallback    []string
		want        string
	}{
		{false, false, []string{"a"}, "deny"}, {true, false, []string{"a"}, "deny"},
		{false, true, nil, "deny"}, {true, true, []string{"nowhere"}, "deny"},
		{false, true, []string{"a"}, envoy.Cluster("a")}, {true, true, []string{"a"}, envoy.Cluster("a")},
		{false, true, []string{"gone", "b", "a"}, envoy.Cluster("b")},
	} {
		host := routesOf(t, xds.Options{Fallback: c.fallback}, c.authz, c.open)
		if other := one[*groupv3.PriorityGroupClusterSpecifier](t, routed(t, host, "POST", "/v1/messages")); other.PriorityGroups[0].Clusters[0].ClusterName != "deny" {
			t.Errorf("%+v: a call of another dialect goes to %v", c, other)
		}
		if rule := one[*groupv3.PriorityGroupClusterSpecifier](t, routed(t, host, "GET", "/v1/whoami")); rule.PriorityGroups[0].Clusters[0].ClusterName != "deny" {
			t.Errorf("%+v: what a rule lets through goes to %v, undecided", c, rule)
		}
		group := one[*groupv3.PriorityGroupClusterSpecifier](t, host.Routes[0])
		namespace := envoy.NamespaceRoute
		if c.authz {
			namespace = envoy.NamespaceAuthz
		}
		if group.OverrideMetadataNamespace != namespace || len(group.PriorityGroups) != 1 || group.PriorityGroups[0].Clusters[0].ClusterName != c.want {
			t.Errorf("%+v: %v", c, group)
		}
		told := within[*authzv3.CheckSettings](t, host)
		if (len(told) == 1) != c.authz || c.authz && told[0].ContextExtensions["profile"] != string(envoy.ProfileOrder) {
			t.Errorf("%+v: ext_authz is told %v", c, told)
		}
	}
}

// No route tries again what may have been billed, nor anything more often than the
// filter says.
func TestRetriesAreOrderedAndUnbilled(t *testing.T) {
	host := routesOf(t, xds.Options{}, false, false)
	for _, r := range host.Routes {
		action := r.GetRoute()
		if action == nil {
			continue
		}
		for _, word := range strings.Split(action.RetryPolicy.RetryOn, ",") {
			switch word {
			case "connect-failure", "refused-stream", "reset-before-request", "retriable-headers":
			default:
				t.Errorf("retried on %s", word)
			}
		}
		if action.RetryPolicy.NumRetries.GetValue() != 0 || !action.RetryPolicy.RefreshClusterOnRetry || action.Timeout.AsDuration() != 0 || !action.GetAutoHostRewrite().GetValue() {
			t.Errorf("%v", action)
		}
		for status := int64(100); status < 600; status++ {
			again := false
			for _, h := range action.RetryPolicy.RetriableHeaders {
				span := h.GetRangeMatch()
				again = again || h.Name == ":status" && span.Start <= status && status < span.End
			}
			if want := status == 429 || status >= 500 || status == 401 || status == 402 || status == 403 || status == 407 || status >= 300 && status < 400; again != want {
				t.Errorf("%d: another is tried: %v", status, again)
			}
		}
	}
}
