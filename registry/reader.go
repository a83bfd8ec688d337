package registry

import (
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxVisits bounds how many values are read from one set of files, aliases
// counted each time: a kilobyte of nested anchors cannot become a day's work.
const maxVisits = 1_000_000

// reader turns YAML nodes into values, and everything that is wrong with them
// into problems. It never stops at the first.
type reader struct {
	file     string
	problems *problems
	visits   int
}

// problem reports something at a node.
func (r *reader) problem(n *yaml.Node, want, what string, args ...any) {
	r.problems.add(Problem{File: r.file, Line: max(n.Line, 1), Column: max(n.Column, 1), What: fmt.Sprintf(what, args...), Want: want})
}

// resolve follows an alias to what its anchor names, and counts.
func (r *reader) resolve(n *yaml.Node) *yaml.Node {
	if r.visits++; r.visits == maxVisits {
		r.problem(n, "split them, or use fewer aliases", "the files hold more than %d values", maxVisits)
	}
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias // An anchor cannot stand on an alias, so one step is enough.
	}
	return n
}

// tired reports whether the bound on values was passed: what follows is not read.
func (r *reader) tired() bool { return r.visits >= maxVisits }

// mapping is one object of the file while its fields are read. Every getter
// reports what is wrong and returns a zero value, so that an object is read to
// its end whatever stands in it.
type mapping struct {
	r      *reader
	node   *yaml.Node
	prefix string // of this mapping's fields in at: "window."
	what   string // "budget", "window"
	fields map[string]*yaml.Node
	keys   []*yaml.Node
	asked  []string
	bad    bool                  // not a mapping at all: said once
	at     map[string]*yaml.Node // where each field of the object stands
}

// mapping begins an object; it reports what is no mapping and keys that stand twice.
func (r *reader) mapping(n *yaml.Node, what string) *mapping {
	n = r.resolve(n)
	m := &mapping{r: r, node: n, what: what, fields: map[string]*yaml.Node{}, at: map[string]*yaml.Node{"": n}}
	m.fill()
	return m
}

func (m *mapping) fill() {
	if m.node.Kind != yaml.MappingNode {
		m.bad = true
		m.r.problem(m.node, "write it as {key: value, …}", "this %s is %s", m.what, kindOf(m.node))
		return
	}
	for i := 0; i+1 < len(m.node.Content) && !m.r.tired(); i += 2 {
		key, value := m.r.resolve(m.node.Content[i]), m.r.resolve(m.node.Content[i+1])
		switch first, twice := m.fields[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Tag != "!!str" && key.Tag != "!!merge":
			m.r.problem(key, "write a name as the key", "a key of this %s is %s", m.what, kindOf(key))
		case key.Tag == "!!merge":
			m.r.problem(key, "write the fields out, or use an alias for a whole value", "merge keys (<<) are not read")
		case twice:
			m.r.problem(key, "keep one of them", "key %q stands twice in this %s, first on line %d", clip(key.Value), m.what, first.Line)
		default:
			m.fields[key.Value] = value
			m.keys = append(m.keys, key)
		}
	}
}

// done reports the keys that nobody asked for.
func (m *mapping) done() {
	for _, key := range m.keys {
		if !slices.Contains(m.asked, key.Value) {
			m.r.problem(key, oneOf(key.Value, m.asked), "unknown key %q in this %s", clip(key.Value), m.what)
		}
	}
}

// field is the node of a key, nil when there is none; required ones are reported.
func (m *mapping) field(key string, required bool) *yaml.Node {
	if !slices.Contains(m.asked, key) {
		m.asked = append(m.asked, key)
	}
	n, ok := m.fields[key]
	if !ok {
		if required && !m.bad {
			m.r.problem(m.node, "write "+key+": …", "this %s has no %q", m.what, key)
		}
		return nil
	}
	m.at[m.prefix+key] = n
	return n
}

func (m *mapping) has(key string) bool { _, ok := m.fields[key]; return ok }

// full names a field as messages do: "window.zone".
func (m *mapping) full(key string) string { return m.prefix + key }

// scalar is a field's text if it has the YAML type tag.
func (m *mapping) scalar(key, tag, want string, required bool) (*yaml.Node, string) {
	n := m.field(key, required)
	if n == nil || !m.r.typed(n, m.full(key), tag, want) {
		return nil, ""
	}
	return n, n.Value
}

// quoted is a field's text where any text may stand: of a number it says that
// quotes are missing, because YAML would not give it back as it was written.
func (m *mapping) quoted(key, want string, required bool) (*yaml.Node, string) {
	n := m.field(key, required)
	if n == nil || !m.r.quoted(n, m.full(key), want) {
		return nil, ""
	}
	return n, n.Value
}

// typed reports whether a node is a scalar of one YAML type, and says so if not.
func (r *reader) typed(n *yaml.Node, what, tag, want string) bool {
	if n.Kind == yaml.ScalarNode && n.Tag == tag {
		return true
	}
	r.problem(n, want, "%s is %s", what, kindOf(n))
	return false
}

func (r *reader) quoted(n *yaml.Node, what, want string) bool {
	if n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float" || n.Tag == "!!bool" || n.Tag == "!!timestamp") {
		want = fmt.Sprintf("write it in quotes: %q", clip(n.Value))
	}
	return r.typed(n, what, "!!str", want)
}

// text is a string without control characters, of 1 to limit bytes.
func (m *mapping) text(key string, limit int, required bool) string {
	n, s := m.quoted(key, "write a string", required)
	if n == nil || !m.r.plain(n, m.full(key), s, limit) {
		return ""
	}
	return s
}

func (r *reader) plain(n *yaml.Node, what, s string, limit int) bool {
	switch {
	case s == "":
		r.problem(n, "write a value, or leave the key out", "%s is empty", what)
	case len(s) > limit:
		r.problem(n, fmt.Sprintf("write up to %d bytes", limit), "%s is %d bytes long", what, len(s))
	case !printable(s):
		r.problem(n, "write printable characters only", "%s holds control characters", what)
	default:
		return true
	}
	return false
}

// name is a string of the common syntax of names.
func (m *mapping) name(key string, required bool) string {
	n, s := m.quoted(key, "write a name such as my-name", required)
	if n == nil || !m.r.named(n, m.full(key), s) {
		return ""
	}
	return s
}

const wantName = "write 1 to 63 of a-z, 0-9, \".\", \"_\" and \"-\", beginning with a letter or digit"

func (r *reader) named(n *yaml.Node, what, s string) bool {
	if !validName(s) {
		r.problem(n, wantName, "%s %q is not a name", what, clip(s))
		return false
	}
	return true
}

// choice is one of a few words; the zero string where the key is missing.
func (m *mapping) choice(key string, required bool, options ...string) string {
	n, s := m.scalar(key, "!!str", "want "+choices(options), required)
	if n == nil {
		return ""
	}
	for _, o := range options {
		if o == s {
			return s
		}
	}
	m.r.problem(n, oneOf(s, options), "%s cannot be %q", m.full(key), clip(s))
	return ""
}

// integer is a whole number from least to most, written without quotes.
func (m *mapping) integer(key string, least, most int64, required bool) int64 {
	want := fmt.Sprintf("write a whole number from %d to %d, without quotes", least, most)
	n, s := m.scalar(key, "!!int", want, required)
	if n == nil {
		return 0
	}
	i, err := strconv.ParseInt(s, 10, 64) // no hexadecimal, octal or underscores
	if err != nil || i < least || i > most {
		m.r.problem(n, want, "%s cannot be %s", m.full(key), clip(s))
		return 0
	}
	return i
}

// boolean is true or false.
func (m *mapping) boolean(key string) bool {
	n, s := m.scalar(key, "!!bool", "write true or false", false)
	if n == nil {
		return false
	}
	if s != "true" && s != "false" {
		m.r.problem(n, "write true or false", "%s cannot be %q", m.full(key), clip(s))
	}
	return s == "true"
}

// usd is a decimal string of dollars; ok is false where there is none to read.
func (m *mapping) usd(key string, required bool) (nano int64, ok bool) {
	n, s := m.quoted(key, `write a decimal string such as "2.50"`, required)
	if n == nil {
		return 0, false
	}
	nano, err := ParseUSD(s)
	if err != nil {
		m.r.problem(n, `write a decimal string such as "2.50"`, "%s: %s", m.full(key), err)
		return 0, false
	}
	return nano, true
}

// sub is a mapping inside this one, nil where there is none.
func (m *mapping) sub(key, what string, required bool) *mapping {
	n := m.field(key, required)
	if n == nil {
		return nil
	}
	s := &mapping{r: m.r, node: n, prefix: m.prefix + key + ".", what: what, fields: map[string]*yaml.Node{}, at: m.at}
	s.fill()
	return s
}

// list is a field's elements.
func (m *mapping) list(key, want string, required bool) []*yaml.Node {
	n := m.field(key, required)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		m.r.problem(n, want, "%s is %s", m.full(key), kindOf(n))
		return nil
	}
	elements := make([]*yaml.Node, 0, min(len(n.Content), 64))
	for _, e := range n.Content {
		if m.r.tired() {
			break
		}
		elements = append(elements, m.r.resolve(e))
	}
	return elements
}

// strings is a list of different strings that pass a check, in the file's order.
func (m *mapping) strings(key, want string, required bool, check func(n *yaml.Node, s string) bool) []string {
	return m.r.distinct(m.list(key, want, required), m.full(key), want, check)
}

func (r *reader) distinct(elements []*yaml.Node, key, want string, check func(n *yaml.Node, s string) bool) []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range elements {
		switch {
		case !r.quoted(e, "an element of "+key, want) || !check(e, e.Value):
		case seen[e.Value]:
			r.problem(e, "keep one of them", "%q stands twice in %s", clip(e.Value), key)
		default:
			seen[e.Value] = true
			out = append(out, e.Value)
		}
	}
	return out
}

// kindOf names what stands at a node, as its writer would.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
	default:
		return "something else"
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!str":
		return fmt.Sprintf("the string %q", clip(n.Value))
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return "the truth value " + clip(n.Value)
	case "!!timestamp":
		return "the date " + clip(n.Value)
	}
	return "a value of type " + clip(n.Tag)
}
