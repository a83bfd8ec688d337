package opa

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reading is what a compiled policy can look at, found without running it: every
// rule that the verdict may come to use, and every constant prefix of input and
// data that stands in one of them. It may hold more than an evaluation reads,
// never less.
type reading struct {
	rules  map[*ast.Rule]bool
	inputs [][]string // constant prefixes below input; an empty one is all of it
	datas  []ast.Ref  // references into data as they stand in the rules
}

// readingOf walks the rules that can be reached from the entry. It reads compiled
// rules, where aliases, imports and local names are references already; what is
// passed on whole (input as an argument, walk(input)) stands there as the shorter
// prefix, which covers all that is below it.
func readingOf(compiler *ast.Compiler, entry ast.Ref) *reading {
	r := &reading{rules: map[*ast.Rule]bool{}}
	var visit func(x any) bool
	visitor := ast.NewGenericVisitor(func(x any) bool { return visit(x) })
	reach := func(ref ast.Ref) {
		for _, rule := range compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true}) {
			if !r.rules[rule] {
				r.rules[rule] = true
				visitor.Walk(rule)
			}
		}
	}
	visit = func(x any) bool {
		switch x := x.(type) {
		case *ast.Head:
			visitor.Walk(x.Reference) // which a walk of the head leaves out
		case ast.Ref:
			switch {
			case x.HasPrefix(ast.InputRootRef):
				r.inputs = append(r.inputs, constantPrefix(x))
			case x.HasPrefix(ast.DefaultRootRef):
				r.datas = append(r.datas, x)
				reach(x)
			}
			// The head is done; what stands inside the brackets may be a reference.
			for _, element := range x[1:] {
				visitor.Walk(element)
			}
			return true
		case ast.Var:
			// The compiler leaves no bare root; if one should stay, it is all of it.
			if x.Equal(ast.InputRootDocument.Value) {
				r.inputs = append(r.inputs, nil)
			} else if x.Equal(ast.DefaultRootDocument.Value) {
				r.datas = append(r.datas, ast.DefaultRootRef)
				reach(ast.DefaultRootRef)
			}
		}
		return false
	}
	reach(entry)
	return r
}

// constantPrefix is the part of a reference below its root that is the same
// whatever the values are.
func constantPrefix(ref ast.Ref) []string {
	var prefix []string
	for _, element := range ref[1:] {
		name, ok := element.Value.(ast.String)
		if !ok {
			break
		}
		prefix = append(prefix, string(name))
	}
	return prefix
}

// view is what the policy is shown: the fields on its paths. The model and the
// deployments are in every view, because the verdict is held against them after
// the policy has spoken.
func (r *reading) view() *view {
	paths := append([][]string{{"model", "name"}, {"deployments"}}, r.inputs...)
	all := fields()
	for _, path := range paths {
		if !slices.ContainsFunc(all, func(f field) bool { return f.on(path) }) {
			return &view{fields: all} // a path we do not know: show everything
		}
	}
	v := &view{}
	for _, f := range all {
		if !slices.ContainsFunc(paths, f.on) {
			continue
		}
		if f.section == "principal" && f.name == "tags" {
			if names, only := singleTags(paths); only {
				f = someTags(names)
			}
		}
		v.fields = append(v.fields, f)
	}
	return v
}

// on says whether the field and the path have anything in common: one of them is
// the beginning of the other.
func (f field) on(path []string) bool {
	own := []string{f.section}
	if f.name != "" {
		own = append(own, f.name)
	}
	n := min(len(own), len(path))
	return slices.Equal(own[:n], path[:n])
}

// singleTags are the tags read by name; only is false when one of the paths reads
// the tags as a whole.
func singleTags(paths [][]string) (names []string, only bool) {
	tags := field{section: "principal", name: "tags"}
	for _, path := range paths {
		if !tags.on(path) {
			continue
		}
		if len(path) < 3 {
			return nil, false
		}
		names = append(names, path[2])
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// names are the input paths as a policy's author writes them, shortest first
// within a section and each only once.
func (r *reading) names() []string {
	names := make([]string, 0, len(r.inputs))
	for _, path := range r.inputs {
		names = append(names, strings.Join(append([]string{"input"}, path...), "."))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
