package main

import (
	"fmt"
	"net"
	"strings"

	"go.yaml.in/yaml/v3"
)

// alone is an Envoy that only passes calls on: the floor under every chain.
const alone = `
node: {id: bench-alone, cluster: bench}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: calls
    address: {socket_address: {address: 127.0.0.1, port_value: {{listen}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: calls
          use_remote_address: true
          normalize_path: true
          stream_idle_timeout: 300s
          http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: provider, timeout: 0s}}]}]}
  clusters:
  - name: provider
    circuit_breakers: {thresholds: [{max_connections: 4096, max_pending_requests: 65536, max_requests: 65536}]}
    load_assignment: {cluster_name: provider, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: {{provider}}}}}}]}]}
`

func aloneBootstrap(listen, provider string) string {
	return strings.NewReplacer("{{listen}}", port(listen), "{{provider}}", port(provider)).Replace(alone)
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// askNoop is our bootstrap with its filter and its access log turned to the no-op
// filters. Routes, clusters and credentials still come from us, by xds.
func askNoop(bootstrap, noop string) (string, error) {
	var whole map[string]any
	if err := yaml.Unmarshal([]byte(bootstrap), &whole); err != nil {
		return "", fmt.Errorf("read the bootstrap: %w", err)
	}
	static, err := at(whole, "static_resources")
	if err != nil {
		return "", err
	}
	manager, err := at(static, "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config")
	if err != nil {
		return "", err
	}
	for _, path := range [][]any{{"http_filters", 0, "typed_config", "grpc_service", "envoy_grpc"}, {"access_log", 0, "typed_config", "common_config", "grpc_service", "envoy_grpc"}} {
		way, err := at(manager, path...)
		if err != nil {
			return "", err
		}
		way["cluster_name"] = "noop"
	}
	ours, err := at(static, "clusters", 0)
	if err != nil {
		return "", err
	}
	theirs := map[string]any{}
	for key, value := range ours {
		theirs[key] = value
	}
	theirs["name"] = "noop"
	theirs["load_assignment"] = map[string]any{"cluster_name": "noop", "endpoints": []any{map[string]any{"lb_endpoints": []any{
		map[string]any{"endpoint": map[string]any{"address": map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": port(noop)}}}}}}}}
	static["clusters"] = append(static["clusters"].([]any), theirs)
	out, err := yaml.Marshal(whole)
	return string(out), err
}

// at is the object at a path of names and places.
func at(object map[string]any, path ...any) (map[string]any, error) {
	var here any = object
	for _, step := range path {
		switch step := step.(type) {
		case string:
			o, _ := here.(map[string]any)
			here = o[step]
		case int:
			l, _ := here.([]any)
			if step >= len(l) {
				return nil, fmt.Errorf("the bootstrap has nothing at %v", path)
			}
			here = l[step]
		}
	}
	found, ok := here.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the bootstrap has nothing at %v", path)
	}
	return found, nil
}
