package opa

import (
	"encoding/binary"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/signalbox-dev/signalbox/decision"
)

// A field is one value of the input document, input.<section>.<name>, or
// input.<section> where name is empty. It knows two things about that value: how
// to show it to a policy, and how to write it into a key. Both read the struct,
// so that there is no document to build when the verdict is remembered.
type field struct {
	section, name string
	term          func(*decision.Facts) *ast.Term
	key           func([]byte, *decision.Facts) []byte
}

// fields are all of them, sections together. That they are all, and are shown as
// Facts' own JSON shows them, is a test.
func fields() []field {
	type facts = decision.Facts
	return []field{
		text("principal", "tenant", func(f *facts) string { return f.Principal.Tenant }),
		text("principal", "team", func(f *facts) string { return f.Principal.Team }),
		text("principal", "app", func(f *facts) string { return f.Principal.App }),
		text("principal", "key", func(f *facts) string { return f.Principal.Key }),
		text("principal", "user", func(f *facts) string { return f.Principal.User }),
		text("principal", "session", func(f *facts) string { return f.Principal.Session }),
		text("principal", "agent", func(f *facts) string { return f.Principal.Agent }),
		{"principal", "tags", tagsTerm, tagsKey},
		texts("tenant", "regions", func(f *facts) []string { return f.Tenant.Regions }),
		texts("app", "models", func(f *facts) []string { return f.App.Models }),
		text("request", "dialect", func(f *facts) string { return f.Request.Dialect }),
		text("request", "endpoint", func(f *facts) string { return f.Request.Endpoint }),
		text("request", "method", func(f *facts) string { return f.Request.Method }),
		text("request", "path", func(f *facts) string { return f.Request.Path }),
		truth("request", "stream", func(f *facts) bool { return f.Request.Stream }),
		number("request", "tools", func(f *facts) int64 { return int64(f.Request.Tools) }),
		number("request", "images", func(f *facts) int64 { return int64(f.Request.Images) }),
		number("request", "files", func(f *facts) int64 { return int64(f.Request.Files) }),
		truth("request", "token_ids", func(f *facts) bool { return f.Request.TokenIDs }),
		text("request", "size_band", func(f *facts) string { return f.Request.SizeBand }),
		number("request", "max_output", func(f *facts) int64 { return f.Request.MaxOutput }),
		text("model", "name", func(f *facts) string { return f.Model.Name }),
		{"deployments", "", deploymentsTerm, deploymentsKey},
		{"findings", "", findingsTerm, findingsKey},
		number("time", "hour", func(f *facts) int64 { return int64(f.Time.Hour) }),
		text("time", "weekday", func(f *facts) string { return f.Time.Weekday }),
		text("time", "date", func(f *facts) string { return f.Time.Date }),
		text("gateway", "", func(f *facts) string { return f.Gateway }),
	}
}

// view is the part of the facts that one policy is shown.
type view struct {
	fields []field
}

// input is the document that the policy reads.
func (v *view) input(f *decision.Facts) *ast.Term {
	document := make([][2]*ast.Term, 0, len(v.fields))
	for i := 0; i < len(v.fields); {
		section := v.fields[i].section
		if v.fields[i].name == "" {
			document = append(document, member(section, v.fields[i].term(f)))
			i++
			continue
		}
		members := make([][2]*ast.Term, 0, len(v.fields)-i)
		for ; i < len(v.fields) && v.fields[i].section == section; i++ {
			members = append(members, member(v.fields[i].name, v.fields[i].term(f)))
		}
		document = append(document, member(section, ast.ObjectTerm(members...)))
	}
	return ast.ObjectTerm(document...)
}

// appendKey writes the values that the policy reads. Each value says where it
// ends, and a policy's fields and their order never change, so that two facts
// have the same key only if the policy cannot tell them apart.
func (v *view) appendKey(key []byte, f *decision.Facts) []byte {
	for i := range v.fields {
		key = v.fields[i].key(key, f)
	}
	return key
}

func member(name string, value *ast.Term) [2]*ast.Term {
	return [2]*ast.Term{ast.InternedTerm(name), value}
}

func text(section, name string, of func(*decision.Facts) string) field {
	return field{section, name,
		func(f *decision.Facts) *ast.Term { return ast.StringTerm(of(f)) },
		func(key []byte, f *decision.Facts) []byte { return appendText(key, of(f)) }}
}

func number(section, name string, of func(*decision.Facts) int64) field {
	return field{section, name,
		func(f *decision.Facts) *ast.Term { return ast.InternedTerm(of(f)) },
		func(key []byte, f *decision.Facts) []byte { return binary.AppendVarint(key, of(f)) }}
}

func truth(section, name string, of func(*decision.Facts) bool) field {
	return field{section, name,
		func(f *decision.Facts) *ast.Term { return ast.InternedTerm(of(f)) },
		func(key []byte, f *decision.Facts) []byte { return appendTruth(key, of(f)) }}
}

func texts(section, name string, of func(*decision.Facts) []string) field {
	return field{section, name,
		func(f *decision.Facts) *ast.Term {
			values := of(f)
			terms := make([]*ast.Term, len(values))
			for i, value := range values {
				terms[i] = ast.StringTerm(value)
			}
			return ast.ArrayTerm(terms...)
		},
		func(key []byte, f *decision.Facts) []byte {
			values := of(f)
			key = binary.AppendUvarint(key, uint64(len(values)))
			for _, value := range values {
				key = appendText(key, value)
			}
			return key
		}}
}

func tagsTerm(f *decision.Facts) *ast.Term {
	members := make([][2]*ast.Term, 0, len(f.Principal.Tags))
	for name, value := range f.Principal.Tags {
		members = append(members, [2]*ast.Term{ast.StringTerm(name), ast.StringTerm(value)})
	}
	return ast.ObjectTerm(members...)
}

func tagsKey(key []byte, f *decision.Facts) []byte {
	var room [16]string // enough for most calls, so that sorting costs no allocation
	names := room[:0]
	for name := range f.Principal.Tags {
		names = append(names, name)
	}
	slices.Sort(names)
	key = binary.AppendUvarint(key, uint64(len(names)))
	for _, name := range names {
		key = appendText(key, name)
		key = appendText(key, f.Principal.Tags[name])
	}
	return key
}

// someTags shows single tags to a policy that reads no others. Callers may set
// tags; one that differs from call to call must not cost a policy that never
// looks at it its memory.
func someTags(names []string) field {
	return field{"principal", "tags",
		func(f *decision.Facts) *ast.Term {
			members := make([][2]*ast.Term, 0, len(names))
			for _, name := range names {
				if value, ok := f.Principal.Tags[name]; ok {
					members = append(members, [2]*ast.Term{ast.StringTerm(name), ast.StringTerm(value)})
				}
			}
			return ast.ObjectTerm(members...)
		},
		func(key []byte, f *decision.Facts) []byte {
			for _, name := range names {
				value, ok := f.Principal.Tags[name]
				key = appendTruth(key, ok) // absent is not empty: only one of them is undefined
				key = appendText(key, value)
			}
			return key
		}}
}

func deploymentsTerm(f *decision.Facts) *ast.Term {
	terms := make([]*ast.Term, len(f.Deployments))
	for i := range f.Deployments {
		d := &f.Deployments[i]
		terms[i] = ast.ObjectTerm(
			member("name", ast.StringTerm(d.Name)),
			member("provider", ast.StringTerm(d.Provider)),
			member("kind", ast.StringTerm(d.Kind)),
			member("region", ast.StringTerm(d.Region)),
			member("price_rank", ast.InternedTerm(d.PriceRank)),
			member("priced", ast.InternedTerm(d.Priced)),
			member("healthy", ast.InternedTerm(d.Healthy)),
		)
	}
	return ast.ArrayTerm(terms...)
}

func deploymentsKey(key []byte, f *decision.Facts) []byte {
	key = binary.AppendUvarint(key, uint64(len(f.Deployments)))
	for i := range f.Deployments {
		d := &f.Deployments[i]
		key = appendText(key, d.Name)
		key = appendText(key, d.Provider)
		key = appendText(key, d.Kind)
		key = appendText(key, d.Region)
		key = binary.AppendVarint(key, int64(d.PriceRank))
		key = appendTruth(key, d.Priced)
		key = appendTruth(key, d.Healthy)
	}
	return key
}

func findingsTerm(f *decision.Facts) *ast.Term {
	found := f.Look()
	terms := make([]*ast.Term, len(found))
	for i, finding := range found {
		terms[i] = ast.ObjectTerm(
			member("kind", ast.StringTerm(finding.Kind)),
			member("count", ast.InternedTerm(finding.Count)),
		)
	}
	return ast.ArrayTerm(terms...)
}

func findingsKey(key []byte, f *decision.Facts) []byte {
	found := f.Look()
	key = binary.AppendUvarint(key, uint64(len(found)))
	for _, finding := range found {
		key = appendText(key, finding.Kind)
		key = binary.AppendVarint(key, int64(finding.Count))
	}
	return key
}

func appendText(key []byte, s string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(s))), s...)
}

func appendTruth(key []byte, b bool) []byte {
	if b {
		return append(key, 1)
	}
	return append(key, 0)
}
