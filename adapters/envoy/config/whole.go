package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// bare is the least Envoy that a snippet can be put into, so that a binary can judge
// it. What is let through is answered on the spot.
const bare = `
static_resources:
  listeners:
  - name: callers
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: callers
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [ { match: { prefix: / }, direct_response: { status: 200, body: { inline_string: let through } } } ] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
`

// Whole is an Envoy around a snippet of Filter's. A configuration that is whole
// already comes back as it is.
func Whole(text []byte) ([]byte, error) {
	var given map[string]yaml.Node
	if err := yaml.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if _, is := given["http_filters"]; !is {
		return text, nil
	}
	var around yaml.Node
	if err := yaml.Unmarshal([]byte(bare), &around); err != nil {
		return nil, fmt.Errorf("read what is around it: %w", err)
	}
	static := get(around.Content[0], "static_resources")
	manager := get(static, "listeners", "0", "filter_chains", "0", "filters", "0", "typed_config")
	for key, value := range given {
		switch key {
		case "http_filters":
			filters := get(manager, key)
			filters.Content = append(value.Content[:len(value.Content):len(value.Content)], filters.Content...)
		case "clusters", "secrets":
			put(static, key, &value)
		default:
			put(manager, key, &value)
		}
	}
	out, err := yaml.Marshal(&around)
	if err != nil {
		return nil, fmt.Errorf("spell the whole: %w", err)
	}
	return out, nil
}
