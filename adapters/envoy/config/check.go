package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Level is how bad a problem is.
type Level string

const (
	// Wrong: it does not do what it is there for, or costs what it need not.
	Wrong Level = "wrong"
	// Look: it may be meant so; whoever wrote it should know what follows.
	Look Level = "look"
)

// Problem is a setting that loads without a word and then hurts.
type Problem struct {
	Line  int    // of the text; 0: of the whole
	Level Level  // how bad it is
	What  string // what is so
	Fix   string // what to do
}

func (p Problem) String() string {
	return fmt.Sprintf("line %d: %s: %s: %s", p.Line, p.Level, p.What, p.Fix)
}

// maxText is far above any bootstrap; what is above is not read.
const maxText = 8 << 20

// Check reads a bootstrap, or a snippet of Filter's, in YAML or JSON, and says what
// Envoy would not. An empty list is no proof: only a binary knows what it loads.
func Check(text []byte) []Problem {
	if len(text) > maxText {
		return []Problem{{Level: Wrong, What: "the text is longer than 8 MiB", Fix: "check its parts by themselves"}}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		return []Problem{{Level: Wrong, What: "this is not YAML", Fix: err.Error()}}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return []Problem{{Level: Wrong, What: "there is more than one document", Fix: "Envoy reads one; check Kubernetes' files by their own tools"}}
	}
	c := &check{clusters: map[string]*yaml.Node{}, secrets: map[string]bool{}}
	c.collect(resolved(doc.Content[0]), 0)
	c.asked()
	c.managers()
	c.ways()
	c.providers()
	c.routes()
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return slices.CompactFunc(c.problems, func(a, b Problem) bool { return a == b })
}

// check is one reading of a text.
type check struct {
	problems []Problem

	lists    []*yaml.Node          // of http_filters, in the way in; snippets' too
	hcms     []*yaml.Node          // connection managers
	typed    []typedNode           // everything with an @type
	retries  []*yaml.Node          // retry policies of routes and hosts
	direct   []*yaml.Node          // the route: of routes
	clusters map[string]*yaml.Node // by name
	secrets  map[string]bool       // static ones
	logs     int                   // gRPC access logs
	dynamic  bool                  // routes or clusters come from elsewhere
	snippet  bool                  // it is no whole configuration
	seen     int                   // nodes; see collect
}

type typedNode struct {
	kind string // the last part of the type's name
	node *yaml.Node
}

// Bounds of a walk: aliases can make a small text a large tree.
const (
	maxDepth = 64
	maxNodes = 1 << 20
)

// collect walks the text once and keeps what the checks are about.
func (c *check) collect(n *yaml.Node, depth int) {
	n = resolved(n)
	if c.seen++; n == nil || depth > maxDepth || c.seen > maxNodes {
		return
	}
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			c.collect(item, depth+1)
		}
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	if name := text(get(n, "@type")); name != "" {
		c.keep(name[strings.LastIndex(name, ".")+1:], n)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, resolved(n.Content[i+1])
		switch {
		case depth == 0 && key == "http_filters":
			c.snippet, c.lists = true, append(c.lists, value)
		case key == "retry_policy" && get(value, "retry_on") != nil:
			c.retries = append(c.retries, value)
		case key == "route" && value != nil && value.Kind == yaml.MappingNode:
			c.direct = append(c.direct, value)
		case key == "clusters" && depth <= 1:
			for _, cluster := range items(value) {
				c.clusters[text(get(cluster, "name"))] = cluster
			}
		case key == "secrets" && depth <= 1:
			for _, secret := range items(value) {
				c.secrets[text(get(secret, "name"))] = true
			}
		case key == "rds" || key == "dynamic_resources":
			c.dynamic = true
		}
		c.collect(value, depth+1)
	}
}

func (c *check) keep(kind string, n *yaml.Node) {
	c.typed = append(c.typed, typedNode{kind, n})
	switch kind {
	case "HttpConnectionManager":
		c.hcms = append(c.hcms, n)
		if filters := get(n, "http_filters"); filters != nil {
			c.lists = append(c.lists, filters)
		}
	case "HttpGrpcAccessLogConfig":
		c.logs++
	}
}

func (c *check) say(level Level, n *yaml.Node, fix, what string, args ...any) {
	line := 0
	if n != nil {
		line = n.Line
	}
	c.problems = append(c.problems, Problem{Line: line, Level: level, What: fmt.Sprintf(what, args...), Fix: fix})
}

// of are the nodes of one type.
func (c *check) of(kind string) []*yaml.Node {
	var out []*yaml.Node
	for _, t := range c.typed {
		if t.kind == kind {
			out = append(out, t.node)
		}
	}
	return out
}

// is reports whether a field says so; absent: the default.
func is(n *yaml.Node, want string) bool { return strings.EqualFold(text(n), want) }

// ours reports whether a filter asks Signalbox: other services may be asked beside it.
func ours(filter *yaml.Node) bool {
	raw, err := yaml.Marshal(filter)
	return err == nil && strings.Contains(string(raw), "signalbox")
}
