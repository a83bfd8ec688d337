package registry

import (
	"slices"
	"strings"
)

// judgedSuffixes are the paths that are judged, behind /v1/, /openai/v1/ and
// /openai/deployments/{model}/. No rule may let them through unjudged.
var judgedSuffixes = []string{"chat/completions", "responses", "embeddings", "messages"}

// matches reports whether the rule is for this method and path. A prefix ends at
// a slash: "/v1/files/*" is not for "/v1/filesystem", nor for "/v1/files".
func (p *Path) matches(method, path string) bool {
	if len(p.Methods) > 0 && !slices.Contains(p.Methods, method) {
		return false
	}
	if prefix, ok := strings.CutSuffix(p.Path, "*"); ok {
		return len(path) > len(prefix) && strings.HasPrefix(path, prefix)
	}
	return path == p.Path
}

// plainPath reports whether a path can be read in one way only: no escapes, no
// dot segments, no doubled or backward slashes, no query. What stands behind a
// gateway may read the others as another path than we do.
func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "%\\?#;* ") || !printable(path) || strings.Contains(path, "//") {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// judged finds a path that is judged and that the rule would let through.
func (p *Path) judged() (string, bool) {
	for _, suffix := range judgedSuffixes {
		candidates := []string{"/v1/" + suffix, "/openai/v1/" + suffix, "/openai/deployments/{model}/" + suffix}
		// Of a deployment's paths the rule may name the model itself.
		if rest, ok := strings.CutPrefix(p.Path, "/openai/deployments/"); ok {
			if model, _, ok := strings.Cut(rest, "/"); ok && model != "*" {
				candidates = append(candidates, "/openai/deployments/"+model+"/"+suffix)
			}
		}
		for _, c := range candidates {
			if (&Path{Path: p.Path}).matches("", c) || strings.TrimSuffix(p.Path, "/") == c {
				return c, true
			}
		}
	}
	return "", false
}
