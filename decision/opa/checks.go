package opa

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// openings are the names in the custom package that the default policy reads, and
// whether each is a set that rules add to (`contains`) or one value. That these
// are all is a test.
var openings = map[string]bool{
	"deny": true, "refuse": true, "prefer": true, "max_output": true, "attempts": true, "redact": true,
	"no_clamp": false, "capture": false, "tags": false,
}

// misplaced are rules and data in places that are not the folder's: beside the
// default policy's own rules they would change what those mean, unseen.
func (b *build) misplaced() []Problem {
	var problems []Problem
	if b.own == nil {
		return nil
	}
	if _, ok := b.data["signalbox"]; ok {
		problems = append(problems, Problem{File: b.own.name, Message: "a data file speaks of data.signalbox, which belongs to the rules; use another name"})
	}
	if b.standard == nil {
		return problems
	}
	for _, file := range b.own.rego {
		module := b.modules[file.name]
		if packageOf(module) == decisionPackage {
			problems = append(problems, problemAt(module.Package.Location,
				"package %s is the default policy's; add to it in package %s, or replace it by defining %s here", decisionPackage, customPackage, entryRule))
		}
		if packageOf(module) == customPackage {
			problems = append(problems, misshapen(module)...)
		}
	}
	return problems
}

// misshapen are rules with the name of an opening and another form: `deny if …`,
// the habit of other policies, would be a truth where reasons are read.
func misshapen(module *ast.Module) []Problem {
	var problems []Problem
	for _, rule := range module.Rules {
		head, _ := rule.Head.Ref()[0].Value.(ast.Var)
		name := string(head)
		set, opening := openings[name]
		switch isSet := rule.Head.RuleKind() == ast.MultiValue; {
		case opening && set && !isSet:
			problems = append(problems, problemAt(rule.Location, "%s is a set that rules add to; write `%s contains … if …`", name, name))
		case opening && !set && isSet:
			problems = append(problems, problemAt(rule.Location, "%s is one value and no set; write `%s := … if …`", name, name))
		}
	}
	return problems
}

// nowhere are references into data that lead to no rule and no data file. Rego
// takes them for undefined, and a rule that denies would silently never fire.
func (b *build) nowhere(r *reading) []Problem {
	var problems []Problem
	for _, ref := range r.datas {
		prefix := constantPrefix(ref)
		at := ref[0].Location
		if b.hasRule(prefix) || hasData(b.data, prefix) || b.opening(prefix, at) {
			continue
		}
		problems = append(problems, problemAt(at, "data.%s is nowhere: no rule has that name and no data file that key", strings.Join(prefix, ".")))
	}
	return problems
}

// opening says whether the reference is from a verdict's own package, the default
// policy's or a copy that replaces it, to a rule that a folder may add and need not.
func (b *build) opening(prefix []string, at *ast.Location) bool {
	custom := strings.Split(customPackage, ".")
	if at == nil || len(prefix) <= len(custom) || !slices.Equal(prefix[:len(custom)], custom) {
		return false
	}
	_, known := openings[prefix[len(custom)]]
	module := b.modules[at.File]
	return known && module != nil && packageOf(module) == decisionPackage
}

func (b *build) hasRule(path []string) bool {
	node := b.compiler.RuleTree.Child(ast.DefaultRootDocument.Value)
	for _, name := range path {
		if node == nil || len(node.Values) > 0 {
			break
		}
		node = node.Child(ast.String(name))
	}
	return node != nil
}

func hasData(data map[string]any, path []string) bool {
	var at any = data
	for _, name := range path {
		object, ok := at.(map[string]any)
		if !ok {
			return false
		}
		if at, ok = object[name]; !ok {
			return false
		}
	}
	return true
}

// unread are the folder's rules that no verdict can come to use: a name misspelt
// (denny), or a package that nothing asks for.
func (b *build) unread(r *reading) []Problem {
	if b.own == nil {
		return nil
	}
	var problems []Problem
	for _, file := range b.own.rego {
		module := b.compiler.Modules[file.name]
		read := 0
		for _, rule := range module.Rules {
			if r.rules[rule] {
				read++
			} else if b.standard != nil && packageOf(module) == customPackage {
				problems = append(problems, problemAt(rule.Location, "no rule reads %s, so that it would change nothing; the default policy reads %s",
					rule.Head.Ref(), strings.Join(slices.Sorted(maps.Keys(openings)), ", ")))
			}
		}
		if read == 0 && (b.standard == nil || packageOf(module) != customPackage) {
			problems = append(problems, problemAt(module.Package.Location,
				"no rule reads package %s, so that it would change nothing; rules that are to be read stand in package %s", packageOf(module), customPackage))
		}
	}
	return problems
}
