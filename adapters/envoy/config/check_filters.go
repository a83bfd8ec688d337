package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/decision"
)

// asked is about the filters themselves.
func (c *check) asked() {
	proc := slices.DeleteFunc(c.of("ExternalProcessor"), func(n *yaml.Node) bool { return !ours(n) })
	authz := slices.DeleteFunc(c.of("ExtAuthz"), func(n *yaml.Node) bool { return !ours(n) })
	if len(proc)+len(authz) == 0 {
		c.say(Wrong, nil, "add what `signalbox envoy filter` prints; its cluster is called signalbox", "no filter asks Signalbox: every call passes unseen")
	}
	for _, n := range proc {
		c.proc(n)
	}
	for _, n := range authz {
		c.authz(n)
	}
	if c.logs == 0 {
		c.say(Wrong, nil, "add the access_log that `signalbox envoy filter` prints", "no gRPC access log: nobody settles what the filter cannot, and what passes undecided is in no report")
	}
}

func (c *check) proc(n *yaml.Node) {
	c.undecided(n)
	if t := get(n, "message_timeout"); t == nil {
		c.say(Wrong, n, "message_timeout: 5s", "ext_proc waits 200 ms, its default, for each answer of the service")
	}
	mode := get(n, "processing_mode")
	if !is(get(mode, "request_body_mode"), "BUFFERED") {
		c.say(Wrong, orElse(mode, n), "request_body_mode: BUFFERED", "the service does not see the body whole, and cannot judge it")
	}
	if is(get(mode, "response_header_mode"), "SKIP") {
		c.say(Wrong, mode, "response_header_mode: SEND", "answers are not seen: nothing is settled by what was used")
	}
	if !is(get(n, "allow_mode_override"), "true") {
		c.say(Wrong, n, "allow_mode_override: true", "the service cannot ask to read an answer: streams are charged what was held for them")
	}
	for _, name := range []string{"signalbox", "signalbox.route"} {
		if !slices.ContainsFunc(items(get(n, "metadata_options", "receiving_namespaces", "untyped")), func(n *yaml.Node) bool { return text(n) == name }) {
			c.say(Wrong, orElse(get(n, "metadata_options"), n), "metadata_options.receiving_namespaces.untyped: [signalbox, signalbox.route]", "Envoy drops the metadata %s without a word", name)
		}
	}
	if attributes := get(n, "request_attributes"); len(items(attributes)) > 0 {
		level := Look
		if is(get(n, "failure_mode_allow"), "true") {
			level = Wrong
		}
		c.say(level, attributes, "leave request_attributes out: the service reads none", "an attribute that is not UTF-8, such as a caller's own request.id, breaks the call to the service: with failure_mode_allow it lets its caller through undecided")
	}
	rules := get(n, "mutation_rules")
	if !is(get(rules, "disallow_is_error"), "true") {
		c.say(Look, orElse(rules, n), "mutation_rules.disallow_is_error: true", "a header that Envoy will not change is left as it is, in silence")
	}
	if !is(get(rules, "allow_envoy"), "true") {
		c.say(Look, orElse(rules, n), "mutation_rules.allow_envoy: true", "the service cannot say how often a call is tried")
	}
}

func (c *check) authz(n *yaml.Node) {
	c.undecided(n)
	if grpc := get(n, "grpc_service"); grpc != nil && get(grpc, "timeout") == nil {
		c.say(Wrong, grpc, "timeout: 5s", "ext_authz waits 200 ms, its default, for the service")
	}
	body := get(n, "with_request_body")
	switch {
	case body == nil:
		c.say(Wrong, n, "with_request_body: { max_request_bytes: 8388608, allow_partial_message: true, pack_as_bytes: true }", "the service does not see the body, and cannot judge it")
	case !is(get(body, "allow_partial_message"), "true"):
		c.say(Look, body, "allow_partial_message: true", "a body above the limit is Envoy's 413 before the service is asked, also where failure_mode_allow is true")
	}
	if body != nil && !is(get(body, "pack_as_bytes"), "true") {
		c.say(Wrong, body, "pack_as_bytes: true", "a body that is not UTF-8 reaches the service mangled")
	}
	if !is(get(n, "clear_route_cache"), "true") {
		c.say(Wrong, n, "clear_route_cache: true", "the route stays the one that was chosen before the decision")
	}
}

// undecided is what becomes of calls without an answer.
func (c *check) undecided(n *yaml.Node) {
	if is(get(n, "failure_mode_allow"), "true") {
		c.say(Look, get(n, "failure_mode_allow"), "false, where a call must not go out unmetered", "failure_mode_allow: while the service is away, calls pass undecided and unpaid")
	}
	if get(n, "status_on_error") == nil {
		c.say(Wrong, n, "status_on_error: { code: ServiceUnavailable }", "an error of the service is told as 403 or 500, which SDKs do not try again")
	}
}

// managers is about where the filters stand, and what stands around them.
func (c *check) managers() {
	for _, list := range c.lists {
		c.order(items(list))
	}
	for _, m := range c.hcms {
		if !c.asks(items(get(m, "http_filters"))) {
			continue
		}
		if get(m, "local_reply_config") == nil {
			c.say(Look, m, "add the local_reply_config that `signalbox envoy filter` prints", "what Envoy itself answers has no body that an SDK can read")
		}
		if !is(get(m, "use_remote_address"), "true") && get(m, "early_header_mutation_extensions") == nil {
			c.say(Wrong, m, "use_remote_address: true, or the early_header_mutation_extensions that `signalbox envoy filter` prints", "callers' own x-envoy-* headers are obeyed: they can have a call tried again as often as they like")
		}
	}
	for _, t := range c.typed {
		if (t.kind == "ExtAuthzPerRoute" || t.kind == "ExtProcPerRoute") && is(get(t.node, "disabled"), "true") {
			c.say(Look, t.node, "leave disabled out where LLM traffic passes", "on this route nobody is asked")
		}
	}
}

// asks reports whether one of the filters is ours.
func (c *check) asks(filters []*yaml.Node) bool { return position(filters, isOurs) >= 0 }

func isOurs(f *yaml.Node) bool {
	kind := kindOf(f)
	return (kind == "ExternalProcessor" || kind == "ExtAuthz") && ours(f)
}

func kindOf(filter *yaml.Node) string {
	name := text(get(filter, "typed_config", "@type"))
	return name[strings.LastIndex(name, ".")+1:]
}

func position(filters []*yaml.Node, want func(*yaml.Node) bool) int {
	return slices.IndexFunc(filters, want)
}

// order is about one list of filters.
func (c *check) order(filters []*yaml.Node) {
	at := position(filters, isOurs)
	if at < 0 {
		return
	}
	for _, f := range filters[:at] {
		switch kindOf(f) {
		case "CredentialInjector":
			c.say(Wrong, f, "put it behind the filter that asks Signalbox", "the provider's credential is put in before the caller is known: the caller's key is lost, and the service sees the provider's")
		case "Router":
			c.say(Wrong, f, "put it last", "the router stands before the filter that asks Signalbox")
		}
	}
	for _, f := range filters[at+1:] {
		if kindOf(f) == "HeaderMutation" && c.strips(f) {
			return
		}
	}
	level := Look
	if is(get(filters[at], "typed_config", "failure_mode_allow"), "true") {
		level = Wrong
	}
	c.say(level, filters[at], "add the header_mutation that `signalbox envoy filter` prints behind it", "a call that nobody decided goes out with its caller's key")
}

// strips reports whether a header_mutation takes out every header that holds a key.
func (c *check) strips(filter *yaml.Node) bool {
	removed := map[string]bool{}
	for _, m := range items(get(filter, "typed_config", "mutations", "request_mutations")) {
		removed[strings.ToLower(text(get(m, "remove")))] = true
	}
	return !slices.ContainsFunc(decision.KeyHeaders(), func(name string) bool { return !removed[name] })
}

// ways is about the clusters in which the service is found.
func (c *check) ways() {
	cluster, ok := c.clusters["signalbox"]
	if !ok {
		return
	}
	thresholds := items(get(cluster, "circuit_breakers", "thresholds"))
	if len(thresholds) == 0 || slices.ContainsFunc(thresholds, func(t *yaml.Node) bool { return get(t, "max_requests") == nil }) {
		c.say(Wrong, cluster, "circuit_breakers: { thresholds: [ { max_connections: 4096, max_pending_requests: 65536, max_requests: 65536 } ] }",
			"Envoy's default breaker lets 1024 calls at once ask; the next are turned away")
	}
	c.tls(cluster)
	if get(cluster, "transport_socket") == nil && !local(cluster) {
		c.say(Look, cluster, "a transport_socket with TLS, or a mesh that encrypts the way", "prompts and callers' keys cross the network in the clear")
	}
}

// local reports whether a cluster is on Envoy's own machine.
func local(cluster *yaml.Node) bool {
	for _, l := range items(get(cluster, "load_assignment", "endpoints")) {
		for _, e := range items(get(l, "lb_endpoints")) {
			if host := text(get(e, "endpoint", "address", "socket_address", "address")); host != "" && !loopback(host) {
				return false
			}
		}
	}
	return true
}

func orElse(n, other *yaml.Node) *yaml.Node {
	if n != nil {
		return n
	}
	return other
}
