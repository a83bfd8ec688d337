package config_test

import (
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
)

// What we print ourselves has nothing to find in it, but what its reader asked for.
func TestOurOwnPagesHaveNoProblems(t *testing.T) {
	for name, o := range every() {
		for page, write := range map[string]func(config.Options) ([]byte, error){"bootstrap": config.Bootstrap, "filter": config.Filter} {
			text, err := write(o)
			if err != nil {
				continue // told apart in TestOptions
			}
			for _, p := range config.Check(text) {
				if p.Level == config.Wrong || !strings.Contains(p.What, "failure_mode_allow") || o.FailureMode != config.Open {
					t.Errorf("%s %s: %s", page, name, p)
				}
			}
		}
	}
}

// every is each mode in each way.
func every() map[string]config.Options {
	out := map[string]config.Options{}
	for _, mode := range []config.Mode{config.ExtProc, config.ExtAuthz, config.ExtAuthzHTTP} {
		for _, failure := range []config.FailureMode{config.Closed, config.Open} {
			for way, set := range map[string]func(*config.Options){
				"by token": func(*config.Options) {},
				"by file":  func(o *config.Options) { o.TokenFile = "/etc/signalbox/token" },
				"by tls":   func(o *config.Options) { o.Signalbox, o.TLS = "signalbox.infra:9090", config.TLS{Enabled: true} },
				"by mtls": func(o *config.Options) {
					o.Signalbox, o.TLS = "192.0.2.7:9090", config.TLS{Enabled: true, CA: "/ca.crt", Cert: "/edge.crt", Key: "/edge.key"}
					o.ListenCert, o.ListenKey = "/l.crt", "/l.key"
				},
				"old": func(o *config.Options) { o.Version = "1.36" },
			} {
				o := config.DefaultOptions()
				o.Mode, o.FailureMode = mode, failure
				set(&o)
				out[string(mode)+" "+string(failure)+" "+way] = o
			}
		}
	}
	return out
}

// Each trap, by what is changed in a page that has none.
func TestTraps(t *testing.T) {
	for _, c := range []struct {
		name     string
		mode     config.Mode
		from, to string
		level    config.Level
		want     string
	}{
		{"nobody asks", config.ExtProc, "ext_proc.v3.ExternalProcessor", "ext_proc.v3.Other", config.Wrong, "no filter asks Signalbox"},
		{"the default breaker", config.ExtProc, "max_requests: 65536, ", "", config.Wrong, "1024"},
		{"ext_proc's default time-out", config.ExtProc, "message_timeout: 5s", "x: 1", config.Wrong, "200 ms"},
		{"ext_authz's default time-out", config.ExtAuthz, "timeout: 5s", "x: 1", config.Wrong, "200 ms"},
		{"failing open", config.ExtAuthz, "failure_mode_allow: false", "failure_mode_allow: true", config.Look, "pass undecided"},
		{"errors as 403", config.ExtAuthz, "status_on_error: { code: ServiceUnavailable }", "x: 1", config.Wrong, "403"},
		{"no body", config.ExtAuthz, "with_request_body:", "x:", config.Wrong, "does not see the body"},
		{"bodies as text", config.ExtAuthz, "pack_as_bytes: true", "pack_as_bytes: false", config.Wrong, "mangled"},
		{"413 before us", config.ExtAuthz, "allow_partial_message: true", "allow_partial_message: false", config.Look, "413"},
		{"the route stays", config.ExtAuthz, "clear_route_cache: true", "clear_route_cache: false", config.Wrong, "route stays"},
		{"bodies in pieces", config.ExtProc, "request_body_mode: BUFFERED", "request_body_mode: STREAMED", config.Wrong, "cannot judge"},
		{"answers unseen", config.ExtProc, "response_header_mode: SEND", "response_header_mode: SKIP", config.Wrong, "settled"},
		{"no override", config.ExtProc, "allow_mode_override: true", "allow_mode_override: false", config.Wrong, "streams"},
		{"metadata dropped", config.ExtProc, "untyped: [signalbox, signalbox.route]", "untyped: [signalbox]", config.Wrong, "signalbox.route"},
		{"changes lost", config.ExtProc, "disallow_is_error: true", "disallow_is_error: false", config.Look, "in silence"},
		{"keys go out", config.ExtProc, "- remove: authorization", "- remove: x-other", config.Look, "caller's key"},
		{"no log", config.ExtProc, "HttpGrpcAccessLogConfig", "FileAccessLog", config.Wrong, "access log"},
		{"any certificate", config.ExtAuthz, "validation_context:", "x:", config.Wrong, "any certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := config.DefaultOptions()
			o.Mode, o.Signalbox, o.TLS.Enabled = c.mode, "signalbox.infra:9090", true
			page, err := config.Filter(o)
			if err != nil {
				t.Fatal(err)
			}
			if problems := config.Check(page); len(problems) > 0 {
				t.Fatalf("before: %v", problems)
			}
			if !strings.Contains(string(page), c.from) {
				t.Fatalf("the page has no %q", c.from)
			}
			found(t, strings.ReplaceAll(string(page), c.from, c.to), c.level, c.want)
		})
	}
}

// Traps of somebody's own part of a configuration.
func TestTrapsBeside(t *testing.T) {
	cluster := func(rest string) string { return "clusters:\n- name: provider\n  " + rest + "\n" }
	filters := func(rest string) string {
		return cluster("typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { http_filters: [ " + rest + " ] } }")
	}
	injector := func(credential, rest string) string {
		return filters(`{ typed_config: { "@type": x/envoy.CredentialInjector, ` + rest + ` credential: { typed_config: { credential: ` + credential + ` } } } }`)
	}
	for _, c := range []struct {
		name, text string
		level      config.Level
		want       string
	}{
		{"tries after time-outs", "virtual_hosts: [ { retry_policy: { retry_on: 'connect-failure,5xx' } } ]", config.Wrong, "bill the first try"},
		{"resets", "routes: [ { route: { timeout: 0s, retry_policy: { retry_on: reset } } } ]", config.Wrong, "bill the first try"},
		{"long answers", "routes: [ { route: { cluster: a } } ]", config.Look, "15 s"},
		{"always the first", `routes: [ { route: { inline_cluster_specifier_plugin: { extension: { typed_config: { "@type": x/envoy.PriorityGroupClusterSpecifier } } } } } ]`, config.Wrong, "first provider"},
		{"clusters of clusters", cluster(`cluster_type: { typed_config: { "@type": x/envoy.extensions.clusters.aggregate.v3.ClusterConfig } }`), config.Wrong, "made of others"},
		{"anywhere", cluster(`cluster_type: { typed_config: { "@type": x/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig } }`), config.Look, "wherever"},
		{"a path that may not be set", filters(`{ typed_config: { "@type": x/envoy.HeaderMutation, mutations: { request_mutations: [ { append: { header: { key: ":path" } } } ] } } }`), config.Wrong, "refuses the whole cluster"},
		{"a crash of validate", injector("{ name: k, sds_config: { ads: {} } }", "overwrite: true,"), config.Look, "crash"},
		{"a crash at start", injector("{ name: k }", "overwrite: true,"), config.Wrong, "crashes at its start"},
		{"a caller's key kept", injector("{ name: k, sds_config: { path_config_source: {} } }", ""), config.Wrong, "not put in"},
		{"nobody asked on a route", `routes: [ { typed_per_filter_config: { f: { "@type": x/envoy.ExtAuthzPerRoute, disabled: true } } } ]`, config.Look, "nobody is asked"},
		{"steering callers", `filters: [ { typed_config: { "@type": x/envoy.HttpConnectionManager, http_filters: [ { typed_config: { "@type": x/envoy.ExtAuthz, cluster: signalbox } } ] } } ]`, config.Wrong, "obeyed"},
		{"no YAML", "a: [", config.Wrong, "not YAML"},
		{"two documents", "a: 1\n---\nb: 1\n", config.Wrong, "more than one"},
		{"nothing", "", config.Wrong, "not YAML"},
	} {
		t.Run(c.name, func(t *testing.T) { found(t, c.text, c.level, c.want) })
	}
}

func found(t *testing.T, text string, level config.Level, want string) {
	t.Helper()
	problems := config.Check([]byte(text))
	for _, p := range problems {
		if p.Level == level && strings.Contains(p.What, want) && p.Fix != "" {
			return
		}
	}
	t.Errorf("no problem (%s) with %q in %v", level, want, problems)
}

// What is wrong with options is said all at once, and nothing is printed.
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*config.Options)
		whole bool
		want  string
	}{
		{"plaintext to another machine", func(o *config.Options) { o.Signalbox = "signalbox.infra:9090" }, true, "in the clear"},
		{"a whole Envoy that is too old", func(o *config.Options) { o.Version = "1.39.2" }, true, "1.40"},
		{"an Envoy that is too old", func(o *config.Options) { o.Mode, o.Version = config.ExtAuthz, "1.29" }, false, "too old"},
		{"ext_proc that is too old", func(o *config.Options) { o.Version = "1.35" }, false, "ext_authz"},
		{"no version", func(o *config.Options) { o.Version = "new" }, false, "envoy-version"},
		{"HTTP for a whole Envoy", func(o *config.Options) { o.Mode = config.ExtAuthzHTTP }, true, "ext_authz-http"},
		{"no proof", func(o *config.Options) { o.TokenEnv = "" }, true, "prove"},
		{"half a certificate", func(o *config.Options) { o.TLS = config.TLS{Enabled: true, Cert: "a"} }, true, "go together"},
		{"TLS that is not asked for", func(o *config.Options) { o.TLS.CA = "a" }, true, "not asked for"},
		{"half a listener", func(o *config.Options) { o.ListenKey = "a" }, true, "go together"},
		{"impatience", func(o *config.Options) { o.Timeout = 1e9 }, false, "money held"},
		{"what cannot be written", func(o *config.Options) { o.Node = "a\nb: c" }, true, "cannot stand"},
		{"a format of Envoy's", func(o *config.Options) { o.TokenEnv = "A)%%REQ(x" }, false, "cannot stand"},
		{"an address that is none", func(o *config.Options) { o.Signalbox = "here" }, false, "signalbox"},
		{"a file for an old one", func(o *config.Options) { o.Version, o.TokenFile = "1.38", "/t" }, false, "token-file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := config.DefaultOptions()
			c.set(&o)
			write := config.Filter
			if c.whole {
				write = config.Bootstrap
			}
			if text, err := write(o); err == nil || !strings.Contains(err.Error(), c.want) || text != nil {
				t.Errorf("it says %v; want %q in it", err, c.want)
			}
		})
	}
}

// Whatever somebody has in a file is read or refused, and ends.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "a: &a [*a]", "a: &a {b: *a}", "http_filters: [", "{\"static_resources\": {\"clusters\": [{\"name\": \"signalbox\"}]}}",
		"a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		config.Check(text)
		if whole, err := config.Whole(text); err == nil && whole == nil && len(text) > 0 {
			t.Errorf("nothing came of %q", text)
		}
	})
}
