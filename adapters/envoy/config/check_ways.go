package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tls is about who is believed at the other end.
func (c *check) tls(cluster *yaml.Node) {
	context := get(cluster, "transport_socket", "typed_config")
	if !strings.HasSuffix(text(get(context, "@type")), ".UpstreamTlsContext") {
		return
	}
	common := get(context, "common_tls_context")
	for _, name := range []string{"validation_context", "validation_context_sds_secret_config", "combined_validation_context"} {
		if get(common, name) != nil {
			return
		}
	}
	c.say(Wrong, context, "common_tls_context.validation_context: { trusted_ca: { filename: /etc/ssl/certs/ca-certificates.crt } }", "cluster %q: without a validation_context Envoy believes any certificate", text(get(cluster, "name")))
}

// providers is about the clusters that calls go to.
func (c *check) providers() {
	names := make([]string, 0, len(c.clusters))
	for name := range c.clusters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		cluster := c.clusters[name]
		if name != "signalbox" {
			c.tls(cluster)
		}
		kind := text(get(cluster, "cluster_type", "typed_config", "@type"))
		switch {
		case strings.Contains(kind, "clusters.composite.") || strings.Contains(kind, "clusters.aggregate."):
			c.say(Wrong, cluster, "route by priority_group, one cluster a provider", "cluster %q is made of others, whose own filters do not run: neither keys nor paths are theirs, and the caller's headers go to each", name)
		case strings.Contains(kind, "clusters.dynamic_forward_proxy."):
			c.say(Look, cluster, "a cluster for each provider that is allowed", "cluster %q goes wherever a call's host says", name)
		}
		for _, f := range upstreamFilters(cluster) {
			c.upstream(name, f)
		}
	}
}

// upstreamFilters are the filters of a cluster's own.
func upstreamFilters(cluster *yaml.Node) []*yaml.Node {
	const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	return items(get(cluster, "typed_extension_protocol_options", options, "http_filters"))
}

func (c *check) upstream(cluster string, f *yaml.Node) {
	switch kindOf(f) {
	case "HeaderMutation":
		for _, m := range items(get(f, "typed_config", "mutations", "request_mutations")) {
			if key := text(get(m, "append", "header", "key")); strings.HasPrefix(key, ":") || strings.EqualFold(key, "host") {
				c.say(Wrong, m, "an upstream Lua filter", "cluster %q: header_mutation may not set %s, and Envoy refuses the whole cluster", cluster, key)
			}
		}
	case "CredentialInjector":
		credential := get(f, "typed_config", "credential", "typed_config", "credential")
		name := text(get(credential, "name"))
		switch sds := get(credential, "sds_config"); {
		case get(sds, "ads") != nil:
			c.say(Look, credential, "the whole cluster by xds, or the secret by a file", "cluster %q: a static cluster whose secret comes by ADS makes `envoy --mode validate` crash", cluster)
		case sds == nil && name != "" && !c.secrets[name]:
			c.say(Wrong, credential, "add it under static_resources.secrets", "cluster %q: the secret %q is not there, and Envoy crashes at its start", cluster, name)
		}
		if is(get(f, "typed_config", "overwrite"), "false") || get(f, "typed_config", "overwrite") == nil {
			c.say(Wrong, f, "overwrite: true", "cluster %q: a caller's own header is kept, and the credential is not put in", cluster)
		}
	}
}

// routes is about where calls go, and how often.
func (c *check) routes() {
	for _, r := range c.retries {
		c.retry(r)
	}
	for _, route := range c.direct {
		if t := get(route, "timeout"); t == nil && (get(route, "cluster") != nil || get(route, "weighted_clusters") != nil) {
			c.say(Look, route, "timeout: 0s, and idle_timeout: 300s", "an answer that takes longer than 15 s, Envoy's default, is cut")
		}
		plugin := get(route, "inline_cluster_specifier_plugin", "extension", "typed_config")
		if strings.HasSuffix(text(get(plugin, "@type")), ".PriorityGroupClusterSpecifier") && !is(get(route, "retry_policy", "refresh_cluster_on_retry"), "true") {
			c.say(Wrong, route, "retry_policy.refresh_cluster_on_retry: true", "every try goes to the first provider")
		}
	}
}

func (c *check) retry(policy *yaml.Node) {
	for _, on := range strings.Split(text(get(policy, "retry_on")), ",") {
		switch on = strings.TrimSpace(on); on {
		case "5xx", "gateway-error", "reset":
			c.say(Wrong, get(policy, "retry_on"), "connect-failure,refused-stream,reset-before-request,retriable-status-codes with retriable_status_codes: [429, 500, 502, 503, 504, 529]",
				"retry_on: %s tries again after time-outs and resets, when the provider may bill the first try too", on)
		}
	}
}
