package config

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// get follows names, and numbers in lists, into a document; nil where it ends.
func get(n *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		n = child(n, name)
	}
	return n
}

func child(n *yaml.Node, name string) *yaml.Node {
	n = resolved(n)
	if n == nil {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return resolved(n.Content[i+1])
			}
		}
	case yaml.SequenceNode:
		if at, err := strconv.Atoi(name); err == nil && at >= 0 && at < len(n.Content) {
			return resolved(n.Content[at])
		}
	}
	return nil
}

// resolved is what an alias stands for. YAML's reader lets none stand for itself
// directly, and nobody here follows more than names.
func resolved(n *yaml.Node) *yaml.Node {
	for range 8 {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

// text is a scalar's; "" where there is none.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// items are a list's.
func items(n *yaml.Node) []*yaml.Node {
	if n = resolved(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, 0, len(n.Content))
	for _, item := range n.Content {
		out = append(out, resolved(item))
	}
	return out
}

// put adds a key to a mapping.
func put(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
}
