package opa

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// pureBuiltins are the functions a policy may call: each gives the same result
// for the same arguments, on every machine, at every time. OPA marks functions
// that do not, but not all of them (crypto.x509.parse_and_verify_certificates
// reads the clock unmarked), so that a list of what is refused would leak with
// each new version; a list of what is allowed cannot. docs/decisions/052 has more.
var pureBuiltins = []string{
	// Operators and what the compiler makes of the syntax.
	"assign", "eq", "equal", "neq", "lt", "lte", "gt", "gte",
	"internal.member_2", "internal.member_3", "internal.print", "internal.template_string", "print",
	"plus", "minus", "mul", "div", "rem", "and", "or",
	"rego.metadata.chain", "rego.metadata.rule",
	// Numbers.
	"abs", "ceil", "floor", "round", "numbers.range", "numbers.range_step", "to_number", "format_int",
	"bits.and", "bits.lsh", "bits.negate", "bits.or", "bits.rsh", "bits.xor", "units.parse", "units.parse_bytes",
	// Aggregates and collections.
	"count", "max", "min", "product", "sort", "sum",
	"array.concat", "array.flatten", "array.reverse", "array.slice",
	"intersection", "union",
	"object.filter", "object.get", "object.keys", "object.remove", "object.subset", "object.union", "object.union_n",
	"json.filter", "json.patch", "json.remove",
	"graph.reachable", "graph.reachable_paths", "walk",
	// Text.
	"concat", "contains", "endswith", "indexof", "indexof_n", "lower", "replace", "split", "sprintf", "startswith",
	"strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.replace_n", "strings.reverse", "strings.split_n",
	"substring", "trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper",
	"glob.match", "glob.quote_meta",
	"regex.find_all_string_submatch_n", "regex.find_n", "regex.is_valid", "regex.match", "regex.replace", "regex.split",
	"semver.compare", "semver.is_valid",
	// Forms and digests.
	"base64.decode", "base64.encode", "base64.is_valid", "base64url.decode", "base64url.encode", "base64url.encode_no_pad",
	"hex.decode", "hex.encode", "json.is_valid", "json.marshal", "json.unmarshal",
	"urlquery.decode", "urlquery.encode", "uri.is_valid", "uri.parse", "uuid.parse",
	"crypto.md5", "crypto.sha1", "crypto.sha256",
	// Types.
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name",
	// Time as plain arithmetic: none of these looks at a clock or a zone table.
	"time.add_date", "time.parse_duration_ns", "time.parse_rfc3339_ns",
}

// refusals say why for those that people ask for. The longest prefix that fits
// is the one shown.
var refusals = map[string]string{
	"http.":                 "it asks another service, so that equal facts could have different verdicts and no decision could be replayed; put what it would fetch in a data.json of the folder",
	"rand.":                 "its result differs from call to call, so that no decision could be replayed",
	"uuid.rfc4122":          "its result differs from call to call, so that no decision could be replayed",
	"time.":                 "it reads the clock or the machine's time zone files; the decision's own clock is input.time.hour, .weekday and .date, in UTC",
	"opa.runtime":           "it reads the environment of the process, which no decision records",
	"net.":                  "it reads the network, or is of use only with addresses, and the facts hold none",
	"io.jwt.":               "the facts hold no tokens, and checking one reads the clock; who calls is input.principal",
	"crypto.x509.":          "checking certificates reads the clock; who calls is input.principal",
	"crypto.hmac.":          "it needs a secret, and a policy is no place for one",
	"crypto.parse_private":  "it needs a secret, and a policy is no place for one",
	"providers.aws.":        "it signs a request to another service, which a policy cannot send",
	"json.match_schema":     "a schema may name others on the network",
	"json.verify_schema":    "a schema may name others on the network",
	"trace":                 "it writes to a trace that is not kept; use print, and read it with opa test",
	"rego.parse_module":     "a policy is compiled once, when it is loaded",
	"internal.test_case":    "it belongs in a file whose name ends in _test.rego",
	"strings.render_templa": "use sprintf or a template string",
}

// refusedBuiltin says why a function of OPA's is not open to policies; known is
// false for a name that is no function at all, and for one that is open.
func refusedBuiltin(name string) (why string, known bool) {
	if slices.Contains(pureBuiltins, name) || !slices.ContainsFunc(ast.CapabilitiesForThisVersion().Builtins,
		func(b *ast.Builtin) bool { return b.Name == name }) {
		return "", false
	}
	longest := ""
	for prefix := range refusals {
		if strings.HasPrefix(name, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	if longest == "" {
		return "it is not on the list of functions known to depend on their arguments alone", true
	}
	return refusals[longest], true
}

// capabilities is what a policy is compiled with: Rego v1, the pure functions,
// and no network for schemas that name others.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(ast.RegoV1))
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool { return !slices.Contains(pureBuiltins, b.Name) })
	c.AllowNet = []string{}
	return c
}
